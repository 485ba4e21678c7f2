"""One question and its answer."""

from dataclasses import asdict
from typing import Any

from bruno_llm_base.stream import answer_text
from bruno_llm_base.types import ModelResponse
from bruno_llm_base.wrappers import FullLLM

from bruno_llm_cli.output import say, show_document, write

__all__ = ["as_document", "as_stream", "as_text", "warn"]


async def as_document(llm: FullLLM, question: str) -> None:
    """Print the answer to *question*, whatever it is, and all that is known of it, as JSON."""
    try:
        response = await llm.request(question)
    finally:
        await llm.aclose()
    show_document(_document(response))


async def as_text(llm: FullLLM, question: str) -> None:
    """Print the answer to *question* when it is complete."""
    try:
        response = await llm.request(question)
    finally:
        await llm.aclose()
    write(_line(answer_text(response, llm.name)))
    warn(response)


async def as_stream(llm: FullLLM, question: str) -> None:
    """Print the answer to *question* as it comes."""
    last = "\n"
    stream = llm.stream(question)
    try:
        async with stream:
            async for text in stream:
                write(text)
                last = text or last
    finally:
        await llm.aclose()
        if not last.endswith("\n"):
            write("\n")
    warn(stream.response)


def warn(response: ModelResponse) -> None:
    """Tell the user of an answer that is not complete."""
    if response.finish_reason == "length":
        say("the answer breaks off here: it has as many tokens as it may have (--max-tokens)")


def _line(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"


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
