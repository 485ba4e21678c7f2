"""Several models behind one, and the choice among them."""

from bruno_llm_base.fallback.breaker import Breaker
from bruno_llm_base.fallback.llm import FallbackLLM
from bruno_llm_base.fallback.selection import Candidate, first_healthy

__all__ = ["Breaker", "Candidate", "FallbackLLM", "first_healthy"]
