"""Providers by name and configuration: language models and embeddings."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from bruno_core.interfaces import LLMInterface
from bruno_core.models.config import BrunoConfig, LLMConfig

from bruno_llm_base import sources
from bruno_llm_base.discovery import (
    EMBEDDINGS,
    LANGUAGE_MODELS,
    Group,
    ProviderInfo,
    canonical,
    installed,
    kind_of,
)
from bruno_llm_base.events import Observer
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.options import keywords_of, merged
from bruno_llm_base.parts import Json
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.values import shown

if TYPE_CHECKING:  # programs that only chat do without
    from bruno_llm_base.embeddings import BaseEmbeddings
    from bruno_llm_base.wrappers import Breaker, Candidate, FallbackLLM

_P = ParamSpec("_P")
_T = TypeVar("_T")
Config = LLMConfig | BrunoConfig | Mapping[str, Any]
Member = str | LLMConfig | Mapping[str, Any] | LLMInterface
"""A provider: its name, its configuration, or a ready one."""

_ONES_OWN = ("api_key", "base_url", "client", "model", "options")
"""Keywords that mean something else, or nothing, to another provider."""


class ProviderFactory(Generic[_P, _T]):
    """Builds providers by name, so that a program is free to change its model.

    Keywords are those that all providers share, and type checkers know them. What one provider alone
    takes is given by *config*, or to the provider's class.
    """

    def __init__(self, like: Callable[[], Callable[_P, _T]], group: Group) -> None:
        """Build what is *like* the class that this returns, for type checkers, of one *group*."""
        del like
        self._group = group

    def providers(self) -> list[ProviderInfo]:
        """Return the installed providers by name; no SDK is imported."""
        return installed(self._group)

    def create(
        self, name: str, config: Config | None = None, *args: _P.args, **keywords: _P.kwargs
    ) -> _T:
        """Return a provider.

        Args:
            name: "openai", "claude", "gemini", "ollama" or any other that is installed; with a model
                as "ollama/llama3.2" or "ollama:llama3.2".
            config: Its keywords as a mapping, or bruno-core's `LLMConfig`.
            *args: The model; the provider's own if None.
            **keywords: Those of `BaseProvider` or `BaseEmbeddings`; they win over *config*.

        Raises:
            ProviderNotFoundError: It is not installed; the message says what to install.
            ConfigurationError: A keyword is unknown or its value wrong.
        """
        chosen, own = self._arguments(name, *args, **keywords)
        given = {} if config is None else sources.from_config(config, self._group)
        named = given.setdefault("provider", chosen)
        if canonical(named) != canonical(chosen):
            raise ConfigurationError(
                f"the configuration is for {named!r}, not for {chosen!r}: it may hold another's key"
            )
        return self._build(given, own)

    def from_config(self, config: Config, *args: _P.args, **keywords: _P.kwargs) -> _T:
        """Return the provider that *config* describes; keywords win over it.

        It is bruno-core's `LLMConfig` or `BrunoConfig`, of which only fields that were set count, or a
        mapping with "provider", alone or under "llm", for embeddings under "embeddings". A provider
        may bring its model, as for `create`, and be one of the mapping's own "vendors".

        Raises:
            ConfigurationError: It names no provider, or something in it is wrong.
        """
        return self._build(sources.from_config(config, self._group), _given(*args, **keywords))

    def from_file(self, path: str | Path, *args: _P.args, **keywords: _P.kwargs) -> _T:
        """Return the provider that a YAML, JSON or TOML file describes, as for `from_config`.

        Raises:
            ConfigurationError: It cannot be read, names no provider, or something in it is wrong.
        """
        if not isinstance(path, str | Path):
            raise ConfigurationError(f"path is {shown(path)}: give a text or a pathlib.Path")
        return self.from_config(sources.from_file(Path(path)), *args, **keywords)

    def from_env(self, name: str | None = None, *args: _P.args, **keywords: _P.kwargs) -> _T:
        """Return the provider that the environment describes.

        The provider is *name*, or that of `BRUNO_LLM_PROVIDER`, alone or with a model as for `create`.
        A keyword wins over
        `BRUNO_LLM_<PROVIDER>_<FIELD>`, that over `BRUNO_LLM_<FIELD>` (unless `BRUNO_LLM_PROVIDER`
        names another provider), and that over the vendor's own variables. Those of embeddings have
        `EMBEDDING_` before the field.

        Raises:
            ConfigurationError: No provider is named, or a value is wrong.
        """
        if name is None:
            own = _given(*args, **keywords)
        else:
            name, own = self._arguments(name, *args, **keywords)
        return self._build(sources.from_environment(self._group, name), own)

    def _arguments(self, name: str, model: Any = None, **keywords: Any) -> tuple[str, Json]:
        """Return the provider that *name* is of, and the keywords, with the model that it may bring."""
        named = sources.split_model({"provider": name, "model": model}, self._group)
        return named["provider"], _given(named["model"], **keywords)

    def _build(self, given: Json, keywords: Json) -> _T:
        kind = kind_of(sources.provider_of(given), self._group, given.pop("vendors", None))
        del given["provider"]
        return cast(_T, kind(**_sorted_out(kind, given, keywords)))


class LanguageModelFactory(ProviderFactory[_P, BaseProvider]):
    """What `LLMFactory` is: builds language models, and makes one of several."""

    def fallback(
        self,
        members: Sequence[Member],
        *,
        breaker: "Breaker | None" = None,
        observers: Sequence[Observer] = (),
    ) -> "FallbackLLM":
        """Return a model that asks the first of several, and the next one where that fails.

        The *members* are names as for `create`, configurations as for `from_config`, or ready
        instances, the preferred one first; `FallbackLLM` explains the other arguments.

        Raises:
            ConfigurationError: One of them cannot be built; the message says which and why.
        """
        from bruno_llm_base.wrappers import FallbackLLM, listed

        built: list[LLMInterface] = []
        for place, member in enumerate(listed(members, "provider")):
            label, llm, _ = self._candidate(member, {})
            if isinstance(llm, ConfigurationError):
                raise ConfigurationError(f"members[{place}], {label}: {llm.message}", cause=llm)
            built.append(llm)
        return FallbackLLM(built, breaker=breaker, observers=observers)

    async def select(
        self, members: Sequence[Member], *args: _P.args, **keywords: _P.kwargs
    ) -> BaseProvider:
        """Return the first of several providers that is installed, configured and healthy.

        All are checked at once, within seconds and without cost; the order decides, not the speed.
        The *members* are those of `fallback`; keywords, such as `timeouts`, are for all that are
        built here. Of these, what is not chosen is closed.

        Raises:
            ConfigurationError: None can be built, or a keyword is one provider's own.
            AllProvidersFailedError: None can be used; the message says for each one why.
        """
        from bruno_llm_base.wrappers import first_healthy, listed

        own = _given(*args, **keywords)
        if name := next(filter(own.__contains__, _ONES_OWN), None):
            raise ConfigurationError(
                f"{name} is one provider's own: give it with that provider, as"
                f" {{'provider': ..., {name!r}: ...}}"
            )
        candidates = [self._candidate(member, own) for member in listed(members, "provider")]
        return cast(BaseProvider, await first_healthy(candidates))

    def _candidate(self, member: Any, keywords: Json) -> "Candidate":
        from bruno_llm_base.wrappers import Candidate

        if isinstance(member, LLMInterface):
            return Candidate(repr(type(member).__name__), member)
        label = type(member).__name__
        try:
            given = sources.from_config({"provider": member} if isinstance(member, str) else member)
            label = repr(sources.provider_of(given))
            return Candidate(label, self._build(given, keywords), ours=True)
        except ConfigurationError as error:
            return Candidate(label, error)


LLMFactory = LanguageModelFactory(lambda: BaseProvider, LANGUAGE_MODELS)
"""Builds language models; see `ProviderFactory`."""

EmbeddingFactory = ProviderFactory(lambda: BaseEmbeddings, EMBEDDINGS)
"""Builds providers of embeddings; see `ProviderFactory`."""


def _given(model: Any = None, **keywords: Any) -> Json:
    return keywords if model is None else {"model": model, **keywords}


def _sorted_out(kind: type, given: Json, keywords: Json) -> Json:
    """Put bruno-core's `additional_params` where they belong: keywords, else vendor options.

    *keywords* win over what else is *given*, and that over `additional_params`; options join.
    """
    extra = _mapping("additional_params", given.pop("additional_params", None))
    unknown = {name: extra.pop(name) for name in extra.keys() - keywords_of(kind)}
    layers = (extra, given, keywords)
    options = [_mapping("options", layer.pop("options", None)) for layer in layers]
    joined = merged(unknown, *options)
    return extra | given | keywords | ({"options": joined} if joined else {})


def _mapping(name: str, value: object) -> Json:
    if not isinstance(value, Mapping | None):
        raise ConfigurationError(f"{name} is a {type(value).__name__}: give a mapping")
    return dict(value or {})
