"""How much may be sent in a while, and a line for what has to wait."""

from bruno_llm_base.limits.headers import LimitState, read_durations, read_times
from bruno_llm_base.limits.rate_limit import Permit, RateLimit, Slot

__all__ = ["LimitState", "Permit", "RateLimit", "Slot", "read_durations", "read_times"]
