"""0.2.0's one factory for models and embeddings."""

from collections.abc import Mapping
from typing import Any

from bruno_llm_base import BaseEmbeddings, BaseProvider

from bruno_llm._old.embeddings import EmbeddingFactory
from bruno_llm._old.factory import LLMFactory

__all__ = ["UnifiedProviderFactory"]


class UnifiedProviderFactory:
    """0.2.0's one factory for models and embeddings."""

    @staticmethod
    def create_llm(
        provider: str, config: Mapping[str, Any] | None = None, **keywords: Any
    ) -> BaseProvider:
        """Return a provider: `LLMFactory.create`."""
        return LLMFactory.create(provider, config, **keywords)

    @staticmethod
    def create_embedding(
        provider: str, config: Mapping[str, Any] | None = None, **keywords: Any
    ) -> BaseEmbeddings:
        """Return a provider of embeddings: `EmbeddingFactory.create`."""
        return EmbeddingFactory.create(provider, config, **keywords)

    @staticmethod
    def list_llm_providers() -> list[str]:
        """Return the names of the installed providers."""
        return [info.name for info in LLMFactory.providers() if not info.error]

    @staticmethod
    def list_embedding_providers() -> list[str]:
        """Return the names of the installed providers of embeddings."""
        return EmbeddingFactory.list_providers()

    @classmethod
    def list_all_providers(cls) -> dict[str, list[str]]:
        """Return both lists of names, by "llm" and "embedding"."""
        return {"llm": cls.list_llm_providers(), "embedding": cls.list_embedding_providers()}
