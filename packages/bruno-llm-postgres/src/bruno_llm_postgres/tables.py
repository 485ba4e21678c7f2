"""The tables of a ledger in PostgreSQL, and what a transaction does with them."""

# ruff: noqa: S608 - all names in the statements are ours

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, LiteralString

from bruno_llm_base.cost.ledger_store import KEEPING, LEASE, Entries
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
from bruno_llm_base.values import INT64
from psycopg import Connection, Cursor, sql

_KEYS: sql.Composable = sql.SQL(", ").join(map(sql.Identifier, KEYS))
_LABELS: sql.Composable = sql.SQL(", ").join(map(sql.Identifier, LABELS))
_COST = COUNTS.index("cost")
_LONGEST = 500  # bytes of a name: an index cannot have rows above 2,704
_DAY = 86_400


def _composed(text: LiteralString, **parts: sql.Composable) -> sql.Composed:
    return sql.SQL(text).format(keys=_KEYS, labels=_LABELS, **parts)


STEPS: tuple[tuple[sql.SQL | sql.Composed, ...], ...] = (
    (
        _composed(
            """CREATE TABLE bruno_entries (
                day text COLLATE "C", provider text, model text, tag text, "user" text,
                {counts}, PRIMARY KEY ({keys})
            )""",
            counts=sql.SQL(", ").join(
                [sql.SQL("{} bigint NOT NULL").format(sql.Identifier(name)) for name in COUNTS]
            ),
        ),
        # For budgets that select by a user and something else.
        sql.SQL('CREATE INDEX bruno_entries_of_users ON bruno_entries ("user", day)'),
        # The costs again, of all and by one label, such as ("user", "ann"): budgets ask all the time.
        sql.SQL("""CREATE TABLE bruno_spent (
                label text, value text, day text COLLATE "C", cost bigint NOT NULL,
                PRIMARY KEY (label, value, day)
            )"""),
        # What requests on their way may cost, and until when that counts.
        sql.SQL("""CREATE TABLE bruno_held (
                id text PRIMARY KEY, provider text, model text, tag text, "user" text,
                amount bigint NOT NULL, expires timestamptz NOT NULL
            )"""),
        # The rows of batches that are booked, and since when.
        sql.SQL("""CREATE TABLE bruno_settled (
                batch text, key text, time timestamptz NOT NULL, PRIMARY KEY (batch, key)
            )"""),
        # The last transaction of each process: the answer to a COMMIT may be lost.
        sql.SQL("""CREATE TABLE bruno_writers (
                id text PRIMARY KEY, transaction text NOT NULL, time timestamptz NOT NULL
            )"""),
        # For people: in dollars.
        _composed(
            """CREATE VIEW bruno_costs AS SELECT
                day::date AS day, provider, model, nullif(tag, '') AS tag,
                nullif("user", '') AS "user", {counts}, cost / 1e12 AS cost_usd
            FROM bruno_entries""",
            counts=sql.SQL(", ").join([sql.Identifier(name) for name in COUNTS if name != "cost"]),
        ),
    ),
)
"""What makes a ledger of the next version, beginning with version 1: add to them, change none."""


def _added(table: str, column: str) -> sql.Composed:
    """Return how a column is added up: past 64 bits it would be an error, for good."""
    return sql.SQL("{0} = least({1}.{0}::numeric + excluded.{0}, {2})").format(
        sql.Identifier(column), sql.Identifier(table), sql.Literal(INT64)
    )


_ADD = _composed(
    "INSERT INTO bruno_entries VALUES ({values}) ON CONFLICT ({keys}) DO UPDATE SET {added}",
    values=sql.SQL(", ").join([sql.Placeholder()] * (len(KEYS) + len(COUNTS))),
    added=sql.SQL(", ").join([_added("bruno_entries", name) for name in COUNTS]),
)
_ADD_SPENT = _composed(
    "INSERT INTO bruno_spent VALUES (%s, %s, %s, %s)"
    " ON CONFLICT (label, value, day) DO UPDATE SET {added}",
    added=_added("bruno_spent", "cost"),
)
_HOLD = """INSERT INTO bruno_held VALUES (%s, %s, %s, %s, %s, %s, now() + make_interval(secs => %s))
    ON CONFLICT (id) DO NOTHING RETURNING id"""


class PostgresTables:
    """`Tables` of a server, by a connection to it.

    Args:
        connection: In a transaction that no other one writes beside.
        booked: Entries that the ledger does not know to be written.
    """

    def __init__(self, connection: Connection[Any], booked: Entries) -> None:
        self._connection = connection
        self._booked = booked
        self.entries: Entries = {}
        self.holds: list[str] = []

    def add(self, entries: Entries) -> None:
        """See `Tables`."""
        self.entries = entries
        nothing = [0] * len(COUNTS)
        for (day, names), exact in entries.items():
            known = self._booked.get((day, names), nothing)
            counts = [count - old for count, old in zip(exact, known, strict=True)]
            if any(counts):
                self._add(day, names, counts)

    def _add(self, day: str, names: Names, exact: Sequence[int]) -> None:
        counts = [min(count, INT64) for count in exact]
        stored = [_stored(name) for name in names]
        self._connection.execute(_ADD, (day, *stored, *counts))
        if cost := counts[_COST]:
            accounts = (("", ""), *zip(LABELS, stored, strict=True))
            with self._connection.cursor() as cursor:
                cursor.executemany(_ADD_SPENT, [(*account, day, cost) for account in accounts])

    def release(self, holds: Iterable[str]) -> None:
        """See `Tables`."""
        if wanted := list(holds):
            self._connection.execute("DELETE FROM bruno_held WHERE id = ANY(%s)", (wanted,))

    def renew(self, holds: Iterable[str]) -> None:
        """See `Tables`."""
        self._connection.execute(
            "UPDATE bruno_held SET expires = now() + make_interval(secs => %s) WHERE id = ANY(%s)",
            (LEASE, list(holds)),
        )

    def hold(self, hold: str, names: Names, amount: int) -> None:
        """See `Tables`."""
        self.holds.append(hold)
        self._hold(hold, names, amount, LEASE)

    def _hold(self, hold: str, names: Names, amount: int, seconds: float) -> Cursor[Any]:
        stored = [_stored(name) for name in names]
        return self._connection.execute(_HOLD, (hold, *stored, min(amount, INT64), seconds))

    def keep(self, note: Kept) -> None:
        """See `Tables`."""
        self._connection.execute(
            "DELETE FROM bruno_settled WHERE time < now() - make_interval(secs => %s)", (KEEPING,)
        )
        if self._hold(note.batch, note.names, note.amount, KEEPING).fetchone():
            self._take(note.hold, note.amount)

    def settle(self, note: Settled) -> None:
        """See `Tables`."""
        batch, key, entry = note
        if entry is None:
            self.release([batch])
            return
        booking = (
            "INSERT INTO bruno_settled VALUES (%s, %s, now()) ON CONFLICT DO NOTHING RETURNING key"
        )
        if self._connection.execute(booking, (batch, _stored(key))).fetchone():
            kept = _composed("SELECT {labels} FROM bruno_held WHERE id = %s")
            names = self._connection.execute(kept, (batch,)).fetchone()
            self._add(entry.day, names or entry.names, entry.counts)
            self._take(batch, entry.counts[_COST])

    def _take(self, hold: str | None, amount: int) -> None:
        self._connection.execute(
            "UPDATE bruno_held SET amount = greatest(0, amount - %s::numeric) WHERE id = %s",
            (amount, hold),
        )

    def forget_dead_holds(self) -> None:
        """See `Tables`."""
        old = "now() - make_interval(secs => %s)"
        self._connection.execute(f"DELETE FROM bruno_held WHERE expires < {old}", (_DAY,))
        self._connection.execute(f"DELETE FROM bruno_writers WHERE time < {old}", (_DAY,))

    def balances(self, claims: Sequence[Claim]) -> list[Balance]:
        """See `Tables`."""
        asked = [self._ask(claim) for claim in claims]
        return [Balance(*map(int, cursor.fetchone() or ())) for cursor in asked]

    def _ask(self, claim: Claim) -> Cursor[Any]:
        values = [_stored(value) for _, value in claim.selected]
        held = spent = _where([label for label, _ in claim.selected])
        table, accounts = "bruno_entries", values
        if len(values) < 2:
            table, spent = "bruno_spent", sql.SQL(" AND label = %s AND value = %s")
            accounts = [claim.selected[0][0], *values] if values else ["", ""]
        query = _composed(
            "SELECT (SELECT coalesce(sum(cost), 0) FROM {table} WHERE day >= %s{spent}),"
            " (SELECT coalesce(sum(amount), 0) FROM bruno_held WHERE expires > now(){held})",
            table=sql.Identifier(table),
            spent=spent,
            held=held,
        )
        return self._connection.execute(query, (claim.since, *accounts, *values))

    def sums(
        self, by: Sequence[str], since: str, until: str, values: Mapping[str, str]
    ) -> list[Row]:
        """See `Tables`."""
        sums = [sql.SQL("coalesce(sum({}), 0)").format(sql.Identifier(name)) for name in COUNTS]
        ordered = sql.SQL(", ").join(
            [sql.SQL('{} COLLATE "C"').format(sql.Identifier(key)) for key in by]
        )
        query = _composed(
            "SELECT {found} FROM bruno_entries WHERE day >= %s AND day <= %s{where}{order}",
            found=sql.SQL(", ").join([*map(sql.Identifier, by), *sums]),
            where=_where(values),
            order=(
                sql.SQL(" GROUP BY {0} ORDER BY {1}").format(
                    sql.SQL(", ").join(map(sql.Identifier, by)), ordered
                )
                if by
                else sql.SQL("")
            ),
        )
        selected = [_stored(value) for value in values.values()]
        size = len(by)
        return [
            row_of(by, found[:size], list(map(int, found[size:])))
            for found in self._connection.execute(query, (since, until or "~", *selected))
        ]


def _where(labels: Iterable[str]) -> sql.Composable:
    return sql.Composed([sql.SQL(" AND {} = %s").format(sql.Identifier(label)) for label in labels])


def _stored(name: str) -> str:
    """Return a name as it can be stored: without NUL, and not too long for an index."""
    name = name.replace("\0", "\\x00")
    encoded = name.encode()
    if len(encoded) <= _LONGEST:
        return name
    return f"{encoded[:400].decode(errors='ignore')}...{sha256(encoded).hexdigest()}"
