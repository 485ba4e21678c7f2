"""What a ledger keeps of requests, and what it is asked.

Amounts are whole numbers of picodollars. A picodollar is 1e-12 USD, so a price per million tokens
with up to six decimals is a whole number of them per token, and sums of such costs are exact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any, NamedTuple

from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.values import shown

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
    dollars, rest = divmod(picodollars, 10**_DIGITS)
    if not rest:
        return Decimal(dollars)
    return Decimal(picodollars).scaleb(-_DIGITS, _EXACT).normalize(_EXACT)


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

    @property
    def known_cost(self) -> Decimal | None:
        """What is known of the cost, in USD; None if nothing is."""
        return None if self.unpriced and self.unpriced == self.requests else self.cost


_FIELDS = tuple(field.name for field in fields(Row))
KEYS, COUNTS = _FIELDS[:5], _FIELDS[5:]
"""What entries are distinguished by, and what is summed up of them."""

LABELS = KEYS[1:]
"""What a budget can select by."""

_COST = COUNTS.index("cost")


def row_of(by: Sequence[str], values: Sequence[Any], counts: Sequence[int]) -> Row:
    """Return a row of *counts*, one for each of `COUNTS`, for the *values* of *by*; "" is none."""
    facts: dict[str, Any] = dict(zip(COUNTS, counts, strict=True))
    for key, value in zip(by, values, strict=True):
        facts[key] = date.fromisoformat(value) if key == "day" else value or None
    return Row(**facts | {"cost": usd(facts["cost"])})


def summed(rows: Iterable[Row], by: Sequence[str]) -> list[Row]:
    """Return the sums of *rows* by some of `KEYS`, in their order; without any, one sum of all."""
    groups: dict[tuple[str, ...], list[int]] = {} if by else {(): [0] * len(COUNTS)}
    for row in rows:
        values = tuple([str(getattr(row, key) or "") for key in by])
        counts = [getattr(row, name) for name in COUNTS]
        counts[_COST] = pico(row.cost)
        known = groups.get(values)
        groups[values] = (
            counts if known is None else list(map(sum, zip(known, counts, strict=True)))
        )
    return [row_of(by, values, counts) for values, counts in sorted(groups.items())]


def checked_keys(by: object) -> tuple[str, ...]:
    """Return the `KEYS` in *by*, one or several, each once.

    Raises:
        InvalidRequestError: There is something else.
    """
    names = (by,) if isinstance(by, str) else by
    if not isinstance(names, Sequence) or not all(name in KEYS for name in names):
        raise InvalidRequestError(f"by is {shown(by)}: give some of {', '.join(KEYS)}")
    return tuple(dict.fromkeys(names))


Names = tuple[str, str, str, str]
"""A value for each of `LABELS`; "" for none."""


class Entry(NamedTuple):
    """A request that has ended: the day, in ISO format, and a number for each of `COUNTS`."""

    day: str
    names: Names
    counts: Sequence[int]


class Kept(NamedTuple):
    """A batch that a vendor has taken: what its rows may cost at most, and what they are booked under."""

    batch: str
    names: Names
    amount: int
    hold: str | None  # of which the amount is a part


class Settled(NamedTuple):
    """A row of a batch that was answered, as its key and its entry say; without these, the batch's end."""

    batch: str
    key: str = ""
    entry: Entry | None = None


class Claim(NamedTuple):
    """What a budget says of one of its accounts."""

    selected: tuple[tuple[str, str], ...]  # labels of what it counts, and their values
    since: str  # the first day of the period, in ISO format; "" for all of time
    most: int


class Balance(NamedTuple):
    """How an account stands."""

    spent: int
    held: int
