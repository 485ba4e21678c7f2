"""All of bruno-llm under one name: `from bruno_llm import LLMFactory, OllamaProvider`.

A provider is imported when its name is first used, so those that are not used cost nothing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import bruno_llm_base
from bruno_llm_base import *  # noqa: F403 - the base's public names are ours

from bruno_llm._old.factory import LLMFactory

if TYPE_CHECKING:
    from bruno_llm_claude import ClaudeProvider
    from bruno_llm_gemini import GeminiProvider
    from bruno_llm_ollama import OllamaProvider
    from bruno_llm_openai import OpenAIProvider

_PROVIDERS = {
    "ClaudeProvider": "bruno_llm_claude",
    "GeminiProvider": "bruno_llm_gemini",
    "OllamaProvider": "bruno_llm_ollama",
    "OpenAIProvider": "bruno_llm_openai",
}

# 0.2.0's modules, most of which it imported with itself; see docs/migration.md
_OLD_MODULES = {"base", "embedding_factory", "exceptions", "factory", "providers"}

__all__ = ["ClaudeProvider", "GeminiProvider", "LLMFactory", "OllamaProvider", "OpenAIProvider"]
__all__ += bruno_llm_base.__all__


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("bruno-llm")
    if name in _OLD_MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _PROVIDERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PROVIDERS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
