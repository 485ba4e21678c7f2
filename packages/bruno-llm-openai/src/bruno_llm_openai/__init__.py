"""OpenAI, and every server that speaks its Chat Completions, for bruno."""

from typing import TYPE_CHECKING, Any

from bruno_llm_openai.provider import OpenAIProvider

if TYPE_CHECKING:
    from bruno_llm_openai.embeddings import OpenAIEmbeddings

__all__ = ["OpenAIEmbeddings", "OpenAIProvider"]


def __getattr__(name: str) -> Any:
    if name != "OpenAIEmbeddings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bruno_llm_openai.embeddings import OpenAIEmbeddings  # chat does without

    return OpenAIEmbeddings


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
