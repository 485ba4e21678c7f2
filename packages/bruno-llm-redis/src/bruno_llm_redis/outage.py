"""Counts the places of one process while a server is out of reach, and tells the server afterwards."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bruno_llm_base.exceptions import RateLimitError
from bruno_llm_base.limits import Limits, LimitUse
from bruno_llm_base.limits.queue import Queue, QueuedPermit

from bruno_llm_redis.link import Link, SharedPermit, Window

_UNKNOWN = 0.02  # seconds, where a running request must end first


class LocalPermit:
    """A `Permit` of this process alone.

    Attributes:
        outage: What to tell of the outage, with its first place.
        lease: The same place at the server, from when that is back.
    """

    __slots__ = ("_permit", "_running", "lease", "outage")

    def __init__(self, permit: QueuedPermit, running: set["LocalPermit"]) -> None:
        self._permit = permit
        self._running = running
        self.outage: dict[str, Any] | None = None
        self.lease: SharedPermit | None = None
        running.add(self)

    def settle(self, tokens: int | None = None) -> None:
        """Count what was really taken."""
        self._permit.settle(tokens)
        self._end()

    def cancel(self) -> None:
        """Give everything back."""
        self._permit.cancel()
        self._end()

    def _end(self) -> None:
        self._running.discard(self)
        if self.lease is not None:
            self.lease.settle()


class Outage:
    """A process's share of a limit, from when the server did not answer until it does.

    What the process has of the windows already, as far as the server told, is part of it.
    """

    def __init__(
        self, limits: Limits, windows: list[Window], processes: int, facts: dict[str, Any]
    ) -> None:
        self.reason: str = facts["reason"]
        self._facts: dict[str, Any] | None = facts  # to tell, with the first place
        self._queue = Queue(_share(limits, processes), time.monotonic, 0)
        self._running: set[LocalPermit] = set()
        self._has_leases = limits.max_concurrent is not None
        now = time.monotonic()
        self._windows = list(zip(windows, self._queue.counts.windows, strict=True))
        self._before = [
            local.add(local.limit - max(0, w.limit - w.used) // processes, now)
            for w, local in self._windows
        ]

    def take(self, tokens: Sequence[int]) -> tuple[Sequence[LocalPermit], float]:
        """Take places of the share."""
        permits: list[LocalPermit] = []
        try:
            for estimate in tokens:
                permit = LocalPermit(self._queue.take(estimate), self._running)
                permit.outage, self._facts = self._facts, None
                permits.append(permit)
        except RateLimitError as error:
            return permits, error.retry_after or _UNKNOWN
        return permits, 0.0

    def state(self) -> LimitUse:
        """Return what is taken of the share."""
        return self._queue.state()

    async def tell(self, link: Link) -> None:
        """Tell the server what was taken, and what still runs, or raise that it is still away."""
        told: Counter[str] = Counter()
        is_first = True
        while (more := self._used() - told) or is_first:  # some are taken while it is told
            leaseless = [permit for permit in self._running if permit.lease is None]
            running = leaseless if self._has_leases else []
            for permit, lease in zip(running, await link.report(more, len(running)), strict=True):
                permit.lease = lease
                if permit not in self._running:
                    lease.settle()
            told += more
            is_first = False

    def _used(self) -> Counter[str]:
        """Return what was taken since it began and still counts."""
        now = time.monotonic()
        used: Counter[str] = Counter()
        for (window, local), before in zip(self._windows, self._before, strict=True):
            local.fits(0, now)  # forgets what no longer counts
            used[window.name] = local.used - (before.amount if before.until > now else 0)
        return used


def _share(limits: Limits, processes: int) -> Limits:
    names = ("requests_per_minute", "tokens_per_minute", "requests_per_day", "max_concurrent")
    given = {name: value for name in names if (value := getattr(limits, name)) is not None}
    return Limits(**{name: max(1, value // processes) for name, value in given.items()})
