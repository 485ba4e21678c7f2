"""One timer for all waits of a request."""

import asyncio
from math import inf

from bruno_llm_base.exceptions import LLMError, LLMTimeoutError

_ANSWER = "complete answer"
_IN_ALL = "complete answer, retries and waits included,"
_Bound = tuple[float, str, float | None]  # the time, and words for an error


class Deadline:
    """Bound the waits of one request, cheaply enough for every network read.

    Wait inside `with deadline:`. A new limit moves a float. A single timer looks at it when it goes
    off and, if the limit has moved on, sets itself again. It cancels only while *we* wait, so a
    consumer that takes its time between two chunks never times out, and no task is cancelled outside
    our own await.

    Attributes:
        timer: The timer, if it is set: `close` stops it.
    """

    __slots__ = ("_before", "_bound", "_call", "_fired", "_loop", "_task", "_total", "timer")

    def __init__(self, call: float | None = None) -> None:
        """Start the clock: the request may take *call* seconds, with all its attempts and waits."""
        self._loop = asyncio.get_running_loop()
        self.timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._before = 0
        self._fired = False
        when = inf if call is None else self._loop.time() + call
        # what bounds the request, the attempt, and the next wait
        self._call: _Bound = (when, _IN_ALL, call)
        self._total = self._bound = self._call

    def begin(self, total: float | None) -> None:
        """Begin an attempt, which may take *total* seconds, from the next `arm` on."""
        when = inf if total is None else self._loop.time() + total
        self._total = (when, _ANSWER, total) if when < self._call[0] else self._call

    def arm(self, seconds: float | None, missing: str) -> None:
        """Allow *seconds* from now; *missing* names in the error what did not come."""
        when = inf if seconds is None else self._loop.time() + seconds
        self._bound = (when, missing, seconds) if when < self._total[0] else self._total
        if self.timer is not None and self._bound[0] < self.timer.when():
            self.timer.cancel()  # it would go off too late
            self.timer = None
        if self._task is not None and self.timer is None and self._bound[0] < inf:
            self.timer = self._loop.call_at(self._bound[0], self._tick)

    def leaves(self, seconds: float) -> bool:
        """Whether the request has more than *seconds* left."""
        return self._loop.time() + seconds < self._call[0]

    def exceeded(self, after: LLMError) -> LLMTimeoutError:
        """Return the error of a request that has no time left to be sent again *after* an error."""
        _, missing, seconds = self._call
        return LLMTimeoutError(
            f"no {missing} within {seconds} s; the last attempt: {after.message}",
            retry_after=after.retry_after,
            cause=after,
        )

    def __enter__(self) -> None:
        """Begin a wait."""
        task = self._task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("bruno-llm needs an asyncio task to run in")
        self._before = task.cancelling()
        if self.timer is None and self._bound[0] < inf:
            self.timer = self._loop.call_at(self._bound[0], self._tick)

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """End a wait.

        Raises:
            LLMTimeoutError: The limit was reached first.
        """
        task, self._task = self._task, None
        if task is None or not self._fired:
            return
        self._fired = False
        task.uncancel()
        # Whatever our cancellation became on its way up, it is a timeout, unless someone else
        # cancelled the task as well.
        if error is not None and task.cancelling() <= self._before:
            _, missing, seconds = self._bound
            raise LLMTimeoutError(f"no {missing} within {seconds} s") from error

    def close(self) -> None:
        """End an attempt: only the request as a whole is bounded from now on."""
        self._total = self._bound = self._call
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _tick(self) -> None:
        self.timer = None
        if self._task is None:
            return  # the consumer is busy: the next wait sets the timer again
        if self._loop.time() >= self._bound[0]:
            self._fired = True
            self._task.cancel()
        else:
            self.timer = self._loop.call_at(self._bound[0], self._tick)
