"""What the ledger says about a while, as sums, and as text, CSV, JSON and Markdown."""

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple, Self
from unicodedata import combining, east_asian_width

from bruno_llm_base.cost.ledger import COUNTS, KEYS, LABELS, Row, pico, usd
from bruno_llm_base.cost.price import Overrides, PriceSource
from bruno_llm_base.cost.prices import GenaiPrices
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.values import shown

__all__ = [
    "Column",
    "Report",
    "cell",
    "columns",
    "dollars",
    "known_cost",
    "notes",
    "origin",
    "period",
    "plain",
    "requests",
]

# What a spreadsheet may run (https://owasp.org/www-community/attacks/CSV_Injection: also the
# full-width signs), and our own mark, so that taking one away again is always right.
_MARKED = re.compile("[-=+@\t\r\n'\uff0d\uff1d\uff0b\uff20]")
_MARKUP = re.compile(r"[\\|<>&`*_~\[\]]")
_NAMED = 3  # so many models are named where more would tire


@dataclass(frozen=True, slots=True)
class Report:
    """What was spent in a while, for people and for programs.

    `print(report)` shows a table. All sums come from the same entries, so they agree.

    Attributes:
        entries: The finest rows: one per day, provider, model, tag and user.
        by: What `rows` and the tables are grouped by.
        since: The first day (UTC), or None for the beginning.
        until: The last day (UTC), or None for the present.
        prices: Where prices come from, for people, where that is known. The ledger does not keep
            the source of every price, so this names the one in use when the report was made.
    """

    entries: tuple[Row, ...]
    by: tuple[str, ...] = ("day", "provider", "model")
    since: date | None = None
    until: date | None = None
    prices: str | None = None

    @classmethod
    def of(
        cls,
        entries: Iterable[Row],
        *,
        by: str | Sequence[str],
        since: date | None,
        until: date | None,
        prices: PriceSource | None,
    ) -> Self:
        """Return a report about a tracker's finest rows, whose own source of prices is *prices*.

        Raises:
            InvalidRequestError: *by* names something else.
        """
        return cls(tuple(entries), _checked(by), since, until, _source(prices))

    @property
    def rows(self) -> list[Row]:
        """The entries, summed up by `by`."""
        return self.sums(*self.by)

    @property
    def total(self) -> Row:
        """All of it in one row, with zeros where there was no request."""
        return _summed(self.entries, ())

    @property
    def days(self) -> tuple[date | None, date | None]:
        """The first and the last day: those asked for, else the first and last with a request."""
        days = [row.day for row in self.entries if row.day is not None]
        return self.since or min(days, default=None), self.until or max(days, default=None)

    def sums(self, *by: str) -> list[Row]:
        """Return the entries summed up, such as by `"tag"`, or by `"provider", "model"`.

        In time's order where *by* has the day, the dearest first otherwise (and within a day).
        Without *by*, that is the total alone.

        Raises:
            InvalidRequestError: *by* names something else.
        """
        by = _checked(by)
        groups = defaultdict(list)
        for row in self.entries:
            groups[tuple(getattr(row, label) for label in by)].append(row)
        rows = [_summed(group, by) for group in groups.values()] if by else [self.total]
        return sorted(rows, key=_place)

    def table(self) -> str:
        """Return a text of aligned columns, for terminals and logs."""
        shape = columns(self)
        lines = [[column.title for column in shape]]
        lines += [[cell(row, column) for column in shape] for row in self.rows]
        lines += self._last_line(shape)
        widths = [max(map(_width, texts)) for texts in zip(*lines, strict=True)]
        drawn = []
        for line in lines:
            parts = []
            for text, width, column in zip(line, widths, shape, strict=True):
                space = " " * (width - _width(text))
                parts.append(text + space if column.is_label else space + text)
            drawn.append("  ".join(parts).rstrip())
        rule = "-" * (sum(widths) + 2 * len(widths) - 2)
        if self.by:
            drawn.insert(-1, rule)
        drawn.insert(1, rule)
        return "\n".join([*self._remarks(), "", *drawn])

    def __str__(self) -> str:
        return self.table()

    def to_csv(self) -> str:
        r"""Return the rows as CSV (RFC 4180), for spreadsheets and programs.

        The columns are those of `by`, then requests, input_tokens, output_tokens,
        cache_read_tokens, cache_write_tokens, reasoning_tokens, cost, unpriced and estimated. Days
        are ISO 8601, costs USD in full precision, and empty where no request of the row has a
        known price. A tag or user that there is none of is empty.

        A name that starts with = + - @ ' (or a full-width one), a tab or a line break gets a '
        before it, because a spreadsheet might run it
        (https://owasp.org/www-community/attacks/CSV_Injection); to have the name, take one away.
        """
        out = StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow([*self.by, *COUNTS])
        for row in self.rows:
            values = _values(row, self.by)
            for label in self.by:
                if _MARKED.match(values[label] or ""):
                    values[label] = f"'{values[label]}"
            writer.writerow(values.values())
        return out.getvalue()

    def to_json(self) -> str:
        """Return everything as JSON (RFC 8259), for programs.

        One object of `version` (1; later versions of 1 may add keys), `currency` ("USD"), `since`
        and `until` (ISO 8601 or null), `prices` (string or null), `by` (array of strings),
        `total` (a sum), `sums` (of `day`, `provider`, `model`, `tag` and `user`, each an array of
        sums) and `rows` (the sums by `by`).

        A sum is an object of what it is grouped by (`day` is ISO 8601; `tag` and `user` are null
        where a request had none; those of `model` also have their `provider`), `cost` (USD in
        full precision as a string; null where no request has a known price) and the integers
        `requests`, `input_tokens`, `output_tokens`, `cache_read_tokens`, `cache_write_tokens`,
        `reasoning_tokens`, `unpriced` and `estimated`.
        """
        # a model's name means little without its provider
        groups = {label: ("provider", "model") if label == "model" else (label,) for label in KEYS}
        document = {
            "version": 1,
            "currency": "USD",
            "since": _iso(self.since),
            "until": _iso(self.until),
            "prices": self.prices,
            "by": self.by,
            "total": _values(self.total, ()),
            "sums": {
                label: [_values(row, by) for row in self.sums(*by)] for label, by in groups.items()
            },
            "rows": [_values(row, self.by) for row in self.rows],
        }
        return json.dumps(document, indent=2) + "\n"

    def to_markdown(self) -> str:
        """Return the rows as a table of GitHub's Markdown, names shown as they are."""
        shape = columns(self)
        lines = [[column.title for column in shape]]
        lines += [["---" if column.is_label else "--:" for column in shape]]
        lines += [[_literal(cell(row, column)) for column in shape] for row in self.rows]
        lines += [[text and f"**{text}**" for text in line] for line in self._last_line(shape)]
        said = "\n\n".join(map(_literal, self._remarks()))
        drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{said}\n\n{drawn}\n"

    def save(self, path: str | Path) -> None:
        """Write the report in the format of *path*'s suffix: .csv, .json or .md, in UTF-8.

        A page with charts is written by `bruno_llm_cli.report.write_html`, of bruno-llm-cli.

        Raises:
            InvalidRequestError: The suffix is another.
            OSError: The file cannot be written.
        """
        path = Path(path)
        formats: dict[str, Callable[[], str]] = {
            ".csv": self.to_csv,
            ".json": self.to_json,
            ".md": self.to_markdown,
        }
        made = formats.get(path.suffix.lower())
        if made is None:
            raise InvalidRequestError(
                f"path is {shown(str(path))}: give a file name that ends in {', '.join(formats)};"
                " a page (.html) is written by bruno_llm_cli.report.write_html, of bruno-llm-cli"
            )
        path.write_text(made(), encoding="utf-8", newline="")

    def _last_line(self, shape: Sequence["Column"]) -> list[list[str]]:
        """Return the line of totals; where nothing is grouped, the only row says it all."""
        if not self.by:
            return []
        amounts = [cell(self.total, column) for column in shape if not column.is_label]
        return [["Total", *[""] * (len(self.by) - 1), *amounts]]

    def _remarks(self) -> list[str]:
        """Return what stands above a table, first of all the sum of everything."""
        total = self.total
        cost = dollars(known_cost(total), 2)
        if total.unpriced and total.unpriced < total.requests:
            cost = f"at least {cost}"
        when = f", {period(self)}" if all(self.days) else ""
        first = f"{cost} for {requests(total.requests)}{when}."
        return [text for text in (first, *notes(self), origin(self)) if text]


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
    return [*labels, *_AMOUNTS, *(column for column in _IF_ANY if getattr(total, column.field))]


def cell(row: Row, column: Column) -> str:
    """Return what a table says of *row* in *column*."""
    if column.field == "cost":
        return dollars(known_cost(row))
    value = getattr(row, column.field)
    if column.is_label:
        return "-" if value is None else plain(str(value))
    return f"{value:,}"


def known_cost(row: Row) -> Decimal | None:
    """Return what is known of *row*'s cost in USD, or None if nothing is."""
    return None if row.unpriced and row.unpriced == row.requests else row.cost


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
    return f"Price data when this was made: {plain(report.prices)}." if report.prices else ""


def requests(number: int) -> str:
    """Return *number* with its noun."""
    return f"{number:,} request{'' if number == 1 else 's'}"


def _checked(by: object) -> tuple[str, ...]:
    names = (by,) if isinstance(by, str) else by
    if not isinstance(names, Sequence) or not all(name in KEYS for name in names):
        raise InvalidRequestError(f"by is {shown(by)}: give some of {', '.join(KEYS)}")
    return tuple(dict.fromkeys(names))


def _source(prices: PriceSource | None) -> str:
    """Return whose prices they are, in words."""
    if isinstance(prices, Overrides):
        own = len(prices.prices)
        return f"your own for {own} model{'' if own == 1 else 's'}, else {_source(None)}"
    if prices is not None and not isinstance(prices, GenaiPrices):
        return f"{type(prices).__name__}, else {_source(None)}"
    try:
        return f"genai-prices {version('genai-prices')}"
    except PackageNotFoundError:
        return "none, as genai-prices is not installed"


def _summed(rows: Iterable[Row], by: Sequence[str]) -> Row:
    rows = list(rows)
    facts: dict[str, Any] = {label: getattr(rows[0], label) for label in by}
    counts = {name: sum(getattr(row, name) for row in rows) for name in COUNTS if name != "cost"}
    # Exact in whole numbers; Decimals are as exact as the application's own context lets them.
    return Row(**facts, **counts, cost=usd(sum(pico(row.cost) for row in rows)))


def _place(row: Row) -> tuple[Any, ...]:
    names = [getattr(row, label) or "" for label in LABELS]
    return row.day or date.min, row.cost.copy_negate(), *names


def _values(row: Row, by: Sequence[str]) -> dict[str, Any]:
    """Return what programs read of *row*."""
    values: dict[str, Any] = {name: getattr(row, name) for name in (*by, *COUNTS)}
    if "day" in values:
        values["day"] = _iso(values["day"])
    cost = known_cost(row)
    values["cost"] = None if cost is None else f"{cost:f}"
    return values


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _literal(text: str) -> str:
    """Return *text* so that Markdown shows it as it is."""
    return _MARKUP.sub(r"\\\g<0>", text)


def _width(text: str) -> int:
    """Return how many columns of a terminal *text* takes (Unicode Standard Annex 11)."""
    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)
