"""One prompt to several models at once: what each says, how long it takes and what it costs."""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

from bruno_llm_base.cost.report import dollars
from bruno_llm_base.discovery import canonical, installed, split_name
from bruno_llm_base.exceptions import LLMError
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.response import ModelResponse, Usage
from bruno_llm_base.wrappers import FullLLM

from bruno_llm_cli.options import ModelOptions
from bruno_llm_cli.output import console, plain, show_document, show_table, write
from bruno_llm_cli.shell_words import in_shell_words

_NARROWEST = 36  # columns of an answer beside others; narrower ones stand one below the other
_GAP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one model has said to one prompt.

    Attributes:
        model: The model, as "provider/model".
        first_piece: Seconds until the first text was here; None if none came.
        duration: Seconds until the end.
        cost: USD; None where it is unknown.
        error: Why it failed; the text is what had come by then.
    """

    prompt: str
    model: str
    text: str = ""
    first_piece: float | None = None
    duration: float = 0.0
    finish_reason: str | None = None
    usage: Usage = Usage()  # noqa: RUF009 - it is frozen
    cost: Decimal | None = None
    error: str | None = None


async def compare(
    models: Sequence[str], options: ModelOptions, prompts: Sequence[str], *, as_json: bool
) -> bool:
    """Ask all *models* at once, one prompt after the other, and say whether all have answered.

    One that cannot be built, or fails, stops none of the others.
    """
    llms = [_built(model, options) for model in models]
    answers: list[Answer] = []
    try:
        with _waiting(models):  # no model's time is that of loading another's SDK
            await asyncio.gather(*map(_warm_up, llms), return_exceptions=True)
        for prompt in prompts:
            with _waiting(models):
                new = await asyncio.gather(*map(_ask, models, llms, [prompt] * len(models)))
            answers += new
            if not as_json:
                _show(new, heading=prompt if len(prompts) > 1 else None)
    finally:
        await asyncio.gather(*(llm.aclose() for llm in llms if not isinstance(llm, LLMError)))
    if as_json:
        show_document({"answers": list(map(_described, answers))})
    elif len(prompts) > 1:
        write("\n")
        _show_figures([_summed(answers[place :: len(models)]) for place in range(len(models))])
    return all(answer.error is None for answer in answers)


def _built(model: str, options: ModelOptions) -> FullLLM | LLMError:
    """Return the *model*, which may be a provider's name alone, or why it cannot be built."""
    try:
        provider, _ = split_name(model)
        known = {info.name for info in installed()}
        if canonical(provider) in known:
            return replace(options, provider=model).llm()
        return replace(options, model=model).llm()
    except LLMError as error:
        return error


async def _warm_up(llm: object) -> None:
    if isinstance(llm, BaseProvider):
        await llm.warm_up()


async def _ask(named: str, llm: FullLLM | LLMError, prompt: str) -> Answer:
    if isinstance(llm, LLMError):
        return Answer(prompt=prompt, model=named, error=llm.description)
    began, first, pieces, error = time.monotonic(), None, [], None
    response: ModelResponse | None
    try:
        async with llm.stream(prompt) as stream:
            async for text in stream:
                if text and first is None:
                    first = time.monotonic() - began
                pieces.append(text)
        response = stream.response
    except LLMError as failure:
        error, response = str(failure), failure.partial
    return Answer(
        prompt=prompt,
        model=f"{llm.name}/{llm.model}",
        text="".join(pieces),
        first_piece=first,
        duration=time.monotonic() - began,
        finish_reason=response.finish_reason if response else None,
        usage=response.usage if response else Usage(),
        cost=response.cost.total if response and response.cost else None,
        error=error,
    )


def _waiting(models: Sequence[str]) -> AbstractContextManager[Any]:
    """Return a block during which a terminal shows what is waited for."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console
    from rich.text import Text

    return Console(stderr=True).status(Text(plain(f"asking {', '.join(models)}")))


def _show(answers: Sequence[Answer], heading: str | None) -> None:
    """Print the answers side by side, where a terminal has room for that, and their figures."""
    if heading is not None:
        write(f"> {heading}\n\n")
    if not sys.stdout.isatty():
        for answer in answers:
            write(f"{answer.model}\n{'-' * len(answer.model)}\n{_said(answer)}\n\n")
    else:
        width = (console().width + _GAP) // len(answers) - _GAP
        beside = len(answers) if width >= _NARROWEST else 1
        for start in range(0, len(answers), beside):
            _show_in_columns(answers[start : start + beside])
    _show_figures(answers)


def _show_in_columns(answers: Sequence[Answer]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, _GAP, 0, 0), expand=True)
    for _ in answers:
        table.add_column(ratio=1, overflow="fold")
    table.add_row(*(Text(plain(answer.model), style="bold") for answer in answers))
    table.add_row(*("-" * len(answer.model) for answer in answers))
    table.add_row(*(Text(plain(_said(answer))) for answer in answers))
    console().print(table)
    write("\n")


def _said(answer: Answer) -> str:
    failure = "" if answer.error is None else f"[failed: {in_shell_words(answer.error)}]"
    return "\n".join(part for part in (answer.text.strip(), failure) if part)


_FIGURES = ("first", "total", "in", "out", "cost")


def _show_figures(answers: Sequence[Answer]) -> None:
    rows = [
        (
            answer.model,
            _seconds(answer.first_piece),
            "failed" if answer.error else _seconds(answer.duration),
            _number(answer.usage.input_tokens),
            _number(answer.usage.output_tokens),
            _number(None if answer.cost is None else dollars(answer.cost)),
        )
        for answer in answers
    ]
    show_table(("model", *_FIGURES), rows, right=_FIGURES)


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"


def _number(number: object) -> str:
    return "-" if number is None else str(number)


def _summed(answers: Sequence[Answer]) -> Answer:
    """Return what the *answers* of one model took together; of the first pieces, the mean."""
    firsts = [answer.first_piece for answer in answers if answer.first_piece is not None]
    costs = [answer.cost for answer in answers if answer.cost is not None]
    return Answer(
        prompt="",
        model=answers[0].model,
        first_piece=sum(firsts) / len(firsts) if firsts else None,
        duration=sum(answer.duration for answer in answers),
        usage=sum((answer.usage for answer in answers), Usage()),
        cost=sum(costs, Decimal()) if len(costs) == len(answers) else None,
        error=next((answer.error for answer in answers if answer.error), None),
    )


def _described(answer: Answer) -> dict[str, Any]:
    cost = None if answer.cost is None else f"{answer.cost:f}"
    return asdict(answer) | {"cost": cost}
