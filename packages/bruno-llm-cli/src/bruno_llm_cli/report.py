"""A report as one HTML page: no script, nothing from elsewhere, light and dark, phone and desk."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from bruno_llm_base.cost.export import (
    Column,
    cell,
    columns,
    dollars,
    notes,
    origin,
    period,
    plain,
    requests,
)
from bruno_llm_base.cost.ledger import Row
from bruno_llm_base.cost.report import Report, known_cost

from bruno_llm_cli.look import STYLE
from bruno_llm_cli.plots import Colours, compact, cost_by_day, cost_by_model, tokens_by_day

__all__ = ["to_html", "write_html"]

_MOST = 20  # so many tags and users are listed
_EMPTY = """<p class="empty">No request was recorded in this time. Give a <code>CostTracker</code>
to your models, as <code>cost=</code>, and what they cost will be here.</p>"""


def write_html(report: Report, path: str | Path) -> None:
    """Write *report* to *path* as one page, in UTF-8.

    Raises:
        OSError: The file cannot be written.
    """
    Path(path).write_text(to_html(report), encoding="utf-8", newline="")


def to_html(report: Report) -> str:
    """Return *report* as one page with charts: no script, nothing loaded from elsewhere."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Model costs, {period(report)}</title>
<style>{STYLE}</style>
</head>
<body>
<header><h1>Model costs</h1><p>{period(report)}</p></header>
<main>
{_main(report)}
</main>
</body>
</html>
"""


def _main(report: Report) -> str:
    first, last = report.days
    if first is None or last is None or not report.entries:
        return _EMPTY
    colours = Colours(report)
    pair = [
        _section("Cost by model", cost_by_model(report, colours)),
        _section("Tokens per day", tokens_by_day(report, first, last)),
    ]
    parts = [
        _figures(report),
        _notes(report),
        _section("Cost per day", cost_by_day(report, colours, first, last)),
        f'<div class="pair">{"".join(pair)}</div>' if any(pair) else "",
        _labelled(report, "tag"),
        _labelled(report, "user"),
    ]
    if report.by:
        shape = columns(report)
        title = f"Cost by {', '.join(report.by)}"
        table = _table(title, shape, report.rows, _foot(report, shape), colours)
        parts.append(_section(title, table))
    if report.prices is not None:
        parts.append(f"<footer>{escape(origin(report))}</footer>")
    return "\n".join(part for part in parts if part)


def _figures(report: Report) -> str:
    total = report.total
    dollar = dollars(known_cost(total), 2)
    figures = (
        ("Cost", dollar, total.unpriced, f"without {requests(total.unpriced)} of unknown price"),
        ("Requests", f"{total.requests:,}", 0, ""),
        (
            "Input tokens",
            compact(total.input_tokens),
            total.cache_read_tokens,
            f"{compact(total.cache_read_tokens)} from a cache",
        ),
        (
            "Output tokens",
            compact(total.output_tokens),
            total.reasoning_tokens,
            f"{compact(total.reasoning_tokens)} of reasoning",
        ),
    )
    drawn = [
        f"<div><dt>{name}</dt><dd>{value}{f'<small>{more}</small>' if shown else ''}</dd></div>"
        for name, value, shown, more in figures
    ]
    return f'<dl class="figures">{"".join(drawn)}</dl>'


def _notes(report: Report) -> str:
    said = "".join(f"<li>{escape(note)}</li>" for note in notes(report))
    return f'<ul class="notes">{said}</ul>' if said else ""


def _labelled(report: Report, label: str) -> str:
    """Return a table of the dearest tags or users, if there are any."""
    rows = report.sums(label)
    if all(getattr(row, label) is None for row in rows):
        return ""
    amounts = (column for column in columns(report) if not column.is_label)
    title = f"Cost by {label}"
    table = _table(title, [Column(label, label.capitalize()), *amounts], rows[:_MOST])
    hidden = len(rows) - _MOST
    more = f"<p>The dearest {_MOST}; {hidden:,} more are not shown.</p>" if hidden > 0 else ""
    return _section(title, table + more)


def _table(
    title: str,
    shape: Sequence[Column],
    rows: Iterable[Row],
    foot: str = "",
    colours: Colours | None = None,
) -> str:
    lines = []
    for row in rows:
        cells = []
        for column in shape:
            text = escape(cell(row, column))
            if column.field == "provider" and colours is not None:
                text = f'<i class="{colours[plain(str(row.provider))]}"></i>{text}'
            if column == shape[0]:
                cells.append(f'<th scope="row">{text}</th>')
            else:
                cells.append(f"<td{_aligned(column)}>{text}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    heads = (f'<th scope="col"{_aligned(column)}>{column.title}</th>' for column in shape)
    body = "\n".join(lines)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">'
        f"<table><thead><tr>{''.join(heads)}</tr></thead><tbody>{body}</tbody>{foot}</table></div>"
    )


def _foot(report: Report, shape: Sequence[Column]) -> str:
    amounts = (
        f'<td class="number">{cell(report.total, column)}</td>'
        for column in shape
        if not column.is_label
    )
    head = f'<th scope="row" colspan="{len(report.by)}">Total</th>'
    return f"<tfoot><tr>{head}{''.join(amounts)}</tr></tfoot>"


def _aligned(column: Column) -> str:
    return "" if column.is_label else ' class="number"'


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>" if content else ""
