"""OpenAI, and every server that speaks its Chat Completions, for bruno."""

from bruno_llm_openai.provider import OpenAIProvider

__all__ = ["OpenAIProvider"]
