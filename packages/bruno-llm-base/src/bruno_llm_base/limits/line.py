"""First come, first served: a line of coroutines in any number of event loops and threads."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Lock
from typing import Any

from bruno_llm_base.exceptions import RateLimitError
from bruno_llm_base.limits.headers import LimitState
from bruno_llm_base.limits.store import LimitStore, Place

__all__ = ["Line", "Waiter"]

_TICK = 0.001  # seconds; no timer is finer
_Change = Callable[[Any, Any, float], None]


class _Seat:
    """An event loop in which somebody waits, and the one timer that looks at the line from there."""

    __slots__ = ("due", "loop", "timer", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.timer: asyncio.TimerHandle | None = None
        self.due = inf
        self.waiting = 0


class Waiter:
    """Somebody in the line."""

    __slots__ = ("deadline", "error", "future", "place", "seat")

    def __init__(self, seat: _Seat, place: Place, deadline: float) -> None:
        self.seat = seat
        self.place = place
        self.deadline = deadline
        self.future: asyncio.Future[None] = seat.loop.create_future()
        self.error: RateLimitError | None = None


class Line:
    """Hands out the places of a store, strictly in the order in which they were asked for.

    The lock guards the store and the line. Only `ask` ever waits for it: whoever gives something
    back and finds the lock taken leaves it in an inbox, which the lock's holder empties. So a place
    can be given back from anywhere, a finalizer that runs in the middle of our own work included.
    """

    __slots__ = (
        "_clock",
        "_inbox",
        "_lock",
        "_max_wait",
        "_seats",
        "_store",
        "_tokens",
        "_waiters",
    )

    def __init__(
        self, store: LimitStore, clock: Callable[[], float], max_wait: float | None
    ) -> None:
        self._store = store
        self._clock = clock
        self._max_wait = max_wait
        self._lock = Lock()
        self._inbox: deque[tuple[_Change, Any, Any]] = deque()
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()
        self._tokens = 0  # that those in the line ask for
        self._seats: dict[asyncio.AbstractEventLoop, _Seat] = {}

    def ask(self, place: Place) -> "Waiter | None":
        """Take *place*; if it is not free, return who waits for it in the line."""
        waiter = None
        with self._lock:
            now = self._clock()
            if self._waiters or not self._store.take(place, now):
                waiter = self._join(place, now)
        if self._inbox:
            self._empty_inbox()
        return waiter

    async def wait(self, waiter: "Waiter") -> None:
        """Wait in the line until the place is taken.

        Raises:
            RateLimitError: It would take longer than `max_wait`.
        """
        try:
            await waiter.future
        except BaseException:
            self._do(self._leave, waiter)
            raise
        if waiter.error is not None:
            raise waiter.error

    def settle(self, place: Place, tokens: int | None) -> None:
        """Free *place*, as the store does it."""
        self._do(self._store.settle, place, tokens)

    def undo(self, place: Place) -> None:
        """Free *place* as if it had never been taken."""
        self._do(self._undo, place)

    def lower(self, state: LimitState) -> None:
        """Believe a server that allows less."""
        self._do(self._lower, state)

    def _do(self, change: _Change, subject: Any, value: Any = None) -> None:
        """Carry out *change*, now or as soon as nobody else is at it; never block."""
        if self._lock.acquire(False):  # noqa: FBT003 - the keyword costs more than the lock
            try:
                now = self._clock()
                change(subject, value, now)
                if self._waiters:
                    self._serve(now)
            finally:
                self._lock.release()
        else:
            self._inbox.append((change, subject, value))
        if self._inbox:
            self._empty_inbox()

    def _empty_inbox(self) -> None:
        # Whoever finds the lock taken leaves: its holder looks into the inbox after letting go.
        while self._inbox and self._lock.acquire(blocking=False):
            try:
                now = self._clock()
                while self._inbox:
                    change, subject, value = self._inbox.popleft()
                    change(subject, value, now)
                self._serve(now)
            finally:
                self._lock.release()

    # What follows happens under the lock.

    def _undo(self, place: Place, _: None, now: float) -> None:
        self._store.undo(place, now)

    def _lower(self, state: LimitState, _: None, now: float) -> None:
        self._store.lower(state, now)

    def _join(self, place: Place, now: float) -> Waiter:
        loop = asyncio.get_running_loop()
        seat = self._seats.get(loop) or _Seat(loop)
        waiter = Waiter(seat, place, inf if self._max_wait is None else now + self._max_wait)
        if self._max_wait is not None:
            wait = self._store.wait(place.tokens, now, (len(self._waiters), self._tokens))
            if wait > self._max_wait or not self._max_wait:
                waiter.error = self._refusal(wait)
                waiter.future.set_result(None)
                return waiter
        self._waiters[waiter] = None
        self._tokens += place.tokens
        self._seats[loop] = seat
        seat.waiting += 1
        if seat.waiting == 1:  # if not, the timer of this loop is set already
            self._serve(now)
        return waiter

    def _serve(self, now: float) -> None:
        """Give places to the head of the line until there is none left, then set the timers."""
        while self._waiters:
            waiter = next(iter(self._waiters))
            if waiter.future.done() or waiter.seat.loop.is_closed():
                self._remove(waiter)
                continue
            if not self._store.take(waiter.place, now):
                wait = self._store.wait(waiter.place.tokens, now)
                # Without a wait it is a running request that must end first, whenever that is.
                due = now + wait if wait else inf
                late = due > waiter.deadline + _TICK if wait else now >= waiter.deadline
                if not late:
                    self._set_timers(min(due, max(waiter.deadline, now + wait)))
                    return
                waiter.error = self._refusal(wait)
            self._remove(waiter)
            self._wake(waiter, now)

    def _refusal(self, wait: float) -> RateLimitError:
        reason = f"there is no place for {wait:.3g} s" if wait else "all places are taken"
        return RateLimitError(
            f"our own rate limit: {reason}, and max_wait is {self._max_wait} s: raise it, send less"
            " at once, or raise the limit if the vendor allows more",
            retry_after=wait or None,
            retryable=False,  # whoever sets max_wait does not want us to wait all the same
        )

    def _wake(self, waiter: Waiter, now: float) -> None:
        if waiter.seat.loop is _running_loop():
            _resolve(waiter.future)
            return
        try:
            waiter.seat.loop.call_soon_threadsafe(_resolve, waiter.future)
        except RuntimeError:  # it was closed just now
            self._leave(waiter, None, now)

    def _leave(self, waiter: Waiter, _: None, now: float) -> None:
        self._remove(waiter)
        self._store.undo(waiter.place, now)

    def _remove(self, waiter: Waiter) -> None:
        if waiter not in self._waiters:
            return
        del self._waiters[waiter]
        self._tokens -= waiter.place.tokens
        seat = waiter.seat
        seat.waiting -= 1
        if not seat.waiting:
            del self._seats[seat.loop]
            if seat.timer is not None and seat.loop is _running_loop():
                seat.timer.cancel()

    def _set_timers(self, due: float) -> None:
        """See to it that every loop in which somebody waits looks at the line when it is time.

        One would do, were it not for loops that are closed while others wait.
        """
        for seat in self._seats.values():
            if due >= seat.due:
                continue  # it looks earlier, and then sets itself anew
            seat.due = due
            if seat.loop is _running_loop():
                self._set_timer(seat)
            else:
                with suppress(RuntimeError):  # it is closed, and whoever waits there is gone
                    seat.loop.call_soon_threadsafe(self._set_timer, seat)

    def _set_timer(self, seat: _Seat) -> None:
        if seat.timer is not None:
            seat.timer.cancel()
        if seat.due < inf:  # another thread may have looked in between
            wait = max(seat.due - self._clock(), _TICK)
            seat.timer = seat.loop.call_later(wait, self._do, self._look, seat)

    def _look(self, seat: _Seat, _: None, now: float) -> None:
        seat.timer = None
        seat.due = inf


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
