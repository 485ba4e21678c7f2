"""The server: connected, kept up to date, asked again when it was away for a moment."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import SystemRandom
from typing import Any, LiteralString, TypeVar
from uuid import uuid4

import psycopg
from bruno_llm_base.cost.ledger_store import Entries, Tables
from bruno_llm_base.exceptions import ConfigurationError
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from bruno_llm_postgres.tables import STEPS, PostgresTables

# not the process's, which an application may have seeded; forked workers would share another's state
_RANDOM = SystemRandom()
_T = TypeVar("_T")
_Query = Callable[[Tables], _T]

_PATIENCE = 5.0  # seconds that a server may be away, or another process's transaction may take
_IMPATIENCE = 0.05  # once that was in vain: until it is there again, the next ones wait no longer
_PAUSE = 0.1  # seconds between two tries
_LOCK = 0x6272_6C6C  # of all that write: "brll"
_PASSING = ("08", "40", "57P", "53300")
"""SQLSTATEs: connection lost, conflict, shutting down or starting, too many clients."""
_REFUSALS = (
    "does not exist",
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
)
"""What an English server says as it refuses a connection: psycopg tells no SQLSTATE of these."""
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    "fallback_application_name": "bruno-llm",
    "keepalives_idle": 30,
    "tcp_user_timeout": 5000,
}


def ledger_store(url: str) -> "PostgresStore":
    """Return where a ledger at *url* is kept; its first use connects.

    Raises:
        ConfigurationError: The URL is malformed.
    """
    scheme, _, rest = url.partition("://")
    try:
        parts = conninfo_to_dict(f"{scheme.lower()}://{rest}")
    except psycopg.Error:  # its words may hold the password
        raise ConfigurationError(
            "CostTracker.path is not a URL of PostgreSQL: give one such as"
            " 'postgresql://user:password@host:5432/database'"
        ) from None
    return PostgresStore(parts)


@dataclass
class _Doubt:
    """A transaction of which it is not known whether it was committed."""

    transaction: str
    entries: Entries
    holds: list[str]


class PostgresStore:
    """A `LedgerStore`: one transaction at a time writes, by a lock, and the server's clock alone counts."""

    _connection: psycopg.Connection[Any] | None = None

    def __init__(self, parts: dict[str, Any]) -> None:
        self._parts = parts
        self._secrets = [
            str(parts[name]) for name in ("password", "sslpassword") if parts.get(name)
        ]
        self._id = uuid4().hex
        self._patience = _PATIENCE
        self._me = ""  # of this process
        self._doubt: _Doubt | None = None
        self._booked: Entries = {}  # entries that the ledger does not know to be written

    def __str__(self) -> str:
        """Return where it is, without a secret."""
        user, host, port, database = (
            self._parts.get(name) for name in ("user", "host", "port", "dbname")
        )
        at, name = f"{user}@" if user else "", f"/{database}" if database else ""
        return f"postgresql://{at}{host or ''}{f':{port}' if port else ''}{name}"

    def write(self, work: _Query[_T]) -> _T:
        """See `LedgerStore`."""
        return self._tried(lambda: self._write(work))

    def read(self, query: _Query[_T]) -> _T:
        """See `LedgerStore`."""
        return self._tried(lambda: self._read(query))

    def close(self) -> None:
        """See `LedgerStore`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    __del__ = close

    def _tried(self, work: Callable[[], _T]) -> _T:
        """Try *work* until it succeeds, or the server was away for too long."""
        give_up = time.monotonic() + self._patience
        while True:
            try:
                result = work()
            except (psycopg.Error, OSError) as error:
                self.close()
                is_late = time.monotonic() > give_up
                if is_late or not _is_passing(error):
                    if is_late or isinstance(error, errors.LockNotAvailable):
                        self._patience = min(_IMPATIENCE, _PATIENCE)
                    raise self._named(error) from None
                time.sleep(_RANDOM.uniform(0.5, 1) * min(_PAUSE, _PATIENCE))
            except BaseException:
                self.close()
                raise
            else:
                self._patience = _PATIENCE
                return result

    def _write(self, work: _Query[_T]) -> _T:
        connection, transaction = self._opened(), uuid4().hex
        if (
            me := f"{self._id}.{os.getpid()}"
        ) != self._me:  # a child has none of its parent's doubts
            self._me, self._doubt, self._booked = me, None, {}
        with connection.pipeline():
            _begin(connection)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            if self._doubt is not None:
                self._resolve(connection, self._doubt)
            connection.execute(
                "INSERT INTO bruno_writers VALUES (%s, %s, now()) ON CONFLICT (id)"
                " DO UPDATE SET transaction = excluded.transaction, time = now()",
                (me, transaction),
            )
            tables = PostgresTables(connection, self._booked)
            result = work(tables)
            entries = {key: list(counts) for key, counts in tables.entries.items()}
            self._doubt = _Doubt(transaction, entries, tables.holds)
            connection.execute("COMMIT")
        self._doubt, self._booked = None, {}
        return result

    def _resolve(self, connection: psycopg.Connection[Any], doubt: _Doubt) -> None:
        """Find out about a transaction, which has ended: it had the lock."""
        found = connection.execute(
            "SELECT 1 FROM bruno_writers WHERE id = %s AND transaction = %s",
            (self._me, doubt.transaction),
        )
        if found.fetchone():
            self._booked = doubt.entries
            PostgresTables(connection, {}).release(doubt.holds)  # they were given to no request
        else:
            self._doubt = None

    def _read(self, query: _Query[_T]) -> _T:
        connection = self._opened()
        with connection.pipeline():
            _begin(connection, " ISOLATION LEVEL REPEATABLE READ READ ONLY")
            result = query(PostgresTables(connection, {}))
            connection.execute("COMMIT")
            return result

    def _opened(self) -> psycopg.Connection[Any]:
        """Return the connection, to tables of our version."""
        if self._connection is None:
            self._connection = psycopg.connect(**(_DEFAULTS | self._parts), autocommit=True)
            encoding = self._connection.info.parameter_status("server_encoding")
            if encoding != "UTF8":
                raise ConfigurationError(
                    f"the database of {self} is encoded in {encoding}: make one with ENCODING 'UTF8'"
                )
            self._update(self._connection)
        return self._connection

    def _update(self, connection: psycopg.Connection[Any]) -> None:
        """Make the tables, or those that are new."""
        if (version := _version(connection)) < len(STEPS):
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                version = _version(connection)  # another process may have been faster
                for step in STEPS[version:]:
                    for statement in step:
                        connection.execute(statement)
                if version < len(STEPS):
                    connection.execute(
                        "CREATE TABLE IF NOT EXISTS bruno_version (version integer NOT NULL)"
                    )
                    connection.execute("DELETE FROM bruno_version")
                    connection.execute("INSERT INTO bruno_version VALUES (%s)", (len(STEPS),))
        elif version > len(STEPS):
            raise ConfigurationError(
                f"the ledger at {self} is of version {version}, and this bruno-llm-postgres reads"
                f" version {len(STEPS)}: upgrade it, or give another database"
            )

    def _named(self, error: Exception) -> ConfigurationError:
        """Return an error that says what to do, without a secret."""
        said = " ".join(str(error).split())
        for secret in self._secrets:
            said = said.replace(secret, "***")
        match error:
            case errors.InsufficientPrivilege():
                cure = (
                    "let its role make the tables, GRANT USAGE, CREATE ON SCHEMA public TO the_role, or"
                    " use those that another has made, GRANT SELECT, INSERT, UPDATE, DELETE ON ALL"
                    " TABLES IN SCHEMA public TO the_role"
                )
            case errors.ReadOnlySqlTransaction():
                cure = "it can only be read: give the address of the primary server"
            case errors.DiskFull():
                cure = "make room on the server's disk"
            case errors.LockNotAvailable() | errors.QueryCanceled():
                cure = "another transaction has it locked: see pg_stat_activity"
            case _:
                cure = (
                    "see that the server runs, and that host, user, password and database are right"
                )
        return ConfigurationError(
            f"the ledger at {self} cannot be used ({said}): {cure}", cause=error
        )


def _begin(connection: psycopg.Connection[Any], how: LiteralString = "") -> None:
    """Begin a transaction that waits for no other one for long, and that no other one waits for."""
    connection.execute(f"BEGIN{how}")
    connection.execute(
        "SELECT set_config('lock_timeout', %s, true),"
        " set_config('idle_in_transaction_session_timeout', '10s', true)",
        (f"{round(_PATIENCE * 1000)}ms",),
    )


def _version(connection: psycopg.Connection[Any]) -> int:
    """Return the version of the ledger; 0 where there is none."""
    # not to_regclass, which remembers that there was none while another process made it
    found = connection.execute(
        "SELECT 1 FROM pg_class WHERE relname = 'bruno_version' AND pg_table_is_visible(oid)"
    )
    if found.fetchone() is None:
        return 0
    (version,) = connection.execute("SELECT max(version) FROM bruno_version").fetchone() or (0,)
    return int(version)


def _is_passing(error: Exception) -> bool:
    """Say whether it may be well in a moment."""
    state = getattr(error, "sqlstate", None)
    if state:
        return str(state).startswith(_PASSING)
    is_refused = any(words in str(error) for words in _REFUSALS)
    return isinstance(error, OSError | psycopg.OperationalError) and not is_refused
