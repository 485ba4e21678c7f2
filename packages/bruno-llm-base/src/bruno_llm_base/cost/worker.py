"""A thread that waits for a file, so that event loops need not."""

import copy
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Protocol

__all__ = ["BEAT", "Ask", "Worker"]

Ask = Callable[[sqlite3.Connection], Any]
_Job = tuple[Future[Any], Ask]

BEAT = 30.0
"""So many seconds after it had to do something last, an owner that is waiting is called again."""

_IDLE = 1.0


class _Owner(Protocol):
    @property
    def is_waiting(self) -> bool:
        """Whether something is to be done even if nothing is asked."""

    def carry_out(self, asks: Sequence[Ask]) -> list[Any]:
        """Carry out all or none of *asks*, and return their results."""


class Worker:
    """Carries out what it is asked, in the order in which it is asked, in a thread of its own.

    All that was asked while it was busy is carried out at once: so however many wait for a file
    that is locked, they wait together. The thread starts with something to do, and ends when there
    is nothing more. It never holds up the end of the process.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[_Job] = SimpleQueue()
        self._stopped = Lock()  # is free while there is no thread

    def ask(self, owner: _Owner, ask: Ask) -> Future[Any]:
        """Let *owner* carry out *ask*, as soon as possible; never block, not even in a finalizer."""
        future: Future[Any] = Future()
        self._asked.put((future, ask))
        if self._stopped.acquire(blocking=False):
            Thread(target=self._run, args=(owner,), name="bruno-llm-ledger", daemon=True).start()
        return future

    def _run(self, owner: _Owner) -> None:
        while True:
            batch = self._next(BEAT if owner.is_waiting else _IDLE)
            if batch or owner.is_waiting:
                _carry_out(owner, batch)
                del batch  # it holds what was asked and answered
                continue
            self._stopped.release()
            # whoever asked before that has found a thread, and relies on it
            if self._asked.empty() or not self._stopped.acquire(blocking=False):
                return

    def _next(self, patience: float) -> list[_Job]:
        """Return all that is asked, once something is; nothing, if there is nothing for a while."""
        batch: list[_Job] = []
        try:
            batch.append(self._asked.get(timeout=patience))
            while True:
                batch.append(self._asked.get_nowait())
        except Empty:
            return batch


def _carry_out(owner: _Owner, batch: Sequence[_Job]) -> None:
    jobs = [job for job in batch if job[0].set_running_or_notify_cancel()]
    try:
        results = owner.carry_out([ask for _, ask in jobs])
    except Exception as error:  # noqa: BLE001 - it belongs to those who asked
        for future, _ in jobs:
            future.set_exception(copy.copy(error))  # each request adds its own facts to it
    else:
        for (future, _), result in zip(jobs, results, strict=True):
            future.set_result(result)
