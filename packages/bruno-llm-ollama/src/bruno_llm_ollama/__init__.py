"""Ollama, on this machine, another one or in its cloud, for bruno."""

from typing import TYPE_CHECKING, Any

from bruno_llm_ollama.provider import OllamaProvider

if TYPE_CHECKING:
    from bruno_llm_ollama.embeddings import OllamaEmbeddings

__all__ = ["OllamaEmbeddings", "OllamaProvider"]


def __getattr__(name: str) -> Any:
    if name != "OllamaEmbeddings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bruno_llm_ollama.embeddings import OllamaEmbeddings  # chat does without

    return OllamaEmbeddings


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
