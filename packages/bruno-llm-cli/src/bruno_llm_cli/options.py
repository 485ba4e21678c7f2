"""The options that say which model is asked, and how."""

import inspect
import json
import os
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

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
from bruno_llm_base.options import PORTABLE
from bruno_llm_base.parts import Json
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.wrappers import FullLLM, in_full
from typer import BadParameter, Option

from bruno_llm_cli import settings
from bruno_llm_cli.completion import complete_model, complete_provider
from bruno_llm_cli.output import set_verbosity

_TABLE = PORTABLE.items()
NO_MODEL = "-"
Provider = Annotated[
    str | None,
    Option(
        "--provider",
        "-p",
        help="The provider, as ollama or ollama/llama3.2; see `providers`.",
        autocompletion=complete_provider,
    ),
]
Model = Annotated[
    str | None,
    Option(
        "--model",
        "-m",
        help="The model; the provider's own if none. Alone: provider/model.",
        autocompletion=complete_model,
    ),
]
Config = Annotated[
    Path | None, Option(help="A YAML, JSON or TOML file that names provider, model and more.")
]
AsJson = Annotated[bool, Option("--json", help="Print one JSON document, for programs.")]
Verbose = Annotated[
    int,
    Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Log requests on stderr; -vv logs more.",
    ),
]


Ledger = Annotated[
    str | None,
    Option(help="The file, or the postgresql:// URL, in which costs are booked; see `costs`."),
]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model is asked, and how: the options that `ask`, `chat` and `map` share.

    Attributes:
        portable: The options of bruno-llm-base's table, each of which has a flag.
    """

    provider: Provider = None
    model: Model = None
    config: Config = None
    system: Annotated[
        str | None, Option("--system", "-s", help="What the conversation begins with.")
    ] = None
    option: Annotated[
        list[str] | None,
        Option("--option", "-o", metavar="KEY=VALUE", help="A request field of the vendor's own."),
    ] = None
    ledger: Ledger = None
    budget: Annotated[
        float | None, Option(help="The most to spend, in USD; what --ledger holds counts.")
    ] = None
    timeout: Annotated[
        float | None,
        Option(help="The longest that a request may take, retries included, in seconds."),
    ] = None
    verbose: Verbose = 0
    portable: Json = field(default_factory=dict)

    def given(self) -> Json:
        """Return the options of a request that were given."""
        own = dict(map(_option, self.option or ()))
        return {name: value for name, value in self.portable.items() if value is not None} | own

    def llm(self, **more: Any) -> FullLLM:
        """Return the model, built with *more* keywords.

        Raises:
            ConfigurationError: Something is wrong or missing.
            BadParameter: An option is no `KEY=VALUE`.
        """
        keywords: Json = {
            **self.portable,
            "system_prompt": self.system,
            "timeout": self.timeout,
            **more,
        }
        if self.option:
            keywords["options"] = dict(map(_option, self.option))
        if self.ledger is not None:
            from bruno_llm_base.cost.tracker import CostTracker

            keywords["cost"] = CostTracker(self.ledger)
        if self.budget is not None:
            from bruno_llm_base.cost.budget import Budget

            keywords["budget"] = Budget(self.budget)
        return build_llm(self.provider, self.model, self.config, **keywords)


def taking_model_options(
    command: Callable[..., None], *, without: tuple[str, ...] = ()
) -> Callable[..., None]:
    """Let *command* take the options of `ModelOptions`, and give them as its first argument.

    Where it has a short flag of its own, such as -p, theirs is the long one only. It may do *without*
    some of them.
    """
    hints = get_type_hints(ModelOptions, include_extras=True)
    flags = {name: Annotated[kind | None, Option(help=row.help)] for name, (kind, row) in _TABLE}
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
        for name, default, hint in (
            *(
                (f.name, f.default, hints[f.name])
                for f in fields(ModelOptions)[:-1]
                if f.name not in without
            ),
            *((name, None, hint) for name, hint in flags.items()),
        )
    ]
    own = list(inspect.signature(command).parameters.values())[1:]
    taken_flags = {flag for parameter in own for flag in _flags(parameter)}
    for place, parameter in enumerate(shared):
        if taken_flags & set(flags_of := _flags(parameter)):
            info = copy(parameter.annotation.__metadata__[0])
            info.param_decls = tuple(flag for flag in flags_of if flag not in taken_flags)
            kind = parameter.annotation.__origin__
            shared[place] = parameter.replace(annotation=Annotated[kind, info])

    def called(**given: Any) -> None:
        taken = {parameter.name: given.pop(parameter.name) for parameter in shared}
        portable = {name: taken.pop(name) for name in flags}
        choice = ModelOptions(**taken, portable=portable)
        set_verbosity(choice.verbose)
        command(choice, **given)

    called.__name__, called.__doc__ = command.__name__, command.__doc__
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
    vars(called)["__signature__"] = inspect.Signature([*own, *shared])
    return called


def _flags(parameter: inspect.Parameter) -> tuple[str, ...]:
    info, *_ = parameter.annotation.__metadata__
    return tuple(getattr(info, "param_decls", None) or ())


def build_llm(
    provider: str | None, model: str | None, config: Path | None, **keywords: Any
) -> FullLLM:
    """Return a model: the file's, or the one that is chosen as `chosen` tells.

    Raises:
        ConfigurationError: Nothing tells which one, or it cannot be built.
        BadParameter: Both a file and a provider are given.
    """
    given = {name: value for name, value in keywords.items() if value is not None}
    if config is not None:
        if provider is not None:
            raise BadParameter("--config names a provider already: give one of the two")
        return in_full(LLMFactory.from_file(config, model, **given))
    return in_full(LLMFactory.from_env(*chosen(provider, model), **given))


def chosen(provider: str | None = None, model: str | None = None) -> tuple[str | None, str | None]:
    """Return the provider that is asked, and the model if it is not for the environment to name.

    What the command line says wins, then the environment, the settings, and the one provider that
    is set up. A model of the command line may name its provider, as "ollama/llama3.2", or be the name
    of a provider alone that is set up, needs no key, or could be meant by nothing else.

    Raises:
        ConfigurationError: Nothing tells.
    """
    if provider is not None:
        return provider, model
    if model is not None and (named_by := _named_by(model)) is not None:
        return named_by
    if of_environment():
        return None, model
    if settled := settings.read().model:
        named, of_settings = split_name(settled)
        own = any(os.environ.get(f"{p}MODEL") for p in ("BRUNO_LLM_", prefix_of(canonical(named))))
        return named, model or (None if own else of_settings)
    try:
        return _only_one(), model
    except ConfigurationError:
        if model is not None and canonical(model) in names():  # "claude" alone
            return model, None
        if model is not None and "/" in model:
            kind_of(split_name(model)[0])  # says whose name is like it
        raise


def _named_by(model: str) -> tuple[str, str | None] | None:
    """Return the provider that *model* names, and what is left of it, if it names one."""
    named, slash, rest = model.partition("/")
    if slash and rest and canonical(named) in {*names(), *LANGUAGE_MODELS.published}:
        return named, rest
    # without a key for it, "mistral" is a model of Ollama's
    is_one = canonical(model) in names() and (is_set_up(model) or not _keys([model]))
    return (model, None) if is_one else None


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


def _option(text: str) -> tuple[str, Any]:
    """Return what KEY=VALUE means: a value is JSON where it can be, else text."""
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise BadParameter(f"--option {text}: give KEY=VALUE, such as num_ctx=8192")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
