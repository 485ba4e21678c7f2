"""One timer for all waits of an attempt."""

import asyncio
from collections.abc import Awaitable
from math import inf
from typing import TypeVar

from bruno_llm_base.exceptions import LLMTimeoutError

__all__ = ["Deadline"]

_T = TypeVar("_T")


class Deadline:
    """Bound the waits of one attempt, cheaply enough for every network read.

    Setting a new limit moves a float. A single timer looks at it when it goes off and, if the limit
    has moved on, sets itself anew. It cancels only while *we* wait, so a consumer that takes its
    time between two chunks never times out, and no task is cancelled outside our own await.
    """

    __slots__ = ("_fired", "_handle", "_limit", "_loop", "_task", "_total", "_when")

    def __init__(self, total: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._fired = False
        limit = f"no complete answer within {total} s"
        self._total = (inf if total is None else self._loop.time() + total, limit)
        self._when, self._limit = self._total

    def arm(self, seconds: float | None, missing: str) -> None:
        """Allow *seconds* from now; *missing* names in the error what did not come."""
        when = inf if seconds is None else self._loop.time() + seconds
        if when < self._when:
            self.close()  # the timer would go off too late
        limit = (when, f"no {missing} within {seconds} s")
        self._when, self._limit = min(limit, self._total)

    async def wait(self, awaitable: Awaitable[_T]) -> _T:
        """Return what *awaitable* returns.

        Raises:
            LLMTimeoutError: The limit was reached first.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("bruno-llm needs an asyncio task to run in")
        before = task.cancelling()
        self._task = task
        if self._handle is None and self._when < inf:
            self._handle = self._loop.call_at(self._when, self._tick)
        try:
            return await awaitable
        except BaseException as error:
            # Whatever our cancellation became on its way up, it is a timeout, unless someone else
            # cancelled the task as well.
            if self._fired and task.cancelling() <= before + 1:
                raise LLMTimeoutError(self._limit) from error
            raise
        finally:
            if self._fired:
                self._fired = False
                task.uncancel()
            self._task = None

    def close(self) -> None:
        """Stop the timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _tick(self) -> None:
        self._handle = None
        if self._task is None:
            return  # the consumer is busy: the next wait sets the timer again
        if self._loop.time() >= self._when:
            self._fired = True
            self._task.cancel()
        else:
            self._handle = self._loop.call_at(self._when, self._tick)
