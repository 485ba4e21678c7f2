"""A report as text, CSV, JSON and Markdown."""

import csv
import json
import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from io import StringIO
from typing import Any, NamedTuple
from unicodedata import combining, east_asian_width

from bruno_llm_base.cost.ledger import COUNTS, KEYS, Row
from bruno_llm_base.cost.report import Report, grouping, known_cost

__all__ = [
    "Column",
    "cell",
    "columns",
    "csv_of",
    "dollars",
    "json_of",
    "markdown_of",
    "notes",
    "origin",
    "period",
    "plain",
    "requests",
    "table_of",
]

# What a spreadsheet may run (https://owasp.org/www-community/attacks/CSV_Injection: also the
# full-width signs), and our own mark, so that taking one away again is always right.
_MARKED = re.compile("[-=+@\t\r\n'\uff0d\uff1d\uff0b\uff20]")
_MARKUP = re.compile(r"[\\|<>&`*_~\[\]]")
_NAMED = 3  # so many models are named where more would tire


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


def table_of(report: Report) -> str:
    """Return *report* as a text of aligned columns."""
    shape = columns(report)
    lines = [[column.title for column in shape]]
    lines += [[cell(row, column) for column in shape] for row in report.rows]
    lines += _last(report)
    widths = [max(map(_width, texts)) for texts in zip(*lines, strict=True)]
    drawn = []
    for line in lines:
        parts = []
        for text, width, column in zip(line, widths, shape, strict=True):
            space = " " * (width - _width(text))
            parts.append(text + space if column.is_label else space + text)
        drawn.append("  ".join(parts).rstrip())
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    if report.by:
        drawn.insert(-1, rule)
    drawn.insert(1, rule)
    return "\n".join([f"{headline(report)}.", *_remarks(report), "", *drawn])


def csv_of(report: Report) -> str:
    """Return the rows of *report* as CSV (RFC 4180)."""
    out = StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([*report.by, *COUNTS])
    for row in report.rows:
        values = _values(row, report.by)
        for label in report.by:
            if _MARKED.match(values[label] or ""):
                values[label] = f"'{values[label]}"
        writer.writerow(values.values())
    return out.getvalue()


def json_of(report: Report) -> str:
    """Return *report* as JSON (RFC 8259)."""
    document = {
        "version": 1,
        "currency": "USD",
        "since": _day(report.since),
        "until": _day(report.until),
        "prices": report.prices,
        "by": report.by,
        "total": _values(report.total, ()),
        "sums": {
            label: [_values(row, grouping(label)) for row in report.sums(*grouping(label))]
            for label in KEYS
        },
        "rows": [_values(row, report.by) for row in report.rows],
    }
    return json.dumps(document, indent=2) + "\n"


def markdown_of(report: Report) -> str:
    """Return *report* as a table of GitHub's Markdown."""
    shape = columns(report)
    lines = [[column.title for column in shape]]
    lines += [["---" if column.is_label else "--:" for column in shape]]
    for row in report.rows:
        lines.append([_literal(cell(row, column)) for column in shape])
    lines += [[text and f"**{text}**" for text in line] for line in _last(report)]
    said = "\n\n".join(_literal(text) for text in (f"{headline(report)}.", *_remarks(report)))
    drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{said}\n\n{drawn}\n"


def _last(report: Report) -> list[list[str]]:
    """Return the line of totals; where nothing is grouped, the only row says it all."""
    if not report.by:
        return []
    shape = columns(report)
    amounts = [cell(report.total, column) for column in shape if not column.is_label]
    return [["Total", *[""] * (len(report.by) - 1), *amounts]]


def _remarks(report: Report) -> list[str]:
    return [text for text in (*notes(report), origin(report)) if text]


def _values(row: Row, by: Sequence[str]) -> dict[str, Any]:
    """Return what programs read of *row*."""
    values: dict[str, Any] = {name: getattr(row, name) for name in (*by, *COUNTS)}
    if "day" in values:
        values["day"] = _day(values["day"])
    cost = known_cost(row)
    values["cost"] = None if cost is None else f"{cost:f}"
    return values


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _literal(text: str) -> str:
    """Return *text* so that Markdown shows it as it is."""
    return _MARKUP.sub(r"\\\g<0>", text)


def _width(text: str) -> int:
    """Return how many columns of a terminal *text* takes (Unicode Standard Annex 11)."""
    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)
