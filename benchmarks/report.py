"""The figures as markdown tables and a plot."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.clients import VENDORS
from benchmarks.measures import IMPORT, IMPORT_BARS, MEASURES
from benchmarks.profile import CONCERNS
from benchmarks.rounds import Costs, ratio

__all__ = ["TITLES", "Results", "bars", "draw", "made_of", "markdown", "plots", "table", "write"]

TITLES = {"openai": "OpenAI", "claude": "Claude", "ollama": "Ollama", "gemini": "Gemini"}
_DISTRIBUTIONS = (
    *("openai", "anthropic", "google-genai", "ollama", "bruno-core", "bruno-llm-base"),
    *("httpx", "httpx2", "aiohttp", "httpx-aiohttp", "jiter"),
)
_BEGIN, _END = "<!-- {}: begin -->", "<!-- {}: end -->"


@dataclass(slots=True)
class Results:
    """All that was measured.

    Attributes:
        rounds: How many rounds each figure is the median of.
        costs: Seconds by vendor, measure and client.
        growth: What was left after many requests, by vendor.
        profiles: Microseconds per chunk by vendor and concern.
    """

    rounds: int
    costs: dict[str, dict[str, Costs]] = field(default_factory=dict)
    growth: dict[str, Any] = field(default_factory=dict)
    profiles: dict[str, dict[str, float]] = field(default_factory=dict)


def bars(vendor: str) -> dict[str, float]:
    """Return the most that ours may cost of what the SDK costs, by measure."""
    return {IMPORT: IMPORT_BARS[vendor]} | {m.name: m.bars[vendor] for m in MEASURES}


def markdown(results: Results) -> str:
    """Return everything but the plot."""
    parts = [made_of(f"medians of {results.rounds} rounds")]
    parts += [_costs(vendor, results.costs[vendor]) for vendor in results.costs]
    parts += [_profiles(results.profiles), _growth(results.growth)]
    return "\n\n".join(parts)


def made_of(how: str) -> str:
    """Return when, where and *how* it was measured."""
    versions = ", ".join(f"{name} {version(name)}" for name in _DISTRIBUTIONS)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    machine = f"{_processor()}, {os.cpu_count()} cores, {platform.system()}"
    return (
        f"Measured on {today}, Python {platform.python_version()}, {machine};"
        f" {how}.\n\n{versions}."
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _costs(vendor: str, costs: dict[str, Costs]) -> str:
    clients = list(next(reversed(costs.values())))
    others = [name for name in clients if name != "official"]
    head = ["", "bar", *(f"**{n}**" if n == "ours" else n for n in others), "official SDK"]
    rows = [head, ["---", *["--:"] * (len(head) - 1)]]
    for name, bar in bars(vendor).items():
        paid = costs[name]
        cells = [_ratio(paid, client, bar) for client in others]
        rows.append([name, f"{bar:.2f}", *cells, _seconds(median(paid["official"]))])
    core = costs[IMPORT]
    note = f"bruno-core's own import: {ratio(core, 'bruno-core'):.2f} of the SDK's."
    return f"### {TITLES[vendor]}\n\n{table(rows)}\n\n{note}"


def _ratio(paid: Costs, client: str, bar: float) -> str:
    if client not in paid:
        return ""
    value = ratio(paid, client)
    if client != "ours":
        return f"{value:.2f}"
    return f"**{value:.2f}**" + (" (missed)" if value > bar else "")


def _seconds(value: float) -> str:
    return f"{value * 1e3:.0f} ms" if value >= 0.02 else f"{value * 1e6:,.0f} us"


def _profiles(profiles: dict[str, dict[str, float]]) -> str:
    vendors = list(profiles)
    rows = [
        ["us per chunk", *(TITLES[v] for v in vendors)],
        ["---", *["--:"] * len(vendors)],
        *([c, *(f"{profiles[v][c]:.2f}" for v in vendors)] for c in CONCERNS),
        ["in all", *(f"{sum(profiles[v].values()):.2f}" for v in vendors)],
    ]
    return f"### Where a chunk's time goes\n\n{table(rows)}"


def _growth(growth: dict[str, Any]) -> str:
    vendors = list(growth)
    rows = [["before -> after", *(TITLES[v] for v in vendors)], ["---", *["--:"] * len(vendors)]]
    words = {
        "sockets": "open sockets",
        "tasks": "tasks",
        "traced_kib": "traced memory, KiB",
        "rss_kib": "resident memory, KiB",
    }
    for key, name in words.items():
        cells = [f"{growth[v]['before'][key]:,} -> {growth[v]['after'][key]:,}" for v in vendors]
        rows.append([name, *cells])
    asked = next(iter(growth.values()))["asked"]
    flat = [" -> ".join(f"{us:.1f}" for us in growth[v]["chunk_us"]) for v in vendors]
    rows.append([f"us per chunk, stream of 1,000 -> of {asked[2]:,}", *flat])
    title = f"### After {asked[0]:,} requests and {asked[1]:,} abandoned streams"
    return f"{title}\n\n{table(rows)}"


def table(rows: Iterable[Iterable[str]]) -> str:
    """Return *rows* as a table of markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def write(page: Path, text: str, name: str = "figures") -> None:
    """Put *text* between the marks *name* in *page*."""
    begin, end = _BEGIN.format(name), _END.format(name)
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def plots() -> Any:
    """Return matplotlib, set to draw the same file of the same figures."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "bruno-llm", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot as plt

    return plt


def draw(results: Results, file: Path) -> None:
    """Draw what each client costs, with the official SDK as 1."""
    plt = plots()
    figure, axes = plt.subplots(2, 2, figsize=(10, 8), layout="constrained")
    for vendor, axis in zip(VENDORS, axes.flat, strict=True):
        _draw_vendor(axis, vendor, results.costs[vendor])
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.suptitle("Cost of bruno-llm, official SDK = 1 (less is better)")
    figure.savefig(file, metadata={"Date": None})


def _draw_vendor(axis: Any, vendor: str, costs: dict[str, Costs]) -> None:
    colours = {"ours": "#1a7f5a", "by hand": "#b9c0c7", "official on aiohttp": "#8a93a0"}
    limits = bars(vendor)
    places = range(len(limits))
    for turn, (client, colour) in enumerate(colours.items()):
        known = [(i, ratio(costs[n], client)) for i, n in enumerate(limits) if client in costs[n]]
        shifted = [place + (turn - 1) * 0.27 for place, _ in known]
        axis.barh(shifted, [value for _, value in known], 0.25, color=colour, label=client)
    axis.scatter(
        list(limits.values()),
        [p - 0.27 for p in places],
        marker="|",
        s=90,
        c="#c0392b",
        label="bar",
    )
    axis.axvline(1, color="#333333", linewidth=0.8)
    axis.set_yticks(list(places), list(limits))
    axis.invert_yaxis()
    axis.set_title(TITLES[vendor])
    axis.spines[["top", "right"]].set_visible(False)
