"""What was spent and what is held for requests on their way, shared by threads and processes."""

import logging
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple
from uuid import uuid4

from bruno_llm_base.cost.database import Database
from bruno_llm_base.cost.forking import watch
from bruno_llm_base.cost.money import PICO
from bruno_llm_base.cost.sign import Sign, is_gone
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.values import INT64

__all__ = ["COUNTS", "KEYS", "Balance", "Hold", "Key", "Ledger"]

KEYS = ("day", "provider", "model", "tag", "user")
"""What entries are told apart by."""

COUNTS = (
    "requests",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost",
    "unpriced",
    "estimated",
)
"""What is summed up of them; the cost in picodollars."""

Key = tuple[str, str, str, str, str]
_Counts = Sequence[int]

_ADD = (  # the names are ours
    f"INSERT INTO entries VALUES ({', '.join('?' * (len(KEYS) + len(COUNTS)))})"  # noqa: S608
    f" ON CONFLICT ({', '.join(KEYS)}) DO UPDATE SET "
    # past 64 bits SQLite would go on in floating point
    + ", ".join(f"{name} = min({name} + excluded.{name}, {INT64})" for name in COUNTS)
)
_ADD_DAY = (
    "INSERT INTO days VALUES (?, ?)"  # noqa: S608
    f" ON CONFLICT (day) DO UPDATE SET cost = min(cost + excluded.cost, {INT64})"
)
_HOLD = "REPLACE INTO held VALUES (?, ?)"
_SPENT = f"SELECT sum(cost / {PICO}), sum(cost % {PICO}) FROM days WHERE day >= ?"  # noqa: S608

_log = logging.getLogger("bruno_llm")


class Hold(NamedTuple):
    """What is held, in picodollars, and by whom: a forked process does not hold its parent's."""

    owner: str
    amount: int


class Balance(NamedTuple):
    """How a period stands, in picodollars."""

    spent: int
    held: int


class Ledger:
    """Entries and holds, in a file that processes share, or in memory.

    What is noted is first noted in memory and then written, all that is there in one transaction.
    So if it cannot be written, it is not lost: the next transaction has it too, and none succeeds
    without it. And a finalizer that runs in the middle of our own work can note something as well.

    A forked process has a ledger of its own: on the same file, or an empty one in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._database = Database(path)
        self._lock = RLock()
        self._begin()
        watch(self)

    def _begin(self) -> None:
        self._owner = uuid4().hex
        self._sign: Sign | None = None
        self._inside = False
        self._notes: deque[tuple[Hold | None, Key | None, _Counts]] = deque()
        self._unwritten: dict[Key, list[int]] = {}
        self._held = 0
        self._held_written = 0

    @property
    def path(self) -> Path | None:
        """The file; None if it is in memory."""
        return self._database.path

    def hold(self, amount: int, since: str, limit: int) -> tuple[Hold | None, Balance]:
        """Hold *amount*, if with all that is spent and held it is no more than *limit*.

        Args:
            amount: Picodollars.
            since: The first day of the period, in ISO format; "" for all of time.
            limit: Picodollars.

        Returns:
            The hold, or None if it would be too much, and how things stood before it.

        Raises:
            ConfigurationError: The ledger cannot be read or written.
        """
        taken = 0
        with self._lock:
            try:
                with self._transaction() as connection:
                    balance = self._balance(connection, since)
                    if balance.spent + balance.held + amount > limit:
                        return None, balance
                    taken = amount
                    self._held += taken
                    self._write_held(connection)
            except BaseException:
                self._held -= taken
                raise
        return Hold(self._owner, amount), balance

    def note(self, hold: Hold | None, key: Key | None = None, counts: _Counts = ()) -> None:
        """Let go of *hold*, and add *counts* to the entry of *key*.

        Never raises: what cannot be written is logged, kept, and written with the next note.
        """
        self._notes.append((hold, key, counts))
        with self._lock:
            if self._inside:
                return  # we are a finalizer, and whoever was interrupted goes on to write it
            try:
                with self._transaction():
                    pass
            except ConfigurationError as error:
                _log.error("not written yet, but kept: %s", error)

    def balance(self, since: str) -> Balance:
        """Return what was spent since the day *since*, and what is held.

        Raises:
            ConfigurationError: The ledger cannot be read or written.
        """
        with self._transaction() as connection:
            return self._balance(connection, since)

    def sums(self, by: Sequence[str], where: str, values: Sequence[str]) -> list[list[Any]]:
        """Return the sums of `COUNTS` over the entries, after the names in *by* that they share.

        Args:
            by: Some of `KEYS`.
            where: An SQL condition of `KEYS`.
            values: For its question marks.

        Raises:
            ConfigurationError: The ledger cannot be read or written.
        """
        # a sum of picodollars may be too large for SQLite, one of dollars is not
        columns = [*by, *(f"sum({name})" for name in COUNTS if name != "cost")]
        columns += [f"sum(cost / {PICO})", f"sum(cost % {PICO})"]
        order = f" GROUP BY {', '.join(by)} ORDER BY {', '.join(by)}" if by else ""
        query = f"SELECT {', '.join(columns)} FROM entries WHERE {where}{order}"  # noqa: S608
        place = len(by) + COUNTS.index("cost")
        with self._transaction() as connection:
            rows = []
            for *row, dollars, rest in connection.execute(query, values):
                row.insert(place, (dollars or 0) * PICO + (rest or 0))
                rows.append(row)
            return rows

    def close(self) -> None:
        """Write what is left, and close the file; it is opened again when needed."""
        with self._lock:
            try:
                if self._notes or self._unwritten:
                    with self._transaction():
                        pass
            finally:
                self._database.close()
            if self._sign is not None and not self._held:
                self._sign.remove()
                self._sign = None

    def before_fork(self) -> None:
        """Come to rest, the file closed."""
        self._lock.acquire()
        self._database.close()

    def after_fork(self, *, in_child: bool) -> None:
        """Go on; a child without its parent's notes and holds."""
        if not in_child:
            self._lock.release()
            return
        self._lock = RLock()
        self._database.forget()
        if self._sign is not None:
            self._sign.leave()
        self._begin()

    # What follows happens under the lock.

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write what was noted, and what else is done with the connection, in one transaction."""
        with self._lock, self._database.told():
            if self._inside:
                raise RuntimeError("a ledger cannot be asked by what has interrupted it")
            self._take_in()
            connection = self._database.connection()
            self._inside = True
            try:
                connection.execute("BEGIN IMMEDIATE")
                self._write(connection)
                yield connection
                connection.execute("COMMIT")
                self._unwritten.clear()
                self._held_written = self._held
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                self._inside = False
        if self._notes:  # of a finalizer, after the last look
            self.note(None)

    def _take_in(self) -> None:
        while self._notes:
            hold, key, counts = self._notes.popleft()
            if hold is not None and hold.owner == self._owner:
                self._held -= hold.amount
            if key is not None:
                known = self._unwritten.get(key)
                added = counts if known is None else map(sum, zip(known, counts, strict=True))
                self._unwritten[key] = list(added)

    def _write(self, connection: sqlite3.Connection) -> None:
        for key, sums in self._unwritten.items():
            connection.execute(_ADD, (*key, *(min(count, INT64) for count in sums)))
            connection.execute(_ADD_DAY, (key[0], min(sums[COUNTS.index("cost")], INT64)))
        if self._held != self._held_written:
            self._write_held(connection)

    def _write_held(self, connection: sqlite3.Connection) -> None:
        if self._held:
            if self._sign is None and self.path is not None:
                self._sign = Sign(_sign_of(self.path, self._owner))
            connection.execute(_HOLD, (self._owner, min(self._held, INT64)))
        else:
            connection.execute("DELETE FROM held WHERE owner = ?", (self._owner,))

    def _balance(self, connection: sqlite3.Connection, since: str) -> Balance:
        dollars, rest = connection.execute(_SPENT, (since,)).fetchone()
        held = self._held
        others = connection.execute("SELECT * FROM held WHERE owner != ?", (self._owner,))
        for owner, amount in others.fetchall():
            if self.path is not None and is_gone(_sign_of(self.path, owner)):
                connection.execute("DELETE FROM held WHERE owner = ?", (owner,))
            else:
                held += amount
        return Balance((dollars or 0) * PICO + (rest or 0), held)


def _sign_of(path: Path, owner: str) -> Path:
    return path.with_name(f"{path.name}-{owner}")
