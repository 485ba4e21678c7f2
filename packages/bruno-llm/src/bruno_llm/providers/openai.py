"""0.2.0's words for OpenAI, deprecated: see `bruno_llm_openai`."""

from bruno_llm._old import alias, old_names

_HERE, _THERE = "bruno_llm._old.openai", "bruno_llm_openai"
_KEPT = {
    "OpenAIConfig": (f"{_HERE}.OpenAIConfig", "a dict"),
    "OpenAIEmbeddingConfig": (f"{_HERE}.OpenAIEmbeddingConfig", "a dict"),
    "OpenAIEmbeddingProvider": (
        f"{_HERE}.OpenAIEmbeddingProvider",
        f"{_THERE}.OpenAIEmbeddings",
    ),
    "OpenAIProvider": (f"{_HERE}.OpenAIProvider", f"{_THERE}.OpenAIProvider"),
}

__all__ = list(_KEPT)
__getattr__ = old_names(__name__, {}, kept=_KEPT)
alias(__name__, "config", "embedding_provider", "provider")
