"""One question and its answer, and how many tokens a text takes."""

import json
import re
import sys
from dataclasses import asdict
from decimal import Decimal
from typing import Any, cast

from bruno_llm_base.exceptions import InvalidResponseError
from bruno_llm_base.messages import Messages
from bruno_llm_base.parts import Json
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.response import ModelResponse, Usage
from bruno_llm_base.stream import TextStream, answer_text
from bruno_llm_base.wrappers import FullLLM

from bruno_llm_cli.output import say, show_document, write

# A block that the answer's end cuts off is a block as well.
_BLOCK = re.compile(
    r"^ {0,3}(`{3,}|~{3,})[^`\n]*\n(.*?)(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)


async def ask(
    llm: FullLLM,
    messages: Messages,
    call: Json,
    *,
    as_json: bool = False,
    streamed: bool = True,
    extract: bool = False,
    usage: bool = False,
) -> ModelResponse:
    """Print the answer to *messages*, as it comes if it is *streamed* and all is printed; return it.

    Args:
        llm: Who is asked.
        messages: The question, or a conversation that ends with it.
        call: Other arguments of the call: `attachments`, `output`, `tools`.
        as_json: Whether all that is known of the answer is printed, as JSON.
        streamed: Whether what has come is printed at once.
        extract: Whether only the first fenced block of code is printed.
        usage: Whether tokens and cost are told, on stderr.
    """
    typed = "output" in call
    try:
        if streamed and not (as_json or extract or typed):
            response = await _stream(_opened(llm, messages, call))
        else:
            response = await _request(llm, messages, call)
            _print(response, llm.name, as_json=as_json, extract=extract, typed=typed)
    finally:
        await llm.aclose()
    if not as_json:
        warn_if_cut(response)
    if usage:
        say(spent(response))
    return response


async def _request(llm: FullLLM, messages: Messages, call: Json) -> ModelResponse:
    if "tools" not in call:
        return await llm.request(messages, **call)
    from bruno_llm_base.tool_loop import CallingLLM, run_tools

    return await run_tools(cast(CallingLLM, llm), messages, **call)


def _opened(llm: FullLLM, messages: Messages, call: Json) -> TextStream:
    if "tools" not in call:
        return llm.stream(messages, **call)
    from bruno_llm_base.tool_loop import CallingLLM, stream_tools

    return stream_tools(cast(CallingLLM, llm), messages, **call)


async def _stream(stream: TextStream) -> ModelResponse:
    last = "\n"
    try:
        async with stream:
            async for text in stream:
                write(text)
                last = text or last
    finally:
        if not last.endswith("\n"):
            write("\n")
    return stream.response


def _print(
    response: ModelResponse, name: str, *, as_json: bool, extract: bool, typed: bool
) -> None:
    if as_json:
        show_document(described(response, typed=typed))
        return
    if typed and not response.tool_calls:
        is_unicode = sys.stdout.encoding.lower().startswith("utf")
        text = json.dumps(response.output, indent=2, ensure_ascii=not is_unicode)
    else:
        text = answer_text(response, name)
    if extract:
        text = _code_in(text)
    write(text if text.endswith("\n") else f"{text}\n")


def _code_in(text: str) -> str:
    """Return the first fenced block of code.

    Raises:
        InvalidResponseError: There is none; the text was printed on stderr.
    """
    if found := _BLOCK.search(text):
        return found[2]
    write(f"{text}\n", sys.stderr)
    raise InvalidResponseError("the answer, which is above, has no fenced block of code")


def spent(response: ModelResponse) -> str:
    """Return what an answer took: tokens, and dollars if the price is known."""
    cost = None if response.cost is None else response.cost.total
    return f"{'about ' if response.usage_estimated else ''}{told_spent(response.usage, cost)}"


def told_spent(usage: Usage, cost: Decimal | None) -> str:
    """Return these tokens and dollars in words."""
    from bruno_llm_base.cost.report import dollars  # a question does not need it

    told = [f"{_number(usage.input_tokens)} tokens in"]
    if usage.cache_read_tokens:
        told.append(f"{_number(usage.cache_read_tokens)} of them from the cache")
    told.append(f"{_number(usage.output_tokens)} out")
    if usage.reasoning_tokens:
        told.append(f"{_number(usage.reasoning_tokens)} of them for reasoning")
    told.append("price unknown" if cost is None else dollars(cost))
    return ", ".join(told)


def _number(tokens: int | None) -> str:
    return "an unknown number of" if tokens is None else f"{tokens:,}"


def warn_if_cut(response: ModelResponse) -> None:
    """Tell the user of an answer that is not complete."""
    if response.finish_reason == "length":
        say("the answer breaks off here: it has as many tokens as it may have (--max-tokens)")


async def count(llm: FullLLM, text: str, *, exact: bool, as_json: bool) -> None:
    """Print how many tokens *text* takes; where it is to be *exact*, the vendor is asked."""
    try:
        if isinstance(llm, BaseProvider) and not exact:
            counted = llm.count_text(text)
        else:
            counted = await llm.count_tokens(prompt=text)
    finally:
        await llm.aclose()
    if as_json:
        show_document(asdict(counted) | {"provider": llm.name, "model": llm.model})
        return
    accuracy = "exact" if counted.exact else f"estimated, to within {counted.error:.0%}"
    noun = "token" if counted.tokens == 1 else "tokens"
    write(f"{counted.tokens} {noun} ({accuracy}; {counted.source})\n")


def described(response: ModelResponse, *, typed: bool = False) -> dict[str, Any]:
    """Return all that is known of an answer, as `--json` prints it."""
    cost = response.cost
    return {
        "text": response.text,
        "output": response.output if typed and not response.tool_calls else None,
        "reasoning": response.reasoning,
        "tool_calls": [
            {"id": call.id, "name": call.name, "arguments": call.arguments}
            for call in response.tool_calls
        ],
        "finish_reason": response.finish_reason,
        "finish_detail": response.finish_detail,
        "provider": response.provider,
        "model": response.model,
        "id": response.id,
        "request_id": response.request_id,
        "usage": asdict(response.usage),
        "usage_estimated": response.usage_estimated,
        "cost": None if cost is None else f"{cost.total:f}",
        "attempts": len(response.attempts),
    }
