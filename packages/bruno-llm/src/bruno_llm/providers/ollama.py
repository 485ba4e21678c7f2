"""0.2.0's words for Ollama, deprecated: see `bruno_llm_ollama`."""

from bruno_llm._old import alias, old_names

_HERE, _THERE = "bruno_llm._old.ollama", "bruno_llm_ollama"
_KEPT = {
    "OllamaConfig": (f"{_HERE}.OllamaConfig", "a dict"),
    "OllamaEmbeddingConfig": (f"{_HERE}.OllamaEmbeddingConfig", "a dict"),
    "OllamaEmbeddingProvider": (
        f"{_HERE}.OllamaEmbeddingProvider",
        f"{_THERE}.OllamaEmbeddings",
    ),
    "OllamaProvider": (f"{_HERE}.OllamaProvider", f"{_THERE}.OllamaProvider"),
}

__all__ = list(_KEPT)
__getattr__ = old_names(__name__, {}, kept=_KEPT)
alias(__name__, "config", "embedding_provider", "provider")
