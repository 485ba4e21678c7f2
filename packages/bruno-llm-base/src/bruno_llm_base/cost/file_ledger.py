"""A ledger in a file, which processes share."""

# ruff: noqa: S608 - all names in the statements are ours

import asyncio
import atexit
import copy
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from sqlite3 import Connection
from threading import Lock, Thread
from typing import Any, TypeVar
from weakref import WeakSet

from bruno_llm_base.cost.ledger import Held, Ledger
from bruno_llm_base.cost.rows import (
    COUNTS,
    KEYS,
    LABELS,
    Balance,
    Claim,
    Kept,
    Names,
    Row,
    Settled,
    row_of,
)
from bruno_llm_base.cost.sqlite import SqliteFile
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.values import INT64

_log = logging.getLogger("bruno_llm")

_IDLE = 1.0  # seconds after which a thread without work ends
_RENEWAL = 30.0  # seconds after which a thread renews the holds of this process
_LEASE = 4 * _RENEWAL  # seconds that a hold counts that others see, unless it is renewed
_DAY = 86_400
_KEEPING = 60 * _DAY  # seconds that batches are remembered: vendors forget them sooner

_T = TypeVar("_T")
_Query = Callable[[Connection], _T]
_Job = tuple[Future[Any], _Query[Any]]


class FileLedger(Ledger):
    """Keeps entries until they are written, all that are there in one transaction.

    So if they cannot be written, they are not lost: the next transaction has them too, and none
    succeeds without them.

    The path of a request writes in a worker's thread, so event loops never wait for the file; all else
    uses it where it is asked. What a process held that was killed is free soon after; in a forked
    process, its parent's holds are not its own.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self.path = path
        self._file = SqliteFile(path)
        self._clock = clock
        self.start_fresh()
        with _all_lock:
            _all.add(self)

    def start_fresh(self) -> None:
        """Begin without notes and holds."""
        super().start_fresh()
        self._file.close()
        self._released: list[str] = []
        self._batches: list[Kept | Settled] = []  # what is to be written of them
        self._renewed = 0.0
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._no_thread = Lock()  # is free while there is no thread

    async def hold(self, names: Names, amount: int, claims: Sequence[Claim]) -> Held:
        """See `Ledger`; a `ConfigurationError` says that the file cannot be used."""
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
        return self._read(partial(_balance, claim=claim, now=self._now()))

    def sums(
        self, by: Sequence[str], since: str, until: str, values: Mapping[str, str]
    ) -> list[Row]:
        """See `Ledger`."""
        return self._read(partial(_sums, by=by, since=since, until=until, values=values))

    def close(self) -> None:
        """See `Ledger`."""
        with self._lock:
            try:
                self._write_rest()
            finally:
                self._file.close()

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
    # for a file that is locked, they wait together. It never holds up the end of the process.

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
            try:
                self._take_in()
                with self._file.transaction() as connection:
                    self._write_down(connection)
                    results = [query(connection) for query in queries]
                self._entries.clear()
                self._released.clear()
                self._batches.clear()
            except ConfigurationError as error:
                for hold in self._held.keys() - held:  # it was not written
                    del self._held[hold]
                if is_new:
                    _log.error("not written yet, but kept: %s", error)
                raise
            finally:
                self._is_busy = False
            return results

    def _read(self, query: _Query[_T]) -> _T:
        with self._lock:
            self._write_rest()
            return self._file.read(query)

    def _write_rest(self) -> None:
        if self._notes or self._batch_notes or self._is_unwritten():
            self._carry_out()

    def _is_unwritten(self) -> bool:
        """Whether something that was taken in is not in the file yet."""
        return bool(self._entries or self._released or self._batches)

    def _take_in_batches(self) -> None:
        while (
            self._batch_notes
        ):  # all processes change what is kept of them: it is in the file alone
            self._batches.append(self._batch_notes.popleft())

    def _release(self, hold: str) -> None:
        del self._held[hold]
        self._released.append(hold)

    def _write_down(self, connection: Connection) -> None:
        for (day, names), counts in self._entries.items():
            _add(connection, day, names, [min(count, INT64) for count in counts])
        for hold in self._released:
            connection.execute("DELETE FROM held WHERE id = ?", (hold,))
        for note in self._batches:
            if isinstance(note, Kept):
                _keep(connection, note, self._now())
            else:
                _settle(connection, note, self._now())
        if self._held and time.monotonic() > self._renewed + _RENEWAL:
            holds = [(self._now() + _LEASE, hold) for hold in self._held]
            connection.executemany("UPDATE held SET expires = ? WHERE id = ?", holds)
            self._renewed = time.monotonic()

    def _hold(
        self, connection: Connection, names: Names, amount: int, claims: Sequence[Claim]
    ) -> Held:
        now = self._now()
        if not self._held:
            connection.execute("DELETE FROM held WHERE expires < ?", (now - _DAY,))
        balances = [_balance(connection, claim, now) for claim in claims]
        if hold := self._admit(names, amount, claims, balances):
            values = (hold, *names, min(amount, INT64), now + _LEASE)
            connection.execute("INSERT INTO held VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        return hold, balances

    def _now(self) -> float:
        return self._clock().timestamp()

    # -- While the process forks. SQLite forbids to use or even to close a connection in a child of
    # the process that opened it (https://www.sqlite.org/howtocorrupt.html, 2.6), and what the library
    # remembers of an open file makes the child believe that it holds the parent's locks.

    def rest(self) -> None:
        """Come to rest, the file closed, and stay so."""
        self._lock.acquire()
        self._file.close()

    def go_on(self) -> None:
        """Go on after a rest."""
        self._lock.release()


# -- The statements

_PICO = 10**12


def _sum(column: str) -> str:
    """Return a sum in two columns: one of picodollars may be too large for SQLite."""
    return f"sum({column} / {_PICO}), sum({column} % {_PICO})"


def _whole(dollars: int | None, rest: int | None) -> int:
    return (dollars or 0) * _PICO + (rest or 0)


def _added(column: str) -> str:
    """Return how a column is added up: past 64 bits SQLite would go on in floating point."""
    return f"{column} = min({column} + excluded.{column}, {INT64})"


_ADD = (
    f"INSERT INTO entries VALUES ({', '.join('?' * (len(KEYS) + len(COUNTS)))})"
    f" ON CONFLICT ({', '.join(KEYS)}) DO UPDATE SET {', '.join(map(_added, COUNTS))}"
)
_ADD_SPENT = (
    "INSERT INTO spent VALUES (?, ?, ?, ?)"
    f" ON CONFLICT (label, value, day) DO UPDATE SET {_added('cost')}"
)


def _add(connection: Connection, day: str, names: Names, counts: Sequence[int]) -> None:
    connection.execute(_ADD, (day, *names, *counts))
    if cost := counts[COUNTS.index("cost")]:
        accounts = (("", ""), *zip(LABELS, names, strict=True))
        connection.executemany(_ADD_SPENT, [(*account, day, cost) for account in accounts])


def _keep(connection: Connection, note: Kept, now: float) -> None:
    connection.execute("DELETE FROM settled WHERE time < ?", (now - _KEEPING,))
    amount = min(note.amount, INT64)
    values = (note.batch, *note.names, amount, now + _KEEPING)
    connection.execute("INSERT OR IGNORE INTO held VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    _take(connection, note.hold, amount)


def _settle(connection: Connection, note: Settled, now: float) -> None:
    batch, key, entry = note
    if entry is None:
        connection.execute("DELETE FROM held WHERE id = ?", (batch,))
        return
    booking = connection.execute(
        "INSERT OR IGNORE INTO settled VALUES (?, ?, ?)", (batch, key, now)
    )
    if booking.rowcount:
        kept = f"SELECT {', '.join(LABELS)} FROM held WHERE id = ?"
        names = connection.execute(kept, (batch,)).fetchone() or entry.names
        counts = [min(count, INT64) for count in entry.counts]
        _add(connection, entry.day, names, counts)
        _take(connection, batch, counts[COUNTS.index("cost")])


def _take(connection: Connection, hold: str | None, amount: int) -> None:
    connection.execute("UPDATE held SET amount = max(0, amount - ?) WHERE id = ?", (amount, hold))


def _balance(connection: Connection, claim: Claim, now: float) -> Balance:
    where = "".join(f" AND {label} = ?" for label, _ in claim.selected)
    values = [value for _, value in claim.selected]
    if len(values) > 1:
        spent = f"SELECT {_sum('cost')} FROM entries WHERE day >= ?{where}"
        found = connection.execute(spent, (claim.since, *values))
    else:
        (account,) = claim.selected or (("", ""),)
        spent = f"SELECT {_sum('cost')} FROM spent WHERE day >= ? AND label = ? AND value = ?"
        found = connection.execute(spent, (claim.since, *account))
    held = connection.execute(
        f"SELECT {_sum('amount')} FROM held WHERE expires > ?{where}", (now, *values)
    )
    return Balance(_whole(*found.fetchone()), _whole(*held.fetchone()))


def _sums(
    connection: Connection, by: Sequence[str], since: str, until: str, values: Mapping[str, str]
) -> list[Row]:
    where = "".join(f" AND {label} = ?" for label in values)
    order = f" GROUP BY {', '.join(by)} ORDER BY {', '.join(by)}" if by else ""
    query = (
        f"SELECT {', '.join((*by, *map(_sum, COUNTS)))} FROM entries"
        f" WHERE day >= ? AND day <= ?{where}{order}"
    )
    size = len(by)
    return [
        row_of(by, found[:size], list(map(_whole, found[size::2], found[size + 1 :: 2])))
        for found in connection.execute(query, (since, until or "~", *values.values()))
    ]


# -- All ledgers of this process

_all: "WeakSet[FileLedger]" = WeakSet()
_all_lock = Lock()


def _rest_all() -> None:
    _all_lock.acquire()
    for ledger in _all:
        ledger.rest()


def _wake_all(wake: Callable[[FileLedger], None]) -> None:
    if _all_lock.locked():  # unless the fork began before this module was loaded
        for ledger in _all:
            wake(ledger)
        _all_lock.release()


@atexit.register
def _end_all() -> None:
    for ledger in list(_all):
        ledger.end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_rest_all,
        after_in_parent=partial(_wake_all, FileLedger.go_on),
        after_in_child=partial(_wake_all, FileLedger.start_fresh),
    )
