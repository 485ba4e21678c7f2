"""A ledger that processes share, in a file or on a server."""

import asyncio
import atexit
import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar
from weakref import WeakSet

from bruno_llm_base.cost.ledger import Held, Ledger
from bruno_llm_base.cost.ledger_store import LEASE, LedgerStore, Tables
from bruno_llm_base.cost.rows import Balance, Claim, Kept, Names, Row, Settled
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.forks import rest_during_forks

_log = logging.getLogger("bruno_llm")

_IDLE = 1.0  # seconds after which a thread without work ends
_RENEWAL = LEASE / 4  # seconds after which a thread renews the holds of this process

_T = TypeVar("_T")
_Query = Callable[[Tables], _T]
_Job = tuple[Future[Any], _Query[Any]]


class SharedLedger(Ledger):
    """Keeps entries until they are written, all that are there in one transaction.

    So if they cannot be written, they are not lost: the next transaction has them too, and none
    succeeds without them.

    The path of a request writes in a worker's thread, so event loops never wait for the store; all else
    uses it where it is asked. What a process held that was killed is free soon after; in a forked
    process, its parent's holds are not its own.
    """

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        self.start_fresh()
        _all.add(self)
        rest_during_forks(self)

    def start_fresh(self) -> None:
        """Begin without notes and holds."""
        super().start_fresh()
        self._store.close()
        self._released: list[str] = []
        self._batches: list[Kept | Settled] = []  # what is to be written of them
        self._renewed = 0.0
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._no_thread = Lock()  # is free while no thread runs

    async def hold(self, names: Names, amount: int, claims: Sequence[Claim]) -> Held:
        """See `Ledger`; a `ConfigurationError` says that the store cannot be used."""
        job = self._ask(partial(self._hold, names=names, amount=amount, claims=claims))
        try:
            found: Held = await asyncio.wrap_future(job)
        except BaseException:
            job.add_done_callback(self._give_back)  # what is held all the same
            raise
        else:
            return found
        finally:
            del job  # it holds an error whose traceback holds this frame

    def write_soon(self) -> "Future[None]":
        """See `Ledger`."""
        return self._ask(lambda _: None)

    def write(self) -> None:
        """See `Ledger`."""
        with self._lock, suppress(ConfigurationError):
            if not self._is_busy:  # if so, we have interrupted it
                self._carry_out()

    def balance(self, claim: Claim) -> Balance:
        """See `Ledger`."""
        return self._read(lambda tables: tables.balances([claim]))[0]

    def sums(
        self, by: Sequence[str], since: str, until: str, values: Mapping[str, str]
    ) -> list[Row]:
        """See `Ledger`."""
        return self._read(lambda tables: tables.sums(by, since, until, values))

    def close(self) -> None:
        """See `Ledger`."""
        with self._lock:
            try:
                self._write_rest()
            finally:
                self._store.close()

    def end(self) -> None:
        """Write what is left, and hold nothing any more: the process ends."""
        with self._lock:
            self._released += self._held
            self._held.clear()
            try:
                self.close()
            except ConfigurationError as error:
                _log.error("costs are lost, as the process ends: %s", error)

    # -- The worker: all that is asked while it is busy is carried out at once, so however many wait
    # for a store that is locked, they wait together. It never holds up the end of the process.

    def _ask(self, query: _Query[Any]) -> "Future[Any]":
        future: Future[Any] = Future()
        self._jobs.put((future, query))
        if self._no_thread.acquire(blocking=False):
            Thread(target=self._work, name="bruno-llm-ledger", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            is_waiting = bool(self._held or self._is_unwritten())
            jobs: list[_Job] = []
            with suppress(Empty):
                jobs.append(self._jobs.get(timeout=_RENEWAL if is_waiting else _IDLE))
                while True:
                    jobs.append(self._jobs.get_nowait())
            if jobs or is_waiting:
                self._do(jobs)
                del jobs  # it holds what was asked and answered
                continue
            self._no_thread.release()
            # one that has asked before that has found a thread, and relies on it
            if self._jobs.empty() or not self._no_thread.acquire(blocking=False):
                return

    def _do(self, jobs: list[_Job]) -> None:
        jobs = [job for job in jobs if job[0].set_running_or_notify_cancel()]
        try:
            results = self._carry_out(*(query for _, query in jobs))
        except Exception as error:  # noqa: BLE001 - it belongs to those who asked
            for future, _ in jobs:
                future.set_exception(copy.copy(error))  # each request adds its own facts to it
        else:
            for (future, _), result in zip(jobs, results, strict=True):
                future.set_result(result)

    def _give_back(self, job: "Future[Held]") -> None:
        if not job.cancelled() and job.exception() is None:
            self.note(job.result()[0])
            self.write_soon()

    # -- What follows happens under the lock.

    def _carry_out(self, *queries: _Query[Any]) -> list[Any]:
        """Write what was noted, and carry out *queries*, in one transaction."""
        with self._lock:
            if self._is_busy:
                raise RuntimeError("a ledger cannot be asked by what has interrupted it")
            self._is_busy = True
            is_new, held = bool(self._notes or self._batch_notes), set(self._held)

            def write(tables: Tables) -> list[Any]:
                self._forget_holds_but(held)  # of a try before
                self._write_down(tables)
                return [query(tables) for query in queries]

            try:
                self._take_in()
                held &= self._held.keys()
                results = self._store.write(write)
                self._entries.clear()
                self._released.clear()
                self._batches.clear()
            except ConfigurationError as error:
                self._forget_holds_but(held)
                if is_new:
                    _log.error("not written yet, but kept: %s", error)
                raise
            finally:
                self._is_busy = False
            return results

    def _read(self, query: _Query[_T]) -> _T:
        with self._lock:
            self._write_rest()
            return self._store.read(query)

    def _write_rest(self) -> None:
        if self._notes or self._batch_notes or self._is_unwritten():
            self._carry_out()

    def _is_unwritten(self) -> bool:
        """Whether something that was taken in is not in the store yet."""
        return bool(self._entries or self._released or self._batches)

    def _take_in_batches(self) -> None:
        while (
            self._batch_notes
        ):  # all processes change what is kept of them: it is in the store alone
            self._batches.append(self._batch_notes.popleft())

    def _release(self, hold: str) -> None:
        del self._held[hold]
        self._released.append(hold)

    def _forget_holds_but(self, written: set[str]) -> None:
        for hold in self._held.keys() - written:
            del self._held[hold]

    def _write_down(self, tables: Tables) -> None:
        tables.add(self._entries)
        tables.release(self._released)
        for note in self._batches:
            if isinstance(note, Kept):
                tables.keep(note)
            else:
                tables.settle(note)
        if self._held and time.monotonic() > self._renewed + _RENEWAL:
            tables.renew(self._held)
            self._renewed = time.monotonic()

    def _hold(self, tables: Tables, names: Names, amount: int, claims: Sequence[Claim]) -> Held:
        if not self._held:
            tables.forget_dead_holds()
        balances = tables.balances(claims)
        if hold := self._admit(names, amount, claims, balances):
            tables.hold(hold, names, amount)
        return hold, balances

    # -- While the process forks: a child must not use a parent's connection.

    def rest(self) -> None:
        """Come to rest, the connection closed, and stay so."""
        self._lock.acquire()
        self._store.close()

    def go_on(self) -> None:
        """Go on after a rest."""
        self._lock.release()


# -- All ledgers of this process

_all: "WeakSet[SharedLedger]" = WeakSet()


@atexit.register
def _end_all() -> None:
    for ledger in list(_all):
        ledger.end()
