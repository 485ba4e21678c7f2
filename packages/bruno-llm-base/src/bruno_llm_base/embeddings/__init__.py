"""Embeddings behind bruno-core's `EmbeddingInterface`: what all providers of them share."""

from bruno_llm_base.adapter import EmbeddingResponse
from bruno_llm_base.embeddings.provider import BaseEmbeddings
from bruno_llm_base.embeddings.similarity import similarity

__all__ = ["BaseEmbeddings", "EmbeddingResponse", "similarity"]
