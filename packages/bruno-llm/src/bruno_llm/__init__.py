"""All of bruno-llm under one name: `from bruno_llm import LLMFactory, OllamaProvider`.

A provider is imported when its name is first used, so those that are not used cost nothing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import bruno_llm_base
from bruno_llm_base import *  # noqa: F403 - its public names are ours

if TYPE_CHECKING:
    from bruno_llm_claude import ClaudeProvider
    from bruno_llm_gemini import GeminiEmbeddings, GeminiProvider
    from bruno_llm_ollama import OllamaEmbeddings, OllamaProvider
    from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider, Reranker

_PROVIDERS = {
    "ClaudeProvider": "bruno_llm_claude",
    "GeminiEmbeddings": "bruno_llm_gemini",
    "GeminiProvider": "bruno_llm_gemini",
    "OllamaEmbeddings": "bruno_llm_ollama",
    "OllamaProvider": "bruno_llm_ollama",
    "OpenAIEmbeddings": "bruno_llm_openai",
    "OpenAIProvider": "bruno_llm_openai",
    "Reranker": "bruno_llm_openai",
}

__all__ = ["ClaudeProvider", "GeminiEmbeddings", "GeminiProvider", "OllamaEmbeddings"]
__all__ += ["OllamaProvider", "OpenAIEmbeddings", "OpenAIProvider", "Reranker"]
__all__ += bruno_llm_base.__all__


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("bruno-llm")
    if name not in _PROVIDERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PROVIDERS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
