"""First come, first served in each event loop, where a store counts for several processes."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from math import inf
from weakref import WeakKeyDictionary

from bruno_llm_base.limits.queue import LimitStore, Permit, waits_too_long
from bruno_llm_base.limits.windows import Limits, LimitUse

_SHORTEST, _LONGEST = 0.001, 0.25  # seconds between two questions to a store
_AT_ONCE = 32  # places that are asked for in one question


class _Waiting:
    """One that waits for a place."""

    __slots__ = ("answer", "deadline", "tokens")

    def __init__(self, answer: asyncio.Future[Permit], deadline: float, tokens: int) -> None:
        self.answer = answer
        self.deadline = deadline
        self.tokens = tokens


class _Line:
    """Those that wait in one event loop, and the task that asks for them while there are any."""

    __slots__ = ("asking", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[_Waiting, None] = {}
        self.asking: asyncio.Task[None] | None = None


class SharedQueue:
    """Asks a store for places, in each event loop one question at a time."""

    def __init__(
        self,
        store: LimitStore,
        limits: Limits,
        clock: Callable[[], float],
        max_wait: float | None,
    ) -> None:
        self.store = store
        self._limits = limits
        self._clock = clock
        self._max_wait = max_wait
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = WeakKeyDictionary()

    async def acquire(self, tokens: int) -> Permit:
        """Wait for a place, at most `max_wait`."""
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line()
        deadline = inf if self._max_wait is None else self._clock() + self._max_wait
        waiting = _Waiting(loop.create_future(), deadline, tokens)
        line.waiting[waiting] = None
        if line.asking is None:
            line.asking = loop.create_task(self._ask(line))
        try:
            return await waiting.answer
        except BaseException:
            line.waiting.pop(waiting, None)
            with suppress(BaseException):  # it may have been cancelled after it got its place
                waiting.answer.result().cancel()
            raise

    async def state(self) -> LimitUse:
        """Return what the store says is taken."""
        use = await self.store.state(self._limits)
        waiting = sum(len(line.waiting) for line in list(self._lines.values()))
        return replace(use, waiting=waiting)

    async def _ask(self, line: _Line) -> None:
        """Ask until all in *line* have their places."""
        waiting_here, wait = line.waiting, 0.0
        try:
            while waiting_here:
                first = list(islice(waiting_here, _AT_ONCE))
                try:
                    permits, wait = await self.store.take([w.tokens for w in first], self._limits)
                except Exception as error:  # noqa: BLE001 - it is the first one's
                    _tell(waiting_here, first[0], error)
                    continue
                is_given_back = False
                for waiting, permit in zip(first, permits, strict=False):
                    waiting_here.pop(waiting, None)
                    if waiting.answer.done():  # it was cancelled meanwhile
                        permit.cancel()
                        is_given_back = True
                    else:
                        waiting.answer.set_result(permit)
                if wait and waiting_here and not is_given_back:
                    self._give_up(waiting_here, wait)
                    await asyncio.sleep(min(max(wait, _SHORTEST), _LONGEST))
        finally:
            line.asking = None
            if wait:
                self.store.leave()

    def _give_up(self, line: dict[_Waiting, None], wait: float) -> None:
        """Tell those for whom *wait* is too long; they have come in the order of their deadlines."""
        until = self._clock() + wait
        for waiting in list(line):
            if until <= waiting.deadline:
                return
            _tell(line, waiting, waits_too_long(wait, self._max_wait))


def _tell(line: dict[_Waiting, None], waiting: _Waiting, error: Exception) -> None:
    line.pop(waiting, None)
    if not waiting.answer.done():
        waiting.answer.set_exception(error)
