"""Where bruno-memory 0.1.5 tells its users to import from; new programs import from `bruno_llm`."""

from bruno_llm_base import EmbeddingFactory

__all__ = ["EmbeddingFactory"]
