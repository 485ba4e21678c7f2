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

from bruno_llm_base.conversation import Conversation, Turn
from bruno_llm_base.policies import Strategy

__all__ = ["Cut", "fitted"]


class Cut(NamedTuple):
    """A conversation that was made to fit.

    Attributes:
        conversation: What stays; the very object that was given, if that is all of it.
        left_out: The turns that do not stay, in order.
        tokens: What the turns that stay take, and the summary of the others if there is one.
    """

    conversation: Conversation
    left_out: tuple[Turn, ...]
    tokens: int


class _Exchange(NamedTuple):
    """Whether it begins with a question, and the places of each unit's turns."""

    asked: bool
    units: list[range]

    @property
    def whole(self) -> range:
        return range(self.units[0].start, self.units[-1].stop)

    @property
    def between(self) -> range:
        """What lies between its first unit and its last."""
        return range(self.units[0].stop, self.units[-1].start)


def fitted(
    conversation: Conversation, strategy: Strategy, *, costs: Sequence[int], room: int
) -> Cut:
    """Return *conversation* without as many turns as it takes to fit.

    The system text, the last question, the last unit and the order always stay. Where these alone
    are too much, they are what is returned, and `Cut.tokens` says how much they take. It takes time linear in the
    number of turns, and fitting again changes nothing.

    Args:
        conversation: What has been said, from `Conversation.of`.
        strategy: What is left out; "summarize" leaves out what "oldest_first" does.
        costs: What each turn takes, in tokens, 0 or more.
        room: The tokens that the turns may take; the system text's are no part of it.
    """
    turns, tokens = conversation.turns, sum(costs)
    if tokens <= room or not turns:
        return Cut(conversation, (), tokens)
    stays = [True] * len(turns)
    *earlier, last = _exchanges(turns)
    for places in chain(_ORDERS[strategy](earlier), last.units[1:-1]):
        if tokens <= room:
            break
        for place in places:
            tokens -= costs[place] if stays[place] else 0
            stays[place] = False
    if all(stays):
        return Cut(conversation, (), tokens)
    told = list(zip(turns, stays, strict=True))
    kept = Conversation(conversation.system, tuple(turn for turn, stay in told if stay))
    return Cut(kept, tuple(turn for turn, stay in told if not stay), tokens)


def _exchanges(turns: Sequence[Turn]) -> list[_Exchange]:
    """Return all exchanges; the last one holds what is being answered.

    What comes before the first question is an exchange of its own. Where nobody asks anything, as
    in a conversation whose beginning somebody else cut off, every round of tool calls is one.
    """
    rounds = (place - 1 for place, turn in enumerate(turns) if turn.role == "tool")
    questions = [place for place, turn in enumerate(turns) if turn.role == "user"]
    beginnings = questions or list(rounds)
    units = [place for place, turn in enumerate(turns) if turn.role != "tool"]
    begins = {0, *beginnings}
    exchanges: list[_Exchange] = []
    for start, stop in pairwise([*units, len(turns)]):
        if start in begins:
            exchanges.append(_Exchange(turns[start].role == "user", []))
        exchanges[-1].units.append(range(start, stop))
    return exchanges


def _oldest_first(exchanges: list[_Exchange]) -> Iterable[range]:
    return (unit for exchange in exchanges for unit in exchange.units)


def _sliding_window(exchanges: list[_Exchange]) -> Iterable[range]:
    return (exchange.whole for exchange in exchanges)


def _middle_out(exchanges: list[_Exchange]) -> Iterable[range]:
    last = len(exchanges)  # the place of the exchange that is no part of them
    # twice the distance from the middle: falls and then rises, which sorts in linear time
    outwards = sorted(range(last), key=lambda place: abs(2 * place - last))
    return (exchanges[place].whole for place in outwards)


def _smart(exchanges: list[_Exchange]) -> Iterable[range]:
    task = next((exchange for exchange in exchanges if exchange.asked), None)
    yield from (exchange.between for exchange in exchanges)
    yield from (exchange.whole for exchange in exchanges if exchange is not task)
    if task is not None:
        yield task.whole


_ORDERS: dict[Strategy, Callable[[list[_Exchange]], Iterable[range]]] = {
    "oldest_first": _oldest_first,
    "sliding_window": _sliding_window,
    "middle_out": _middle_out,
    "smart": _smart,
    "summarize": _oldest_first,
}
