"""The tables of a ledger, and all the SQL on them; amounts are in picodollars."""

# ruff: noqa: S608 - all names in the statements are ours

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bruno_llm_base.cost.money import PICO
from bruno_llm_base.values import INT64

__all__ = [
    "COUNTS",
    "KEYS",
    "LABELS",
    "TABLES",
    "Balance",
    "Claim",
    "Hold",
    "Key",
    "Names",
    "add",
    "balance",
    "forget_the_dead",
    "hold",
    "let_go",
    "live_on",
    "release_all",
    "sums",
]

KEYS = ("day", "provider", "model", "tag", "user")
"""What entries are told apart by."""

LABELS = KEYS[1:]
"""What a budget can select by."""

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
"""What is summed up of them."""

Key = tuple[str, str, str, str, str]
"""A value for each of `KEYS`; "" for none."""

Names = tuple[str, str, str, str]
"""A value for each of `LABELS`; "" for none."""

TABLES = (
    # What was asked for, summed up: it grows with what is told apart, not with the requests.
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
    # What requests on their way may cost, for each ledger of each process.
    """CREATE TABLE held (
        owner TEXT, provider TEXT, model TEXT, tag TEXT, user TEXT, amount INTEGER,
        PRIMARY KEY (owner, provider, model, tag, user)
    ) WITHOUT ROWID""",
    # Until when each of these ledgers is taken to be alive, unless it is heard of again.
    "CREATE TABLE owners (owner TEXT PRIMARY KEY, until REAL) WITHOUT ROWID",
)

_DAY = 86_400


class Hold(NamedTuple):
    """What is held, for what, and by whom: a forked process does not hold its parent's."""

    owner: str
    names: Names
    amount: int


class Claim(NamedTuple):
    """What a budget says of one of its accounts.

    Attributes:
        selected: The labels of what it counts, and their values; none for all of the ledger.
        since: The first day of the period, in ISO format; "" for all of time.
        most: The limit.
    """

    selected: tuple[tuple[str, str], ...]
    since: str
    most: int


class Balance(NamedTuple):
    """How an account stands."""

    spent: int
    held: int


def _sum(column: str) -> str:
    """Return a sum in two columns: one of picodollars may be too large for SQLite."""
    return f"sum({column} / {PICO}), sum({column} % {PICO})"


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
_HOLD = (
    "INSERT INTO held VALUES (?, ?, ?, ?, ?, ?)"
    f" ON CONFLICT (owner, {', '.join(LABELS)}) DO UPDATE SET {_added('amount')}"
)
_LET_GO = (
    "UPDATE held SET amount = amount - ?"
    f" WHERE owner = ? AND {' AND '.join(f'{label} = ?' for label in LABELS)}"
)
_LIVE_ON = (
    "INSERT INTO owners SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM held WHERE owner = ?1)"
    " ON CONFLICT (owner) DO UPDATE SET until = excluded.until"
)
_SPENT = f"SELECT {_sum('cost')} FROM spent WHERE label = ? AND value = ? AND day >= ?"
_SPENT_BY_SEVERAL = f"SELECT {_sum('cost')} FROM entries WHERE day >= ?"
_HELD = (
    f"SELECT {_sum('amount')} FROM held"
    " WHERE (owner = ? OR owner IN (SELECT owner FROM owners WHERE until > ?))"
)


def add(connection: sqlite3.Connection, key: Key, counts: Sequence[int]) -> None:
    """Add *counts* to the entry of *key*."""
    counts = [min(count, INT64) for count in counts]
    connection.execute(_ADD, (*key, *counts))
    if cost := counts[COUNTS.index("cost")]:
        day, *names = key
        for label, value in (("", ""), *zip(LABELS, names, strict=True)):
            connection.execute(_ADD_SPENT, (label, value, day, cost))


def sums(
    connection: sqlite3.Connection, by: Sequence[str], where: str, values: Sequence[str]
) -> list[list[Any]]:
    """Return the sums of `COUNTS` over the entries, after the names in *by* that they share.

    Args:
        connection: The ledger.
        by: Some of `KEYS`.
        where: A condition of `KEYS`.
        values: For its question marks.
    """
    columns = [*by, *(f"sum({name})" for name in COUNTS if name != "cost"), _sum("cost")]
    order = f" GROUP BY {', '.join(by)} ORDER BY {', '.join(by)}" if by else ""
    query = f"SELECT {', '.join(columns)} FROM entries WHERE {where}{order}"
    place = len(by) + COUNTS.index("cost")
    return [
        [*row[:place], _whole(*row[-2:]), *row[place:-2]]
        for row in connection.execute(query, values)
    ]


def balance(connection: sqlite3.Connection, claim: Claim, owner: str, now: float) -> Balance:
    """Return how the account of *claim* stands *now*, in the eyes of *owner*."""
    where = "".join(f" AND {label} = ?" for label, _ in claim.selected)
    values = [value for _, value in claim.selected]
    if len(values) > 1:
        spent = connection.execute(_SPENT_BY_SEVERAL + where, (claim.since, *values))
    else:
        account = claim.selected[0] if values else ("", "")
        spent = connection.execute(_SPENT, (*account, claim.since))
    held = connection.execute(_HELD + where, (owner, now, *values))
    return Balance(_whole(*spent.fetchone()), _whole(*held.fetchone()))


def hold(connection: sqlite3.Connection, what: Hold) -> None:
    """Hold *what*."""
    connection.execute(_HOLD, (what.owner, *what.names, min(what.amount, INT64)))


def let_go(connection: sqlite3.Connection, holds: Iterable[Hold]) -> None:
    """Hold each of *holds* no longer."""
    for each in holds:
        connection.execute(_LET_GO, (min(each.amount, INT64), each.owner, *each.names))
    connection.execute("DELETE FROM held WHERE amount <= 0")


def live_on(connection: sqlite3.Connection, owner: str, until: float) -> bool:
    """Take *owner* to be alive until then, and say whether it holds anything, as only then it counts."""
    return connection.execute(_LIVE_ON, (owner, until)).rowcount > 0


def release_all(connection: sqlite3.Connection, owner: str) -> None:
    """Let *owner* hold nothing any more."""
    connection.execute("DELETE FROM held WHERE owner = ?", (owner,))
    connection.execute("DELETE FROM owners WHERE owner = ?", (owner,))


def forget_the_dead(connection: sqlite3.Connection, now: float) -> None:
    """Forget whoever was not heard of for a day, and what they held."""
    connection.execute("DELETE FROM owners WHERE until < ?", (now - _DAY,))
    connection.execute("DELETE FROM held WHERE owner NOT IN (SELECT owner FROM owners)")


def _whole(dollars: int | None, rest: int | None) -> int:
    return (dollars or 0) * PICO + (rest or 0)
