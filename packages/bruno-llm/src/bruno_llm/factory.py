"""0.2.0's factories, deprecated: see `bruno_llm.LLMFactory` and `bruno_llm.EmbeddingFactory`."""

from bruno_llm._old import old_names

_MOVED = {"LLMFactory": "bruno_llm.LLMFactory"}
_KEPT = {
    "UnifiedProviderFactory": (
        "bruno_llm._old.unified.UnifiedProviderFactory",
        "bruno_llm.LLMFactory and bruno_llm.EmbeddingFactory",
    )
}

__all__ = list(_MOVED | _KEPT)
__getattr__ = old_names(__name__, _MOVED, kept=_KEPT)
