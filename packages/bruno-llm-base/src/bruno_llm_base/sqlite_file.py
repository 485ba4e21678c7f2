"""A file that processes share, an SQLite database: made where it is new, recognized, read, written."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from bruno_llm_base.exceptions import ConfigurationError

_T = TypeVar("_T")
_Tables = TypeVar("_Tables")

_PATIENCE = 5.0  # seconds that one process waits for another's transaction
_IMPATIENCE = 0.05  # once that was in vain: until it is free again, the next ones wait no longer
_READINGS = 9  # so often a file is read that others change meanwhile, before they have to wait


class SqliteFile(Generic[_Tables]):
    """The file, and the connection by which it is written.

    What was committed to a file survives the end of the process;
    only a power cut may undo the last transactions. Until something is written, a file is only read,
    and nothing is made beside it.

    Close it before a fork. SQLite forbids to use or even to close a connection in a child of the process
    that opened it (https://www.sqlite.org/howtocorrupt.html, 2.6), and what the library remembers of an
    open file makes the child believe that it holds the parent's locks.

    Raises:
        ConfigurationError: The file cannot be used, or is something else; so do all methods.

    Attributes:
        kind: What it is called.
        holds: What it is called where it is not known what it is.
        application: Whose it is, https://www.sqlite.org/pragma.html#pragma_application_id
        oldest: The oldest version of its tables that is read, and brought up to date when it is written.
        version: Their version.
    """

    kind: ClassVar[str]
    holds: ClassVar[str]
    application: ClassVar[int]
    oldest: ClassVar[int]
    version: ClassVar[int]
    _connection: sqlite3.Connection | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place: tuple[int, int] | None = None
        self._patience = _PATIENCE
        with self._errors_named():
            is_there, is_folder = path.exists(), path.is_dir()
        if is_folder:
            raise ConfigurationError(
                f"{path} is a folder, so not {self.holds}: give the path of a file"
            )
        if is_there:
            self.read(lambda _: None)
        else:
            with self._errors_named():
                self._open("mode=rwc")
            self.close()  # a server that forks its workers from C then has nothing open

    @classmethod
    def updates(cls, version: int) -> Iterable[str]:
        """Return the statements that make the tables which a file of an older *version* lacks, 0 of an empty one."""
        raise NotImplementedError

    def tables(self, connection: sqlite3.Connection) -> _Tables:
        """Return the tables as they are read and written by a connection."""
        raise NotImplementedError

    def write(self, work: Callable[[_Tables], _T]) -> _T:
        """Do *work*, all of it or nothing."""
        with self._errors_named():
            connection = self.connection()
            connection.execute(f"PRAGMA busy_timeout = {int(self._patience * 1000)}")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                result = work(self.tables(connection))
            self._patience = _PATIENCE
            return result

    def read(self, query: Callable[[_Tables], _T]) -> _T:
        """Return what *query* finds, in one moment of the file."""
        with self._errors_named():
            if self._connection is None:
                return self._read_only(query)
            connection = self.connection()
            with connection:
                connection.execute("BEGIN")
                return query(self.tables(connection))

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
            code = getattr(error, "sqlite_errorcode", None)
            if code == sqlite3.SQLITE_NOTADB:
                raise ConfigurationError(
                    f"{self._path} is not a database, so not {self.holds}: give another path",
                    cause=error,
                ) from error
            if code == sqlite3.SQLITE_BUSY:
                self._patience = min(_IMPATIENCE, _PATIENCE)
            raise ConfigurationError(
                f"the {self.kind} {self._path} cannot be used ({error}): see that the file is there, that"
                " it and its folder can be written, and that the disk is not full; or give another"
                " path",
                cause=error,
            ) from error

    def _open(self, mode: str) -> sqlite3.Connection:
        connection = self._connect(mode)
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                self._make_tables(connection, self._version_of(connection))
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

    def _read_only(self, query: Callable[[_Tables], _T]) -> _T:
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

    def _found(self, mode: str, query: Callable[[_Tables], _T]) -> _T:
        with closing(self._connect(mode)) as connection:
            connection.execute("BEGIN")
            if self._version_of(connection):
                return query(self.tables(connection))
        with closing(sqlite3.connect(":memory:")) as empty:
            self._make_tables(empty, 0)
            return query(self.tables(empty))

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.as_uri()}?{mode}",
            uri=True,
            timeout=self._patience,
            isolation_level=None,  # transactions are ours to begin
            check_same_thread=False,
        )

    def _make_tables(self, connection: sqlite3.Connection, version: int) -> None:
        if version < self.version:
            identity = f"PRAGMA application_id = {self.application}"
            number = f"PRAGMA user_version = {self.version}"
            for statement in (*self.updates(version), identity, number):
                connection.execute(statement)

    def _version_of(self, connection: sqlite3.Connection) -> int:
        """Return the version of the tables, 0 of an empty database; anything else is refused."""
        application, version, tables = connection.execute(
            "SELECT application_id, user_version, (SELECT COUNT(*) FROM sqlite_master)"
            " FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        if not application and not version and not tables:
            return 0
        if application != self.application:
            raise ConfigurationError(
                f"{self._path} is some other program's database, not {self.holds}: give another path"
            )
        if not self.oldest <= version <= self.version:
            cure = "upgrade it, or give" if version > self.version else "give"
            raise ConfigurationError(
                f"{self._path} is a {self.kind} of version {version}, and this bruno-llm-base reads"
                f" version {self.version}: {cure} another path"
            )
        return int(version)


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


class PlainSqliteFile(SqliteFile[sqlite3.Connection]):
    """A file whose tables have had one version so far, and are read and written by their connection.

    Attributes:
        schema: The statements that make the tables.
    """

    schema: ClassVar[Iterable[str]]
    oldest = version = 1

    @classmethod
    def updates(cls, version: int) -> Iterable[str]:
        """See `SqliteFile`."""
        del version
        return cls.schema

    def tables(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """See `SqliteFile`."""
        return connection
