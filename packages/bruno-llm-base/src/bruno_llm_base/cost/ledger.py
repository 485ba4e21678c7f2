"""What was spent and what is held for requests on their way, shared by threads and processes."""

import asyncio
import atexit
import logging
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Lock, RLock
from typing import Any, TypeVar
from uuid import uuid4
from weakref import WeakSet

from bruno_llm_base.cost import tables
from bruno_llm_base.cost.database import Database
from bruno_llm_base.cost.tables import Balance, Claim, Hold, Key, Names
from bruno_llm_base.cost.worker import BEAT, Ask, Worker
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.forking import start_fresh_in_children

__all__ = ["Ledger"]

_T = TypeVar("_T")
_Counts = Sequence[int]

_LEASE = 4 * BEAT  # seconds that a ledger is taken to be alive after it was last heard of

_log = logging.getLogger("bruno_llm")


class Ledger:
    """Entries and holds, in a file that processes share, or in memory.

    What is noted is first noted in memory and then written, all that is there in one transaction.
    So if it cannot be written, it is not lost: the next transaction has it too, and none succeeds
    without it. And a finalizer that runs in the middle of our own work can note something as well.

    The path of a request writes to a file in a worker's thread, so no event loop ever waits for a
    file; all else is done where it is called.

    Holds belong to a ledger that is alive: it says so every half minute. What a process held that
    was killed is free two minutes later. A forked process has a ledger of its own: on the same
    file, or an empty one in memory.
    """

    def __init__(self, path: Path | None, clock: Callable[[], datetime]) -> None:
        self._database = Database(path)
        self._clock = clock
        self.start_fresh()
        start_fresh_in_children(self)
        with _all_lock:
            _all.add(self)

    def start_fresh(self) -> None:
        """Begin without notes and holds, and in memory without entries."""
        self._database.forget()
        self._lock = RLock()
        self._worker = Worker()
        self._owner = uuid4().hex
        self._holds = False
        self._notes: deque[tuple[Hold | None, Key | None, _Counts]] = deque()
        self._unwritten: dict[Key, list[int]] = {}
        self._let_go: list[Hold] = []

    @property
    def path(self) -> Path | None:
        """The file; None if it is in memory."""
        return self._database.path

    @property
    def owner(self) -> str:
        """Who holds what this ledger holds; another one in a forked process."""
        return self._owner

    # On the path of a request.

    async def hold(
        self, names: Names, amount: int, claims: Sequence[Claim]
    ) -> tuple[Hold | None, list[Balance]]:
        """Hold *amount*, if with all that is spent and held it is too much for no claim.

        Args:
            names: What the request is.
            amount: Picodollars.
            claims: What the budgets say that count it.

        Returns:
            The hold, or None if it would be too much, and how each claim's account stood before it.

        Raises:
            ConfigurationError: The ledger cannot be read or written.
        """
        ask = partial(self._hold, names=names, amount=amount, claims=claims)
        if self.path is None:
            with self._transaction() as connection:
                return ask(connection)
        asked = self._worker.ask(self, ask)
        try:
            return await asyncio.wrap_future(asked)
        except BaseException:  # what is held all the same is held for no request
            asked.add_done_callback(self._return)
            raise
        finally:
            del asked  # it holds an error whose traceback holds this frame

    def note(self, hold: Hold | None, key: Key | None = None, counts: _Counts = ()) -> None:
        """Let go of *hold*, and add *counts* to the entry of *key*, with the next transaction.

        Never blocks and never raises, from whatever thread or finalizer it is called.
        """
        self._notes.append((hold, key, counts))

    def write_soon(self) -> "Future[None] | None":
        """See to it that what was noted is written; a file's worker does it. Never blocks or raises.

        Returns:
            What is done when it was tried; None if that was at once.
        """
        if self.path is not None:
            return self._worker.ask(self, _nothing)
        self.write()
        return None

    # Where it may be waited for a file.

    def write(self) -> None:
        """Write what was noted. Never raises: what cannot be written is logged, kept and tried again."""
        with self._lock, suppress(ConfigurationError):
            if not self._database.is_busy:  # if so, we have interrupted what goes on to write it
                self.carry_out([])

    def balance(self, claim: Claim) -> Balance:
        """Return what the claim's account has spent, and what is held of it.

        Raises:
            ConfigurationError: The ledger cannot be read or written.
        """
        return self._read(
            lambda connection: tables.balance(connection, claim, self._owner, self._now())
        )

    def sums(self, by: Sequence[str], where: str, values: Sequence[str]) -> list[list[Any]]:
        """Return the sums of all counts, as `tables.sums` does.

        Raises:
            ConfigurationError: The ledger cannot be read or written.
        """
        return self._read(partial(tables.sums, by=by, where=where, values=values))

    def close(self) -> None:
        """Write what is left, and close the file; it is opened again when needed."""
        with self._lock:
            try:
                self._write_rest()
            finally:
                self._database.close()

    def end(self) -> None:
        """Write what is left, and hold nothing any more: the process ends."""
        with self._lock, suppress(ConfigurationError):
            if self._holds:
                with self._transaction() as connection:
                    tables.release_all(connection, self._owner)
        try:
            self.close()
        except ConfigurationError as error:
            _log.error("costs are lost, as the process ends: %s", error)

    # For the worker.

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to write even if nothing happens."""
        return self._holds or bool(self._unwritten or self._let_go)

    def carry_out(self, asks: Sequence[Ask]) -> list[Any]:
        """Write what was noted, and carry out *asks*, in one transaction.

        Raises:
            ConfigurationError: The ledger cannot be read or written; then nothing is.
        """
        with self._lock:
            is_new = bool(self._notes)
            try:
                with self._transaction() as connection:
                    return [ask(connection) for ask in asks]
            except ConfigurationError as error:
                if is_new:
                    _log.error("not written yet, but kept: %s", error)
                raise

    # While the process forks. SQLite forbids to use or even to close a connection in a child of the
    # process that opened it (https://www.sqlite.org/howtocorrupt.html, 2.6), and what the library
    # remembers of an open file makes the child believe that it holds the parent's locks.

    def rest(self) -> None:
        """Come to rest, the file closed, and stay so."""
        self._lock.acquire()
        self._database.close()

    def go_on(self) -> None:
        """Go on after a rest."""
        self._lock.release()

    # What follows happens under the lock.

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write what was noted, and what else is done with the connection, in one transaction."""
        with self._lock:
            if self._database.is_busy:
                raise RuntimeError("a ledger cannot be asked by what has interrupted it")
            self._take_in()
            with self._database.transaction() as connection:
                self._write(connection)
                yield connection
            self._unwritten.clear()
            self._let_go.clear()

    def _read(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        with self._lock:
            self._write_rest()
            return self._database.read(query)

    def _write_rest(self) -> None:
        if self._notes or self._unwritten or self._let_go:
            with self._transaction():
                pass

    def _take_in(self) -> None:
        while self._notes:
            hold, key, counts = self._notes.popleft()
            if hold is not None and hold.owner == self._owner:
                self._let_go.append(hold)
            if key is not None:
                known = self._unwritten.get(key)
                added = counts if known is None else map(sum, zip(known, counts, strict=True))
                self._unwritten[key] = list(added)

    def _write(self, connection: sqlite3.Connection) -> None:
        for key, counts in self._unwritten.items():
            tables.add(connection, key, counts)
        if self._let_go:
            tables.let_go(connection, self._let_go)
        if self._holds:
            self._live_on(connection)

    def _live_on(self, connection: sqlite3.Connection) -> None:
        self._holds = tables.live_on(connection, self._owner, self._now() + _LEASE)

    def _hold(
        self, connection: sqlite3.Connection, names: Names, amount: int, claims: Sequence[Claim]
    ) -> tuple[Hold | None, list[Balance]]:
        now = self._now()
        balances = [tables.balance(connection, claim, self._owner, now) for claim in claims]
        for claim, balance in zip(claims, balances, strict=True):
            if balance.spent + balance.held + amount > claim.most:
                return None, balances
        if not self._holds:
            tables.forget_the_dead(connection, now)
        hold = Hold(self._owner, names, amount)
        tables.hold(connection, hold)
        self._live_on(connection)
        return hold, balances

    def _return(self, asked: "Future[tuple[Hold | None, list[Balance]]]") -> None:
        if not asked.cancelled() and asked.exception() is None:
            self.note(asked.result()[0])
            self.write_soon()

    def _now(self) -> float:
        return self._clock().timestamp()


def _nothing(_: sqlite3.Connection) -> None:
    pass


_all: WeakSet[Ledger] = WeakSet()
_all_lock = Lock()
_resting: list[list[Ledger]] = []  # empty if the fork began before this module was loaded


def _rest_all() -> None:
    _all_lock.acquire()
    _resting.append(list(_all))
    for ledger in _resting[0]:
        ledger.rest()


def _go_on_all() -> None:
    if _resting:
        for ledger in _resting.pop():
            ledger.go_on()
        _all_lock.release()


def _go_on_in_child() -> None:
    if _resting:
        _resting.clear()  # each has a lock of its own
        _all_lock.release()


@atexit.register
def _end_all() -> None:
    for ledger in list(_all):
        if ledger.path is not None:
            ledger.end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_rest_all, after_in_parent=_go_on_all, after_in_child=_go_on_in_child
    )
