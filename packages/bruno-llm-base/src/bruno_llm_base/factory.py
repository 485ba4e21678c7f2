"""Providers by name and configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from bruno_core.interfaces import LLMInterface
from bruno_core.models.config import BrunoConfig, LLMConfig

from bruno_llm_base import sources
from bruno_llm_base.config import keywords_of
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.installed import (
    ProviderInfo,
    aliases_of,
    canonical,
    installed,
    kind_of,
    known_names,
)
from bruno_llm_base.observe import Observer
from bruno_llm_base.options import merged
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.values import shown
from bruno_llm_base.wrappers import Breaker, Candidate, FallbackLLM, first_healthy

__all__ = ["LLMFactory"]

_ONES_OWN = ("api_key", "base_url", "client", "model", "options")
"""Keywords that mean something else, or nothing, to another provider."""


class LLMFactory:
    """Build providers by name, so that a program is free to change its model."""

    @staticmethod
    def providers() -> list[ProviderInfo]:
        """Return the installed providers by name; no SDK is imported."""
        return installed()

    @classmethod
    def create(
        cls, name: str, config: LLMConfig | Mapping[str, Any] | None = None, **keywords: Any
    ) -> BaseProvider:
        """Return a provider.

        A class of somebody else's that implements no more than bruno-core's `LLMInterface` is
        returned as it is, whatever the annotation says.

        Args:
            name: The provider: "openai", "claude", "gemini", "ollama" or any that is installed.
            config: Its keywords as a mapping, or bruno-core's `LLMConfig`.
            **keywords: Its keywords; they win over *config*. See `BaseProvider`.

        Raises:
            ProviderNotFoundError: It is not installed; the message says what to install.
            ConfigurationError: A keyword is unknown or its value wrong.
        """
        kind = cls._kind_of(name)
        given = sources.from_config(config) if config is not None else {}
        named = given.pop("provider", name)
        if canonical(named) != canonical(name):
            raise ConfigurationError(
                f"the configuration is for {named!r}, not for {name!r}: it may hold another's key"
            )
        return kind(**_sorted_out(kind, given, keywords))

    @classmethod
    def from_config(
        cls, config: LLMConfig | BrunoConfig | Mapping[str, Any], **keywords: Any
    ) -> BaseProvider:
        """Return the provider that *config* describes.

        Of bruno-core's models only fields that were set count: their defaults are nobody's choice.

        Args:
            config: bruno-core's `LLMConfig` or `BrunoConfig`, or a mapping with "provider", alone
                or under "llm".
            **keywords: Keywords that win over it.

        Raises:
            ConfigurationError: It names no provider, or something in it is wrong.
        """
        given = sources.from_config(config)
        return cls.create(sources.provider_of(given), given, **keywords)

    @classmethod
    def from_file(cls, path: str | Path, **keywords: Any) -> BaseProvider:
        """Return the provider that a YAML, JSON or TOML file describes.

        Args:
            path: The file; it holds what `from_config` takes as a mapping.
            **keywords: Keywords that win over it.

        Raises:
            ConfigurationError: It cannot be read, names no provider, or something in it is wrong.
        """
        if not isinstance(path, str | Path):
            raise ConfigurationError(f"path is {shown(path)}: give a text or a pathlib.Path")
        return cls.from_config(sources.from_file(Path(path)), **keywords)

    @classmethod
    def from_env(cls, name: str | None = None, **keywords: Any) -> BaseProvider:
        """Return the provider that the environment describes.

        An argument wins over `BRUNO_LLM_<PROVIDER>_<FIELD>`, that over `BRUNO_LLM_<FIELD>` (unless
        `BRUNO_LLM_PROVIDER` names another provider), and that over the vendor's own variables.

        Args:
            name: The provider; from `BRUNO_LLM_PROVIDER` if None.
            **keywords: Keywords that win over the environment.

        Raises:
            ConfigurationError: No provider is named, or a value is wrong.
        """
        chosen = canonical(name or sources.CHAT.provider())
        given = sources.CHAT.of(chosen, aliases_of(chosen), known_names())
        return cls.create(chosen, given, **keywords)

    @classmethod
    def fallback(
        cls,
        members: Sequence[str | LLMConfig | Mapping[str, Any] | LLMInterface],
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
        candidates = [cls._candidate(member, {}) for member in _listed(members)]
        for place, candidate in enumerate(candidates):
            if candidate.error is not None:
                raise ConfigurationError(
                    f"members[{place}], {candidate.label}: {candidate.error.message}",
                    cause=candidate.error,
                )
        built = [candidate.llm for candidate in candidates if candidate.llm is not None]
        return FallbackLLM(built, breaker=breaker, observers=observers)

    @classmethod
    async def select(
        cls,
        members: Sequence[str | LLMConfig | Mapping[str, Any] | LLMInterface],
        **keywords: Any,
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
        candidates = [cls._candidate(member, keywords) for member in _listed(members)]
        return cast("BaseProvider", await first_healthy(candidates))

    @classmethod
    def _kind_of(cls, name: str) -> type[BaseProvider]:
        """Return the class called *name*; a subclass may have one of its own for it."""
        kind: type[BaseProvider] = kind_of(name)
        return kind

    @classmethod
    def _candidate(cls, member: Any, keywords: dict[str, Any]) -> Candidate:
        if isinstance(member, LLMInterface):
            return Candidate(label=repr(type(member).__name__), llm=member)
        label = type(member).__name__
        try:
            given = {"provider": member} if isinstance(member, str) else sources.from_config(member)
            label = repr(sources.provider_of(given))
            llm = cls.from_config(given, **keywords)
        except ConfigurationError as error:
            return Candidate(label=label, error=error)
        return Candidate(label=label, llm=llm, ours=True)


def _listed(members: Any) -> list[Any]:
    if not isinstance(members, Sequence) or isinstance(members, str):
        raise ConfigurationError(f"members is a {type(members).__name__}: give a list of providers")
    if not members:
        raise ConfigurationError("members is empty: give at least one provider")
    return list(members)


def _sorted_out(
    kind: type[BaseProvider], given: dict[str, Any], keywords: dict[str, Any]
) -> dict[str, Any]:
    """Put bruno-core's `additional_params` where they belong: keywords, else vendor options.

    *keywords* win over what else is *given*, and that over `additional_params`; options join.
    """
    extra = _mapping("additional_params", given.pop("additional_params", None))
    known = keywords_of(kind)
    unknown = {name: value for name, value in extra.items() if name not in known}
    layers = [{name: extra[name] for name in extra.keys() & known}, given, keywords]
    options = merged(
        unknown, *(_mapping("options", layer.pop("options", None)) for layer in layers)
    )
    whole = layers[0] | given | keywords
    return whole | {"options": options} if options else whole


def _mapping(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping | None):
        raise ConfigurationError(f"{name} is a {type(value).__name__}: give a mapping")
    return dict(value or {})
