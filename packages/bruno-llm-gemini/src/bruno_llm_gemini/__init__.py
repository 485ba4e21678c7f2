"""Google's Gemini for bruno."""

from typing import TYPE_CHECKING

from bruno_llm_base.lazy import late_names

from bruno_llm_gemini.provider import GeminiProvider

if TYPE_CHECKING:
    from bruno_llm_gemini.embeddings import GeminiEmbeddings

__all__ = ["GeminiEmbeddings", "GeminiProvider"]

# chat does without
__getattr__, __dir__ = late_names(__name__, {"embeddings": ["GeminiEmbeddings"]})
