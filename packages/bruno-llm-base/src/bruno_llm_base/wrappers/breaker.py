"""Leave a provider that keeps failing alone for a while.

The states are those of M. Nygard's circuit breaker, "Release It!", chapter 5: closed, open, half-open
(https://martinfowler.com/bliki/CircuitBreaker.html).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from bruno_llm_base.forks import start_fresh_in_children
from bruno_llm_base.policies import Policy, check_seconds, check_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker(Policy):
    """When a failing provider is left alone, and for how long.

    Attributes:
        failures: How many failures in a row it takes.
        cooldown: For how many seconds nothing is sent; then one call at a time tries whether the
            provider is back. A longer wait that the server asks for is kept.
    """

    example: ClassVar[str] = "Breaker(failures=5)"

    failures: int = 5
    cooldown: float = 30.0

    def __post_init__(self) -> None:
        """Check the values."""
        check_whole("Breaker.failures", self.failures)
        check_seconds("Breaker.cooldown", self.cooldown)


class Circuit:
    """What is remembered of one model of one provider. Threads may share it.

    Each call has a ticket from `admit`, and ends with exactly one of `succeeded`, `failed` and
    `dropped`. A call that began before the circuit opened and ends after it no longer counts. A
    forked process begins with a closed circuit.
    """

    def __init__(self, breaker: Breaker, clock: Callable[[], float]) -> None:
        self._breaker = breaker
        self._clock = clock
        self.start_fresh()
        start_fresh_in_children(self)

    def start_fresh(self) -> None:
        """Remember nothing."""
        self._lock = threading.RLock()  # a stream that is collected meanwhile reports its end
        self._failures = 0
        self._opens: float | None = None  # when a probe may go; None while closed
        self._probing = False
        self._period = object()  # tickets of earlier ones are void, and of a parent process

    @property
    def wait(self) -> float | None:
        """Seconds until a call is admitted; None if that depends on a probe that is on its way."""
        with self._lock:
            if self._probing:
                return None
            return 0.0 if self._opens is None else max(0.0, self._opens - self._clock())

    def admit(self) -> object | None:
        """Return a ticket for a call, or None if the provider is to be left alone."""
        with self._lock:
            if self._opens is None:
                return self._period
            if self._probing or self._clock() < self._opens:
                return None
            self._probing = True
            return self._period

    def begun(self, ticket: object) -> None:
        """Note that the call is being answered, which closes the circuit; its end is still to come."""
        with self._lock:
            if self._probing:
                self.succeeded(ticket)

    def succeeded(self, ticket: object) -> None:
        """Note that the call was answered."""
        with self._lock:
            if ticket is self._period:
                self._failures = 0
                self._opens = None
                self._probing = False

    def failed(self, ticket: object, retry_after: float | None = None) -> None:
        """Note that the provider failed, whose server asks to wait *retry_after* seconds."""
        with self._lock:
            if ticket is not self._period:
                return
            self._failures += 1
            if self._failures >= self._breaker.failures:  # a probe's failure adds to earlier ones
                self._opens = self._clock() + max(self._breaker.cooldown, retry_after or 0.0)
                self._probing = False
                self._period = object()

    def dropped(self, ticket: object) -> None:
        """Note that the call ended in a way that says nothing about the provider."""
        with self._lock:
            if ticket is self._period:
                self._probing = False
