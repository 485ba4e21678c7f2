"""0.2.0's words for Ollama."""

from collections.abc import Mapping
from typing import Any, ClassVar

import bruno_llm_ollama
from pydantic import BaseModel, ConfigDict

from bruno_llm._old.embeddings import OldEmbeddings
from bruno_llm._old.provider import OldProvider, renewed

__all__ = [
    "OllamaConfig",
    "OllamaEmbeddingConfig",
    "OllamaEmbeddingProvider",
    "OllamaProvider",
]


class OllamaProvider(OldProvider, bruno_llm_ollama.OllamaProvider):
    """`bruno_llm_ollama.OllamaProvider` that also understands 0.2.0's keywords."""

    renamed: ClassVar[Mapping[str, str]] = {"num_predict": "max_tokens", "top_k": "options.top_k"}

    def __init__(
        self,
        base_url: str | None = None,
        model: str | None = None,
        timeout: float | None = None,
        **keywords: Any,
    ) -> None:
        new = renewed(keywords, self.renamed)
        super().__init__(model, base_url=base_url, timeout=timeout, **new)


class OllamaEmbeddingProvider(OldEmbeddings, bruno_llm_ollama.OllamaEmbeddings):
    """`bruno_llm_ollama.OllamaEmbeddings` with 0.2.0's order of arguments, and its variables."""

    variables: ClassVar[Mapping[str, str]] = {
        "base_url": "OLLAMA_BASE_URL",
        "model": "OLLAMA_EMBEDDING_MODEL",
        "timeout": "EMBEDDING_TIMEOUT",
        "batch_size": "EMBEDDING_BATCH_SIZE",
    }

    def __init__(
        self,
        base_url: str | None = None,
        model: str | None = None,
        timeout: float | None = None,
        batch_size: int | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(
            model, base_url=base_url, timeout=timeout, batch_size=batch_size, **keywords
        )


class OllamaConfig(BaseModel):
    """0.2.0's keywords as an object, for `OllamaProvider(**config.model_dump())`.

    What is not set is None, and means what it means to the provider.
    """

    model_config = ConfigDict(frozen=True)

    base_url: str | None = None
    model: str | None = None
    timeout: float | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    num_predict: int | None = None
    stop: list[str] | None = None


class OllamaEmbeddingConfig(BaseModel):
    """0.2.0's keywords of embeddings as an object."""

    model_config = ConfigDict(frozen=True)

    base_url: str | None = None
    model: str | None = None
    timeout: float | None = None
    batch_size: int | None = None
