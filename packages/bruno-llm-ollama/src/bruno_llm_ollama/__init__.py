"""Ollama, on this machine, another one or in its cloud, for bruno."""

from bruno_llm_ollama.provider import OllamaProvider

__all__ = ["OllamaProvider"]
