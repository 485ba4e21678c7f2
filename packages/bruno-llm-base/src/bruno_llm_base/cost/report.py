"""What the ledger says about a while, as sums, and as text, CSV, JSON and Markdown."""

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import combining, east_asian_width

from bruno_llm_base.cost.rows import COUNTS, KEYS, LABELS, Row, checked_keys, pico, usd
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.values import shown

__all__ = ["Column", "Report", "cell", "dollars", "plain", "requests"]

# What a spreadsheet may run (https://owasp.org/www-community/attacks/CSV_Injection: also the
# full-width signs), and our own mark, so that taking one away again is always right.
_MARKED = re.compile("[-=+@\t\r\n'\uff0d\uff1d\uff0b\uff20]")
_MARKUP = re.compile(r"[\\|<>&`*_~\[\]]")
_NAMED = 3  # so many models are named where more would tire
_ALWAYS = ("cost", "requests", "input_tokens", "output_tokens")  # columns, even if all is 0


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

    @property
    def period(self) -> str:
        """The days in words, such as "2026-11-01 to 2026-11-30"."""
        first, last = self.days
        if first is None or last is None:
            return "no requests yet"
        return f"{first}" if first == last else f"{first} to {last}"

    @property
    def notes(self) -> list[str]:
        """What a reader of the sums has to know."""
        total, said = self.total, []
        if total.unpriced:
            models = [plain(str(row.model)) for row in self.sums("model") if row.unpriced]
            rest = len(models) - _NAMED
            more = f" and {rest} more" if rest > 0 else ""
            said.append(
                f"No price is known for {total.unpriced:,} of {requests(total.requests)}"
                f" ({', '.join(models[:_NAMED])}{more}); what they cost is in no sum."
            )
        if total.estimated:
            said.append(
                f"The tokens of {total.estimated:,} of {requests(total.requests)} are estimated, as"
                " the server did not count them."
            )
        return said

    @property
    def origin(self) -> str:
        """Where prices come from, in words; "" if that is not known."""
        return f"Price data when this was made: {plain(self.prices)}." if self.prices else ""

    @property
    def columns(self) -> "list[Column]":
        """The columns that a table needs; what is 0 everywhere has none."""
        total = self.total
        used = (name for name in COUNTS if name not in _ALWAYS and getattr(total, name))
        return [Column(name) for name in (*self.by, *_ALWAYS, *used)]

    def sums(self, *by: str) -> list[Row]:
        """Return the entries summed up, such as by `"tag"`, or by `"provider", "model"`.

        In time's order where *by* has the day, the dearest first otherwise (and within a day).
        Without *by*, that is the total alone.

        Raises:
            InvalidRequestError: *by* names something else.
        """
        keys = checked_keys(by)
        groups = defaultdict(list) if by else {(): list(self.entries)}
        for row in self.entries if by else ():
            groups[tuple(getattr(row, key) for key in keys)].append(row)
        return sorted((_summed(group, keys) for group in groups.values()), key=_place)

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """Return a text of aligned columns, for terminals and logs."""
        shape, lines = self._cells()
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

    def to_markdown(self) -> str:
        """Return the rows as a table of GitHub's Markdown, names shown as they are."""
        shape, (titles, *rows) = self._cells()
        total = [[text and f"**{text}**" for text in rows.pop()]] if self.by else []
        rule = ["---" if column.is_label else "--:" for column in shape]
        lines = [titles, rule, *(map(_literal, row) for row in rows), *total]
        said = "\n\n".join(map(_literal, self._remarks()))
        drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{said}\n\n{drawn}\n"

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
            marked = {key: f"'{values[key]}" for key in self.by if _MARKED.match(values[key] or "")}
            writer.writerow((values | marked).values())
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
        groups = {key: ("provider", "model") if key == "model" else (key,) for key in KEYS}
        sums = {key: [_values(row, by) for row in self.sums(*by)] for key, by in groups.items()}
        document = {
            "version": 1,
            "currency": "USD",
            "since": _iso(self.since),
            "until": _iso(self.until),
            "prices": self.prices,
            "by": self.by,
            "total": _values(self.total, ()),
            "sums": sums,
            "rows": [_values(row, self.by) for row in self.rows],
        }
        return json.dumps(document, indent=2) + "\n"

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
        if path.suffix.lower() not in formats:
            raise InvalidRequestError(
                f"path is {shown(str(path))}: give a file name that ends in {', '.join(formats)};"
                " a page (.html) is written by bruno_llm_cli.report.write_html, of bruno-llm-cli"
            )
        path.write_text(formats[path.suffix.lower()](), encoding="utf-8", newline="")

    def _cells(self) -> tuple[list["Column"], list[list[str]]]:
        """Return the columns, and their cells: titles, rows and, if these are grouped, the total."""
        shape = self.columns
        lines = [[column.title for column in shape]]
        lines += [[cell(row, column) for column in shape] for row in self.rows]
        if self.by:
            amounts = [cell(self.total, column) for column in shape if not column.is_label]
            lines.append(["Total", *[""] * (len(self.by) - 1), *amounts])
        return shape, lines

    def _remarks(self) -> list[str]:
        """Return what stands above a table, first of all the sum of everything."""
        total = self.total
        cost = dollars(total.known_cost, 2)
        if total.unpriced and total.unpriced < total.requests:
            cost = f"at least {cost}"
        when = f", {self.period}" if all(self.days) else ""
        first = f"{cost} for {requests(total.requests)}{when}."
        return [text for text in (first, *self.notes, self.origin) if text]


class Column(NamedTuple):
    """One column of a table, which shows a field of `Row`."""

    field: str

    @property
    def title(self) -> str:
        """What stands above it."""
        return self.field.removesuffix("_tokens").replace("_", " ").capitalize()

    @property
    def is_label(self) -> bool:
        """Whether it says what the row is about, rather than how much."""
        return self.field in KEYS


def cell(row: Row, column: Column) -> str:
    """Return what a table says of *row* in *column*."""
    if column.field == "cost":
        return dollars(row.known_cost)
    value = getattr(row, column.field)
    if column.is_label:
        return "-" if value is None else plain(str(value))
    return f"{value:,}"


def dollars(amount: Decimal | None, digits: int = 4) -> str:
    """Return *amount* in USD with *digits* decimals.

    Small amounts get as many as two significant digits need: only nothing is ever "$0".
    """
    if amount is None:
        return "unknown"
    return f"${amount:,.{max(digits, 1 - amount.adjusted())}f}" if amount else "$0"


def plain(text: str) -> str:
    """Return *text* with nothing in it that moves a cursor, breaks a line or turns a direction."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def requests(number: int) -> str:
    """Return *number* with its noun."""
    return f"{number:,} request{'' if number == 1 else 's'}"


def _summed(rows: Sequence[Row], keys: Iterable[str]) -> Row:
    facts: dict[str, Any] = {key: getattr(rows[0], key) for key in keys}
    counts = {name: sum(getattr(row, name) for row in rows) for name in COUNTS if name != "cost"}
    # Exact in whole numbers; Decimals are as exact as the application's own context lets them.
    return Row(**facts, **counts, cost=usd(sum(pico(row.cost) for row in rows)))


def _place(row: Row) -> tuple[Any, ...]:
    names = [getattr(row, label) or "" for label in LABELS]
    return row.day or date.min, row.cost.copy_negate(), *names


def _values(row: Row, by: Iterable[str]) -> dict[str, Any]:
    """Return what programs read of *row*."""
    values: dict[str, Any] = {name: getattr(row, name) for name in (*by, *COUNTS)}
    if "day" in values:
        values["day"] = _iso(values["day"])
    cost = row.known_cost
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
