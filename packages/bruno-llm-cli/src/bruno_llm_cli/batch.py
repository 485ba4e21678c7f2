"""The commands of vendor batches: rows are sent today, and answered within a day, at half price."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.factory import LLMFactory
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.wrappers import FullLLM
from typer import Argument, BadParameter, Exit, Option, Typer

from bruno_llm_cli.choice import build_for_a_look
from bruno_llm_cli.options import (
    AsJson,
    Config,
    Ledger,
    ModelOptions,
    Verbose,
    build_llm,
    taking_model_options,
)
from bruno_llm_cli.output import say, set_verbosity, show_document, write
from bruno_llm_cli.prompt_templates import RowPrompt, RowTemplate, question_of_rows
from bruno_llm_cli.usage import STDOUT, rows_file

if TYPE_CHECKING:
    from bruno_llm_base.batch.vendor import Batch
    from bruno_llm_prompts import Prompt

_T = TypeVar("_T")
Id = Annotated[str, Argument(metavar="ID", help="What `submit` has printed.")]
batches = Typer(
    no_args_is_help=True,
    help="Answer rows within a day, at half price.\n\nThe vendor does; `map` asks at once.",
)


@batches.command()
@taking_model_options
def submit(
    options: ModelOptions,
    rows: Annotated[
        Path, Argument(help="A file of rows: .csv, .jsonl or .ndjson.", callback=rows_file)
    ],
    *,
    prompt: RowPrompt = None,
    template: RowTemplate = None,
    key: Annotated[str | None, Option(help="The field that names a row; its hash if none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send rows to a vendor, and print the id.

    The same is asked of each row of a file.
    """
    question, options, call = question_of_rows(prompt, template, options)
    llm = _provider(options.llm())
    asked = _questions(rows, question, key)
    batch = asyncio.run(_with(llm, lambda: llm.batch(asked, **call)))
    _show_id(batch, as_json=as_json)


@batches.command()
def status(
    batch_id: Id, config: Config = None, *, as_json: AsJson = False, verbose: Verbose = 0
) -> None:
    """Tell how a batch stands."""
    set_verbosity(verbose)
    _run(batch_id, config, partial(_state, as_json=as_json))


@batches.command()
def wait(
    batch_id: Id,
    config: Config = None,
    *,
    poll: Annotated[float, Option(help="How often to ask at first, in seconds.", min=0)] = 15.0,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Wait until a batch has ended.

    Ctrl-C ends the waiting only.
    """
    set_verbosity(verbose)
    _run(batch_id, config, partial(_state, poll=poll, as_json=as_json))


@batches.command()
def results(
    batch_id: Id,
    output: Annotated[
        Path, Option("--output", "-o", help="The file of answers (JSON lines); - for stdout.")
    ] = STDOUT,
    config: Config = None,
    ledger: Ledger = None,
    *,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Write a line of JSON for each row.

    The batch has to have ended. The exit code is 1 if a row has no answer.
    """
    set_verbosity(verbose)
    into = None if output == STDOUT else output
    if not _run(batch_id, config, partial(_results, output=into, as_json=as_json), ledger):
        raise Exit(1)


@batches.command()
def cancel(
    batch_id: Id, config: Config = None, *, as_json: AsJson = False, verbose: Verbose = 0
) -> None:
    """Have the vendor stop.

    What is answered by then has its results, and is paid for.
    """
    set_verbosity(verbose)

    async def stop(batch: "Batch") -> None:
        await batch.cancel()
        await _state(batch, as_json=as_json)

    _run(batch_id, config, stop)


@batches.command()
def retry(
    batch_id: Id,
    config: Config = None,
    ledger: Ledger = None,
    *,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Send the rows without an answer again.

    This prints the new id. The vendor has to keep what was sent: OpenAI does.
    """
    set_verbosity(verbose)
    again = _run(batch_id, config, lambda batch: batch.retry(), ledger)
    _show_id(again, as_json=as_json)


def _run(
    batch_id: str,
    config: Path | None,
    work: Callable[["Batch"], Awaitable[_T]],
    ledger: Ledger = None,
) -> _T:
    """Do *work* with the batch that is called so, of the provider that its id begins with.

    Raises:
        BadParameter: It is not an id.
        ConfigurationError: The provider cannot be built.
    """
    name, sign, _ = batch_id.partition(":")
    if not sign:
        raise BadParameter(
            f"{batch_id} is not the id of a batch: give what `submit` has printed, such as openai:batch_1"
        )
    keywords: dict[str, Any] = {}
    if ledger is not None:
        from bruno_llm_base.cost.tracker import CostTracker

        keywords["cost"] = CostTracker(ledger)
    if config is None:
        llm = build_for_a_look(name, partial(LLMFactory.from_env, **keywords))
    else:
        llm = _provider(build_llm(None, None, config, **keywords))
    batch = llm.batch_from(batch_id)
    return asyncio.run(_with(llm, lambda: work(batch)))


def _provider(llm: FullLLM) -> BaseProvider:
    if not isinstance(llm, BaseProvider):
        raise ConfigurationError(f"{llm!r} takes no batches: use a provider of bruno-llm")
    return llm


async def _with(llm: BaseProvider, work: Callable[[], Awaitable[_T]]) -> _T:
    try:
        return await work()
    finally:
        await llm.aclose()


def _questions(path: Path, prompt: "str | Prompt", key: str | None) -> Any:
    """Return what is asked of each row, by the row's key; equal rows are asked once."""
    from bruno_llm_base.batch.template import field_of, fingerprint, question_of

    from bruno_llm_cli.map import read_rows

    ask = question_of(prompt)
    if key is None:
        return {fingerprint(row): ask(row) for row in read_rows(path)}
    return ((field_of(row, key, "--key"), ask(row)) for row in read_rows(path))


def _tell_what_is_next() -> None:
    """Tell a user what comes next; a program needs only the id."""
    if sys.stderr.isatty():
        say(
            "`bruno-llm batch wait ID` waits for the answers, `bruno-llm batch results ID` has them"
        )


def _show_id(batch: "Batch", *, as_json: bool) -> None:
    if as_json:
        show_document(_described(batch))
    else:
        write(f"{batch.id}\n")
        _tell_what_is_next()


async def _state(batch: "Batch", *, poll: float | None = None, as_json: bool) -> None:
    """Print how *batch* stands, once it has ended if it is to be *poll*ed."""
    state = await (batch.refresh() if poll is None else batch.wait(poll))
    if as_json:
        show_document(_described(batch))
        return
    counts = state.counts
    told = [f"{counts.succeeded} of {counts.total} answered"]
    for name in ("failed", "expired", "cancelled"):
        told += [f"{number} {name}"] if (number := getattr(counts, name)) else []
    if state.expires_at is not None and state.status != "ended":
        told.append(f"until {state.expires_at:%Y-%m-%d %H:%M} UTC at the latest")
    write(f"{state.status}: {', '.join(told)}\n")


def _described(batch: "Batch") -> dict[str, Any]:
    state = batch.state
    expires = None if state is None else state.expires_at
    return {
        "id": batch.id,
        "status": None if state is None else state.status,
        "counts": {} if state is None else state.counts._asdict(),
        "expires_at": None if expires is None else expires.isoformat(),
    }


async def _results(batch: "Batch", *, output: Path | None, as_json: bool) -> bool:
    """Write the results, and say whether all rows have an answer."""
    from bruno_llm_base.batch.map import entry_of
    from bruno_llm_base.cost.report import dollars

    answered = failed = 0
    cost = 0.0
    rows: list[Any] = []
    with _written(output) as put:
        async for item in batch.results():
            entry = entry_of(item)
            if as_json and output is None:
                rows.append(entry)
            else:
                put(json.dumps(entry, ensure_ascii=output is None) + "\n")
            answered += item.error is None
            failed += item.error is not None
            cost += entry["cost"] or 0.0
    # of a part that runs, or that has no results of which the vendor does not tell the keys
    missing = batch.state.counts.total - answered - failed if batch.state else 0
    if as_json:
        counts = {"answered": answered, "failed": failed, "missing": max(missing, 0), "cost": cost}
        show_document(counts | ({"rows": rows} if output is None else {}))
        return not failed and missing <= 0
    told = [f"{answered} answered"]
    told += [f"{failed} failed"] if failed else []
    told += [f"{missing} without a result"] if missing > 0 else []
    told += [dollars(Decimal(str(cost)))] if cost else []
    say(", ".join(told))
    return not failed and missing <= 0


@contextmanager
def _written(output: Path | None) -> Iterator[Callable[[str], Any]]:
    """Return what writes a line, to stdout or to a file that is there when all of it is.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    if output is None:
        yield write
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file.write
        part.replace(output)
    except OSError as error:
        raise ConfigurationError(f"{output} cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink()
