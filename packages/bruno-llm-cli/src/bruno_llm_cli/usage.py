"""What is refused as wrong usage, before anything is done: callbacks of options and arguments."""

from pathlib import Path

from bruno_llm_base.discovery import split_name
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.options import check_options
from bruno_llm_base.parts import Json
from typer import BadParameter

from bruno_llm_cli.shell_words import in_shell_words

_MOST = 1_000_000_000  # seconds, dollars
STDOUT = Path("-")
"""What stands for stdout where a file is wanted."""
ROWS = (".csv", ".jsonl", ".ndjson")
"""How the names of files of rows end."""


def above_zero(value: float | None) -> float | None:
    """Refuse a number that is not above 0."""
    if value is not None and not 0 < value <= _MOST:
        raise BadParameter(f"give a number above 0, up to {_MOST:,}")
    return value


def some_text(value: str | list[str] | None) -> str | list[str] | None:
    """Refuse a text, or one of several, in which nothing is."""
    if any(not each.strip() for each in ([value] if isinstance(value, str) else value or ())):
        raise BadParameter("give some text")
    return value


def model_name(value: str | list[str] | None) -> str | list[str] | None:
    """Refuse what is not the name of a model or provider, nor provider/model."""
    try:
        for each in [value] if isinstance(value, str) else value or ():
            split_name(each)
    except ConfigurationError as error:
        raise BadParameter(error.message) from None
    return value


def rows_file(value: Path | None) -> Path | None:
    """Refuse a file whose name is not that of a file of rows."""
    if value is not None and value.suffix.lower() not in ROWS:
        raise BadParameter(f"{value} is no .csv, .jsonl or .ndjson: convert it first")
    return value


def check_portable(options: Json) -> None:
    """Refuse options of bruno-llm-base's table that are out of range.

    Raises:
        BadParameter: One is.
    """
    for name, value in options.items():
        try:
            check_options({name: value})
        except InvalidRequestError as error:
            flag = f"--{name.replace('_', '-')}"
            raise BadParameter(in_shell_words(error.message), param_hint=flag) from None
