"""What the ledger says about a while, as sums, and as CSV, JSON and Markdown."""

import csv
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

from bruno_llm_base.cost.rows import COUNTS, KEYS, Row, checked_keys, summed
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.values import shown

# What a spreadsheet may run (https://owasp.org/www-community/attacks/CSV_Injection: also the
# full-width signs), and our own mark, so that taking one away again is always right.
_MARKED = re.compile("[-=+@\t\r\n'\uff0d\uff1d\uff0b\uff20]")
_MARKUP = re.compile(r"[\\|<>&`*_~\[\]]")
_NAMED = 3  # so many models are named where more would tire
_ALWAYS = ("cost", "requests", "input_tokens", "output_tokens")  # columns, even if all is 0


@dataclass(frozen=True, slots=True)
class Report:
    """What was spent in a while, for people and for programs.

    `print(report)` shows a table in Markdown. All sums come from the same entries, so they agree.

    Attributes:
        entries: The finest rows: one per day, provider, model, tag and user.
        by: What `rows` and the tables are grouped by.
        since: The first day (UTC), or None for the beginning.
        until: The last day (UTC), or None for the present.
    """

    entries: tuple[Row, ...]
    by: tuple[str, ...] = ("day", "provider", "model")
    since: date | None = None
    until: date | None = None

    @property
    def rows(self) -> list[Row]:
        """The entries, summed up by `by`."""
        return self.sums(*self.by)

    @property
    def total(self) -> Row:
        """All of it in one row, with zeros where there was no request."""
        return summed(self.entries, ())[0]

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
    def summary(self) -> list[str]:
        """What stands above a table: the sum of everything, and the notes."""
        total = self.total
        cost = dollars(total.known_cost, 2)
        if total.unpriced and total.unpriced < total.requests:
            cost = f"at least {cost}"
        when = f", {self.period}" if all(self.days) else ""
        return [f"{cost} for {requests(total.requests)}{when}.", *self.notes]

    @property
    def columns(self) -> list[str]:
        """The fields of `Row` that a table needs: what is 0 everywhere has no column."""
        total = self.total
        used = (name for name in COUNTS if name not in _ALWAYS and getattr(total, name))
        return [*self.by, *_ALWAYS, *used]

    def sums(self, *by: str) -> list[Row]:
        """Return the entries summed up, such as by `"tag"`, or by `"provider", "model"`.

        In time's order where *by* has the day, the dearest first otherwise (and within a day).
        Without *by*, that is the total alone.

        Raises:
            InvalidRequestError: *by* names something else.
        """
        rows = summed(self.entries, checked_keys(by))
        return sorted(rows, key=lambda row: (row.day or date.min, row.cost.copy_negate()))

    def cells(self) -> list[list[str]]:
        """Return the lines of a table: titles, rows and, if these are grouped, the total."""
        columns = self.columns
        lines = [[cell(row, column) for column in columns] for row in self.rows]
        if self.by:
            total = [cell(self.total, column) for column in columns[len(self.by) :]]
            lines.append(["Total", *[""] * (len(self.by) - 1), *total])
        return [list(map(title, columns)), *lines]

    def to_markdown(self) -> str:
        """Return the rows as a table of GitHub's Markdown, names shown as they are."""
        titles, *rows = self.cells()
        total = [[text and f"**{text}**" for text in rows.pop()]] if self.by else []
        rule = ["---" if column in KEYS else "--:" for column in self.columns]
        lines = [titles, rule, *(map(_literal, row) for row in rows), *total]
        said = "\n\n".join(map(_literal, self.summary))
        drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{said}\n\n{drawn}\n"

    __str__ = to_markdown
    _repr_markdown_ = to_markdown  # notebooks show it as a table

    def to_csv(self) -> str:
        r"""Return the rows as CSV (RFC 4180), for spreadsheets and programs.

        The columns are those of `by`, then the counts and the cost of `Row`. Days are ISO 8601, costs
        USD in full precision, and empty where no request of the row has a known price. A tag or user
        that there is none of is empty.

        A name that starts with = + - @ ' (or a full-width one), a tab or a line break gets a '
        before it, because a spreadsheet might run it
        (https://owasp.org/www-community/attacks/CSV_Injection); to have the name, take one away.
        """
        out = StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow([*self.by, *COUNTS])
        for row in self.rows:
            values = _values(row, self.by)
            for key in self.by:
                if _MARKED.match(str(values[key])):
                    values[key] = f"'{values[key]}"
            writer.writerow(values.values())
        return out.getvalue()

    def to_json(self) -> str:
        """Return everything as JSON (RFC 8259), for programs.

        One object of `version` (1; later versions of 1 may add keys), `currency` ("USD"), `since` and `until` (ISO 8601 or null),
        `by` (array of strings), `total` (a sum), `sums` (of `day`, `provider`, `model`, `tag` and
        `user`, each an array of sums) and `rows` (the sums by `by`).

        A sum is an object of what it is grouped by (`day` is ISO 8601; `tag` and `user` are null
        where a request had none; those of `model` also have their `provider`) and the counts and the
        cost of `Row`: the cost is USD in full precision as a string, or null where no request has a
        known price.
        """
        # a model's name means little without its provider
        groups = {key: ("provider", "model") if key == "model" else (key,) for key in KEYS}
        document = {
            "version": 1,
            "currency": "USD",
            "since": self.since,
            "until": self.until,
            "by": self.by,
            "total": _values(self.total, ()),
            "sums": {
                key: [_values(row, by) for row in self.sums(*by)] for key, by in groups.items()
            },
            "rows": [_values(row, self.by) for row in self.rows],
        }
        return json.dumps(document, indent=2, default=str) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the report in the format of *path*'s suffix: .csv, .json or .md, in UTF-8.

        Raises:
            InvalidRequestError: The suffix is another.
            OSError: The file cannot be written.
        """
        path = Path(path)
        formats = {".csv": self.to_csv, ".json": self.to_json, ".md": self.to_markdown}
        if path.suffix.lower() not in formats:
            raise InvalidRequestError(
                f"path is {shown(str(path))}: give a file name that ends in {', '.join(formats)};"
                " a page (.html) is written by bruno_llm_cli.report.write_html, of bruno-llm-cli"
            )
        path.write_text(formats[path.suffix.lower()](), encoding="utf-8", newline="")


def title(column: str) -> str:
    """Return what stands above a column."""
    return column.removesuffix("_tokens").replace("_", " ").capitalize()


def cell(row: Row, column: str) -> str:
    """Return what a table says of *row* in *column*, a field of `Row`."""
    if column == "cost":
        return dollars(row.known_cost)
    value = getattr(row, column)
    if column in KEYS:
        return "-" if value is None else plain(str(value))
    return f"{value:,}"


def dollars(amount: Decimal | None, digits: int = 4) -> str:
    """Return *amount* in USD, as it is told everywhere: "$0.00001234", "$3.50", "$12,345.6789".

    Args:
        amount: How much; "unknown" if None.
        digits: How many decimals it has, and a small amount significant digits, 2 or more. Zeros at the
            end are left out, but for cents; only nothing is ever "$0".
    """
    if amount is None:
        return "unknown"
    if not amount:
        return "$0"
    places = max(digits, digits - 1 - amount.adjusted())
    whole, _, part = f"{amount:,.{places}f}".partition(".")
    return f"${whole}.{part.rstrip('0').ljust(2, '0')}"


def plain(text: str) -> str:
    """Return *text* with nothing in it that moves a cursor, breaks a line or turns a direction."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def requests(number: int) -> str:
    """Return *number* with its noun."""
    return f"{number:,} request{'' if number == 1 else 's'}"


def _values(row: Row, by: Iterable[str]) -> dict[str, Any]:
    """Return what programs read of *row*."""
    values: dict[str, Any] = {name: getattr(row, name) for name in (*by, *COUNTS)}
    cost = row.known_cost
    values["cost"] = None if cost is None else f"{cost:f}"
    return values


def _literal(text: str) -> str:
    """Return *text* so that Markdown shows it as it is."""
    return _MARKUP.sub(r"\\\g<0>", text)
