"""A summary in place of what is left out."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence

from bruno_llm_base.context.trim import Trimmed, trim
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.messages import Conversation, Turn
from bruno_llm_base.parts import Text, ToolCall, ToolResult
from bruno_llm_base.values import is_json

__all__ = ["summarize"]

_SHARE = 4
_TITLE = "Summary of the conversation so far: "


async def summarize(
    conversation: Conversation,
    write: Callable[[str], str | Awaitable[str]],
    *,
    costs: Sequence[int],
    room: int,
    count: Callable[[str], int],
) -> Trimmed:
    """Return *conversation* with a summary of its oldest turns in their place, so that it fits.

    The summary goes to the end of the system text, the one place that every vendor has. A quarter of
    the room is kept free for it, or less where what always stays needs more than the rest; *write* is
    not asked where everything fits, or where what always stays is too much by itself.

    Raises:
        InvalidRequestError: *write* failed (see `cause`), or what it returned is not a text, is
            empty, or is longer than what is left for it; it is never cut.
    """
    cut = trim(conversation, "summarize", costs=costs, room=room)
    if not cut.left_out or cut.tokens > room:
        return cut
    kept, left_out, tokens = trim(
        conversation, "summarize", costs=costs, room=room - room // _SHARE
    )
    text = "\n".join(line for turn in left_out for line in _lines(turn))
    summary = _TITLE + _checked(await _written(write, text))
    size, left = count(summary), room - tokens
    if size > left:
        raise InvalidRequestError(
            f"the summary takes {size} tokens, and the window has {left} left for it: have"
            " ContextPolicy.summarize return a shorter one",
            limit=left,
            actual=size,
        )
    system = f"{kept.system}\n\n{summary}" if kept.system else summary
    return Trimmed(Conversation(system, kept.turns), left_out, tokens + size)


def _lines(turn: Turn) -> Iterator[str]:
    for part in turn.parts:
        if isinstance(part, Text):
            yield f"{turn.role}: {part.text}"
        elif isinstance(part, ToolCall):
            yield f"{turn.role}: calls {part.name}({part.arguments})"
        elif isinstance(part, ToolResult):
            name = f"{part.name}: " if part.name else ""
            yield f"{turn.role}: {name}{part.content}"


async def _written(write: Callable[[str], str | Awaitable[str]], text: str) -> object:
    def call() -> object:
        try:  # here, since a StopIteration that leaves a thread is awaited for ever
            return write(text)
        except Exception as error:
            raise _failure(error) from error

    is_async = inspect.iscoroutinefunction(write)
    answer = call() if is_async else await asyncio.to_thread(call)  # a plain function may block
    try:
        return await answer if inspect.isawaitable(answer) else answer
    except Exception as error:
        raise _failure(error) from error


def _failure(error: Exception) -> InvalidRequestError:
    # even a provider's error: as such it would be held against the provider that was asked; and its
    # text may quote the conversation, so it stays in the cause
    return InvalidRequestError(
        f"ContextPolicy.summarize failed ({type(error).__name__}): see the cause", cause=error
    )


def _checked(summary: object) -> str:
    if isinstance(summary, str) and summary.strip() and is_json(summary):
        return summary
    wrong = f"a {type(summary).__name__}"
    if isinstance(summary, str):
        wrong = "a text with half of a surrogate pair" if summary.strip() else "an empty text"
    raise InvalidRequestError(f"ContextPolicy.summarize returned {wrong}: have it return a text")
