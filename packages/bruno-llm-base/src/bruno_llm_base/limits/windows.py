"""How much was sent lately: exact sliding windows."""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from math import ceil, inf
from operator import attrgetter
from typing import Any, NamedTuple

from bruno_llm_base.limits.headers import LimitState

_MINUTE, _DAY = 60.0, 86_400.0
_FINE = 1024  # so many entries are kept apart; beyond that, those of 1/1024 of the span are one


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a `RateLimit` allows; None means no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    max_concurrent: int | None = None


class WindowUse(NamedTuple):
    """What is taken of one window.

    Attributes:
        limit: The most that it allows now, in requests or tokens; a server may have lowered it.
        used: What counts at this moment.
        free_in: Seconds until some of it no longer counts; 0 if none does.
    """

    limit: int
    used: int
    free_in: float


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LimitUse:
    """What is taken of a `RateLimit` at a moment, by all that share it.

    Attributes:
        requests_per_minute: None, as below, where that is not limited.
        tokens_per_minute: Input and output, with what running requests have reserved.
        requests_per_day: Of the last 24 hours.
        in_flight: Requests that run; None where `max_concurrent` is not limited.
        waiting: Requests of this process that wait for a place.
        waiting_processes: Processes in which some wait.
        paused_for: Seconds until places are given again, as a vendor has asked or a store was away.
    """

    requests_per_minute: WindowUse | None = None
    tokens_per_minute: WindowUse | None = None
    requests_per_day: WindowUse | None = None
    in_flight: int | None = None
    waiting: int = 0
    waiting_processes: int = 0
    paused_for: float = 0.0

    def __repr__(self) -> str:
        windows = ("requests_per_minute", "tokens_per_minute", "requests_per_day")
        said = [
            f"{name}: {use.used} of {use.limit}, some free in {use.free_in:.3g} s"
            for name in windows
            if (use := getattr(self, name)) is not None
        ]
        if self.in_flight is not None:
            said.append(f"{self.in_flight} in flight")
        said.append(f"{self.waiting} waiting here, in {self.waiting_processes} processes")
        if self.paused_for:
            said.append(f"paused for {self.paused_for:.3g} s")
        return f"LimitUse({'; '.join(said)})"


@dataclass(slots=True, eq=False)
class _Entry:
    """An amount that counts until a time."""

    amount: int
    until: float


class SlidingWindow:
    """An exact sliding window: no span of time ever holds more than the limit.

    An amount taken at *t* counts until *t* + span. Beyond some thousand entries, those of nearly
    the same time are kept as one that counts as long as the latest of them, so memory is bounded
    and a place comes back late (by a thousandth of the span) but never early.
    """

    def __init__(self, limit: int, span: float, *, of_tokens: bool = False) -> None:
        self.limit = limit
        self.span = span
        self.of_tokens = of_tokens  # or else of requests
        self.used = 0
        self._entries: deque[_Entry] = deque()
        self._grain = span / _FINE
        self._joined = -inf  # what counts until before then may join the latest entry

    def fits(self, amount: int, now: float) -> bool:
        """Say whether *amount* may be added; one beyond a lowered limit needs an empty window."""
        entries = self._entries
        while entries and entries[0].until <= now:
            self.used -= entries.popleft().amount
        return self.used + amount <= self.limit or not self.used

    def add(self, amount: int, now: float) -> _Entry:
        """Count *amount* from now on, whether it fits or not."""
        until = now + self.span
        self.used += amount
        entries = self._entries
        if until < self._joined and len(entries) >= _FINE:
            entry = entries[-1]
            entry.until = until
            entry.amount += amount
        else:
            entry = _Entry(amount, until)
            entries.append(entry)
            self._joined = until + self._grain
        return entry

    def give_back(self, entry: _Entry, amount: int, now: float) -> None:
        """Stop counting *amount* of *entry*, unless its time is over."""
        if entry.until > now:
            entry.amount -= amount
            self.used -= amount

    def wait(self, amount: int, now: float, ahead: int = 0) -> float:
        """Return in how many seconds *amount* fits, if *ahead* comes first and nothing comes back.

        For single requests that is exact; large amounts may leave gaps, so it is a lower bound.
        """
        if self.fits(amount, now) and not ahead:
            return 0.0
        excess = self.used + ahead + min(amount, self.limit) - self.limit
        # What is sent from now on fills windows of its own, one after the other.
        rounds = max(0, ceil((excess - self.used) / self.limit))
        excess -= rounds * self.limit
        wait = rounds * self.span
        for entry in self._entries if excess > 0 else ():
            excess -= entry.amount
            if excess <= 0:
                return wait + entry.until - now
        return wait

    def use(self, now: float) -> WindowUse:
        """Return what is taken of it."""
        self.fits(0, now)  # forgets what no longer counts
        ends = (entry.until - now for entry in self._entries if entry.amount > 0)
        return WindowUse(self.limit, self.used, next(ends, 0.0))

    def lower(
        self, limit: int | None, remaining: int | None, reset: float | None, now: float
    ) -> None:
        """Believe a server that allows less.

        What it has counted and we have not is an entry like any other, until the reset and at most
        for the span, so a wrong header is soon forgotten. Without a reset it does not count.
        """
        if limit:
            self.limit = min(limit, self.limit)
        if remaining is None or not reset:
            return
        self.fits(0, now)  # forgets what no longer counts
        unseen = self.limit - self.used - remaining
        if unseen <= 0:
            return
        entries, until = self._entries, now + min(reset, self.span)
        place = bisect_left(entries, until, key=attrgetter("until"))
        if len(entries) >= _FINE and place < len(entries):
            entries[place].amount += unseen
        else:
            entries.insert(place, _Entry(unseen, until))
        self.used += unseen


Entries = list[tuple[SlidingWindow, _Entry]]


class Counts:
    """What is taken of some limits, in one process."""

    def __init__(self, limits: Limits) -> None:
        windows = (
            (limits.requests_per_minute, _MINUTE, False),
            (limits.requests_per_day, _DAY, False),
            (limits.tokens_per_minute, _MINUTE, True),
        )
        self.windows = [
            SlidingWindow(limit, span, of_tokens=of_tokens)
            for limit, span, of_tokens in windows
            if limit is not None
        ]
        self._most_at_once = limits.max_concurrent
        self.free = limits.max_concurrent or inf

    def use(self, now: float, waiting: int) -> LimitUse:
        """Return what is taken, where so many requests wait."""
        named: dict[str, Any] = {_name(window): window.use(now) for window in self.windows}
        most = self._most_at_once
        in_flight = None if most is None else most - int(self.free)
        return LimitUse(
            **named, in_flight=in_flight, waiting=waiting, waiting_processes=int(waiting > 0)
        )

    def take(self, tokens: int, now: float) -> Entries | None:
        """Take a place and return where it is counted, or None if none is free."""
        if not self.free:
            return None
        for window in self.windows:
            if not window.fits(tokens if window.of_tokens else 1, now):
                return None
        self.free -= 1
        entries = []
        for window in self.windows:
            entry = window.add(tokens if window.of_tokens else 1, now)
            entries.append((window, entry))
        return entries

    def wait(self, tokens: int, now: float, ahead: tuple[int, int] = (0, 0)) -> float:
        """Return in how many seconds the windows have room, after requests and tokens *ahead*."""
        requests_ahead, tokens_ahead = ahead
        waits = (
            w.wait(tokens, now, tokens_ahead) if w.of_tokens else w.wait(1, now, requests_ahead)
            for w in self.windows
        )
        return max(waits, default=0.0)

    def settle(
        self, entries: Entries, reserved: int, requests: int, tokens: int, now: float
    ) -> None:
        """Give a place back that had *reserved* tokens, and count what it really took.

        What it took beyond is a debt that later requests pay.
        """
        self.free += 1
        for window, entry in entries:
            more = tokens - reserved if window.of_tokens else requests - 1
            if more > 0:
                window.add(more, now)
            elif more:
                window.give_back(entry, -more, now)

    def lower(self, state: LimitState, now: float) -> None:
        """Believe a server that allows less in a minute."""
        requests = state.requests_limit, state.requests_remaining, state.requests_reset
        tokens = state.tokens_limit, state.tokens_remaining, state.tokens_reset
        for window in self.windows:
            if window.span == _MINUTE:
                window.lower(*(tokens if window.of_tokens else requests), now)


def _name(window: SlidingWindow) -> str:
    if window.of_tokens:
        return "tokens_per_minute"
    return "requests_per_minute" if window.span == _MINUTE else "requests_per_day"
