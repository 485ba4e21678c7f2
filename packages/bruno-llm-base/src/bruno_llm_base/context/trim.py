"""Which turns are left out when a conversation does not fit, and in which order.

Every conversation is a row of exchanges: a question, then rounds of tool calls with their results,
then an answer in words; each of the three may be missing. Turns leave by whole *units*, a call
together with its results, or by whole exchanges, so what stays is sound as it is: no call without
its results, and no neighbours of one role that would have to be merged.

The last question always stays, and the last unit that came of it. What lies between them, the
rounds of an agent that has long been at work, is left out only when nothing else is left to give.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

from bruno_llm_base.context.policy import Strategy
from bruno_llm_base.messages import Conversation, Turn

__all__ = ["Trimmed", "trim"]


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


_Exchange = list[range]  # the places of each unit's turns


def trim(
    conversation: Conversation, strategy: Strategy, *, costs: Sequence[int], room: int
) -> Trimmed:
    """Return *conversation* without as many turns as it takes to fit, in time linear in its turns.

    The system text, the last question, the last unit and the order always stay. Where these alone
    are too much, they are what is returned. Trimming again changes nothing.

    Args:
        conversation: What has been said, from `Conversation.of`.
        strategy: What is left out; "summarize" leaves out what "oldest_first" does.
        costs: What each turn takes, in tokens, 0 or more.
        room: The tokens that the turns may take, without the system text's.
    """
    turns, tokens = conversation.turns, sum(costs)
    if tokens <= room or not turns:
        return Trimmed(conversation, (), tokens)
    stays = [True] * len(turns)
    *earlier, last = _exchanges(turns)
    asked = [turns[units[0].start].role == "user" for units in earlier]
    for places in chain(_ORDERS[strategy](earlier, asked), last[1:-1]):
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

    What comes before the first question is an exchange of its own. Where there is no question, as
    in a conversation whose beginning was cut off, every round of tool calls is one.
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


def _whole(units: _Exchange) -> range:
    return range(units[0].start, units[-1].stop)


def _oldest_first(exchanges: list[_Exchange], asked: list[bool]) -> Iterable[range]:
    del asked
    return chain(*exchanges)


def _sliding_window(exchanges: list[_Exchange], asked: list[bool]) -> Iterable[range]:
    del asked
    return map(_whole, exchanges)


def _middle_out(exchanges: list[_Exchange], asked: list[bool]) -> Iterable[range]:
    last = len(asked)  # the place of the exchange that is not among them
    # twice the distance from the middle: falls and then rises, which sorts in linear time
    outwards = sorted(range(last), key=lambda place: abs(2 * place - last))
    return (_whole(exchanges[place]) for place in outwards)


def _smart(exchanges: list[_Exchange], asked: list[bool]) -> Iterable[range]:
    task = asked.index(True) if True in asked else None
    yield from (range(units[0].stop, units[-1].start) for units in exchanges)
    yield from (_whole(units) for place, units in enumerate(exchanges) if place != task)
    if task is not None:
        yield _whole(exchanges[task])


_ORDERS: dict[Strategy, Callable[[list[_Exchange], list[bool]], Iterable[range]]] = {
    "oldest_first": _oldest_first,
    "sliding_window": _sliding_window,
    "middle_out": _middle_out,
    "smart": _smart,
    "summarize": _oldest_first,
}
