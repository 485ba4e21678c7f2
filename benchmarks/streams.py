"""What a chunk costs over the number of streams at once, and over the length of an answer.

python -m benchmarks.streams                        some fifteen minutes; writes docs/performance.md
python -m benchmarks.streams --short openai claude  fewer points, of ours only; printed only
"""

import argparse
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.clients import VENDORS
from benchmarks.report import TITLES, made_of, plots, table, write
from benchmarks.rounds import in_a_process, server

DOCS = Path(__file__).resolve().parent.parent / "docs"
USUAL = 200
"""Streams at once, and chunks of an answer, that the others are compared with."""
_AT_ONCE, _AT_ONCE_SHORT = (1, 10, 100, USUAL, 1_000, 3_000, 10_000), (1, USUAL, 1_000)
_CHUNKS, _CHUNKS_SHORT = (10, 50, USUAL, 1_000, 2_000), (10, USUAL)
_ENOUGH, _MOST_ROUNDS = 100_000, 10  # chunks, and rounds to come to so many


class Point(NamedTuple):
    """So many streams at once, with answers of so many chunks."""

    at_once: int
    chunks: int


Figures = dict[tuple[str, str, Point], dict[str, Any] | None]
"""What was found, by vendor and client; None where it took too long."""


def measure(vendors: list[str], clients: tuple[str, ...], points: list[Point]) -> Figures:
    """Measure each point in processes of its own; who took too long is not asked for more."""
    found: Figures = {}
    for client in clients:
        for vendor in vendors:
            too_long: list[Point] = []
            for point in points:
                figures = None
                if not any(
                    p.at_once <= point.at_once and p.chunks <= point.chunks for p in too_long
                ):
                    figures = _measured(vendor, client, point)
                if figures is None:
                    too_long.append(point)
                found[vendor, client, point] = figures
                print(vendor, client, point, figures, file=sys.stderr, flush=True)
    return found


def _measured(vendor: str, client: str, point: Point) -> dict[str, Any] | None:
    rounds = min(_MOST_ROUNDS, max(1, _ENOUGH // (point.at_once * point.chunks)))
    with server() as address:
        figures: dict[str, Any] | None = in_a_process(
            "crowd", client, vendor, address, *point, rounds
        )
    return figures


def markdown(found: Figures, at_once: list[Point], chunks: list[Point]) -> str:
    """Return the figures as tables: by concurrency, by length, and what the most streams took."""
    parts = [made_of("the best round of each process")]
    for title, points, place in (
        (f"Over the number of streams at once, answers of {USUAL} chunks", at_once, 0),
        (f"Over the length of an answer in chunks, {USUAL} streams at once", chunks, 1),
    ):
        head = ["CPU per chunk, us", *(f"{point[place]:,}" for point in points)]
        rows = [[name, *map(_cost, cells)] for name, cells in _rows(found, points)]
        parts.append(f"### {title}\n\n{table([head, ['---', *['--:'] * len(points)], *rows])}")
    most, usual = at_once[-1], Point(USUAL, USUAL)
    rows = [
        [
            f"{most.at_once:,} streams at once",
            "failed",
            "peak memory",
            f"a chunk, x {USUAL} streams'",
        ],
        ["---", "--:", "--:", "--:"],
    ]
    for name, (figures, before) in _rows(found, [most, usual]):
        if figures is None or before is None:
            rows.append([name, "", "", "took too long"])
            continue
        ratio = figures["chunk_us"] / before["chunk_us"]
        failed = sum(figures["failures"].values())
        rows.append([name, f"{failed:,}", f"{figures['peak_mib']:.0f} MiB", f"{ratio:.2f}"])
    return "\n\n".join([*parts, table(rows)])


def _rows(found: Figures, points: list[Point]) -> Iterator[tuple[str, list[dict[str, Any] | None]]]:
    for vendor, client in dict.fromkeys((vendor, client) for vendor, client, _ in found):
        name = f"**{TITLES[vendor]}**" if client == "ours" else f"{TITLES[vendor]}'s SDK"
        yield name, [found[vendor, client, point] for point in points]


def _cost(figures: dict[str, Any] | None) -> str:
    return "-" if figures is None else f"{figures['chunk_us']:.1f}"


def draw(found: Figures, at_once: list[Point], chunks: list[Point], file: Path) -> None:
    """Draw both."""
    figure, axes = plots().subplots(1, 2, figsize=(10, 4.5), layout="constrained", sharey=True)
    colours = dict(zip(VENDORS, ("#1a7f5a", "#c0632b", "#5b6cb8", "#8a5ba8"), strict=True))
    titles = f"streams at once, {USUAL} chunks each", f"chunks each, {USUAL} streams at once"
    for place, (axis, points, title) in enumerate(
        zip(axes, (at_once, chunks), titles, strict=True)
    ):
        for vendor, client in dict.fromkeys((vendor, client) for vendor, client, _ in found):
            known = [(p[place], found[vendor, client, p]) for p in points]
            costs = [(count, figures["chunk_us"]) for count, figures in known if figures]
            axis.plot(
                *zip(*costs, strict=True),
                "-o" if client == "ours" else ":s",
                color=colours[vendor],
                markersize=3,
                label=TITLES[vendor] if client == "ours" else f"{TITLES[vendor]}'s SDK",
            )
        axis.set(xscale="log", yscale="log", xlabel=title)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("CPU per chunk, us")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    """Measure, print, and without `--short` put it into the page."""
    parser = argparse.ArgumentParser(prog="benchmarks.streams", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer points, nothing written")
    parser.add_argument("vendors", nargs="*", metavar="vendor", help=", ".join(VENDORS))
    given = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the processes have it from us
    at_once = [Point(n, USUAL) for n in (_AT_ONCE_SHORT if given.short else _AT_ONCE)]
    chunks = [Point(USUAL, n) for n in (_CHUNKS_SHORT if given.short else _CHUNKS)]
    clients = ("ours",) if given.short else ("ours", "official")
    points = list(dict.fromkeys([*at_once, *chunks]))
    found = measure(given.vendors or list(VENDORS), clients, points)
    text = markdown(found, at_once, chunks)
    print(text)
    if not given.short:
        draw(found, at_once, chunks, DOCS / "streams.svg")
        write(DOCS / "performance.md", text, "streams")


if __name__ == "__main__":
    main()
