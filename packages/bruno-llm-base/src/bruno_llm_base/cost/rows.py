"""What was recorded, summed up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from bruno_llm_base.cost.ledger import Ledger
from bruno_llm_base.cost.money import usd
from bruno_llm_base.cost.tables import COUNTS, KEYS
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.options import did_you_mean
from bruno_llm_base.values import shown

__all__ = ["Row", "rows", "storable"]


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
        unpriced: How many of them nobody knows a price for, so they are not in `cost`.
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


def rows(ledger: Ledger, by: str | Sequence[str], **selected: object) -> list[Row]:
    """Return the sums of what *ledger* has, in the order of what they are told apart by.

    Args:
        ledger: The ledger.
        by: Some of `KEYS`.
        selected: The days "since" and "until", and values of `KEYS`; None selects everything.

    Raises:
        InvalidRequestError: A value is of the wrong type, or *by* names something else.
        ConfigurationError: The ledger cannot be read.
    """
    names = tuple(dict.fromkeys((by,) if isinstance(by, str) else by))
    for name in names:
        if name not in KEYS:
            raise InvalidRequestError(
                f"there are no totals by {shown(name)}{did_you_mean(str(name), KEYS)}"
            )
    conditions, values = ["1"], []
    for name, value in selected.items():
        if value is not None:
            condition, checked = _condition(name, value)
            conditions.append(condition)
            values.append(checked)
    sums = ledger.sums(names, " AND ".join(conditions), values)
    return [_row(names, found) for found in sums]


def storable(text: str) -> str:
    """Return *text* as it can be stored: half of a surrogate pair cannot."""
    return text.encode(errors="backslashreplace").decode()


def _condition(name: str, value: object) -> tuple[str, str]:
    if name in _DAYS:
        if not isinstance(value, date) or isinstance(value, datetime):
            raise InvalidRequestError(f"{name} is {shown(value)}: give a datetime.date")
        return f"day {_DAYS[name]} ?", value.isoformat()
    if not isinstance(value, str):
        raise InvalidRequestError(f"{name} is {shown(value)}: give a text")
    return f"{name} = ?", storable(value)


_DAYS = {"since": ">=", "until": "<="}


def _row(by: Sequence[str], sums: Sequence[Any]) -> Row:
    facts: dict[str, Any] = {name: value or None for name, value in zip(by, sums, strict=False)}
    if "day" in facts:
        facts["day"] = date.fromisoformat(facts["day"])
    facts |= {name: value or 0 for name, value in zip(COUNTS, sums[len(by) :], strict=True)}
    return Row(**facts | {"cost": usd(facts["cost"])})
