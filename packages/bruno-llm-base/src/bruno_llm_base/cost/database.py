"""The SQLite file of a ledger: made where it is new, recognized, read, written."""

import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from bruno_llm_base.cost.ledger import COUNTS
from bruno_llm_base.exceptions import ConfigurationError

__all__ = ["Database", "Query"]

_T = TypeVar("_T")
Query = Callable[[sqlite3.Connection], _T]

_PATIENCE = 5.0  # seconds that one process waits for another's transaction
_IMPATIENCE = 0.05  # once that was in vain: until it is free again, the next ones wait no longer
_MOMENT = 0.01
_READINGS = 10  # so often a file is read that others change meanwhile, before they have to wait
_OURS = 0x42724C6C  # "BrLl", https://www.sqlite.org/pragma.html#pragma_application_id
_VERSION = 2  # of the tables: change it with them
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
)


class Database:
    """The file, and the connection by which it is written.

    Threads may share it, one at a time. A transaction that was committed survives the end of the
    process, however it ends; only a power cut may undo the last ones
    (https://www.sqlite.org/pragma.html#pragma_synchronous, NORMAL). Until something is written, a
    file is only read, and nothing is made beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._closing: weakref.finalize[..., Database] | None = None
        self._place: tuple[int, int] | None = None
        self._patience = _PATIENCE
        if path.exists():
            self.read(lambda _: None)
        else:
            with self._named():
                self._open(make=True)
            self.close()  # a server that forks its workers from C then has nothing open

    @property
    def is_busy(self) -> bool:
        """Whether a transaction is going on."""
        return self._connection is not None and self._connection.in_transaction

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write what is done with the connection, all of it or nothing.

        Raises:
            ConfigurationError: The file cannot be used, or has become something else.
        """
        with self._named():
            connection = self.connection()
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._wait_for(_PATIENCE)

    def read(self, query: Query[_T]) -> _T:
        """Return what *query* finds, in one moment of the ledger.

        Raises:
            ConfigurationError: The file cannot be used, or has become something else.
        """
        with self._named():
            if self._connection is None:
                return self._read_only(query)
            connection = self.connection()
            try:
                connection.execute("BEGIN")
                return query(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def connection(self) -> sqlite3.Connection:
        """Return the connection, opened if need be, and again if the file was replaced."""
        if self._connection is not None and self._seen() != self._place:
            self.close()
        return self._connection or self._open(make=False)

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        finalizer, self._closing, self._connection = self._closing, None, None
        if finalizer is not None:
            finalizer()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn what goes wrong within into a `ConfigurationError`."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                self._wait_for(min(_IMPATIENCE, _PATIENCE))
            raise ConfigurationError(
                f"the ledger {self.path} cannot be used ({error}): see that the file is there, that"
                " it and its folder can be written, and that the disk is not full; or give another"
                " path",
                cause=error,
            ) from error

    def _wait_for(self, seconds: float) -> None:
        """Wait so long for other processes from now on."""
        if seconds != self._patience:
            self._patience = seconds
            if self._connection is not None:
                self._connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def _open(self, *, make: bool) -> sqlite3.Connection:
        connection = _connect(self.path, "mode=rwc" if make else "mode=rw", self._patience)
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                if not _is_ledger(connection, self.path):
                    _make_tables(connection)
            _share(connection, self._patience)
            self._place = self._seen()
        except BaseException:
            connection.close()
            raise
        self._closing = weakref.finalize(self, connection.close)
        self._closing.atexit = False  # the ledger has something to write then
        self._connection = connection
        return connection

    def _seen(self) -> tuple[int, int]:
        """Return which file it is now: one that was deleted can still be written, in vain."""
        found = os.stat(self.path)  # noqa: PTH116 - with every transaction, and much faster
        return found.st_dev, found.st_ino

    def _read_only(self, query: Query[_T]) -> _T:
        """Return what *query* finds in a file that we do not write; nothing is made beside it.

        A file without a journal is complete in itself, and read without locks, for which SQLite
        would make files (https://www.sqlite.org/wal.html, "Read-Only Databases"); should it change
        meanwhile, it is read again. Where there is a journal, there are the files for locks too.
        """
        path = self.path
        for reading in range(_READINGS):
            *_, has_journal = state = _state(path)
            alone = not has_journal and reading < _READINGS - 1
            mode = "mode=ro&immutable=1" if alone else "mode=ro"
            try:
                with closing(_connect(path, mode, self._patience)) as connection:
                    connection.execute("BEGIN")
                    found = _found(connection, path, query)
            except sqlite3.DatabaseError:  # it may have changed while it was read
                if not alone or _state(path) == state:
                    raise
            else:
                if not alone or _state(path) == state:
                    break
        return found


def _connect(path: Path | None, mode: str, patience: float) -> sqlite3.Connection:
    return sqlite3.connect(
        ":memory:" if path is None else f"{path.as_uri()}?{mode}",
        uri=path is not None,
        timeout=patience,
        isolation_level=None,  # transactions are ours to begin
        check_same_thread=False,
    )


def _state(path: Path) -> tuple[int, int, int, int, bool]:
    """Return what can be seen of a file from outside: whether it has a journal is the last."""
    found = path.stat()
    journals = (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal"))
    journal = any(each.exists() and each.stat().st_size for each in journals)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, journal


def _found(connection: sqlite3.Connection, path: Path, query: Query[_T]) -> _T:
    if _is_ledger(connection, path):
        return query(connection)
    with closing(_connect(None, "", 0)) as empty:
        _make_tables(empty)
        return query(empty)


def _is_ledger(connection: sqlite3.Connection, path: Path) -> bool:
    """Say whether the database is a ledger; if not, it is empty.

    Raises:
        ConfigurationError: It is something else, or of another version.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if not application and not version and not tables:
        return False
    if application != _OURS:
        raise ConfigurationError(
            f"{path} is some other program's database, not a ledger of costs: give another path"
        )
    if version != _VERSION:
        cure = "upgrade it, or give" if version > _VERSION else "give"
        raise ConfigurationError(
            f"{path} is a ledger of version {version}, and this bruno-llm-base reads version"
            f" {_VERSION}: {cure} another path"
        )
    return True


def _make_tables(connection: sqlite3.Connection) -> None:
    for table in _TABLES:
        connection.execute(table)
    connection.execute(f"PRAGMA application_id = {_OURS}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")


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
