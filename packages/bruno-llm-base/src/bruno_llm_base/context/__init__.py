"""Making a conversation fit the model's context window."""

from bruno_llm_base.context.strategies import Cut, fitted
from bruno_llm_base.context.summaries import summarized

__all__ = ["Cut", "fitted", "summarized"]
