"""How much may be sent in a while, and a queue for what has to wait."""

from bruno_llm_base.limits.headers import LimitState, read_limits
from bruno_llm_base.limits.queue import LimitStore, Permit
from bruno_llm_base.limits.rate_limit import RateLimit
from bruno_llm_base.limits.windows import Limits, LimitUse, WindowUse

__all__ = [
    "LimitState",
    "LimitStore",
    "LimitUse",
    "Limits",
    "Permit",
    "RateLimit",
    "WindowUse",
    "read_limits",
]
