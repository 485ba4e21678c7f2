"""How much was sent lately: exact sliding windows."""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from math import ceil, inf
from operator import attrgetter

from bruno_llm_base.limits.headers import LimitState

__all__ = ["Limits", "Place", "Places", "SlidingWindow"]

_MINUTE, _DAY = 60.0, 86_400.0
_FINE = 1024  # so many entries are kept apart; beyond that, those of 1/1024 of the span are one


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a `RateLimit` allows; None means no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    max_concurrent: int | None = None


class _Entry:
    """An amount that counts until a time."""

    __slots__ = ("amount", "until")

    def __init__(self, amount: int, until: float) -> None:
        self.amount = amount
        self.until = until


class SlidingWindow:
    """An exact sliding window: no span of time ever holds more than the limit.

    An amount taken at *t* counts until *t* + span. Beyond some thousand entries, those of nearly
    the same time are kept as one that counts as long as the latest of them, so memory is bounded
    and a place comes back late (by a thousandth of the span) but never early.
    """

    __slots__ = ("_entries", "_grain", "_joined", "limit", "span", "used")

    def __init__(self, limit: int, span: float) -> None:
        self.limit = limit
        self.span = span
        self.used = 0
        self._entries: deque[_Entry] = deque()
        self._grain = span / _FINE
        self._joined = -inf  # what counts until before then may join the latest entry

    def fits(self, amount: int, now: float) -> bool:
        """Say whether *amount* may be added; one beyond a lowered limit needs an empty window."""
        entries = self._entries
        if entries and entries[0].until <= now:
            self._expire(now)
        return self.used + amount <= self.limit or not self.used

    def add(self, amount: int, now: float) -> _Entry:
        """Count *amount* from now on, whether it fits or not."""
        until = now + self.span
        self.used += amount
        entries = self._entries
        if until < self._joined and len(entries) >= _FINE:
            entry = entries[-1]
            entry.amount += amount
            entry.until = until
            return entry
        entry = _Entry(amount, until)
        entries.append(entry)
        self._joined = until + self._grain
        return entry

    def give_back(self, entry: _Entry, amount: int, now: float) -> None:
        """Stop counting *amount* of *entry*, unless its time is over."""
        if entry.until > now:
            entry.amount -= amount
            self.used -= amount

    def wait(self, amount: int, now: float, ahead: int) -> float:
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

    def lower(
        self, limit: int | None, remaining: int | None, reset: float | None, now: float
    ) -> None:
        """Believe a server that allows less.

        What it has counted and we have not is an entry like any other, until the reset and at most
        for the span, so a wrong header is soon forgotten. Without a reset it does not count.
        """
        if limit is not None and 0 < limit < self.limit:
            self.limit = limit
        if remaining is None or not reset:
            return
        self._expire(now)
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

    def _expire(self, now: float) -> None:
        entries = self._entries
        while entries and entries[0].until <= now:
            self.used -= entries.popleft().amount


class Place:
    """What an attempt asks for, and where it is counted (minute, day, tokens) while it is taken."""

    __slots__ = ("entries", "taken", "tokens")

    tokens: int
    taken: bool
    entries: tuple[_Entry | None, _Entry | None, _Entry | None]


class Places:
    """Counts the places of one process."""

    __slots__ = ("_day", "_free", "_minute", "_tokens")

    def __init__(self, limits: Limits) -> None:
        self._minute = _window(limits.requests_per_minute, _MINUTE)
        self._day = _window(limits.requests_per_day, _DAY)
        self._tokens = _window(limits.tokens_per_minute, _MINUTE)
        self._free = limits.max_concurrent or inf

    def take(self, place: Place, now: float) -> bool:
        """Take *place* if it is free, and say whether it was."""
        # One by one and not in a loop: every request comes through here.
        minute, day, tokens = self._minute, self._day, self._tokens
        if (
            not self._free
            or (minute and not minute.fits(1, now))
            or (tokens and not tokens.fits(place.tokens, now))
            or (day and not day.fits(1, now))
        ):
            return False
        self._free -= 1
        place.taken = True
        place.entries = (
            minute.add(1, now) if minute else None,
            day.add(1, now) if day else None,
            tokens.add(place.tokens, now) if tokens else None,
        )
        return True

    def wait(self, tokens: int, now: float, ahead: tuple[int, int] = (0, 0)) -> float:
        """Return in how many seconds the windows have room, after requests and tokens *ahead*."""
        waits = [window.wait(1, now, ahead[0]) for window in (self._minute, self._day) if window]
        if self._tokens:
            waits.append(self._tokens.wait(tokens, now, ahead[1]))
        return max(waits, default=0.0)

    def settle(self, place: Place, tokens: int | None, now: float) -> None:
        """Free *place*; *tokens* were really used, None for as many as reserved. Twice is once."""
        if not place.taken:
            return
        place.taken = False
        self._free += 1
        entry = place.entries[2]
        if self._tokens and entry and tokens is not None:
            more = max(tokens, 0) - place.tokens
            if more > 0:
                self._tokens.add(more, now)  # a debt that later requests pay
            elif more:
                self._tokens.give_back(entry, -more, now)

    def undo(self, place: Place, now: float) -> None:
        """Free *place* as if it had never been taken. Twice is once."""
        if place.taken:
            self.settle(place, 0, now)
            for window, entry in zip((self._minute, self._day), place.entries, strict=False):
                if window and entry:
                    window.give_back(entry, 1, now)

    def lower(self, state: LimitState, now: float) -> None:
        """Believe a server that allows less."""
        if self._minute:
            self._minute.lower(
                state.requests_limit, state.requests_remaining, state.requests_reset, now
            )
        if self._tokens:
            self._tokens.lower(state.tokens_limit, state.tokens_remaining, state.tokens_reset, now)


def _window(limit: int | None, span: float) -> SlidingWindow | None:
    return None if limit is None else SlidingWindow(limit, span)
