"""Google's Gemini for bruno."""

from bruno_llm_gemini.provider import GeminiProvider

__all__ = ["GeminiProvider"]
