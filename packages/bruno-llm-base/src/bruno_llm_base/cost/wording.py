"""How amounts and rows are said to people, in whatever format."""

from decimal import Decimal
from typing import NamedTuple

from bruno_llm_base.cost.report import Report, known_cost
from bruno_llm_base.cost.rows import Row
from bruno_llm_base.cost.tables import KEYS

__all__ = [
    "Column",
    "cell",
    "columns",
    "compact",
    "dollars",
    "headline",
    "mark",
    "notes",
    "origin",
    "period",
    "plain",
    "requests",
]

_NAMED = 3  # so many models are named where more would tire
_UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        field: The field of `Row` that it shows.
        title: What stands above it.
    """

    field: str
    title: str

    @property
    def is_label(self) -> bool:
        """Whether it says what the row is about, rather than how much."""
        return self.field in KEYS


_AMOUNTS = (
    Column("cost", "Cost"),
    Column("requests", "Requests"),
    Column("input_tokens", "Input"),
    Column("output_tokens", "Output"),
)
_IF_ANY = (
    Column("cache_read_tokens", "Cache read"),
    Column("cache_write_tokens", "Cache written"),
    Column("reasoning_tokens", "Reasoning"),
    Column("unpriced", "Unpriced"),
    Column("estimated", "Estimated"),
)


def columns(report: Report) -> list[Column]:
    """Return the columns that a table of *report* needs; what is 0 everywhere has none."""
    labels = (Column(label, label.capitalize()) for label in report.by)
    total = report.total
    extra = (column for column in _IF_ANY if getattr(total, column.field))
    return [*labels, *_AMOUNTS, *extra]


def cell(row: Row, column: Column) -> str:
    """Return what a table says of *row* in *column*."""
    if column.field == "cost":
        return dollars(known_cost(row))
    value = getattr(row, column.field)
    if column.is_label:
        return "-" if value is None else plain(str(value))
    return f"{value:,}"


def dollars(amount: Decimal | None, digits: int = 4) -> str:
    """Return *amount* in USD with *digits* decimals, and for less than a cent (or a dollar, with 2).

    Small amounts get as many as two significant digits need: only nothing is ever "$0".
    """
    if amount is None:
        return "unknown"
    if not amount:
        return "$0"
    return f"${amount:,.{max(digits, 1 - amount.adjusted())}f}"


def mark(amount: Decimal) -> str:
    """Return a round *amount* in USD, for an axis: in no more decimals than it has itself."""
    if not amount:
        return "$0"
    digits = max(0, -int(amount.as_tuple().exponent))
    return f"${amount:,.{2 if digits == 1 else digits}f}"


def compact(amount: Decimal | int) -> str:
    """Return a count in three significant digits, such as "1.23M"."""
    rounded = float(f"{amount:.3g}")
    for unit, suffix in _UNITS:
        if rounded >= unit:
            return f"{rounded / unit:g}{suffix}"
    return f"{rounded:g}"


def plain(text: str) -> str:
    """Return *text* with nothing in it that moves a cursor, breaks a line or turns a direction."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def period(report: Report) -> str:
    """Return the days of *report*, such as "2026-11-01 to 2026-11-30"."""
    first, last = report.days
    if first is None or last is None:
        return "no requests yet"
    return f"{first}" if first == last else f"{first} to {last}"


def notes(report: Report) -> list[str]:
    """Return what a reader of the sums has to know."""
    total, said = report.total, []
    if total.unpriced:
        models = [plain(str(row.model)) for row in report.sums("model") if row.unpriced]
        rest = len(models) - _NAMED
        more = f" and {rest} more" if rest > 0 else ""
        said.append(
            f"No price is known for {total.unpriced:,} of {requests(total.requests)}"
            f" ({', '.join(models[:_NAMED])}{more}); what they cost is in no sum."
        )
    if total.estimated:
        said.append(
            f"The tokens of {total.estimated:,} of {requests(total.requests)} are estimated, as the"
            " server did not count them."
        )
    return said


def origin(report: Report) -> str:
    """Return where prices come from; "" if that is not known."""
    return (
        "" if report.prices is None else f"Price data when this was made: {plain(report.prices)}."
    )


def requests(number: int) -> str:
    """Return *number* with its noun."""
    return f"{number:,} request{'' if number == 1 else 's'}"


def headline(report: Report) -> str:
    """Return the sum of all in one line."""
    total = report.total
    cost = dollars(known_cost(total), 2)
    if total.unpriced and total.unpriced < total.requests:
        cost = f"at least {cost}"
    when = f", {period(report)}" if all(report.days) else ""
    return f"{cost} for {requests(total.requests)}{when}"
