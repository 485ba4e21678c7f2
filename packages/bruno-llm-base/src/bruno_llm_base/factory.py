"""Providers by name and configuration: language models and embeddings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from bruno_core.interfaces import LLMInterface
from bruno_core.models.config import BrunoConfig, LLMConfig
from typing_extensions import Unpack

from bruno_llm_base import sources
from bruno_llm_base.discovery import (
    EMBEDDINGS,
    LANGUAGE_MODELS,
    Group,
    ProviderInfo,
    aliases_of,
    canonical,
    installed,
    kind_of,
    known_names,
)
from bruno_llm_base.events import Observer
from bruno_llm_base.exceptions import ConfigurationError, ProviderNotFoundError
from bruno_llm_base.options import keywords_of, merged
from bruno_llm_base.provider import BaseProvider, ProviderKeywords
from bruno_llm_base.response import Json
from bruno_llm_base.values import shown
from bruno_llm_base.wrappers import Breaker, Candidate, FallbackLLM, first_healthy, listed

if TYPE_CHECKING:  # programs that only chat do without
    from bruno_llm_base.embeddings import BaseEmbeddings, EmbeddingKeywords

__all__ = ["EmbeddingFactory", "LLMFactory"]

_P = TypeVar("_P")
Config = LLMConfig | BrunoConfig | Mapping[str, Any]
Member = str | LLMConfig | Mapping[str, Any] | LLMInterface
"""A provider: its name, its configuration, or a ready one."""

_ONES_OWN = ("api_key", "base_url", "client", "model", "options")
"""Keywords that mean something else, or nothing, to another provider."""

_OFFER_NONE = {"claude": "Anthropic"}
"""Vendors that people ask for embeddings, and that have none, for advice only."""


class _Factory(Generic[_P]):
    """What both factories do."""

    group: ClassVar[Group]
    section: ClassVar[str]
    variables: ClassVar[sources.Variables]

    @classmethod
    def providers(cls) -> list[ProviderInfo]:
        """Return the installed providers by name; no SDK is imported."""
        return installed(cls.group)

    @classmethod
    def _kind_of(cls, name: str) -> type[_P]:
        return kind_of(name, cls.group)

    @classmethod
    def _build(cls, name: str, config: Config | None, keywords: Mapping[str, Any]) -> _P:
        kind = cls._kind_of(name)
        given = {} if config is None else sources.from_config(config, cls.section)
        named = given.pop("provider", name)
        if canonical(named) != canonical(name):
            raise ConfigurationError(
                f"the configuration is for {named!r}, not for {name!r}: it may hold another's key"
            )
        return kind(**_sorted_out(kind, given, keywords))

    @classmethod
    def _from_config(cls, config: Config, keywords: Mapping[str, Any]) -> _P:
        given = sources.from_config(config, cls.section)
        return cls._build(sources.provider_of(given), given, keywords)

    @classmethod
    def _from_file(cls, path: str | Path, keywords: Mapping[str, Any]) -> _P:
        if not isinstance(path, str | Path):
            raise ConfigurationError(f"path is {shown(path)}: give a text or a pathlib.Path")
        return cls._from_config(sources.from_file(Path(path)), keywords)

    @classmethod
    def _from_env(cls, name: str | None, keywords: Mapping[str, Any]) -> _P:
        chosen = canonical(name or cls.variables.provider())
        given = cls.variables.of(chosen, aliases_of(chosen), known_names())
        return cls._build(chosen, given, keywords)


class LLMFactory(_Factory[BaseProvider]):
    """Build providers by name, so that a program is free to change its model.

    Keywords are those that all providers share. What one provider alone takes is given by *config*,
    or to the provider's class.
    """

    group = LANGUAGE_MODELS
    section = "llm"
    variables = sources.CHAT

    @classmethod
    def create(
        cls,
        name: str,
        config: LLMConfig | Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        **keywords: Unpack[ProviderKeywords],
    ) -> BaseProvider:
        """Return a provider.

        A class of another author that implements no more than bruno-core's `LLMInterface` is returned
        as it is, whatever the annotation says.

        Args:
            name: The provider: "openai", "claude", "gemini", "ollama" or any that is installed.
            config: Its keywords as a mapping, or bruno-core's `LLMConfig`.
            model: The model; the provider's own if None.
            **keywords: Its keywords; they win over *config*. See `BaseProvider`.

        Raises:
            ProviderNotFoundError: It is not installed; the message says what to install.
            ConfigurationError: A keyword is unknown or its value wrong.
        """
        return cls._build(name, config, _with_model(model, keywords))

    @classmethod
    def from_config(
        cls, config: Config, *, model: str | None = None, **keywords: Unpack[ProviderKeywords]
    ) -> BaseProvider:
        """Return the provider that *config* describes.

        Of bruno-core's models only fields that were set count: their defaults are no choice of yours.

        Args:
            config: bruno-core's `LLMConfig` or `BrunoConfig`, or a mapping with "provider", alone
                or under "llm".
            model: The model.
            **keywords: Keywords that win over it.

        Raises:
            ConfigurationError: It names no provider, or something in it is wrong.
        """
        return cls._from_config(config, _with_model(model, keywords))

    @classmethod
    def from_file(
        cls, path: str | Path, *, model: str | None = None, **keywords: Unpack[ProviderKeywords]
    ) -> BaseProvider:
        """Return the provider that a YAML, JSON or TOML file describes.

        Args:
            path: The file; it holds what `from_config` takes as a mapping.
            model: The model.
            **keywords: Keywords that win over it.

        Raises:
            ConfigurationError: It cannot be read, names no provider, or something in it is wrong.
        """
        return cls._from_file(path, _with_model(model, keywords))

    @classmethod
    def from_env(
        cls,
        name: str | None = None,
        *,
        model: str | None = None,
        **keywords: Unpack[ProviderKeywords],
    ) -> BaseProvider:
        """Return the provider that the environment describes.

        An argument wins over `BRUNO_LLM_<PROVIDER>_<FIELD>`, that over `BRUNO_LLM_<FIELD>` (unless
        `BRUNO_LLM_PROVIDER` names another provider), and that over the vendor's own variables.

        Args:
            name: The provider; from `BRUNO_LLM_PROVIDER` if None.
            model: The model.
            **keywords: Keywords that win over the environment.

        Raises:
            ConfigurationError: No provider is named, or a value is wrong.
        """
        return cls._from_env(name, _with_model(model, keywords))

    @classmethod
    def fallback(
        cls,
        members: Sequence[Member],
        *,
        breaker: Breaker | None = None,
        observers: Sequence[Observer] = (),
    ) -> FallbackLLM:
        """Return a model that asks the first of several, and the next one where that fails.

        Args:
            members: The providers, the preferred one first: names as for `create`, configurations
                as for `from_config`, or ready instances.
            breaker: When a failing provider is left alone, and for how long.
            observers: Callables that hear who was passed over and who answered.

        Raises:
            ConfigurationError: One of them cannot be built; the message says which and why.
        """
        built: list[LLMInterface] = []
        for place, member in enumerate(listed(members, "provider")):
            label, llm, _ = cls._candidate(member, {})
            if isinstance(llm, ConfigurationError):
                raise ConfigurationError(f"members[{place}], {label}: {llm.message}", cause=llm)
            built.append(llm)
        return FallbackLLM(built, breaker=breaker, observers=observers)

    @classmethod
    async def select(
        cls, members: Sequence[Member], **keywords: Unpack[ProviderKeywords]
    ) -> BaseProvider:
        """Return the first of several providers that is installed, configured and healthy.

        All are checked at once, within seconds and without cost; the order decides, not the speed.
        What was built here and is not chosen is closed.

        Args:
            members: The providers, the preferred one first, as for `fallback`.
            **keywords: Keywords for all that are built here, such as `timeouts`.

        Raises:
            ConfigurationError: None can be built, or a keyword is one provider's own.
            AllProvidersFailedError: None can be used; the message says for each one why.
        """
        for name in _ONES_OWN:
            if name in keywords:
                raise ConfigurationError(
                    f"{name} is one provider's own: give it with that provider, as"
                    f" {{'provider': ..., {name!r}: ...}}"
                )
        candidates = [cls._candidate(member, keywords) for member in listed(members, "provider")]
        return cast("BaseProvider", await first_healthy(candidates))

    @classmethod
    def _candidate(cls, member: Any, keywords: Mapping[str, Any]) -> Candidate:
        if isinstance(member, LLMInterface):
            return Candidate(repr(type(member).__name__), member)
        label = type(member).__name__
        try:
            given = {"provider": member} if isinstance(member, str) else member
            given = sources.from_config(given, cls.section)
            label = repr(sources.provider_of(given))
            llm = cls._from_config(given, keywords)
        except ConfigurationError as error:
            return Candidate(label, error)
        return Candidate(label, llm, ours=True)


class EmbeddingFactory(_Factory["BaseEmbeddings"]):
    """Build providers of embeddings by name, with the methods and the errors of `LLMFactory`."""

    group = EMBEDDINGS
    section = "embeddings"
    variables = sources.EMBEDDINGS

    @classmethod
    def create(
        cls,
        name: str,
        config: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        **keywords: "Unpack[EmbeddingKeywords]",
    ) -> "BaseEmbeddings":
        """Return a provider, as `LLMFactory.create` does; a vendor without embeddings is not found."""
        return cls._build(name, config, _with_model(model, keywords))

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        *,
        model: str | None = None,
        **keywords: "Unpack[EmbeddingKeywords]",
    ) -> "BaseEmbeddings":
        """Return the provider that a mapping describes, alone or under "embeddings"."""
        return cls._from_config(config, _with_model(model, keywords))

    @classmethod
    def from_file(
        cls, path: str | Path, *, model: str | None = None, **keywords: "Unpack[EmbeddingKeywords]"
    ) -> "BaseEmbeddings":
        """Return the provider that a file describes, as `LLMFactory.from_file` does."""
        return cls._from_file(path, _with_model(model, keywords))

    @classmethod
    def from_env(
        cls,
        name: str | None = None,
        *,
        model: str | None = None,
        **keywords: "Unpack[EmbeddingKeywords]",
    ) -> "BaseEmbeddings":
        """Return the provider that the environment describes, as `LLMFactory.from_env` does.

        The variables are `BRUNO_LLM_<PROVIDER>_EMBEDDING_<FIELD>` and `BRUNO_LLM_EMBEDDING_<FIELD>`.
        """
        return cls._from_env(name, _with_model(model, keywords))

    @classmethod
    def _kind_of(cls, name: str) -> "type[BaseEmbeddings]":
        try:
            return super()._kind_of(name)
        except ProviderNotFoundError as error:
            vendor = _OFFER_NONE.get(canonical(name))
            if vendor is None:
                raise
            others = ", ".join(repr(info.name) for info in cls.providers()) or "none installed"
            message = f"{vendor} offers no embeddings: use those of another provider ({others})"
            raise ProviderNotFoundError(message, cause=error) from error


def _with_model(model: str | None, keywords: Mapping[str, Any]) -> Json:
    return dict(keywords) if model is None else {"model": model, **keywords}


def _sorted_out(kind: type[Any], given: Json, keywords: Mapping[str, Any]) -> Json:
    """Put bruno-core's `additional_params` where they belong: keywords, else vendor options.

    *keywords* win over what else is *given*, and that over `additional_params`; options join.
    """
    extra = _mapping("additional_params", given.pop("additional_params", None))
    known = keywords_of(kind)
    unknown = {name: value for name, value in extra.items() if name not in known}
    layers = [{name: extra[name] for name in extra.keys() & known}, given, dict(keywords)]
    options = merged(
        unknown, *(_mapping("options", layer.pop("options", None)) for layer in layers)
    )
    whole = layers[0] | layers[1] | layers[2]
    return whole | {"options": options} if options else whole


def _mapping(name: str, value: object) -> Json:
    if not isinstance(value, Mapping | None):
        raise ConfigurationError(f"{name} is a {type(value).__name__}: give a mapping")
    return dict(value or {})
