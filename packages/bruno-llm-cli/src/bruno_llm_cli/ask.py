"""One question and its answer, and how many tokens a text takes."""

from dataclasses import asdict
from typing import Any

from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.response import ModelResponse
from bruno_llm_base.stream import answer_text
from bruno_llm_base.wrappers import FullLLM

from bruno_llm_cli.output import say, show_document, write


async def ask(llm: FullLLM, question: str, *, as_json: bool, streamed: bool) -> None:
    """Print the answer to *question*, as it comes if it is *streamed*."""
    try:
        if streamed and not as_json:
            response = await _stream(llm, question)
        else:
            response = await llm.request(question)
    finally:
        await llm.aclose()
    if as_json:
        show_document(_document(response))
        return
    if not streamed:
        text = answer_text(response, llm.name)
        write(text if text.endswith("\n") else f"{text}\n")
    warn_if_cut(response)


async def _stream(llm: FullLLM, question: str) -> ModelResponse:
    last = "\n"
    stream = llm.stream(question)
    try:
        async with stream:
            async for text in stream:
                write(text)
                last = text or last
    finally:
        if not last.endswith("\n"):
            write("\n")
    return stream.response


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
    write(f"{counted.tokens} tokens ({accuracy}; {counted.source})\n")


def _document(response: ModelResponse) -> dict[str, Any]:
    cost = response.cost
    return {
        "text": response.text,
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
