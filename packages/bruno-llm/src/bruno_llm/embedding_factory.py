"""0.2.0's factory of embeddings, deprecated: see `bruno_llm.EmbeddingFactory`."""

from bruno_llm._old import old_names

_KEPT = {
    "EmbeddingFactory": (
        "bruno_llm._old.embeddings.EmbeddingFactory",
        "bruno_llm.EmbeddingFactory",
    )
}

__all__ = list(_KEPT)
__getattr__ = old_names(__name__, {}, kept=_KEPT)
