"""Providers of embeddings by name and configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bruno_llm_base import sources
from bruno_llm_base.embeddings import BaseEmbeddings
from bruno_llm_base.exceptions import ConfigurationError, ProviderNotFoundError
from bruno_llm_base.installed import (
    EMBEDDINGS,
    ProviderInfo,
    aliases_of,
    canonical,
    installed,
    kind_of,
    known_names,
)
from bruno_llm_base.values import shown

__all__ = ["EmbeddingFactory"]

_OFFER_NONE = {"claude": "Anthropic"}
"""Vendors that people ask for embeddings, and that have none, for advice only."""


class EmbeddingFactory:
    """Build providers of embeddings by name, so that a program is free to change its model."""

    @staticmethod
    def providers() -> list[ProviderInfo]:
        """Return the installed providers by name; no SDK is imported."""
        return installed(EMBEDDINGS)

    @staticmethod
    def create(
        name: str, config: Mapping[str, Any] | None = None, **keywords: Any
    ) -> BaseEmbeddings:
        """Return a provider.

        A class of somebody else's that implements no more than bruno-core's `EmbeddingInterface` is
        returned as it is, whatever the annotation says.

        Args:
            name: The provider: "openai", "gemini", "ollama" or any that is installed.
            config: Its keywords as a mapping.
            **keywords: Its keywords; they win over *config*. See `BaseEmbeddings`.

        Raises:
            ProviderNotFoundError: It is not installed, and the message says what to install, or its
                vendor has no embeddings.
            ConfigurationError: A keyword is unknown or its value wrong.
        """
        kind = _kind_of(name)
        given = {} if config is None else sources.from_mapping(config, "embeddings")
        named = given.pop("provider", name)
        if canonical(named) != canonical(name):
            raise ConfigurationError(
                f"the configuration is for {named!r}, not for {name!r}: it may hold another's key"
            )
        return kind(**given | keywords)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **keywords: Any) -> BaseEmbeddings:
        """Return the provider that *config* describes.

        Args:
            config: A mapping with "provider", alone or under "embeddings".
            **keywords: Keywords that win over it.

        Raises:
            ConfigurationError: It names no provider, or something in it is wrong.
        """
        given = sources.from_mapping(config, "embeddings")
        return cls.create(sources.provider_of(given), given, **keywords)

    @classmethod
    def from_file(cls, path: str | Path, **keywords: Any) -> BaseEmbeddings:
        """Return the provider that a YAML, JSON or TOML file describes.

        Args:
            path: The file; it holds what `from_config` takes.
            **keywords: Keywords that win over it.

        Raises:
            ConfigurationError: It cannot be read, names no provider, or something in it is wrong.
        """
        if not isinstance(path, str | Path):
            raise ConfigurationError(f"path is {shown(path)}: give a text or a pathlib.Path")
        return cls.from_config(sources.from_file(Path(path)), **keywords)

    @classmethod
    def from_env(cls, name: str | None = None, **keywords: Any) -> BaseEmbeddings:
        """Return the provider that the environment describes.

        An argument wins over `BRUNO_LLM_<PROVIDER>_EMBEDDING_<FIELD>`, that over
        `BRUNO_LLM_EMBEDDING_<FIELD>` (unless `BRUNO_LLM_EMBEDDING_PROVIDER` names another
        provider), and that over the vendor's own variables.

        Args:
            name: The provider; from `BRUNO_LLM_EMBEDDING_PROVIDER` if None.
            **keywords: Keywords that win over the environment.

        Raises:
            ConfigurationError: No provider is named, or a value is wrong.
        """
        chosen = canonical(name or sources.EMBEDDINGS.provider())
        given = sources.EMBEDDINGS.of(chosen, aliases_of(chosen), known_names())
        return cls.create(chosen, given, **keywords)


def _kind_of(name: str) -> type[BaseEmbeddings]:
    try:
        return kind_of(name, EMBEDDINGS)
    except ProviderNotFoundError as error:
        vendor = _OFFER_NONE.get(canonical(name))
        if vendor is None:
            raise
        others = ", ".join(repr(info.name) for info in installed(EMBEDDINGS)) or "none installed"
        message = f"{vendor} offers no embeddings: use those of another provider ({others})"
        raise ProviderNotFoundError(message, cause=error) from error
