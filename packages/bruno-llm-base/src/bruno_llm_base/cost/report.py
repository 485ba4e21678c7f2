"""What the ledger of costs says about a while, as sums and in several formats."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from bruno_llm_base.cost.ledger import COUNTS, KEYS, Row, pico, usd
from bruno_llm_base.cost.price_sources import GenaiPrices, Overrides, PriceSource
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.values import shown

__all__ = ["Report", "grouping", "known_cost"]


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
        """Return a report about what a tracker holds.

        Args:
            entries: Its finest rows.
            by: What the report's rows are told apart by: one name or several.
            since: The first day.
            until: The last day.
            prices: Who was asked for prices first; None for the default.

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
        from bruno_llm_base.cost.export import table_of

        return table_of(self)

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
        from bruno_llm_base.cost.export import csv_of

        return csv_of(self)

    def to_json(self) -> str:
        """Return everything as JSON, for programs.

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
        from bruno_llm_base.cost.export import json_of

        return json_of(self)

    def to_markdown(self) -> str:
        """Return the rows as a table of GitHub's Markdown, names shown as they are."""
        from bruno_llm_base.cost.export import markdown_of

        return markdown_of(self)

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


def grouping(label: str) -> tuple[str, ...]:
    """Return what sums by *label* are grouped by: a model's name means little without its provider."""
    return ("provider", "model") if label == "model" else (label,)


def known_cost(row: Row) -> Decimal | None:
    """Return what is known of *row*'s cost in USD, or None if nothing is."""
    return None if row.unpriced and row.unpriced == row.requests else row.cost


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
    names = [getattr(row, label) or "" for label in KEYS[1:]]
    return row.day or date.min, row.cost.copy_negate(), *names
