"""Ollama, on this machine, another one or in its cloud, for bruno."""

from typing import TYPE_CHECKING

from bruno_llm_base.lazy import late_names

from bruno_llm_ollama.provider import OllamaProvider

if TYPE_CHECKING:
    from bruno_llm_ollama.embeddings import OllamaEmbeddings

__all__ = ["OllamaEmbeddings", "OllamaProvider"]

# chat does without
__getattr__, __dir__ = late_names(__name__, {"embeddings": ["OllamaEmbeddings"]})
