"""OpenAI, and every server that speaks its Chat Completions, for bruno."""

from typing import TYPE_CHECKING

from bruno_llm_base.lazy import late_names

from bruno_llm_openai.provider import OpenAIProvider

if TYPE_CHECKING:
    from bruno_llm_openai.embeddings import OpenAIEmbeddings
    from bruno_llm_openai.rerank import Reranker

__all__ = ["OpenAIEmbeddings", "OpenAIProvider", "Reranker"]

# chat does without
__getattr__, __dir__ = late_names(
    __name__, {"embeddings": ["OpenAIEmbeddings"], "rerank": ["Reranker"]}
)
