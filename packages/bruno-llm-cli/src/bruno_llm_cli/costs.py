"""`bruno-llm costs`: reports of ledgers, and copies of one into another."""

import os
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.values import is_url
from typer import Argument, BadParameter, Option, Typer
from typer.core import TyperGroup

from bruno_llm_cli.options import AsJson
from bruno_llm_cli.output import console, say, show_document, write

if TYPE_CHECKING:
    from bruno_llm_base.cost.report import Report
    from bruno_llm_base.cost.tracker import CostTracker

_DAY = ["%Y-%m-%d"]
_SUFFIXES = (".csv", ".json", ".md", ".html")
Format = Literal["table", "csv", "json", "markdown", "html"]
Column = StrEnum("Column", ["day", "provider", "model", "tag", "user"])
Ledger = Annotated[
    str,
    Argument(help="A file that --ledger, or a CostTracker, has written; or a postgresql:// URL."),
]


class _Costs(TyperGroup):
    """Reports, unless it is told to do something else: `costs LEDGER` is `costs report LEDGER`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["report", *args]
        return super().parse_args(ctx, args)


def _report_file(value: Path | None) -> Path | None:
    """Refuse a file whose name says no format of reports."""
    if value is not None and value.suffix.lower() not in _SUFFIXES:
        raise BadParameter(f"{value} is no {', '.join(_SUFFIXES)}: name one of these")
    return value


costs = Typer(cls=_Costs, no_args_is_help=True, help="Report what was spent.")


@costs.command()
def report(  # noqa: PLR0917 - typer passes them by name
    ledger: Ledger,
    since: Annotated[datetime | None, Option(formats=_DAY, help="The first day, in UTC.")] = None,
    until: Annotated[datetime | None, Option(formats=_DAY, help="The last day, in UTC.")] = None,
    by: Annotated[
        list[Column] | None,
        Option(help="What rows are told apart by: day, provider, model, tag, user; repeatable."),
    ] = None,
    form: Annotated[
        Format | None, Option("--format", help="What is printed; a table if none.")
    ] = None,
    output: Annotated[
        Path | None,
        Option("--output", "-o", help="A file: .csv, .json, .md or .html.", callback=_report_file),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Report what was spent.

    `costs LEDGER` alone does so too.
    """
    if as_json:
        if form is not None:
            raise BadParameter("--json is a format: leave --format out")
        form = "json"
    if form is not None and output is not None:
        raise BadParameter("the suffix of --output says the format: leave --format out")
    if since is not None and until is not None and since > until:
        raise BadParameter("--since is after --until: no day is in between")
    tracker = _tracker(ledger)
    try:
        found = tracker.report(
            since=None if since is None else since.date(),
            until=None if until is None else until.date(),
            by=[each.value for each in by or ()] or ["day", "provider", "model"],
        )
    finally:
        tracker.close()
    if output is None:
        text = _formatted(found, form or "table")
        write(text if text.endswith("\n") else f"{text}\n")
        return
    try:
        _save(found, output)
    except OSError as error:
        raise ConfigurationError(f"{output} cannot be written: {error.strerror}") from error


@costs.command()
def copy(source: Ledger, target: Ledger, *, as_json: AsJson = False) -> None:
    """Copy a ledger into another.

    Each is a file or a postgresql:// URL. What is there already is left as it is, so a copy can be repeated. Where the two differ, nothing
    is copied.
    """
    from bruno_llm_base.cost.rows import COUNTS, KEYS, Entry, pico
    from bruno_llm_base.cost.tracker import CostTracker

    origin, copied = _tracker(source), CostTracker(target)
    try:
        known = {tuple(getattr(row, key) for key in KEYS): row for row in copied.total(KEYS)}
        missing, there_already = [], 0
        for row in origin.total(KEYS):
            there = known.get(tuple(getattr(row, key) for key in KEYS))
            if there is not None and there != row:
                raise ConfigurationError(
                    f"{copied!r} has other figures for {row.day}, {row.provider},"
                    f" {row.model}: nothing was copied; copy into a ledger that has not recorded"
                    " these days, or take those rows out of one of them"
                )
            if there is None:
                missing.append(row)
            else:
                there_already += 1
        for row in missing:
            counts = [pico(row.cost) if name == "cost" else getattr(row, name) for name in COUNTS]
            names = (row.provider or "", row.model or "", row.tag or "", row.user or "")
            copied.ledger.note(None, Entry(str(row.day), names, counts))
        copied.close()
    finally:
        origin.close()
    if as_json:
        show_document({"copied": len(missing), "there_already": there_already})
    else:
        say(f"{len(missing)} rows copied, {there_already} were there")


def _tracker(ledger: str) -> "CostTracker":
    from bruno_llm_base.cost.tracker import CostTracker

    if not is_url(ledger) and not os.path.isfile(ledger):  # noqa: PTH113 - it raises nothing
        raise ConfigurationError(
            f"{ledger} does not exist, or is not a file: give a ledger that --ledger has written"
        )
    return CostTracker(ledger)


def _formatted(report: "Report", form: Format) -> str:
    from bruno_llm_cli.report import to_html, to_table

    match form:
        case "table":
            return to_table(report, console().width if sys.stdout.isatty() else None)
        case "html":
            return to_html(report)
        case "csv":
            return report.to_csv()
        case "json":
            return report.to_json()
        case _:
            return report.to_markdown()


def _save(report: "Report", path: Path) -> None:
    if path.suffix.lower() != ".html":
        report.save(path)
        return
    from bruno_llm_cli.report import write_html

    write_html(report, path)
