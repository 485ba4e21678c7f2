"""When to send a failed request again."""

import random

from bruno_llm_base.exceptions import LLMError
from bruno_llm_base.policies import Retry
from bruno_llm_base.transport import DROPPED

__all__ = ["next_wait"]


def next_wait(retry: Retry, error: LLMError, *, failed: int, elapsed: float) -> float | None:
    """Return how many seconds to wait before the next attempt, or None to give up.

    Args:
        retry: The policy.
        error: What ended the latest attempt.
        failed: How many attempts have failed.
        elapsed: Seconds since the first attempt began.
    """
    if not error.retryable or failed >= retry.attempts:
        return None
    if failed == 1 and error.code == DROPPED:
        return 0.0  # most often an idle connection that the server had closed: a new one will do
    longest = min(retry.wait_max, retry.wait_initial * 2.0 ** min(failed - 1, 64))
    wait = (error.retry_after or 0.0) + random.uniform(0, longest)  # noqa: S311 - not a secret
    return None if elapsed + wait > retry.deadline else wait
