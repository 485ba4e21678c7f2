"""First come, first served: a queue of coroutines in any number of event loops and threads."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from threading import Lock
from typing import Any, Protocol

from bruno_llm_base.exceptions import RateLimitError
from bruno_llm_base.limits.headers import LimitState
from bruno_llm_base.limits.windows import Counts, Entries, Limits, LimitUse

_TICK = 0.001  # seconds; no timer is finer
_Loop = asyncio.AbstractEventLoop


class Permit(Protocol):
    """A place for one attempt. Give it back whatever happens: `settle` it or `cancel` it.

    Both return at once, may be called from any thread, and after the first call do nothing.
    """

    def settle(self, tokens: int | None = None) -> None:
        """End the attempt, which really used *tokens*; None keeps what was reserved.

        What was reserved too much is free at once; what was too little is owed by the requests of
        the next minute.
        """

    def cancel(self) -> None:
        """Give everything back: the attempt never reached the server."""


class LimitStore(Protocol):
    """Counts the places of a limit that several processes share, `RateLimit(store=...)`.

    Each event loop of a process asks one question at a time, in the order of its own queue. The
    store sees to it that the limits hold, and that no process starves.
    """

    async def take(self, tokens: Sequence[int], limits: Limits) -> tuple[Sequence[Permit], float]:
        """Take places for requests of about so many *tokens*, the first ones first.

        Returns:
            The places of as many as there are free ones, and in how many seconds there may be one
            for the next; 0 if all have theirs. It is asked again then, and at least four times a
            second.
        """

    def lower(self, state: LimitState) -> None:
        """Believe a server that allows less; return at once."""

    def pause(self, seconds: float) -> None:
        """Give no process a place for so long, as a vendor has asked; return at once."""

    async def state(self, limits: Limits) -> LimitUse:
        """Return what all processes have taken."""

    def leave(self) -> None:
        """Forget that this process waits: those that asked last no longer do; return at once."""


class QueuedPermit:
    """A `Permit` that a queue gives."""

    __slots__ = ("answer", "deadline", "entries", "queue", "tokens")

    # set while it waits
    answer: asyncio.Future[RateLimitError | None]
    deadline: float

    def __init__(self, tokens: int, queue: "Queue") -> None:
        self.tokens = tokens
        self.queue = queue
        self.entries: Entries | None = None  # where it is counted, while it is taken

    def settle(self, tokens: int | None = None) -> None:
        self.queue.change(self.queue.settle, self, 1, self.tokens if tokens is None else tokens)

    def cancel(self) -> None:
        self.queue.change(self.queue.settle, self, 0, 0)


class Queue:
    """Hands out places strictly in the order in which they were asked for.

    The lock guards the counts and the queue. Only `take` ever waits for it: all changes go into an
    inbox, which they empty unless the lock is taken, and then its holder does. So a place can be
    given back from anywhere, a finalizer that runs in the middle of our own work included.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float], max_wait: float | None) -> None:
        self.counts = Counts(limits)
        self._clock = clock
        self._max_wait = max_wait
        self._lock = Lock()
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._waiting: OrderedDict[QueuedPermit, None] = OrderedDict()
        self._tokens = 0  # that those in the queue ask for
        self._next_looks: dict[_Loop, float] = {}  # when the queue is served from each loop

    def take(self, tokens: int) -> QueuedPermit:
        """Return a permit, which has to `wait` if it has no place yet."""
        permit = QueuedPermit(tokens, self)
        try:
            with self._lock:
                now = self._clock()
                if not self._waiting:
                    permit.entries = self.counts.take(tokens, now)
                if permit.entries is None:
                    self._join(permit, now)
        finally:
            if self._inbox:
                self._empty_inbox()
        return permit

    async def wait(self, permit: QueuedPermit) -> None:
        """Wait until *permit* has its place, at most `max_wait`."""
        try:
            error = await permit.answer
        except BaseException:
            permit.cancel()
            raise
        if error is not None:
            raise error

    def state(self) -> LimitUse:
        """Return what is taken."""
        try:
            with self._lock:
                return self.counts.use(self._clock(), len(self._waiting))
        finally:
            self._empty_inbox()

    def change(self, change: Callable[..., None], *subject: Any) -> None:
        """Call *change* with *subject* and the time, now or as soon as the lock is free."""
        self._inbox.append((change, subject))
        self._empty_inbox()

    def _empty_inbox(self) -> None:
        # If the lock is taken, its holder looks into the inbox after letting go.
        inbox, lock = self._inbox, self._lock
        while inbox and lock.acquire(False):  # noqa: FBT003 - the keyword costs more than the lock
            try:
                now = self._clock()
                while inbox:
                    change, subject = inbox.popleft()
                    change(*subject, now)
                if self._waiting:
                    self._serve(now)
            finally:
                lock.release()

    # What follows happens under the lock.

    def settle(self, permit: QueuedPermit, requests: int, tokens: int, now: float) -> None:
        """Give *permit* back, which really took so much, or take it out of the queue. Twice is once."""
        entries, permit.entries = permit.entries, None
        if entries is None:
            self._remove(permit)
        else:
            self.counts.settle(entries, permit.tokens, requests, tokens, now)

    def _join(self, permit: QueuedPermit, now: float) -> None:
        loop, longest = asyncio.get_running_loop(), self._max_wait
        if longest is not None:
            wait = self.counts.wait(permit.tokens, now, (len(self._waiting), self._tokens))
            if wait > longest or not longest:
                raise waits_too_long(wait, longest)
        permit.answer = loop.create_future()
        permit.deadline = inf if longest is None else now + longest
        self._waiting[permit] = None
        self._tokens += permit.tokens
        if len(self._waiting) == 1 or loop not in self._next_looks:
            self._next_looks.setdefault(loop, inf)
            self._serve(now)

    def _remove(self, permit: QueuedPermit) -> None:
        if permit in self._waiting:
            del self._waiting[permit]
            self._tokens -= permit.tokens

    def _serve(self, now: float) -> None:
        """Give places to the head of the queue until there is none left, then set the timers."""
        while self._waiting:
            permit = next(iter(self._waiting))
            loop, error = permit.answer.get_loop(), None
            if permit.answer.done() or loop.is_closed():
                self._remove(permit)
                continue
            permit.entries = self.counts.take(permit.tokens, now)
            if permit.entries is None:
                # Without a wait it is a running request that must end first, whenever that is.
                wait = self.counts.wait(permit.tokens, now)
                due = now + wait if wait else permit.deadline
                if due <= permit.deadline + _TICK if wait else now < due:
                    self._look_again(due, now)
                    return
                error = waits_too_long(wait, self._max_wait)
            self._remove(permit)
            try:
                loop.call_soon_threadsafe(_resolve, permit.answer, error)
            except RuntimeError:  # it was closed just now
                self.settle(permit, 0, 0, now)

    def _look_again(self, due: float, now: float) -> None:
        """Serve the queue at *due*, from every loop in which some wait: any may be closed by then."""
        wait = max(due - now, _TICK)
        for loop, earlier in list(self._next_looks.items()):
            if loop.is_closed():
                del self._next_looks[loop]
            elif due < earlier:
                self._next_looks[loop] = due
                with suppress(RuntimeError):  # it was closed just now
                    loop.call_soon_threadsafe(
                        loop.call_later, wait, self.change, self._timer_rang, loop, due
                    )

    def _timer_rang(self, loop: _Loop, due: float, _now: float) -> None:
        if self._next_looks.get(loop) == due:  # if not, another one was set, to an earlier time
            if self._waiting:
                self._next_looks[loop] = inf
            else:
                del self._next_looks[loop]


def waits_too_long(wait: float, max_wait: float | None) -> RateLimitError:
    """Return the error of a request that would wait longer than it may; 0 is not known how long."""
    reason = f"the wait for a place is {wait:.3g} s" if wait else "all places are taken"
    return RateLimitError(
        f"our own rate limit: {reason}, and max_wait is {max_wait} s: raise it, send less at once,"
        " or raise the limit if the vendor allows more",
        retry_after=wait or None,
        retryable=False,  # max_wait says not to wait for it
    )


def _resolve(answer: asyncio.Future[RateLimitError | None], error: RateLimitError | None) -> None:
    if not answer.done():
        answer.set_result(error)
