"""What the library logs, told on stderr."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from bruno_llm_cli.output import say

__all__ = ["listen", "logged"]

_LOGGER = logging.getLogger("bruno_llm")


@contextmanager
def logged() -> Iterator[None]:
    """Tell what is logged within a `with` block."""
    handler, level = _OnStderr(), _LOGGER.level
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)


def listen(verbosity: int) -> None:
    """Choose what is told: 0 for warnings, 1 for how each request ended, 2 for all."""
    _LOGGER.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)])


class _OnStderr(logging.Handler):
    """Says what is logged; of errors, which commands tell of themselves, only with -v."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        if record.levelno < logging.ERROR or _LOGGER.level < logging.WARNING:
            say(record.getMessage())
