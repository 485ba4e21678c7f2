"""A report of costs as a table for terminals, and as one HTML page for any browser."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from unicodedata import combining, east_asian_width

from bruno_llm_base.cost.report import Report, cell, dollars, plain, requests, title
from bruno_llm_base.cost.rows import KEYS, Row

from bruno_llm_cli.charts import Chart, Series, by_day

_COLORS = 5  # as many as are easily told apart; the next is that of all other providers
_OTHERS = "others"
_BARS = 8  # the most models with a bar of their own
_MOST = 20  # the most tags and users that are listed
_UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))


def to_table(report: Report, width: int | None = None) -> str:
    """Return *report* as a text of aligned columns, for terminals and logs.

    Where it is wider than *width*, in columns, each row takes two lines: what it is of, and the amounts.
    """
    lines, places = report.cells(), len(report.by)
    widths = [max(map(_width, texts)) for texts in zip(*lines, strict=True)]
    length = sum(widths) + 2 * len(widths) - 2
    is_narrow = width is not None and length > width and places > 0
    drawn = []
    for line in lines:
        spaces = [" " * (size - _width(text)) for text, size in zip(line, widths, strict=True)]
        labels = [text + space for text, space in zip(line[:places], spaces, strict=False)]
        amounts = "  ".join(map(str.__add__, spaces[places:], line[places:]))
        if is_narrow:
            drawn.append(f"{'  '.join(filter(None, line[:places]))}\n{amounts.rjust(width or 0)}")
        else:
            drawn.append("  ".join([*labels, amounts]).rstrip())
    rule = "-" * min(length, width or length)
    if report.by:
        drawn.insert(-1, rule)
    drawn.insert(1, rule)
    return "\n".join([*report.summary, "", *drawn])


def _width(text: str) -> int:
    """Return how many columns of a terminal *text* takes (Unicode Standard Annex 11)."""
    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)


def write_html(report: Report, path: str | Path) -> None:
    """Write *report* to *path* as one page, in UTF-8.

    Raises:
        OSError: The file cannot be written.
    """
    Path(path).write_text(to_html(report), encoding="utf-8", newline="")


def to_html(report: Report) -> str:
    """Return *report* as one page with charts: no script, nothing loaded from elsewhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("bruno_llm_cli"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    colors = _colors(report)
    columns = report.columns
    page: str = pages.get_template("report.html").render(
        report=report,
        period=report.period,
        figures=_figures(report.total),
        notes=report.notes,
        costs=_cost_by_day(report, colors),
        models=_cost_by_model(report, colors),
        tokens=_tokens_by_day(report),
        labelled=[found for label in ("tag", "user") if (found := _labelled(report, label))],
        columns=columns,
        amounts=[column for column in columns if column not in KEYS],
        labels=KEYS,
        title=title,
        cell=cell,
        color=lambda row: colors.get(row.provider, _COLORS),
    )
    return page


def _colors(report: Report) -> dict[str | None, int]:
    """Return the colors of the providers that cost most."""
    return {row.provider: place for place, row in enumerate(report.sums("provider")[:_COLORS])}


def _figures(total: Row) -> list[tuple[str, str, str]]:
    """Return title and value of the largest figures, and what belongs to them in small letters."""
    unpriced, cached, reasoning = total.unpriced, total.cache_read_tokens, total.reasoning_tokens
    without = f"without {requests(unpriced)} of unknown price" if unpriced else ""
    from_cache = f"{compact(cached)} from a cache" if cached else ""
    of_reasoning = f"{compact(reasoning)} of reasoning" if reasoning else ""
    return [
        ("Cost", dollars(total.known_cost, 2), without),
        ("Requests", f"{total.requests:,}", ""),
        ("Input tokens", compact(total.input_tokens), from_cache),
        ("Output tokens", compact(total.output_tokens), of_reasoning),
    ]


def _cost_by_day(report: Report, colors: dict[str | None, int]) -> Chart | None:
    """Return a chart of the costs of each day, by provider; None if nothing cost anything."""
    if not report.total.cost:
        return None
    costs: list[dict[date, Decimal]] = [defaultdict(Decimal) for _ in range(_COLORS + 1)]
    for row in report.sums("day", "provider"):
        if row.day is not None:
            costs[colors.get(row.provider, _COLORS)][row.day] += row.cost
    series = [
        Series(_name(row.provider), _cents(row.known_cost), costs[color])
        for color, row in enumerate(report.sums("provider")[:_COLORS])
    ]
    if others := costs[_COLORS]:
        series.append(Series(_OTHERS, _cents(sum(others.values(), Decimal(0))), others))
    dearest = max(report.sums("day"), key=lambda row: row.cost)
    text = (
        f"Cost per day, by provider: {_cents(report.total.cost)} in all; the dearest day was"
        f" {dearest.day}, with {_cents(dearest.cost)}."
    )
    return by_day("costs", text, series, _span(report), say=_cents, mark=mark)


def _tokens_by_day(report: Report) -> Chart | None:
    """Return a chart of the tokens of each day; None if there are none."""
    total = report.total
    if not total.input_tokens and not total.output_tokens:
        return None
    output, received = compact(total.output_tokens), compact(total.input_tokens)
    days = [(row.day, row) for row in report.sums("day") if row.day is not None]
    series = [
        Series("Output", output, {day: Decimal(row.output_tokens) for day, row in days}),
        Series("Input", received, {day: Decimal(row.input_tokens) for day, row in days}),
    ]
    text = f"Tokens per day: {received} in and {output} out."
    return by_day("tokens", text, series, _span(report), say=compact, mark=compact)


def _span(report: Report) -> tuple[date, date]:
    first, *_, last = (day for day in (*report.days, *report.days) if day is not None)
    return first, last


def _cost_by_model(
    report: Report, colors: dict[str | None, int]
) -> list[tuple[str, str, float, int]]:
    """Return name, cost, length in percent and color of a bar for each of the dearest models."""
    rows = [row for row in report.sums("provider", "model") if row.cost]
    own = rows if len(rows) <= _BARS + 1 else rows[:_BARS]
    bars = [
        (
            _name(row.model),
            _cents(row.cost),
            max(100 * float(row.cost / rows[0].cost), 0.3),
            colors.get(row.provider, _COLORS),
        )
        for row in own
    ]
    if rest := rows[len(own) :]:  # together they may be far longer than any bar
        together = replace(report, entries=tuple(rest)).total.cost
        bars.append((f"{len(rest)} {_OTHERS}", _cents(together), 0, _COLORS))
    return bars


def _labelled(report: Report, label: str) -> tuple[str, Sequence[Row], int] | None:
    """Return the dearest tags or users, and how many others there are; None if there are none."""
    rows = report.sums(label)
    if all(getattr(row, label) is None for row in rows):
        return None
    return label, rows[:_MOST], max(0, len(rows) - _MOST)


def _name(text: str | None) -> str:
    return plain(str(text))


def _cents(amount: Decimal | None) -> str:
    return dollars(amount, 2)


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
