"""A ledger's file, an SQLite database: made where it is new, recognized, read, written."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from bruno_llm_base.cost.shared_ledger import Tables
from bruno_llm_base.cost.sqlite_tables import SqliteTables, make_tables, version_of
from bruno_llm_base.exceptions import ConfigurationError

_T = TypeVar("_T")
_Query = Callable[[Tables], _T]

_PATIENCE = 5.0  # seconds that one process waits for another's transaction
_IMPATIENCE = 0.05  # once that was in vain: until it is free again, the next ones wait no longer
_READINGS = 9  # so often a file is read that others change meanwhile, before they have to wait


class SqliteFile:
    """A `LedgerStore`: the file, and the connection by which it is written. *clock* tells the time.

    What was committed to a file survives the end of the process;
    only a power cut may undo the last transactions. Until something is written, a file is only read,
    and nothing is made beside it.

    Raises:
        ConfigurationError: The file cannot be used, or is something else; so do all methods.
    """

    _connection: sqlite3.Connection | None = None

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        self._place: tuple[int, int] | None = None
        self._patience = _PATIENCE
        if path.exists():
            self.read(lambda _: None)
        else:
            with self._errors_named():
                self._open("mode=rwc")
            self.close()  # a server that forks its workers from C then has nothing open

    def write(self, work: _Query[_T]) -> _T:
        """See `LedgerStore`."""
        with self._errors_named():
            connection = self.connection()
            connection.execute(f"PRAGMA busy_timeout = {int(self._patience * 1000)}")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                result = work(self._tables(connection))
            self._patience = _PATIENCE
            return result

    def read(self, query: _Query[_T]) -> _T:
        """See `LedgerStore`."""
        with self._errors_named():
            if self._connection is None:
                return self._read_only(query)
            connection = self.connection()
            with connection:
                connection.execute("BEGIN")
                return query(self._tables(connection))

    def _tables(self, connection: sqlite3.Connection) -> SqliteTables:
        return SqliteTables(connection, self._clock().timestamp())

    def connection(self) -> sqlite3.Connection:
        """Return the connection, opened if need be, and again if the file was replaced."""
        if self._connection is not None and _place(self._path) != self._place:
            self.close()
        return self._connection or self._open("mode=rw")

    def close(self) -> None:
        """See `LedgerStore`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    __del__ = close

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Turn what goes wrong within into a `ConfigurationError`."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                self._patience = min(_IMPATIENCE, _PATIENCE)
            raise ConfigurationError(
                f"the ledger {self._path} cannot be used ({error}): see that the file is there, that"
                " it and its folder can be written, and that the disk is not full; or give another"
                " path",
                cause=error,
            ) from error

    def _open(self, mode: str) -> sqlite3.Connection:
        connection = self._connect(mode)
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                make_tables(connection, version_of(connection, self._path))
            # Others may read while one writes (https://www.sqlite.org/wal.html), where the disk can.
            # If another process says so at this moment, SQLite fails, and it is said.
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._place = _place(self._path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _read_only(self, query: _Query[_T]) -> _T:
        """Return what *query* finds in a file that we do not write; nothing is made beside it.

        A file without a journal is complete in itself, and read without locks, for which SQLite
        would make files (https://www.sqlite.org/wal.html, "Read-Only Databases"); should it change
        meanwhile, it is read again. Where there is a journal, there are the files for locks too.
        """
        for _ in range(_READINGS):
            if (state := _state(self._path)) is None:
                break
            with suppress(sqlite3.DatabaseError):
                found = self._found("mode=ro&immutable=1", query)
                if _state(self._path) == state:
                    return found
        return self._found("mode=ro", query)

    def _found(self, mode: str, query: _Query[_T]) -> _T:
        with closing(self._connect(mode)) as connection:
            connection.execute("BEGIN")
            if version_of(connection, self._path):
                return query(self._tables(connection))
        with closing(sqlite3.connect(":memory:")) as empty:
            make_tables(empty, 0)
            return query(self._tables(empty))

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.as_uri()}?{mode}",
            uri=True,
            timeout=self._patience,
            isolation_level=None,  # transactions are ours to begin
            check_same_thread=False,
        )


def _place(path: Path) -> tuple[int, int]:
    """Return which file it is now: one that was deleted can still be written, in vain."""
    found = os.stat(path)  # noqa: PTH116 - with every transaction, and much faster
    return found.st_dev, found.st_ino


def _state(path: Path) -> tuple[int, ...] | None:
    """Return what can be seen of a file from outside; None where it has a journal."""
    for suffix in ("-wal", "-journal"):
        journal = path.with_name(path.name + suffix)
        if journal.exists() and journal.stat().st_size:
            return None
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
