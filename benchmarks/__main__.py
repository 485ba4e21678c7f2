"""Measure everything; without `--short`, put the figures into `docs/performance.md`.

python3 run.py bench             some fifteen minutes
python3 run.py bench --short     under 90 seconds, printed only
"""

import argparse
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.clients import VENDORS, clients_of
from benchmarks.measures import IMPORT
from benchmarks.rounds import in_a_process, measure_imports, measure_vendor, server

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> int:
    """Measure, print, and say whether every bar is reached."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer rounds, nothing written")
    short = parser.parse_args().short
    rounds, scale = (3, 0.2) if short else (9, 1.0)
    asked = (1_000, 100, 20_000) if short else (10_000, 1_000, 200_000)
    results = report.Results(rounds=rounds)
    with server() as address:
        for vendor in VENDORS:
            print(f"measuring {vendor} ...", file=sys.stderr, flush=True)
            costs = {IMPORT: measure_imports(vendor, rounds=rounds)}
            clients = clients_of(vendor)[:2] if short else clients_of(vendor)
            results.costs[vendor] = costs | measure_vendor(
                vendor, clients, address, rounds=rounds, scale=scale
            )
            results.growth[vendor] = in_a_process("growth", vendor, address, *asked)
            results.growth[vendor]["asked"] = asked
            results.profiles[vendor] = in_a_process("profile", vendor, address, asked[2])
    text = report.markdown(results)
    print(text)
    if not short:
        report.draw(results, DOCS / "performance.svg")
        report.write(DOCS / "performance.md", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
