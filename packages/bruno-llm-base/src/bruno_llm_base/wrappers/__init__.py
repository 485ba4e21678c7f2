"""Models made of other models."""

from bruno_llm_base.wrappers.bare import FullLLM, in_full
from bruno_llm_base.wrappers.breaker import Breaker
from bruno_llm_base.wrappers.fallback import FallbackLLM, listed
from bruno_llm_base.wrappers.selection import Candidate, first_healthy

__all__ = ["Breaker", "Candidate", "FallbackLLM", "FullLLM", "first_healthy", "in_full", "listed"]
