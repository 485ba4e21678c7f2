"""How much was sent lately: exact sliding windows, and the store that holds them."""

from bisect import bisect_left
from collections import deque
from math import ceil, inf
from operator import attrgetter
from typing import Protocol

from bruno_llm_base.limits.headers import LimitState

__all__ = ["Entry", "LimitStore", "MemoryStore", "Place", "SlidingWindow"]

_MINUTE, _DAY = 60.0, 86_400.0
_FINE = 1024  # so many entries are kept apart; beyond that, those of 1/1024 of the span are one


class Entry:
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
        self._entries: deque[Entry] = deque()
        self._grain = span / _FINE
        self._joined = -inf  # what counts until before then may join the latest entry

    def fits(self, amount: int, now: float) -> bool:
        """Say whether *amount* may be added; one beyond a lowered limit needs an empty window."""
        entries = self._entries
        if entries and entries[0].until <= now:
            self._expire(now)
        return self.used + amount <= self.limit or not self.used

    def add(self, amount: int, now: float) -> Entry:
        """Count *amount* from now on, whether it fits or not."""
        until = now + self.span
        self.used += amount
        entries = self._entries
        if until < self._joined and len(entries) >= _FINE:
            entry = entries[-1]
            entry.amount += amount
            entry.until = until
            return entry
        entry = Entry(amount, until)
        entries.append(entry)
        self._joined = until + self._grain
        return entry

    def give_back(self, entry: Entry, amount: int, now: float) -> None:
        """No longer count *amount* of *entry*, unless its time is over."""
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

    def lower(
        self, limit: int | None, remaining: int | None, reset: float | None, now: float
    ) -> None:
        """Believe a server that allows less.

        What it has counted and we have not (other processes, another way to count) is an entry like
        any other, until the reset and never longer than the span, so a wrong header is soon forgotten.
        Without a reset it is not known how long it counts, and so it does not.
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
            entries.insert(place, Entry(unseen, until))
        self.used += unseen

    def _expire(self, now: float) -> None:
        entries = self._entries
        while entries and entries[0].until <= now:
            self.used -= entries.popleft().amount


class Place:
    """What one attempt asks for, and what the store notes down when the attempt gets it.

    Attributes:
        tokens: About how many tokens it takes.
        taken: Whether it is held now; False to begin with.
        entries: What was added to the windows for minute, day and tokens.
    """

    __slots__ = ("entries", "taken", "tokens")

    tokens: int
    taken: bool
    entries: tuple[Entry | None, Entry | None, Entry | None]


class LimitStore(Protocol):
    """Where the places are counted.

    `MemoryStore` counts for one process. A store that several processes share must carry out each
    call as a whole, with nothing of another process in between, and quickly: the event loop waits
    for it. One thread calls at a time. *now* is the time of the limit's clock.
    """

    def take(self, place: Place, now: float) -> bool:
        """Take *place* if it is free, and say whether it was."""
        ...

    def wait(self, tokens: int, now: float, ahead: tuple[int, int] = (0, 0)) -> float:
        """Return in how many seconds the windows have room, after the requests and tokens *ahead*."""
        ...

    def settle(self, place: Place, tokens: int | None, now: float) -> None:
        """Free *place*; *tokens* were really used, or as many as reserved. Twice is once."""
        ...

    def undo(self, place: Place, now: float) -> None:
        """Free *place* as if it had never been taken. Twice is once."""
        ...

    def lower(self, state: LimitState, now: float) -> None:
        """Believe a server that allows less."""
        ...


class MemoryStore:
    """Counts the places of one process."""

    __slots__ = ("_day", "_free", "_minute", "_tokens")

    def __init__(
        self,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        requests_per_day: int | None,
        max_concurrent: int | None,
    ) -> None:
        self._minute = SlidingWindow(requests_per_minute, _MINUTE) if requests_per_minute else None
        self._day = SlidingWindow(requests_per_day, _DAY) if requests_per_day else None
        self._tokens = SlidingWindow(tokens_per_minute, _MINUTE) if tokens_per_minute else None
        self._free = inf if max_concurrent is None else max_concurrent

    # One by one and not in a loop: every request comes through here.

    def take(self, place: Place, now: float) -> bool:
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
        requests_ahead, tokens_ahead = ahead
        return max(
            self._minute.wait(1, now, requests_ahead) if self._minute else 0.0,
            self._day.wait(1, now, requests_ahead) if self._day else 0.0,
            self._tokens.wait(tokens, now, tokens_ahead) if self._tokens else 0.0,
        )

    def settle(self, place: Place, tokens: int | None, now: float) -> None:
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
        if not place.taken:
            return
        place.taken = False
        self._free += 1
        minute, day, tokens = place.entries
        if self._minute and minute:
            self._minute.give_back(minute, 1, now)
        if self._day and day:
            self._day.give_back(day, 1, now)
        if self._tokens and tokens:
            self._tokens.give_back(tokens, place.tokens, now)

    def lower(self, state: LimitState, now: float) -> None:
        if self._minute:
            self._minute.lower(
                state.requests_limit, state.requests_remaining, state.requests_reset, now
            )
        if self._tokens:
            self._tokens.lower(state.tokens_limit, state.tokens_remaining, state.tokens_reset, now)
