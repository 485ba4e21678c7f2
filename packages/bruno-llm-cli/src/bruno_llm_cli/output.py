"""What people and programs see: answers on stdout, all else on stderr."""

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import structlog
from bruno_llm_base.events import PriceUnknown

from bruno_llm_cli.shell_words import in_shell_words

if TYPE_CHECKING:
    from rich.console import Console

# What a terminal may take for a command: C0 but for tab and line feed, DEL, C1.
_CONTROLS = dict.fromkeys(
    (*range(9), *range(11, 32), 127, *range(128, 160)), "\N{REPLACEMENT CHARACTER}"
)
_WIDE = 200  # columns: what is not a terminal cuts no lines
_PATIENCE = 2.0  # seconds; shorter waits before another attempt are not told
_NARROWEST = 20  # columns: a terminal that says less does not know
_warned: set[str] = set()  # what this command has said once
_unfinished: set[TextIO] = set()  # terminals at which a line has no end yet
_LOGGER = logging.getLogger("bruno_llm")


def say(message: str) -> None:
    """Tell the user something on stderr, in one paragraph; at a terminal it is wrapped at words."""
    text, err = f"bruno-llm: {plain(in_shell_words(message))}", sys.stderr
    if err.isatty():
        import textwrap

        columns = os.get_terminal_size(err.fileno()).columns
        width = columns - 1 if columns > _NARROWEST else _WIDE
        text = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
        if sys.stdout in _unfinished:  # and it is the same terminal, most likely
            _unfinished.clear()
            text = f"\n{text}"
    err.write(f"{text}\n")
    err.flush()


def say_once(message: str) -> None:
    """Tell the user something that holds for all of a command."""
    if message not in _warned:
        _warned.add(message)
        say(message)


def write(text: str, to: TextIO | None = None) -> None:
    """Write a piece of an answer at once; on a terminal, without what could steer it."""
    out = to or sys.stdout
    if not out.isatty():
        out.write(text)
    elif text:
        out.write(plain(text))
        (_unfinished.discard if text.endswith("\n") else _unfinished.add)(out)
    out.flush()


def plain(text: str) -> str:
    """Return *text*, which a server may have sent, without control characters."""
    return text.translate(_CONTROLS)


def show_document(document: object) -> None:
    """Print one JSON document; in ASCII, so that every terminal and pipe leaves it whole."""
    write(json.dumps(document, indent=2) + "\n")


def show_table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
) -> None:
    """Print a table for people; the cells of the columns in *right* are flush right."""
    from rich import box  # slow to load
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for title in titles:
        table.add_column(title, justify="right" if title in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console().print(table)


def console() -> "Console":
    """Return stdout for what is drawn; colours are for terminals, and not if NO_COLOR is set."""
    from rich.console import Console  # slow to load

    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


@contextmanager
def log_to_stderr() -> Iterator[None]:
    """Show what the library logs within a `with` block."""
    handler, level = _Handler(), _LOGGER.level
    _warned.clear()
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)


def set_verbosity(verbosity: int) -> None:
    """Choose what is logged: 0 for nothing but warnings, 1 for how each request ended, 2 for all."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    _LOGGER.setLevel(level)
    if verbosity:  # also what bruno-core logs
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))


class _Handler(logging.Handler):
    """Says what is logged: lines of a log with -v, else a sentence for a warning.

    Errors are no lines without -v, since commands print them.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        if _LOGGER.level < logging.WARNING:
            say(record.getMessage())
        elif record.levelno == logging.WARNING and (sentence := _sentence(record)):
            say(sentence)


def _sentence(record: logging.LogRecord) -> str:
    """Return what the user is told of a warning; "" where that would only disturb."""
    prefix = "bruno_llm."
    own = {
        name.removeprefix(prefix): value for name, value in vars(record).items() if prefix in name
    }
    if "wait" in own:
        if own["wait"] < _PATIENCE:
            return ""
        kind = getattr(record, "error.type", "the attempt failed")
        return f"{kind}: it is tried again in {own['wait']:.0f} s"
    words = re.split(r" \w+=", record.getMessage(), maxsplit=1)[0]
    if words == PriceUnknown.words:  # no flag gives one, and reports and --usage say so
        return ""
    facts = [f"{name} {value}".replace("_", " ") for name, value in own.items() if name != "id"]
    return f"{words} ({', '.join(facts)})" if facts else words
