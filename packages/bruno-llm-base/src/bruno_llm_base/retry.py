"""When to send a failed request again."""

import random

from bruno_llm_base.exceptions import LLMError
from bruno_llm_base.policies import Retry
from bruno_llm_base.transport import DROPPED

__all__ = ["RetryThrottle", "next_wait"]

_MOST_IN_HAND, _PER_ANSWER = 20.0, 0.2


class RetryThrottle:
    """Keeps an outage from becoming a storm: a provider that keeps failing is asked once per request.

    Twenty retries are in hand; each one sent takes one away, and five answered requests bring one
    back. The idea is that of gRPC's retry throttling
    (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs).
    """

    __slots__ = ("_in_hand",)

    def __init__(self) -> None:
        self._in_hand = _MOST_IN_HAND

    def spend(self) -> bool:
        """Say whether a retry may be sent, and count it."""
        if self._in_hand < 1:
            return False
        self._in_hand -= 1
        return True

    def earn(self) -> None:
        """Count a request that was answered."""
        self._in_hand = min(_MOST_IN_HAND, self._in_hand + _PER_ANSWER)


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
