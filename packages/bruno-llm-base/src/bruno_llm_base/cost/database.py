"""The SQLite database that a ledger is kept in: opened, recognized, made where it is new."""

import sqlite3
from pathlib import Path

from bruno_llm_base.exceptions import ConfigurationError

__all__ = ["opened"]

_PATIENCE = 5.0  # seconds that one process waits for another's transaction
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
    """CREATE TABLE held (
        owner TEXT PRIMARY KEY, space TEXT, pid INTEGER, started TEXT, amount INTEGER, touched REAL
    ) WITHOUT ROWID""",
)


def opened(path: Path | None, *, make: bool) -> sqlite3.Connection:
    """Return a connection to the ledger at *path*, in memory if None, for any thread.

    A transaction that was committed survives the end of the process, however it ends; only a power
    cut may undo the last ones (https://www.sqlite.org/pragma.html#pragma_synchronous, NORMAL).

    Args:
        path: The file, absolute.
        make: Whether to make it if it is missing.

    Raises:
        ConfigurationError: The file is something else, or of a newer version.
        sqlite3.Error: It cannot be opened, read or written.
    """
    connection = sqlite3.connect(
        ":memory:" if path is None else f"{path.as_uri()}?mode={'rwc' if make else 'rw'}",
        uri=path is not None,
        timeout=_PATIENCE,
        isolation_level=None,  # transactions are ours to begin
        check_same_thread=False,
    )
    try:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            _recognize(connection, path)
        if path is not None:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


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
