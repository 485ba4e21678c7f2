"""The SQLite database that a ledger is kept in: opened, recognized, made where it is new."""

import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bruno_llm_base.exceptions import ConfigurationError

__all__ = ["Database"]

_PATIENCE = 5.0  # seconds that one process waits for another's transaction
_IMPATIENCE = 0.05  # once that was in vain: until it is free again, nobody else waits as long
_MOMENT = 0.01
_OURS = 0x42724C6C  # "BrLl", https://www.sqlite.org/pragma.html#pragma_application_id
_VERSION = 1
_TABLES = (
    # What was asked for, summed up: it grows with what is told apart, not with the requests.
    """CREATE TABLE entries (
        day TEXT, provider TEXT, model TEXT, tag TEXT, user TEXT, requests INTEGER,
        input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER,
        cache_write_tokens INTEGER, reasoning_tokens INTEGER, cost INTEGER, unpriced INTEGER,
        estimated INTEGER, PRIMARY KEY (day, provider, model, tag, user)
    ) WITHOUT ROWID""",
    # The costs again, by day alone: budgets ask with every request.
    "CREATE TABLE days (day TEXT PRIMARY KEY, cost INTEGER) WITHOUT ROWID",
    # What requests on their way may cost, one row for each ledger of each process.
    "CREATE TABLE held (owner TEXT PRIMARY KEY, amount INTEGER) WITHOUT ROWID",
)


class Database:
    """A file, or memory, and the connection to it while it is open.

    Threads may share it, one at a time. A transaction that was committed survives the end of the
    process, however it ends; only a power cut may undo the last ones
    (https://www.sqlite.org/pragma.html#pragma_synchronous, NORMAL).

    Args:
        path: The file, absolute; it is made if it is missing. None for memory.

    Raises:
        ConfigurationError: The file is something else, of a newer version, or cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._closing: Callable[[], object] | None = None
        self._file: tuple[int, int] | None = None
        self._patience = _PATIENCE
        with self.told():
            self._open(make=True)
        self.close()  # a server that forks its workers from C then has nothing open

    def connection(self) -> sqlite3.Connection:
        """Return the connection, opened if need be.

        Raises:
            ConfigurationError: The file has become something else.
            sqlite3.Error: It cannot be opened, read or written.
            OSError: It is gone.
        """
        if self._connection is not None and self.path is not None and self._seen() != self._file:
            self.close()  # it was replaced
        return self._connection or self._open(make=False)

    def close(self) -> None:
        """Close the file; it is opened again when needed. Memory stays as it is."""
        if self.path is not None:
            self.forget()

    def forget(self) -> None:
        """Close the file, or empty the memory."""
        closing, self._closing, self._connection = self._closing, None, None
        if closing is not None:
            closing()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn what goes wrong within into a `ConfigurationError`."""
        try:
            yield
            self._wait_for(_PATIENCE)
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                self._wait_for(min(_IMPATIENCE, _PATIENCE))
            place = "the ledger in memory" if self.path is None else f"the ledger {self.path}"
            raise ConfigurationError(
                f"{place} cannot be used ({error}): see that the file is there, that it and its folder"
                " can be written, and that the disk is not full; or give another path",
                cause=error,
            ) from error

    def _wait_for(self, seconds: float) -> None:
        """Wait so long for other processes from now on; event loops stand still meanwhile."""
        if seconds != self._patience:
            self._patience = seconds
            if self._connection is not None:
                self._connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def _open(self, *, make: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            (
                ":memory:"
                if self.path is None
                else f"{self.path.as_uri()}?mode={'rwc' if make else 'rw'}"
            ),
            uri=self.path is not None,
            timeout=self._patience,
            isolation_level=None,  # transactions are ours to begin
            check_same_thread=False,
        )
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                _recognize(connection, self.path)
            if self.path is not None:
                _share(connection, self._patience)
                self._file = self._seen()
        except BaseException:
            connection.close()
            raise
        self._closing = weakref.finalize(self, connection.close)
        self._connection = connection
        return connection

    def _seen(self) -> tuple[int, int]:
        """Return which file it is now: one that was deleted can still be written, for nobody."""
        found = os.stat(self.path or "")  # noqa: PTH116 - with every transaction, and much faster
        return found.st_dev, found.st_ino


def _recognize(connection: sqlite3.Connection, path: Path | None) -> None:
    """Make the tables if the database is new; if not, see whether they are ours."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if not application and not version and not tables:
        for table in _TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id = {_OURS}")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
    elif application != _OURS:
        raise ConfigurationError(
            f"{path} is some other program's database, not a ledger of costs: give another path"
        )
    elif version > _VERSION:
        raise ConfigurationError(
            f"{path} is a ledger of version {version}, and this bruno-llm-base reads up to {_VERSION}:"
            " upgrade it, or give another path"
        )


def _share(connection: sqlite3.Connection, patience: float) -> None:
    """Let others read while one writes (https://www.sqlite.org/wal.html), where the disk can."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:  # another process does the same: SQLite does not wait here
            if time.monotonic() > deadline:
                raise
            time.sleep(_MOMENT)
        else:
            break
    connection.execute("PRAGMA synchronous = NORMAL")
