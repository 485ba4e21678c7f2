"""The charts of a report's page."""

from collections import defaultdict
from dataclasses import replace
from datetime import date
from decimal import Decimal
from html import escape

from bruno_llm_base.cost.export import dollars, plain
from bruno_llm_base.cost.ledger import Row
from bruno_llm_base.cost.report import Report, known_cost

from bruno_llm_cli.charts import Chart, Part, by_day, by_name

__all__ = ["Colours", "compact", "cost_by_day", "cost_by_model", "tokens_by_day"]

_OWN = ("c0", "c1", "c2", "c3", "c4")  # more would not be told apart
_OTHERS = "others"
_UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))
_BARS = 8  # so many models have a bar of their own


class Colours:
    """The colours of providers: those that cost most have one each."""

    def __init__(self, report: Report) -> None:
        names = (plain(str(row.provider)) for row in report.sums("provider"))
        self._own = dict(zip(names, _OWN, strict=False))
        self.names = (*self._own, _OTHERS)

    def name(self, row: Row) -> str:
        """Return the row's provider, or "others"."""
        name = plain(str(row.provider))
        return name if name in self._own else _OTHERS

    def __getitem__(self, name: str) -> str:
        return self._own.get(name, "rest")


def cost_by_day(report: Report, colours: Colours, first: date, last: date) -> str:
    """Return a chart of one bar per day, of parts by provider; "" where nothing cost anything."""
    few = _with(report, [replace(row, provider=colours.name(row)) for row in report.entries])
    if not few.total.cost:
        return ""
    sums = {str(row.provider): known_cost(row) for row in few.sums("provider")}
    order = [name for name in colours.names if name in sums]
    days: dict[date, dict[str | None, Decimal]] = defaultdict(dict)
    for row in few.sums("day", "provider"):
        if row.day is not None:
            days[row.day][row.provider] = row.cost
    dearest = max(report.sums("day"), key=lambda row: row.cost)
    chart = Chart(
        "cost-by-day",
        "Cost per day, by provider",
        f"{_cents(report.total.cost)} in all; the dearest day was {dearest.day}, with"
        f" {_cents(dearest.cost)}.",
        _cents,
        mark,
    )
    stacks = [
        (day, [Part(name, colours[name], costs[name]) for name in order if name in costs])
        for day, costs in days.items()
    ]
    legend = [(name, colours[name], dollars(sums[name], 2)) for name in order]
    return _legend(legend) + by_day(chart, first, last, stacks)


def cost_by_model(report: Report, colours: Colours) -> str:
    """Return a chart of one bar per model; "" where nothing cost anything."""
    rows = [row for row in report.sums("provider", "model") if row.cost]
    if not rows:
        return ""
    own = rows if len(rows) <= _BARS + 1 else rows[:_BARS]
    bars = [Part(plain(str(row.model)), colours[colours.name(row)], row.cost) for row in own]
    if rest := rows[len(own) :]:
        # together they may be far longer than any bar
        bars.append(Part(f"{len(rest)} {_OTHERS}", "", _with(report, rest).total.cost))
    text = f"{bars[0].name} cost most, {_cents(bars[0].amount)}."
    return by_name(Chart("cost-by-model", "Cost by model", text, _cents, mark), bars)


def tokens_by_day(report: Report, first: date, last: date) -> str:
    """Return a chart of one bar per day, of output and input; "" where there are no tokens."""
    total = report.total
    if not total.input_tokens and not total.output_tokens:
        return ""
    took, gave = compact(total.input_tokens), compact(total.output_tokens)
    chart = Chart("tokens-by-day", "Tokens per day", f"{took} in and {gave} out.", compact, compact)
    stacks = []
    for row in report.sums("day"):
        if row.day is not None:
            output = Part("Output", "out", Decimal(row.output_tokens))
            stacks.append((row.day, [output, Part("Input", "in", Decimal(row.input_tokens))]))
    legend = [("Input", "in", took), ("Output", "out", gave)]
    return _legend(legend) + by_day(chart, first, last, stacks)


def _with(report: Report, rows: list[Row]) -> Report:
    return replace(report, entries=tuple(rows))


def _legend(entries: list[tuple[str, str, str]]) -> str:
    drawn = (
        f'<li><i class="{colour}"></i>{escape(name)} <b>{escape(amount)}</b></li>'
        for name, colour, amount in entries
    )
    return f'<ul class="legend">{"".join(drawn)}</ul>'


def _cents(amount: Decimal) -> str:
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
