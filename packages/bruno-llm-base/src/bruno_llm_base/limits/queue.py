"""First come, first served: a queue of coroutines in any number of event loops and threads."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Lock
from typing import Any

from bruno_llm_base.exceptions import RateLimitError
from bruno_llm_base.limits.headers import LimitState
from bruno_llm_base.limits.windows import Limits, Place, Places

__all__ = ["Queue", "QueuedPermit", "waits_too_long"]

_TICK = 0.001  # seconds; no timer is finer
_Change = Callable[..., None]


class _Loop:
    """An event loop in which some wait, and its one timer that serves the queue from there."""

    __slots__ = ("due", "loop", "timer", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.timer: asyncio.TimerHandle | None = None
        self.due = inf
        self.waiting = 0


class QueuedPermit(Place):
    """A `Permit` that a queue gives."""

    __slots__ = ("_queue", "deadline", "future", "home")

    # set while it waits
    deadline: float
    future: "asyncio.Future[RateLimitError | None]"
    home: _Loop

    def __init__(self, tokens: int, queue: "Queue") -> None:
        self.tokens = tokens
        self.taken = False
        self._queue = queue

    def settle(self, tokens: int | None = None) -> None:
        self._queue.change(self._queue.places.settle, self, tokens)

    def cancel(self) -> None:
        self._queue.change(self._queue.leave, self)


class Queue:
    """Hands out places strictly in the order in which they were asked for.

    The lock guards the places and the queue. Only `take` ever waits for it: a change that finds the
    lock taken stays in an inbox, which the lock's holder empties. So a place can be given back from
    anywhere, a finalizer that runs in the middle of our own work included.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float], max_wait: float | None) -> None:
        self.places = Places(limits)
        self._clock = clock
        self._max_wait = max_wait
        self._lock = Lock()
        self._inbox: deque[tuple[_Change, Any, int | None]] = deque()
        self._waiting: OrderedDict[QueuedPermit, None] = OrderedDict()
        self._tokens = 0  # that those in the queue ask for
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}

    def take(self, permit: QueuedPermit) -> bool:
        """Take *permit*, or say that it has to `wait` in the queue, unless that takes too long."""
        try:
            with self._lock:
                now = self._clock()
                if not self._waiting and self.places.take(permit, now):
                    return True
                self._join(permit, now)
                return False
        finally:
            if self._inbox:
                self._empty_inbox()

    async def wait(self, permit: QueuedPermit) -> None:
        """Wait until *permit* is taken, or it takes longer than `max_wait`."""
        try:
            error = await permit.future
        except BaseException:
            self.change(self.leave, permit)
            raise
        if error is not None:
            raise error

    def lower(self, state: LimitState) -> None:
        """Believe a server that allows less."""
        self.change(self._lower, state)

    def change(self, change: _Change, subject: Any, tokens: int | None = None) -> None:
        """Call *change* with *subject*, *tokens* and the time, now or as soon as the lock is free."""
        if self._lock.acquire(False):  # noqa: FBT003 - the keyword costs more than the lock
            try:
                now = self._clock()
                change(subject, tokens, now)
                if self._waiting:
                    self._serve(now)
            finally:
                self._lock.release()
        else:
            self._inbox.append((change, subject, tokens))
        if self._inbox:
            self._empty_inbox()

    def _empty_inbox(self) -> None:
        # If the lock is taken, its holder looks into the inbox after letting go.
        while self._inbox and self._lock.acquire(blocking=False):
            try:
                now = self._clock()
                while self._inbox:
                    change, subject, tokens = self._inbox.popleft()
                    change(subject, tokens, now)
                self._serve(now)
            finally:
                self._lock.release()

    # What follows happens under the lock.

    def _join(self, permit: QueuedPermit, now: float) -> None:
        loop, longest = asyncio.get_running_loop(), self._max_wait
        if longest is not None:
            wait = self.places.wait(permit.tokens, now, (len(self._waiting), self._tokens))
            if wait > longest or not longest:
                raise waits_too_long(wait, longest)
        permit.home = home = self._loops.setdefault(loop, _Loop(loop))
        permit.future = loop.create_future()
        permit.deadline = inf if longest is None else now + longest
        self._waiting[permit] = None
        self._tokens += permit.tokens
        home.waiting += 1
        if home.waiting == 1:  # if not, the timer of this loop is set already
            self._serve(now)

    def _serve(self, now: float) -> None:
        """Give places to the head of the queue until there is none left, then set the timers."""
        while self._waiting:
            permit = next(iter(self._waiting))
            if permit.future.done() or permit.home.loop.is_closed():
                self._remove(permit)
                continue
            error = None
            if not self.places.take(permit, now):
                # Without a wait it is a running request that must end first, whenever that is.
                wait = self.places.wait(permit.tokens, now)
                due = now + wait if wait else permit.deadline
                if due <= permit.deadline + _TICK if wait else now < due:
                    self._set_timers(due)
                    return
                error = waits_too_long(wait, self._max_wait)
            self._remove(permit)
            self._wake(permit, error, now)

    def _wake(self, permit: QueuedPermit, error: RateLimitError | None, now: float) -> None:
        loop = permit.home.loop
        try:
            if _runs_here(loop):
                _resolve(permit.future, error)
            else:
                loop.call_soon_threadsafe(_resolve, permit.future, error)
        except RuntimeError:  # it was closed just now
            self.leave(permit, None, now)

    def leave(self, permit: QueuedPermit, _: None, now: float) -> None:
        """Take *permit* back as if it had never been asked for."""
        self._remove(permit)
        self.places.undo(permit, now)

    def _remove(self, permit: QueuedPermit) -> None:
        if permit not in self._waiting:
            return
        del self._waiting[permit]
        self._tokens -= permit.tokens
        home = permit.home
        home.waiting -= 1
        if not home.waiting:
            del self._loops[home.loop]
            if home.timer is not None and _runs_here(home.loop):
                home.timer.cancel()

    def _set_timers(self, due: float) -> None:
        """Serve the queue at *due*, from every loop in which some wait: any may be closed by then."""
        for home in self._loops.values():
            if due >= home.due:
                continue  # it looks earlier, and then sets its timer again
            home.due = due
            if _runs_here(home.loop):
                self._set_timer(home)
            else:
                with suppress(RuntimeError):  # it is closed, and so are those who wait there
                    home.loop.call_soon_threadsafe(self._set_timer, home)

    def _set_timer(self, home: _Loop) -> None:
        if home.timer is not None:
            home.timer.cancel()
        if home.due < inf:  # another thread may have looked in between
            wait = max(home.due - self._clock(), _TICK)
            home.timer = home.loop.call_later(wait, self.change, self._timer_rang, home)

    def _timer_rang(self, home: _Loop, _: None, now: float) -> None:
        home.timer = None
        home.due = inf

    def _lower(self, state: LimitState, _: None, now: float) -> None:
        self.places.lower(state, now)


def waits_too_long(wait: float, max_wait: float | None) -> RateLimitError:
    """Return the error of a request that would wait longer than it may; 0 is not known how long."""
    reason = f"there is no place for {wait:.3g} s" if wait else "all places are taken"
    return RateLimitError(
        f"our own rate limit: {reason}, and max_wait is {max_wait} s: raise it, send less at once,"
        " or raise the limit if the vendor allows more",
        retry_after=wait or None,
        retryable=False,  # max_wait says not to wait for it
    )


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _resolve(future: "asyncio.Future[RateLimitError | None]", error: RateLimitError | None) -> None:
    if not future.done():
        future.set_result(error)
