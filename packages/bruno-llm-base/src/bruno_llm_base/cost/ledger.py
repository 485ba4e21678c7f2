"""Where costs are kept: what a ledger is, and one in memory.

Amounts are whole numbers of picodollars. A picodollar is 1e-12 USD, so a price per million tokens
with up to six decimals is a whole number of them per token, and sums of such costs are exact.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Context, Decimal
from threading import RLock
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from bruno_llm_base.forks import start_fresh_in_children

__all__ = [
    "COUNTS",
    "KEYS",
    "LABELS",
    "MOST",
    "PICO",
    "Balance",
    "Claim",
    "Entry",
    "Ledger",
    "MemoryLedger",
    "Names",
    "Row",
    "Selection",
    "fits",
    "pico",
    "row",
    "usd",
]

PICO = 10**12
"""Picodollars in a dollar."""

MOST = Decimal("1E+12")
"""A trillion dollars: more is a mistake."""

_DIGITS = 12
_EXACT = Context(prec=100, rounding=ROUND_CEILING)  # the application's own may hold fewer digits


def pico(cost: Decimal) -> int:
    """Return *cost*, in USD, in picodollars; a started one counts, so that no sum says too little."""
    exact = min(cost, MOST).scaleb(_DIGITS, _EXACT)
    return int(exact.to_integral_value(ROUND_CEILING, _EXACT))


def usd(picodollars: int) -> Decimal:
    """Return *picodollars* in USD, without needless zeros."""
    if not picodollars % PICO:
        return Decimal(picodollars // PICO)
    return Decimal(picodollars).scaleb(-_DIGITS, _EXACT).normalize(_EXACT)


KEYS = ("day", "provider", "model", "tag", "user")
"""What entries are distinguished by."""

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

Names = tuple[str, str, str, str]
"""A value for each of `LABELS`; "" for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What some requests took and cost together.

    Attributes:
        day: The day, in UTC. It and the next four are None where the row is about all of them, and
            where they have none.
        provider: The provider's name.
        model: The model that was asked.
        tag: The label of that name.
        user: The label of that name.
        requests: How many were recorded.
        input_tokens: All input, cached or not.
        output_tokens: All output, reasoning included.
        cache_read_tokens: Input that was read from a cache.
        cache_write_tokens: Input that was written to a cache.
        reasoning_tokens: Output that was reasoning.
        cost: The sum of what is known, in USD. It is all that they cost only if `unpriced` is 0.
        unpriced: How many of them have an unknown price, so they are not in `cost`.
        estimated: How many of them were not counted by the server, but by us.
    """

    day: date | None = None
    provider: str | None = None
    model: str | None = None
    tag: str | None = None
    user: str | None = None
    requests: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost: Decimal
    unpriced: int
    estimated: int


def row(by: Sequence[str], values: Sequence[str], counts: Sequence[int]) -> Row:
    """Return a row of *counts*, one for each of `COUNTS`, for the *values* of *by*."""
    facts: dict[str, Any] = {name: value or None for name, value in zip(by, values, strict=True)}
    if "day" in facts:
        facts["day"] = date.fromisoformat(facts["day"])
    facts |= zip(COUNTS, counts, strict=True)
    return Row(**facts | {"cost": usd(facts["cost"])})


class Entry(NamedTuple):
    """A request that has ended.

    Attributes:
        day: The day, in ISO format.
        names: What the request was.
        counts: One number for each of `COUNTS`.
    """

    day: str
    names: Names
    counts: tuple[int, ...]


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


def fits(amount: int, claims: Sequence[Claim], balances: Sequence[Balance]) -> bool:
    """Return whether *amount* is too much for none of *claims*, whose accounts stand like that."""
    return all(
        balance.spent + balance.held + amount <= claim.most
        for claim, balance in zip(claims, balances, strict=True)
    )


class Selection(NamedTuple):
    """Which entries are asked for.

    Attributes:
        since: The first day, in ISO format; "" for all.
        until: The last day; "" for all.
        values: Labels and the values that they must have.
    """

    since: str
    until: str
    values: Mapping[str, str]


class Ledger(Protocol):
    """Keeps what requests took and cost, and what is held for those on their way.

    Threads share it. What a process held that ended or was killed is free soon after; in a forked
    process, its parent's holds are not its own.
    """

    @property
    def address(self) -> str | None:
        """Where it is; two ledgers of one address are the same. None in memory."""

    async def hold(
        self, names: Names, amount: int, claims: Sequence[Claim]
    ) -> tuple[str | None, list[Balance]]:
        """Hold *amount*, if with all that is spent and held it is too much for no claim.

        Returns:
            The name of the hold, or None if it would be too much, and how each claim's account stood before it.

        Raises:
            ConfigurationError: The ledger cannot be read or written.
        """

    def note(self, hold: str | None, entry: Entry | None = None) -> None:
        """Release *hold* and add *entry*, both with what is written next.

        Never blocks and never raises, from whatever thread or finalizer it is called.
        """

    def write_soon(self) -> "Future[None] | None":
        """See to it that what was noted is written. Never blocks or raises.

        Returns:
            What is done when it was tried; None if that was at once.
        """

    def write(self) -> None:
        """Write what was noted, which may take a while.

        Never raises: what cannot be written is logged, kept and tried again.
        """

    def balance(self, claim: Claim) -> Balance:
        """Return what the claim's account has spent, and what is held of it.

        Raises:
            ConfigurationError: The ledger cannot be read or written.
        """

    def sums(self, by: Sequence[str], selection: Selection) -> list[Row]:
        """Return the sums of the entries, in the order of *by*, some of `KEYS`.

        Raises:
            ConfigurationError: The ledger cannot be read or written.
        """

    def close(self) -> None:
        """Write what is left, and give back what is open; it is opened again when needed.

        Raises:
            ConfigurationError: Something is left that could not be written.
        """


class MemoryLedger:
    """A ledger in memory; a forked process begins with an empty one."""

    address = None

    def __init__(self) -> None:
        self.start_fresh()
        start_fresh_in_children(self)

    def start_fresh(self) -> None:
        """Begin without entries and holds."""
        self._lock = RLock()
        self._notes: deque[tuple[str | None, Entry | None]] = deque()
        self._is_writing = False
        self._entries: dict[tuple[str, ...], list[int]] = {}
        # the costs again, by label, value and day: budgets ask all the time
        self._spent: dict[tuple[str, str], dict[str, int]] = {}
        self._held: dict[str, tuple[Names, int]] = {}

    async def hold(
        self, names: Names, amount: int, claims: Sequence[Claim]
    ) -> tuple[str | None, list[Balance]]:
        """Hold *amount*, if it is too much for no claim; see `Ledger`."""
        with self._lock:
            balances = [self.balance(claim) for claim in claims]
            if not fits(amount, claims, balances):
                return None, balances
            hold = uuid4().hex
            self._held[hold] = names, amount
            return hold, balances

    def note(self, hold: str | None, entry: Entry | None = None) -> None:
        """Release *hold* and add *entry* with what is written next; never blocks or raises."""
        self._notes.append((hold, entry))

    def write_soon(self) -> None:
        """Write what was noted, at once."""
        self.write()

    def write(self) -> None:
        """Write what was noted."""
        with self._lock:
            if self._is_writing:
                return  # a finalizer has interrupted what goes on to write it
            self._is_writing = True
            while self._notes:
                hold, entry = self._notes.popleft()
                if hold is not None:
                    self._held.pop(hold, None)
                if entry is not None:
                    self._add(entry)
            self._is_writing = False

    def balance(self, claim: Claim) -> Balance:
        """Return what the claim's account has spent, and what is held of it."""
        with self._lock:
            self.write()
            if len(claim.selected) > 1:
                (total,) = self.sums((), Selection(claim.since, "", dict(claim.selected)))
                spent = pico(total.cost)
            else:
                days = self._spent.get(claim.selected[0] if claim.selected else ("", ""), {})
                spent = sum(cost for day, cost in days.items() if day >= claim.since)
            wanted = [(LABELS.index(label), value) for label, value in claim.selected]
            held = sum(
                amount
                for names, amount in self._held.values()
                if all(names[place] == value for place, value in wanted)
            )
            return Balance(spent, held)

    def sums(self, by: Sequence[str], selection: Selection) -> list[Row]:
        """Return the sums of the entries, in the order of *by*."""
        with self._lock:
            self.write()
            places = [KEYS.index(name) for name in by]
            wanted = [(KEYS.index(name), value) for name, value in selection.values.items()]
            groups: dict[tuple[str, ...], list[list[int]]] = {} if by else {(): []}
            for key, counts in self._entries.items():
                in_time = selection.since <= key[0] and key[0] <= (selection.until or key[0])
                if in_time and all(key[place] == value for place, value in wanted):
                    groups.setdefault(tuple(key[place] for place in places), []).append(counts)
        none = [0] * len(COUNTS)
        return [
            row(by, values, [sum(each) for each in zip(none, *found, strict=True)])
            for values, found in sorted(groups.items())
        ]

    def close(self) -> None:
        """Write what is left; it stays in memory."""
        self.write()

    def _add(self, entry: Entry) -> None:
        key = (entry.day, *entry.names)
        known = self._entries.get(key, [0] * len(COUNTS))
        self._entries[key] = [a + b for a, b in zip(known, entry.counts, strict=True)]
        cost = entry.counts[COUNTS.index("cost")]
        for account in (("", ""), *zip(LABELS, entry.names, strict=True)):
            days = self._spent.setdefault(account, {})
            days[entry.day] = days.get(entry.day, 0) + cost
