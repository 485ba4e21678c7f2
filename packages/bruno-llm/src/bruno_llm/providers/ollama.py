"""0.2.0's words for Ollama, deprecated: see `bruno_llm_ollama`."""

from bruno_llm._old import alias, old_names

_KEPT = {
    "OllamaConfig": ("bruno_llm._old.ollama.OllamaConfig", "a dict"),
    "OllamaProvider": ("bruno_llm._old.ollama.OllamaProvider", "bruno_llm_ollama.OllamaProvider"),
}

__all__ = list(_KEPT)
__getattr__ = old_names(__name__, {}, kept=_KEPT)
alias(__name__, "config", "embedding_provider", "provider")
