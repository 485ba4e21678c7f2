"""Reports of the ledger of costs."""

from datetime import date
from pathlib import Path

from bruno_llm_base.cost.report import Report
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_base.exceptions import ConfigurationError

__all__ = ["report", "save", "written"]


def report(ledger: Path, *, since: date | None, until: date | None, by: list[str]) -> Report:
    """Return what *ledger* says; it is not made if it is missing.

    Raises:
        ConfigurationError: There is no such file, or it is no ledger.
        InvalidRequestError: *by* names something that is not booked.
    """
    if not ledger.is_file():
        raise ConfigurationError(
            f"{ledger} does not exist, or is not a file: give a ledger that --ledger has written"
        )
    tracker = CostTracker(ledger)
    try:
        return tracker.report(since=since, until=until, by=by)
    finally:
        tracker.close()


def written(made: Report, form: str) -> str:
    """Return a report as text, which ends with a line feed."""
    if form == "html":
        from bruno_llm_cli.report import to_html  # slow to load

        return to_html(made)
    forms = {"table": made.table, "csv": made.to_csv, "json": made.to_json}
    text = (forms | {"markdown": made.to_markdown})[form]()
    return text if text.endswith("\n") else f"{text}\n"


def save(made: Report, path: Path) -> None:
    """Write a report in the format of *path*'s suffix.

    Raises:
        InvalidRequestError: The suffix is another.
        ConfigurationError: The file cannot be written.
    """
    try:
        if path.suffix.lower() != ".html":
            made.save(path)
            return
        from bruno_llm_cli.report import write_html  # slow to load

        write_html(made, path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
