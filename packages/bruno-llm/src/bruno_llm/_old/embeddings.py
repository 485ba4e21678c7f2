"""0.2.0's words for embeddings."""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Never, Self

import bruno_llm_base
from bruno_llm_base import BaseEmbeddings, ConfigurationError
from bruno_llm_base.config import keywords_of
from bruno_llm_base.installed import canonical
from bruno_llm_base.types import Json
from bruno_llm_base.values import shown

from bruno_llm._old import deprecated
from bruno_llm._old.environment import environment, number

__all__ = ["EmbeddingFactory", "OldEmbeddings"]

_OLD = {
    "ollama": ("bruno_llm._old.ollama", "OllamaEmbeddingProvider"),
    "openai": ("bruno_llm._old.openai", "OpenAIEmbeddingProvider"),
}
"""The providers that 0.2.0 had."""


class OldEmbeddings(BaseEmbeddings):
    """Embeddings with 0.2.0's methods."""

    variables: ClassVar[Mapping[str, str]]

    @classmethod
    def from_env(cls, **keywords: Any) -> Self:
        """Return the provider that 0.2.0's own variables describe, such as `EMBEDDING_TIMEOUT`.

        Raises:
            ConfigurationError: A value is wrong.
        """
        said = {name: os.environ.get(variable) for name, variable in cls.variables.items()}
        found: Json = {
            name: number(cls.variables[name], name, text) for name, text in said.items() if text
        }
        return cls(**found | keywords)

    async def close(self) -> None:
        """Close the running loop's connections: `aclose()`."""
        deprecated("close()", "aclose(), or `async with`")
        await self.aclose()


class EmbeddingFactory(bruno_llm_base.EmbeddingFactory):
    """`bruno_llm_base.EmbeddingFactory` with what 0.2.0's could do."""

    @classmethod
    def create(  # type: ignore[override]  # 0.2.0 called its first argument so
        cls, provider: str, config: Mapping[str, Any] | None = None, **keywords: Any
    ) -> BaseEmbeddings:
        """Return a provider.

        Raises:
            ProviderNotFoundError: It is not installed.
            ConfigurationError: A keyword is unknown or its value wrong.
        """
        if canonical(provider) in _OLD:
            given = dict(config or {}) | keywords
            given.pop("provider", None)
            return _kind_of(provider)(**given)
        return super().create(provider, config, **keywords)

    @classmethod
    def create_from_env(cls, provider: str, prefix: str | None = None) -> BaseEmbeddings:
        """Return the provider that `<PREFIX>_<PROVIDER>_EMBEDDING_<FIELD>` describe.

        0.2.0's other variables, such as `OPENAI_EMBEDDING_MODEL`, say the rest.

        Raises:
            ProviderNotFoundError: 0.2.0 had no such provider.
            ConfigurationError: A value is wrong.
        """
        if canonical(provider) not in _OLD:
            return cls.from_env(provider)
        kind = _kind_of(provider)
        start = f"{prefix or 'BRUNO_LLM'}_{canonical(provider).upper()}_EMBEDDING_"
        return kind.from_env(**environment(start, keywords_of(kind)))

    @classmethod
    def list_providers(cls) -> list[str]:
        """Return the names of the installed providers."""
        return [info.name for info in cls.providers() if info.error is None]

    @classmethod
    def is_registered(cls, provider: str) -> bool:
        """Return whether *provider* is installed."""
        return canonical(provider) in cls.list_providers()

    @classmethod
    def register(cls, name: str, provider_class: object) -> Never:  # noqa: ARG003 - as it was
        """Raise: who offers a provider says so in its distribution.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            f"EmbeddingFactory.register() is gone: declare {shown(name)} as an entry point in the"
            " group 'bruno.embedding_providers'"
        )


def _kind_of(provider: str) -> type[OldEmbeddings]:
    home, name = _OLD[canonical(provider)]
    kind: type[OldEmbeddings] = getattr(import_module(home), name)
    return kind
