"""Google's Gemini for bruno."""

from typing import TYPE_CHECKING, Any

from bruno_llm_gemini.provider import GeminiProvider

if TYPE_CHECKING:
    from bruno_llm_gemini.embeddings import GeminiEmbeddings

__all__ = ["GeminiEmbeddings", "GeminiProvider"]


def __getattr__(name: str) -> Any:
    if name != "GeminiEmbeddings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bruno_llm_gemini.embeddings import GeminiEmbeddings  # chat does without

    return GeminiEmbeddings


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
