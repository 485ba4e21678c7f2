"""Putting a summary in place of what is left out."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence

from bruno_llm_base.context.strategies import Cut, fitted
from bruno_llm_base.conversation import Conversation, Turn
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.parts import Text, ToolCall, ToolResult
from bruno_llm_base.values import is_json

__all__ = ["summarized"]

_SHARE = 4  # a quarter of the room is kept free for the summary
_TITLE = "Summary of the conversation so far: "


async def summarized(
    conversation: Conversation,
    summarize: Callable[[str], str | Awaitable[str]],
    *,
    costs: Sequence[int],
    room: int,
    count: Callable[[str], int],
) -> Cut:
    """Return *conversation* with a summary of its oldest turns in their place, so that it fits.

    The summary goes to the end of the system text, the one place that every vendor has. Nothing is
    remembered: as long as a conversation is too long, each request asks for a summary.

    *summarize* is not asked where everything fits, or where nothing helps: then what always
    stays takes more than *room*. A plain function runs in a thread, since it may block; one that
    is given up with its request runs on to its end.

    Args:
        conversation: What has been said.
        summarize: Is given the text of what is left out, and returns a summary of it.
        costs: What each turn takes, in tokens.
        room: The tokens that the turns and the summary may take. A quarter of it is kept free for
            the summary, or less where what always stays needs more than the rest.
        count: Counts the tokens of a text.

    Raises:
        InvalidRequestError: *summarize* failed (see `cause`), or its summary is none: no text, an
            empty one, or longer than what is left for it. It is never cut: its end matters too.
    """
    cut = fitted(conversation, "summarize", costs=costs, room=room)
    if not cut.left_out or cut.tokens > room:
        return cut
    short, left_out, tokens = fitted(
        conversation, "summarize", costs=costs, room=room - room // _SHARE
    )
    told = "\n".join(line for turn in left_out for line in _lines(turn))
    summary = _TITLE + _checked(await _asked(summarize, told))
    size, left = count(summary), room - tokens
    if size > left:
        raise InvalidRequestError(
            f"the summary takes {size} tokens, and the window has {left} left for it: have"
            " ContextPolicy.summarize return a shorter one",
            limit=left,
            actual=size,
        )
    system = f"{short.system}\n\n{summary}" if short.system else summary
    return Cut(Conversation(system, short.turns), left_out, tokens + size)


def _lines(turn: Turn) -> Iterator[str]:
    """Yield what a turn says, as somebody would write it down who summarizes it."""
    for part in turn.parts:
        if isinstance(part, Text):
            yield f"{turn.role}: {part.text}"
        elif isinstance(part, ToolCall):
            yield f"{turn.role}: calls {part.name}({part.arguments})"
        elif isinstance(part, ToolResult):
            yield f"{turn.role}: {_answer(part)}"


def _answer(result: ToolResult) -> str:
    return f"{result.name}: {result.content}" if result.name else result.content


async def _asked(summarize: Callable[[str], str | Awaitable[str]], text: str) -> object:
    if inspect.iscoroutinefunction(summarize):
        answer = _called(summarize, text)
    else:
        answer = await asyncio.to_thread(_called, summarize, text)
    try:
        return await answer if inspect.isawaitable(answer) else answer
    except Exception as error:
        raise _failure(error) from error


def _called(summarize: Callable[[str], object], text: str) -> object:
    # caught here, since a StopIteration that leaves a thread is awaited for ever
    try:
        return summarize(text)
    except Exception as error:
        raise _failure(error) from error


def _failure(error: Exception) -> InvalidRequestError:
    # even a provider's error: as such it would be held against the provider that was asked; and its
    # text may quote the conversation, so it stays in the cause
    return InvalidRequestError(
        f"ContextPolicy.summarize failed ({type(error).__name__}): see the cause", cause=error
    )


def _checked(summary: object) -> str:
    wrong = None
    if not isinstance(summary, str):
        wrong = f"a {type(summary).__name__}"
    elif not summary.strip():
        wrong = "an empty text"
    elif not is_json(summary):
        wrong = "a text with half of a surrogate pair"
    else:
        return summary
    raise InvalidRequestError(f"ContextPolicy.summarize returned {wrong}: have it return a text")
