"""Who is asked, by what the command line, the environment and the settings say."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from bruno_llm_base.access import unquoted
from bruno_llm_base.discovery import (
    LANGUAGE_MODELS,
    Group,
    ProviderInfo,
    canonical,
    installed,
    kind_of,
    names,
    split_name,
)
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.factory import LLMFactory
from bruno_llm_base.options import close_matches
from bruno_llm_base.provider import BaseProvider

from bruno_llm_cli import settings

NO_MODEL = "-"
_NEARLY = 0.8  # of 1: "opnai" is nearly "openai"


def chosen(provider: str | None = None, model: str | None = None) -> tuple[str | None, str | None]:
    """Return the provider that is asked, and the model if it is not for the environment to name.

    What the command line says wins, then the environment, the settings, and the one provider that
    is set up. A model of the command line may name its provider, as `named_by` tells.

    Raises:
        ConfigurationError: Nothing tells.
    """
    if provider is not None:
        return provider, model
    if model is None:
        return _default()
    if (named := _split(model)) is not None:  # the others need not be loaded
        return named
    try:
        default, _ = _default()
        asked = default or split_name(of_environment())[0]
    except ConfigurationError:
        if (named := named_by(model, None)) is not None:
            return named
        if "/" in model:
            kind_of(split_name(model)[0])  # says whose name is like it
        raise
    could_be_asked = asked if _kind(asked) else None  # what cannot be loaded has no models
    return named_by(model, could_be_asked) or (default, model)


def _default() -> tuple[str | None, str | None]:
    """Return the provider that is asked where the command line names none, and its model."""
    if of_environment():
        return None, None
    if settled := settings.read().model:
        named, model = split_name(settled)
        own = any(os.environ.get(f"{p}MODEL") for p in ("BRUNO_LLM_", prefix_of(canonical(named))))
        return named, None if own else model
    return _only_one(), None


def named_by(model: str, asked: str | None) -> tuple[str, str | None] | None:
    """Return the provider that *model* names, and its model; None if it is a model of the one *asked*.

    It may be "provider/model", a provider alone, or a model that is known as a vendor's own. Without a
    key for it, "mistral" is a model of Ollama's, where that is asked.
    """
    if (named := _split(model)) is not None:
        return named
    has_any = asked is not None and _has_any_model(asked)
    if canonical(model) in names():
        is_meant = not has_any or is_set_up(model) or not _needs_key(model)
        return (model, None) if is_meant else None
    if has_any:
        return None
    if canonical(model.partition(":")[0]) in names():  # "mistral:7b" may be a model of Ollama's
        return split_name(model)
    vendor = None if "/" in model else _vendor_of(model, asked)
    if vendor is not None:
        return vendor, model
    if asked is not None and "/" not in _default_model(asked):  # gateways name models so
        _refuse_misspelt(model.partition("/")[0])
    return None


def _refuse_misspelt(word: str) -> None:
    """Raise what is meant, where *word* is nearly the name of a provider: it is not for another vendor."""
    if close := close_matches(word, names(), cutoff=_NEARLY):
        raise ConfigurationError(f"no provider is called {word!r}: did you mean {close[0]!r}?")


def _default_model(provider: str) -> str:
    return getattr(_kind(provider), "default_model", "")


def _split(model: str) -> tuple[str, str | None] | None:
    """Return provider and model of "provider/model", None if it is something else."""
    named, slash, _ = model.partition("/")
    is_one = slash and canonical(named) in {*names(), *LANGUAGE_MODELS.published}
    return split_name(model) if is_one else None


def _kind(provider: str) -> type[Any] | None:
    """Return the class of a provider, None where it cannot be loaded: that is told when it is asked."""
    try:
        return kind_of(provider)
    except ConfigurationError:
        return None


def _needs_key(provider: str) -> bool:
    """Say whether the provider's own address wants a key."""
    return bool(getattr(_kind(provider), "needs_key", False))


def _has_any_model(provider: str) -> bool:
    """Say whether any name may be a model of a provider's: the user's own server has what they gave it."""
    own = prefix_of(canonical(provider))
    variables = (getattr(_kind(provider), "base_url_env", None), f"{own}BASE_URL")
    own_server = any(os.environ.get(name) for name in variables if name)
    stands_for = os.environ.get(f"{own}PRICE_NAME")
    return not _needs_key(provider) or (own_server and not stands_for)


def _vendor_of(model: str, asked: str | None) -> str | None:
    """Return the provider whose own model this is, by its name, unless the one *asked* may have it too."""
    default = "" if asked is None else _default_model(asked)
    if default.partition("-")[0] == model.partition("-")[0]:
        return None
    try:
        from genai_prices.data_snapshot import get_snapshot  # a fifth of a second of loading
    except ImportError:
        return None
    own = {each.id: each.model_match for each in get_snapshot().providers if each.model_match}

    def may_have(provider: str) -> bool | None:
        vendor = getattr(_kind(provider), "price_name", None) or canonical(provider)
        return own[vendor].is_match(model) if vendor in own else None

    if asked is not None and may_have(asked) is not False:  # others' models too, or not known
        return None
    return next((name for name in sorted(names()) if may_have(name)), None)


def _only_one() -> str:
    """Return the provider that is set up, or else installed, if it is the only one."""
    usable = sorted(filter(_is_usable, names()))
    if not usable:
        for name in names():
            kind_of(name)  # says why it cannot be loaded
        raise ConfigurationError("no provider is installed: pip install bruno-llm")
    set_up = [name for name in usable if is_set_up(name)]
    if len(set_up or usable) == 1:
        return (set_up or usable)[0]
    if set_up:
        raise ConfigurationError(
            f"several providers are set up ({', '.join(set_up)}): choose one for good, as with"
            f" `bruno-llm use {set_up[0]}`, or for this time with -m {set_up[0]}/MODEL"
        )
    raise ConfigurationError(
        f"no provider is set up: set a key, such as {' or '.join(_keys(usable))}; without a key,"
        " start Ollama and enter `bruno-llm use ollama`"
    )


def _keys(usable: Sequence[str]) -> list[str]:
    """Return the variables of the keys of the best known of these providers."""
    known = [name for name in ("claude", "gemini", "openai") if name in usable] or usable[:3]
    return [keys[0] for name in known if (keys := getattr(kind_of(name), "api_key_env", ()))]


def usable_providers() -> list[ProviderInfo]:
    """Return what is installed, but for mocks: those answer always, and are asked by name only."""
    return [info for info in installed() if "mock" not in info.capabilities]


def _is_usable(name: str) -> bool:
    """Say whether a provider can be loaded and is not a mock."""
    try:
        return "mock" not in getattr(kind_of(name), "capabilities", ())
    except ConfigurationError:
        return False


def of_environment() -> str:
    """Return the provider that the environment names, perhaps with a model; "" if it names none."""
    return unquoted(os.environ.get("BRUNO_LLM_PROVIDER", ""))


def is_set_up(provider: str, group: Group = LANGUAGE_MODELS) -> bool:
    """Say whether the environment, or the settings, have anything to say of *provider*."""
    default = of_environment() or settings.read().model
    if default and canonical(split_name(default)[0]) == canonical(provider):
        return True
    kind = kind_of(provider, group)
    own = {*getattr(kind, "api_key_env", ()), getattr(kind, "base_url_env", None)}
    return any(
        value.strip() and (name in own or name.startswith(prefix_of(provider)))
        for name, value in os.environ.items()
    )


def prefix_of(provider: str) -> str:
    """Return how the names of the environment variables for *provider* alone begin."""
    return f"BRUNO_LLM_{provider.upper().replace('-', '_')}_"


def build_for_a_look(
    provider: str, build: Callable[..., BaseProvider] = LLMFactory.from_env
) -> BaseProvider:
    """Return a *provider* that is only asked for its models, and so needs none: `NO_MODEL` then."""
    try:
        return build(provider)
    except ConfigurationError:
        if getattr(kind_of(split_name(provider)[0]), "default_model", None) != "":
            raise
        return build(provider, model=NO_MODEL)


def build_unasked(provider: str) -> BaseProvider:
    """Return a *provider* that the user has not named; a key that is for no certain one is not for it."""
    build = LLMFactory.from_env if is_set_up(provider) else LLMFactory.create
    return build_for_a_look(provider, build)
