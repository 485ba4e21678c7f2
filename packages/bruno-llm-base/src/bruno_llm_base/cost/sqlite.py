"""A ledger's file, an SQLite database: made where it is new, recognized, read, written."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from bruno_llm_base.cost.rows import COUNTS
from bruno_llm_base.exceptions import ConfigurationError

_T = TypeVar("_T")
_Query = Callable[[sqlite3.Connection], _T]

_PATIENCE = 5.0  # seconds that one process waits for another's transaction
_IMPATIENCE = 0.05  # once that was in vain: until it is free again, the next ones wait no longer
_READINGS = 9  # so often a file is read that others change meanwhile, before they have to wait
_OURS = 0x42724C6C  # "BrLl", https://www.sqlite.org/pragma.html#pragma_application_id
_VERSION = 3  # of the tables: change it with them
_OLDEST = 2  # that we read; it is brought up to date when it is written
_TABLES = (
    # Sums: they grow with the days and names, not with the requests.
    f"""CREATE TABLE entries (
        day TEXT, provider TEXT, model TEXT, tag TEXT, user TEXT,
        {', '.join(f'{name} INTEGER' for name in COUNTS)},
        PRIMARY KEY (day, provider, model, tag, user)
    ) WITHOUT ROWID""",
    # For budgets that select by a user and something else.
    "CREATE INDEX entries_of_users ON entries (user, day)",
    # The costs again, of all and by one label, such as ("user", "ann"): budgets ask all the time.
    """CREATE TABLE spent (
        label TEXT, value TEXT, day TEXT, cost INTEGER, PRIMARY KEY (label, value, day)
    ) WITHOUT ROWID""",
    # What requests on their way may cost, and until when that counts.
    """CREATE TABLE held (
        id TEXT PRIMARY KEY, provider TEXT, model TEXT, tag TEXT, user TEXT, amount INTEGER,
        expires REAL
    ) WITHOUT ROWID""",
    f"PRAGMA application_id = {_OURS}",
)
_UPDATES = (
    # The rows of batches that are booked, and since when.
    """CREATE TABLE settled (
        batch TEXT, key TEXT, time REAL, PRIMARY KEY (batch, key)
    ) WITHOUT ROWID""",
    f"PRAGMA user_version = {_VERSION}",
)


class SqliteFile:
    """The file, and the connection by which it is written.

    Threads may share it, one at a time. What was committed to a file survives the end of the process;
    only a power cut may undo the last transactions. Until something is written, a file is only read,
    and nothing is made beside it.

    Raises:
        ConfigurationError: The file cannot be used, or is something else; so do all methods.
    """

    _connection: sqlite3.Connection | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place: tuple[int, int] | None = None
        self._patience = _PATIENCE
        if path.exists():
            self.read(lambda _: None)
        else:
            with self._errors_named():
                self._open("mode=rwc")
            self.close()  # a server that forks its workers from C then has nothing open

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write what is done with the connection, all of it or nothing."""
        with self._errors_named():
            connection = self.connection()
            connection.execute(f"PRAGMA busy_timeout = {int(self._patience * 1000)}")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
            self._patience = _PATIENCE

    def read(self, query: _Query[_T]) -> _T:
        """Return what *query* finds, in one moment of the ledger."""
        with self._errors_named():
            if self._connection is None:
                return self._read_only(query)
            connection = self.connection()
            with connection:
                connection.execute("BEGIN")
                return query(connection)

    def connection(self) -> sqlite3.Connection:
        """Return the connection, opened if need be, and again if the file was replaced."""
        if self._connection is not None and _place(self._path) != self._place:
            self.close()
        return self._connection or self._open("mode=rw")

    def close(self) -> None:
        """Close the file, which is opened again when needed."""
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
                version = _version(connection, self._path)
                if version < _VERSION:
                    _make_tables(connection, version)
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
            if _version(connection, self._path):
                return query(connection)
        with closing(sqlite3.connect(":memory:")) as empty:
            _make_tables(empty, 0)
            return query(empty)

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.as_uri()}?{mode}",
            uri=True,
            timeout=self._patience,
            isolation_level=None,  # transactions are ours to begin
            check_same_thread=False,
        )


def _make_tables(connection: sqlite3.Connection, version: int) -> None:
    for statement in (*(() if version else _TABLES), *_UPDATES):
        connection.execute(statement)


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


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of a ledger, 0 of an empty database; anything else is refused."""
    application, version, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT COUNT(*) FROM sqlite_master)"
        " FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if not application and not version and not tables:
        return 0
    if application != _OURS:
        raise ConfigurationError(
            f"{path} is some other program's database, not a ledger of costs: give another path"
        )
    if not _OLDEST <= version <= _VERSION:
        cure = "upgrade it, or give" if version > _VERSION else "give"
        raise ConfigurationError(
            f"{path} is a ledger of version {version}, and this bruno-llm-base reads version"
            f" {_VERSION}: {cure} another path"
        )
    return int(version)
