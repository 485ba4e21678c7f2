"""The same question to each row of a file, with a bar that shows how far it is."""

import asyncio
import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bruno_llm_base.cost.report import dollars
from bruno_llm_base.events import Event, MapProgress
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.wrappers import FallbackLLM, FullLLM

from bruno_llm_cli.output import say, write

if TYPE_CHECKING:
    from bruno_llm_base.batch.map import MapItem
    from bruno_llm_prompts import Prompt


def read_rows(path: Path) -> Iterator[Any]:
    """Yield the rows of a file of CSV, whose first line names the fields, or of JSON lines.

    Raises:
        InvalidRequestError: It cannot be read, or is neither.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                yield from csv.DictReader(file)
                return
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _parsed(line, f"line {number} of {path}")
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise InvalidRequestError(f"{path} is not text in UTF-8: convert it first") from None
    except csv.Error as error:
        raise InvalidRequestError(f"{path} is no CSV: {error}") from error


def _parsed(line: str, name: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InvalidRequestError(f"{name} is no JSON: {error}") from None


class Progress:
    """How far a map is: an observer, which draws a bar where stderr is a terminal."""

    def __init__(self, total: int) -> None:
        """Begin with *total* rows to go."""
        self.total = total
        self.last: MapProgress | None = None
        self.nothing_was_left = False
        self._draw: Callable[[MapProgress], None] = lambda _: None

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, MapProgress):
            self.last = event
            self._draw(event)

    def bar(self, *, beside_answers: bool) -> AbstractContextManager[Any]:
        """Return the block in which the bar is drawn; none *beside_answers* that a terminal shows."""
        from rich import progress  # slow to load
        from rich.console import Console

        console = Console(stderr=True)
        if not console.is_terminal or (beside_answers and sys.stdout.isatty()):
            return nullcontext()
        columns = (
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.description}", markup=False),
        )
        bars = progress.Progress(*columns, console=console, transient=True, redirect_stdout=False)
        task = bars.add_task("", total=self.total)

        def draw(event: MapProgress) -> None:
            done = event.answered + event.failed + event.skipped
            bars.update(task, completed=done, description=_told(event))

        self._draw = draw
        return bars

    def counts(self) -> dict[str, Any]:
        """Return how many rows have an answer, and what it took, as `--json` prints it."""
        last = self.last
        if last is None:
            skipped = self.total if self.nothing_was_left else 0
            return {"answered": 0, "failed": 0, "skipped": skipped, "cost": "0"}
        counted = {name: getattr(last, name) for name in ("answered", "failed", "skipped")}
        return counted | {"cost": f"{last.cost:f}"}

    def __str__(self) -> str:
        if self.last is not None:
            return _told(self.last)
        return "nothing was asked" + (": all rows were there" if self.nothing_was_left else "")


def _told(event: MapProgress) -> str:
    parts = [f"{event.answered} answered"]
    parts += [f"{event.failed} failed"] if event.failed else []
    parts += [f"{event.skipped} were there"] if event.skipped else []
    parts += [dollars(event.cost)] if event.cost else []
    return ", ".join(parts)


async def map_file(
    llm: FullLLM,
    rows: Path,
    prompt: "str | Prompt",
    progress: Progress,
    *,
    into: Path | None,
    **settings: Any,
) -> bool:
    """Ask for each row of a file, and say whether none failed.

    Args:
        llm: Who is asked.
        rows: The file.
        prompt: What is asked of each row.
        progress: What hears how far it is.
        into: The file of answers; None for stdout, to which each is printed as it comes.
        settings: Other arguments of `map`.

    Raises:
        ConfigurationError: The model cannot map, or the file of answers cannot be written.
    """
    from bruno_llm_base.batch.map import entry_of  # a question does not need it

    if not isinstance(llm, BaseProvider | FallbackLLM):
        raise ConfigurationError(f"{llm!r} cannot map: use a provider of bruno-llm")
    failed: MapItem | None = None  # the first one
    is_read = True
    try:
        with progress.bar(beside_answers=into is None):
            async for item in llm.map(read_rows(rows), prompt, into=into, **settings):
                failed = failed or (item if item.error is not None else None)
                if into is None:
                    line = json.dumps(entry_of(item)) + "\n"
                    await asyncio.to_thread(write, line)  # no request waits for a slow reader
        progress.nothing_was_left = progress.last is None
    except OSError as error:
        if into is None:  # the reader has left, and wants to hear no more
            is_read = False
            raise
        raise ConfigurationError(f"{into} cannot be written: {error.strerror}") from error
    finally:
        await llm.aclose()
        if is_read:
            say(str(progress))
        if is_read and failed:
            where = "its line" if into is None else into
            say(f"row {failed.key} failed: {failed.error}; {where} says why each did")
    return failed is None
