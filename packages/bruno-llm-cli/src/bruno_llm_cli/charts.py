"""The charts of a page: pygal draws the bars, the page's template writes the text around them.

So text keeps its size on a phone, where the drawing shrinks, and all of it is selectable HTML.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from math import ceil
from typing import Any, NamedTuple

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LINES = 5  # the most lines above the ground
_DATES = 5  # as many as fit below a chart on a phone
_YEAR = 365  # days, from which on a date needs its year
_LEAST = 0.004  # of the height: an amount that is not zero can be seen
_WIDTH, _HEIGHT = 1040, 260
_SIDES = ("x", "y", "width", "height")
_MARGIN = 1.04  # pygal keeps this much of an axis free, which is cut off below


class Series(NamedTuple):
    """Amounts of one kind, in one color, by their day; *total* is what the legend says."""

    name: str
    total: str
    amounts: Mapping[date, Decimal]


class Chart(NamedTuple):
    """Stacked bars, as the page's template needs them; places are in percent of height or width."""

    kind: str
    legend: Sequence[tuple[str, str]]  # name and total of each series
    drawing: str  # SVG, escaped
    marks: Sequence[tuple[float, str]]
    dates: Sequence[tuple[float, str]]
    days: int


def by_day(
    kind: str,
    text: str,
    series: Sequence[Series],
    span: tuple[date, date],
    *,
    say: Callable[[Decimal], str],
    mark: Callable[[Decimal], str],
) -> Chart:
    """Return a chart with one bar for each day.

    Args:
        kind: The class of its element on the page.
        text: What it shows, for readers who do not see it.
        series: What the bars consist of, from the ground up.
        span: The first and the last day of the axis.
        say: How an amount is written.
        mark: How a round amount is written at the axis.
    """
    first, last = span
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    sums: dict[date, Decimal] = defaultdict(Decimal)
    told: dict[date, str] = {day: str(day) for day in days}
    seen = [{day: amount for day, amount in some.amounts.items() if amount} for some in series]
    for some, amounts in zip(series, seen, strict=True):
        for day, amount in amounts.items():
            sums[day] += amount
            told[day] += f"\n{some.name}: {say(amount)}"
    grid = ticks(max(sums.values(), default=Decimal(0)))
    shares = [
        {day: max(float(amount / grid[-1]), _LEAST) for day, amount in amounts.items()}
        for amounts in seen
    ]
    lines = [float(at / grid[-1]) for at in grid]
    return Chart(
        kind,
        [(some.name, some.total) for some in series],
        _drawn(text, shares, told, lines),
        [(100 * line, mark(at)) for line, at in zip(lines, grid, strict=True)],
        _dates(days),
        len(days),
    )


def _drawn(
    text: str,
    shares: Sequence[Mapping[date, float]],
    told: Mapping[date, str],
    lines: Sequence[float],
) -> str:
    """Return bars of *shares* of the height, one for each day that is *told* of, and *lines*."""
    import pygal

    # its import hook, for maps, makes Python 3.11 warn at every later import
    sys.meta_path[:] = [
        hook for hook in sys.meta_path if not isinstance(hook, pygal.PluginImportFixer)
    ]
    bars = pygal.StackedBar(
        css=(),
        js=(),
        style=pygal.style.Style(label_font_size=0),
        disable_xml_declaration=True,
        show_legend=False,
        width=_WIDTH,
        height=_HEIGHT,
        margin=0,
        spacing=0,
        range=(0, 1),
        y_labels=lines,
        value_formatter=lambda _: "",
    )
    for some in shares:
        bars.add(
            "",
            [{"value": some[day], "label": told[day]} if day in some else None for day in told],
        )
    bars.add_xml_filter(lambda svg: _bare(svg, text))
    return str(bars.render())


def ticks(top: Decimal) -> list[Decimal]:
    """Return round numbers, evenly spaced, from 0 to the first that reaches *top*."""
    if not top:
        return [Decimal(0), Decimal(1)]
    exponent = (top / _LINES).adjusted()
    steps = (Decimal(digit).scaleb(exponent) for digit in ("1", "2", "5", "1E1"))
    step = next(step for step in steps if step * _LINES >= top)
    return [step * n for n in range(ceil(top / step) + 1)]


def _bare(svg: Any, text: str) -> Any:
    """Reduce a drawing of pygal to bars and grid, which fill any space that the page has for it."""
    plot = next(group for group in svg.iter("g") if group.get("class") == "plot")
    for group in list(plot.iter("g")):
        for node in list(group):
            if node.tag == "desc" and node.get("class") == "label":
                node.tag = "title"
            elif node.tag == "rect" and node.get("class") != "background":
                sizes = {side: f"{float(node.get(side)):.2f}" for side in _SIDES}
                node.attrib.clear()
                node.attrib.update(sizes)
            elif node.tag not in ("g", "path"):
                group.remove(node)
    for bar in plot.findall(".//g[@class='bar']"):
        if bar.find("title") is None:
            bar.clear()
    for node in list(svg):
        svg.remove(node)
    svg.append(plot)
    left, top = (size * (1 - 1 / _MARGIN) / 2 for size in (_WIDTH, _HEIGHT))
    svg.attrib.pop("id")
    svg.attrib.update(
        {
            "role": "img",
            "aria-label": text,
            "preserveAspectRatio": "none",
            "viewBox": f"{left:g} {top:g} {_WIDTH / _MARGIN:g} {_HEIGHT / _MARGIN:g}",
        }
    )
    return svg


def _dates(days: Sequence[date]) -> list[tuple[float, str]]:
    """Return a few of *days*, evenly spread: where they are, in percent, and how they are written."""
    last = len(days) - 1
    found = []
    for place in sorted({round(n * last / (_DATES - 1)) for n in range(_DATES)}):
        day, month = days[place], _MONTHS[days[place].month - 1]
        name = f"{month} {day.year}" if last >= _YEAR else f"{day.day} {month}"
        found.append((100 * (place + 0.5) / len(days), name))
    return found
