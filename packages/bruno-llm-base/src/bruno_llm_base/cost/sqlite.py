"""A ledger in an SQLite file."""

# ruff: noqa: S608 - all names in the statements are ours

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection

from bruno_llm_base.cost.ledger_store import KEEPING, LEASE, Entries, Tables
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
from bruno_llm_base.sqlite_file import SqliteFile
from bruno_llm_base.values import INT64

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
)
_UPDATES = (
    # The rows of batches that are booked, and since when.
    """CREATE TABLE settled (
        batch TEXT, key TEXT, time REAL, PRIMARY KEY (batch, key)
    ) WITHOUT ROWID""",
)
_DAY = 86_400
_COST = COUNTS.index("cost")

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


class SqliteTables:
    """`Tables` of a file, by a connection to it; *now* is in seconds since 1970."""

    def __init__(self, connection: Connection, now: float) -> None:
        self._connection = connection
        self._now = now

    def add(self, entries: Entries) -> None:
        """See `Tables`."""
        for (day, names), counts in entries.items():
            self._add(day, names, [min(count, INT64) for count in counts])

    def _add(self, day: str, names: Names, counts: Sequence[int]) -> None:
        self._connection.execute(_ADD, (day, *names, *counts))
        if cost := counts[_COST]:
            accounts = (("", ""), *zip(LABELS, names, strict=True))
            spent = [(*account, day, cost) for account in accounts]
            self._connection.executemany(_ADD_SPENT, spent)

    def release(self, holds: Iterable[str]) -> None:
        """See `Tables`."""
        self._connection.executemany("DELETE FROM held WHERE id = ?", zip(holds))

    def renew(self, holds: Iterable[str]) -> None:
        """See `Tables`."""
        values = [(self._now + LEASE, hold) for hold in holds]
        self._connection.executemany("UPDATE held SET expires = ? WHERE id = ?", values)

    def hold(self, hold: str, names: Names, amount: int) -> None:
        """See `Tables`."""
        values = (hold, *names, min(amount, INT64), self._now + LEASE)
        self._connection.execute("INSERT INTO held VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def keep(self, note: Kept) -> None:
        """See `Tables`."""
        self._connection.execute("DELETE FROM settled WHERE time < ?", (self._now - KEEPING,))
        amount = min(note.amount, INT64)
        values = (note.batch, *note.names, amount, self._now + KEEPING)
        kept = "INSERT OR IGNORE INTO held VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._connection.execute(kept, values)
        self._take(note.hold, amount)

    def settle(self, note: Settled) -> None:
        """See `Tables`."""
        batch, key, entry = note
        if entry is None:
            self.release([batch])
            return
        booking = "INSERT OR IGNORE INTO settled VALUES (?, ?, ?)"
        if self._connection.execute(booking, (batch, key, self._now)).rowcount:
            kept = f"SELECT {', '.join(LABELS)} FROM held WHERE id = ?"
            names = self._connection.execute(kept, (batch,)).fetchone() or entry.names
            counts = [min(count, INT64) for count in entry.counts]
            self._add(entry.day, names, counts)
            self._take(batch, counts[_COST])

    def _take(self, hold: str | None, amount: int) -> None:
        less = "UPDATE held SET amount = max(0, amount - ?) WHERE id = ?"
        self._connection.execute(less, (amount, hold))

    def forget_dead_holds(self) -> None:
        """See `Tables`."""
        self._connection.execute("DELETE FROM held WHERE expires < ?", (self._now - _DAY,))

    def balances(self, claims: Sequence[Claim]) -> list[Balance]:
        """See `Tables`."""
        return [self._balance(claim) for claim in claims]

    def _balance(self, claim: Claim) -> Balance:
        where = "".join(f" AND {label} = ?" for label, _ in claim.selected)
        values = [value for _, value in claim.selected]
        if len(values) > 1:
            spent = f"SELECT {_sum('cost')} FROM entries WHERE day >= ?{where}"
            found = self._connection.execute(spent, (claim.since, *values))
        else:
            (account,) = claim.selected or (("", ""),)
            spent = f"SELECT {_sum('cost')} FROM spent WHERE day >= ? AND label = ? AND value = ?"
            found = self._connection.execute(spent, (claim.since, *account))
        held = self._connection.execute(
            f"SELECT {_sum('amount')} FROM held WHERE expires > ?{where}", (self._now, *values)
        )
        return Balance(_whole(*found.fetchone()), _whole(*held.fetchone()))

    def sums(
        self, by: Sequence[str], since: str, until: str, values: Mapping[str, str]
    ) -> list[Row]:
        """See `Tables`."""
        where = "".join(f" AND {label} = ?" for label in values)
        order = f" GROUP BY {', '.join(by)} ORDER BY {', '.join(by)}" if by else ""
        query = (
            f"SELECT {', '.join((*by, *map(_sum, COUNTS)))} FROM entries"
            f" WHERE day >= ? AND day <= ?{where}{order}"
        )
        size = len(by)
        return [
            row_of(by, found[:size], list(map(_whole, found[size::2], found[size + 1 :: 2])))
            for found in self._connection.execute(query, (since, until or "~", *values.values()))
        ]


class LedgerFile(SqliteFile[Tables]):
    """A `LedgerStore`; *clock* tells the time."""

    kind = "ledger"
    holds = "a ledger of costs"
    application = 0x42724C6C  # "BrLl"
    oldest = _OLDEST
    version = _VERSION

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        super().__init__(path)

    @classmethod
    def updates(cls, version: int) -> Iterable[str]:
        """Return the statements that make the tables which a ledger of an older *version* lacks."""
        return (*(() if version else _TABLES), *_UPDATES)

    def tables(self, connection: Connection) -> SqliteTables:
        """See `SqliteFile`."""
        return SqliteTables(connection, self._clock().timestamp())
