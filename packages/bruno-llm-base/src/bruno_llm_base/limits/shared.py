"""First come, first served in each event loop, where a store counts for several processes."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from math import inf
from weakref import WeakKeyDictionary

from bruno_llm_base.limits.queue import LimitStore, Permit, waits_too_long
from bruno_llm_base.limits.windows import Limits

_SHORTEST, _LONGEST = 0.001, 0.25  # seconds between two questions to a store
_AT_ONCE = 32  # places that are asked for in one question


class _Waiting:
    """One that waits for a place."""

    __slots__ = ("answer", "deadline", "tokens")

    def __init__(self, answer: asyncio.Future[Permit], deadline: float, tokens: int) -> None:
        self.answer = answer
        self.deadline = deadline
        self.tokens = tokens


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
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Waiting, None]]
        self._lines = WeakKeyDictionary()
        self._asking: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]]
        self._asking = WeakKeyDictionary()

    async def acquire(self, tokens: int) -> Permit:
        """Wait for a place, at most `max_wait`."""
        loop = asyncio.get_running_loop()
        line = self._lines.setdefault(loop, {})
        deadline = inf if self._max_wait is None else self._clock() + self._max_wait
        waiting = _Waiting(loop.create_future(), deadline, tokens)
        line[waiting] = None
        if loop not in self._asking:
            self._asking[loop] = loop.create_task(self._ask(loop, line))
        try:
            return await waiting.answer
        except BaseException:
            line.pop(waiting, None)
            with suppress(BaseException):  # it may have been cancelled after it got its place
                waiting.answer.result().cancel()
            raise

    async def _ask(self, loop: asyncio.AbstractEventLoop, line: dict[_Waiting, None]) -> None:
        """Ask until all in *line* have their places."""
        wait = 0.0
        try:
            while line:
                first = list(islice(line, _AT_ONCE))
                try:
                    permits, wait = await self.store.take([w.tokens for w in first], self._limits)
                except Exception as error:  # noqa: BLE001 - it is the first one's
                    _tell(line, first[0], error)
                    continue
                is_given_back = False
                for waiting, permit in zip(first, permits, strict=False):
                    line.pop(waiting, None)
                    if waiting.answer.done():  # it was cancelled meanwhile
                        permit.cancel()
                        is_given_back = True
                    else:
                        waiting.answer.set_result(permit)
                if wait and line and not is_given_back:
                    self._give_up(line, wait)
                    await asyncio.sleep(min(max(wait, _SHORTEST), _LONGEST))
        finally:
            del self._asking[loop]
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
