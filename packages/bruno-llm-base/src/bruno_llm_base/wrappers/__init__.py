"""Models made of other models."""

from typing import TYPE_CHECKING

from bruno_llm_base.lazy import late_names
from bruno_llm_base.wrappers.bare import FullLLM, in_full

if TYPE_CHECKING:
    from bruno_llm_base.wrappers.breaker import Breaker
    from bruno_llm_base.wrappers.fallback import FallbackLLM, listed
    from bruno_llm_base.wrappers.selection import Candidate, first_healthy

__all__ = ["Breaker", "Candidate", "FallbackLLM", "FullLLM", "first_healthy", "in_full", "listed"]

# Loaded when first used: most programs have one model.
__getattr__, __dir__ = late_names(
    __name__,
    {
        "breaker": ["Breaker"],
        "fallback": ["FallbackLLM", "listed"],
        "selection": ["Candidate", "first_healthy"],
    },
)
