"""Charts as SVG: lengths in percent of the page's width, so that text stays legible on a phone.

Colours are classes of the page's style (`c0` and so on). All text given is escaped here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from html import escape
from math import ceil

__all__ = ["Chart", "Part", "by_day", "by_name", "ticks"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LINES = 5  # at most so many lines above the ground
_DATES = 5  # so many dates fit below a chart on a phone
_BROADEST = 6.0  # percent of the width, for a bar among few
_YEAR = 365  # days, from which on a date needs its year
_NARROW = 1.0  # percent of the width
_LEAST = 0.3  # percent: what is not nothing is to be seen
_ROW = 42  # px


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar, or a bar.

    Attributes:
        name: What it stands for.
        colour: A class of the page's style; "" draws nothing.
        amount: Its length.
    """

    name: str
    colour: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart is about.

    Attributes:
        name: Its id on the page.
        title: What it shows.
        text: What it says, for those who do not see it.
        say: How an amount is written.
        mark: How it is written at an axis.
    """

    name: str
    title: str
    text: str
    say: Callable[[Decimal], str]
    mark: Callable[[Decimal], str]


def by_day(
    chart: Chart, first: date, last: date, stacks: Iterable[tuple[date, Sequence[Part]]]
) -> str:
    """Return a chart of stacked bars from the *first* to the *last* day.

    Args:
        chart: What it is about.
        first: Where the axis begins.
        last: Where it ends.
        stacks: Days that have a bar, and the parts of it from the ground up.
    """
    drawn = [(day, [part for part in parts if part.amount]) for day, parts in stacks]
    grid = ticks(max((_sum(parts) for _, parts in drawn), default=Decimal(0)))
    slot = 100 / ((last - first).days + 1)
    content = ['<g class="grid">', *(_line(at, grid[-1], chart) for at in grid)]
    for day in _spread(first, last):
        x = ((day - first).days + 0.5) * slot
        name = _MONTHS[day.month - 1]
        name = f"{day.day} {name}" if (last - first).days < _YEAR else f"{name} {day.year}"
        content.append(f'<text x="{x:.3f}%" y="100%" dy="20" text-anchor="middle">{name}</text>')
    content.append("</g>")
    # Among many, gaps would only blur the colours, and seams are to be covered.
    broad = min(slot * 0.8, _BROADEST) if slot > _NARROW else slot * 1.1
    for day, parts in drawn:
        left = ((day - first).days + 0.5) * slot - broad / 2
        told = "".join(f"\n{part.name}: {chart.say(part.amount)}" for part in reversed(parts))
        content.append(f"<g><title>{escape(f'{day}{told}')}</title>")
        ground = 100.0
        for part in parts:
            tall = max(100 * float(part.amount / grid[-1]), _LEAST)
            ground -= tall
            content.append(
                f'<rect class="{part.colour}" x="{left:.3f}%" y="{ground:.3f}%"'
                f' width="{broad:.3f}%" height="{tall:.3f}%"/>'
            )
        content.append("</g>")
    return _svg("days", chart, content)


def by_name(chart: Chart, bars: Sequence[Part]) -> str:
    """Return a chart of horizontal bars, each below its name."""
    longest = max((bar.amount for bar in bars if bar.colour), default=Decimal(1))
    content = []
    for place, bar in enumerate(bars):
        content.append(
            f'<svg y="{_ROW * place}" height="{_ROW}" width="100%">'
            f"<title>{escape(bar.name)}</title>"
            f'<text y="14">{escape(_short(bar.name))}</text>'
            f'<text x="100%" y="14" text-anchor="end">{escape(chart.say(bar.amount))}</text>'
        )
        if bar.colour:
            long = max(100 * float(bar.amount / longest), _LEAST)
            content.append(
                f'<rect class="{bar.colour}" y="21" rx="2" height="9" width="{long:.3f}%"/>'
            )
        content.append("</svg>")
    return _svg("names", chart, content, f' height="{_ROW * len(bars)}"')


def ticks(top: Decimal) -> list[Decimal]:
    """Return round numbers, evenly spaced, from 0 to the first that reaches *top*."""
    if not top:
        return [Decimal(0), Decimal(1)]
    exponent = (top / _LINES).adjusted()
    steps = (Decimal(digit).scaleb(exponent) for digit in ("1", "2", "5", "1E1"))
    step = next(step for step in steps if step * _LINES >= top)
    return [step * n for n in range(ceil(top / step) + 1)]


def _svg(kind: str, chart: Chart, content: Iterable[str], size: str = "") -> str:
    title, text = f"{chart.name}-title", f"{chart.name}-text"
    return (
        f'<svg class="{kind}" role="img" aria-labelledby="{title} {text}" width="100%"{size}>'
        f'<title id="{title}">{escape(chart.title)}</title>'
        f'<desc id="{text}">{escape(chart.text)}</desc>{"".join(content)}</svg>'
    )


def _line(at: Decimal, top: Decimal, chart: Chart) -> str:
    """Return a line of the grid, and what it stands for left of it."""
    y = f"{100 - 100 * float(at / top):.3f}%"
    return (
        f'<line x1="0" x2="100%" y1="{y}" y2="{y}"/>'
        f'<text x="-8" y="{y}" dy="4" text-anchor="end">{escape(chart.mark(at))}</text>'
    )


def _sum(parts: Iterable[Part]) -> Decimal:
    return sum((part.amount for part in parts), Decimal(0))


def _spread(first: date, last: date) -> list[date]:
    """Return a few days, evenly spread from *first* to *last*."""
    span = (last - first).days
    steps = min(_DATES - 1, span) or 1
    return sorted({first + timedelta(days=round(n * span / steps)) for n in range(steps + 1)})


def _short(name: str) -> str:
    return name if len(name) <= 34 else f"{name[:33]}\N{HORIZONTAL ELLIPSIS}"
