"""Which turns are left out when a conversation does not fit, in which order, and a summary of them.

Every conversation is a row of exchanges: a question, then rounds of tool calls with their results,
then an answer in words; each of the three may be missing. Turns leave by whole *units*, a call
together with its results, or by whole exchanges, so what stays is sound as it is: no call without
its results, and no neighbours of one role that would have to be merged.

The last question always stays, and the last unit that came of it. What lies between them, the
rounds of an agent that has long been at work, is left out only when nothing else is left to give.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

from bruno_llm_base.context.policy import Strategy
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.messages import Conversation, Turn
from bruno_llm_base.parts import Media, Text, ToolCall, ToolResult, is_json

_SHARE = 4
_TITLE = "Summary of the conversation so far: "
_Exchange = list[range]  # the places of each unit's turns


class Trimmed(NamedTuple):
    """A conversation that was made to fit.

    Attributes:
        conversation: What stays; the very object that was given, if that is all of it.
        left_out: The turns that do not stay, in order.
        tokens: What the turns that stay take, and the summary of the others if there is one.
    """

    conversation: Conversation
    left_out: tuple[Turn, ...]
    tokens: int


def trim(
    conversation: Conversation, strategy: Strategy, *, costs: Sequence[int], room: int
) -> Trimmed:
    """Return *conversation* without as many turns as it takes to fit, in time linear in its turns.

    Its turns take *costs* tokens, and may take *room*. Where what always stays is too much by
    itself, it is what is returned. Trimming again changes nothing.
    """
    turns, tokens = conversation.turns, sum(costs)
    if tokens <= room or not turns:
        return Trimmed(conversation, (), tokens)
    stays = [True] * len(turns)
    *earlier, last = _exchanges(turns)
    for places in chain(_leaving(strategy, earlier, turns), last[1:-1]):
        if tokens <= room:
            break
        for place in places:
            tokens -= costs[place] if stays[place] else 0
            stays[place] = False
    if all(stays):
        return Trimmed(conversation, (), tokens)
    marked = list(zip(turns, stays, strict=True))
    kept = Conversation(conversation.system, tuple(turn for turn, stay in marked if stay))
    return Trimmed(kept, tuple(turn for turn, stay in marked if not stay), tokens)


def _exchanges(turns: Sequence[Turn]) -> list[_Exchange]:
    """Return all exchanges; the last one holds what is being answered.

    What comes before the first question is an exchange of its own. In turns without a question,
    as in a conversation whose beginning was cut off, every round of tool calls is one.
    """
    rounds = (place - 1 for place, turn in enumerate(turns) if turn.role == "tool")
    questions = [place for place, turn in enumerate(turns) if turn.role == "user"]
    begins = {0, *(questions or rounds)}
    units = [place for place, turn in enumerate(turns) if turn.role != "tool"]
    exchanges: list[_Exchange] = []
    for start, stop in pairwise([*units, len(turns)]):
        if start in begins:
            exchanges.append([])
        exchanges[-1].append(range(start, stop))
    return exchanges


def _leaving(
    strategy: Strategy, exchanges: list[_Exchange], turns: Sequence[Turn]
) -> Iterator[range]:
    """Yield the places of turns in the order in which a strategy leaves them out."""
    whole = [range(units[0].start, units[-1].stop) for units in exchanges]
    match strategy:
        case "oldest_first" | "summarize":
            yield from chain(*exchanges)
        case "sliding_window":
            yield from whole
        case "middle_out":
            last = len(whole)  # the place of the exchange that is not among them
            # twice the distance from the middle: falls and then rises, which sorts in linear time
            for place in sorted(range(last), key=lambda place: abs(2 * place - last)):
                yield whole[place]
        case "smart":
            yield from (range(units[0].stop, units[-1].start) for units in exchanges)
            task = next((each for each in whole if turns[each.start].role == "user"), None)
            yield from (each for each in whole if each is not task)
            if task is not None:
                yield task


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
        elif isinstance(part, Media):
            yield f"{turn.role}: {part.told}"


async def _written(write: Callable[[str], str | Awaitable[str]], text: str) -> object:
    def call() -> object:
        try:
            return write(text)
        except StopIteration as error:  # one that leaves a thread is awaited for ever
            raise RuntimeError(*error.args) from error

    try:
        is_async = inspect.iscoroutinefunction(write)
        answer = call() if is_async else await asyncio.to_thread(call)  # a plain one may block
        return await answer if inspect.isawaitable(answer) else answer
    except Exception as error:
        # even a provider's error: as such it would be held against the provider that was asked; and
        # its text may quote the conversation, so it stays in the cause
        raise InvalidRequestError(
            f"ContextPolicy.summarize failed ({type(error).__name__}): see the cause", cause=error
        ) from error


def _checked(summary: object) -> str:
    if isinstance(summary, str) and summary.strip() and is_json(summary):
        return summary
    wrong = f"a {type(summary).__name__}"
    if isinstance(summary, str):
        wrong = "a text with half of a surrogate pair" if summary.strip() else "an empty text"
    raise InvalidRequestError(f"ContextPolicy.summarize returned {wrong}: have it return a text")
