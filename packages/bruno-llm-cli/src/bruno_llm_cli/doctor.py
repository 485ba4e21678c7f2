"""Checkups for people."""

from collections.abc import Iterator, Sequence

from bruno_llm_cli.checkup import Checkup
from bruno_llm_cli.output import console, plain

__all__ = ["show"]

_STYLES = {"ok": "green", "failed": "red", "not set up": "yellow"}


def show(found: Sequence[Checkup]) -> None:
    """Print what was *found*: a small table for each provider, with what may be done."""
    from rich.table import Table  # slow to load
    from rich.text import Text

    out = console()
    for place, checkup in enumerate(found):
        if place:
            out.print()
        out.print(
            Text.assemble(
                (plain(checkup.provider), "bold"),
                ": ",
                (checkup.status, _STYLES[checkup.status]),
                f" ({plain(checkup.distribution)} {plain(checkup.version)})",
            )
        )
        table = Table.grid(padding=(0, 1))
        table.add_column(min_width=9)
        table.add_column(overflow="fold")
        for title, fact in _facts(checkup):
            table.add_row(f"  {title}", Text(plain(fact)))
        out.print(table)


def _facts(found: Checkup) -> Iterator[tuple[str, str]]:
    """Yield what is known, and then what is wrong."""
    if found.reachable is not None:
        yield "key", found.key or "none"
        answers = "answers" if found.reachable else "does not answer"
        yield "server", f"{found.address or 'it'} {answers}"
        offered = {True: ", on offer", False: ", not on offer", None: ""}
        yield "model", f"{found.model or 'unknown'}{offered[found.model_offered]}"
    if found.window is not None:
        yield "window", f"{found.window:,} tokens (says {found.window_source})"
    if found.input_price is not None:
        prices = f"${found.input_price} in, ${found.output_price} out per million tokens"
        free = found.input_price == found.output_price == "0"
        yield "price", (
            f"none: {found.price_source}" if free else f"{prices} (says {found.price_source})"
        )
    if found.problem is not None:
        yield "problem", found.problem
    for advice in found.advice:
        yield "advice", advice
