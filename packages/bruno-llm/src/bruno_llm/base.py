"""What bruno-memory 0.1.5 imports of 0.2.0; new programs import from `bruno_llm`."""

from bruno_llm_base import BaseEmbeddings as BaseEmbeddingProvider
from bruno_llm_base import BaseProvider

__all__ = ["BaseEmbeddingProvider", "BaseProvider"]
