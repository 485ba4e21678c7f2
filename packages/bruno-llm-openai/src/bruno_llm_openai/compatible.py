"""Providers of the vendors that speak OpenAI's protocol; `vendors.py` says what is different there."""

from bruno_llm_openai import vendors
from bruno_llm_openai.provider import OpenAIProvider


class OpenRouterProvider(OpenAIProvider, row=vendors.OPENROUTER):
    """OpenRouter (https://openrouter.ai/docs), which passes requests on to some hundred vendors."""


class GroqProvider(OpenAIProvider, row=vendors.GROQ):
    """Groq (https://console.groq.com/docs)."""


class DeepSeekProvider(OpenAIProvider, row=vendors.DEEPSEEK):
    """DeepSeek (https://api-docs.deepseek.com)."""


class MistralProvider(OpenAIProvider, row=vendors.MISTRAL):
    """Mistral (https://docs.mistral.ai/api)."""
