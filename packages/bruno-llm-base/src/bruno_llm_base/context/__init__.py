"""Context windows: what is known of them, and how a conversation is made to fit."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bruno_llm_base.context.policy import ContextPolicy
from bruno_llm_base.events import ContextNearlyFull, ContextTrimmed, Tell
from bruno_llm_base.exceptions import ContextLengthExceededError
from bruno_llm_base.messages import Conversation
from bruno_llm_base.response import TokenCount
from bruno_llm_base.values import is_whole

__all__ = ["ContextPolicy", "Window", "Windows", "fit", "reserved"]

_MOST_REMEMBERED = 1000  # models; lists of them are a server's
_ANSWER = 4_096  # tokens: most answers are shorter
_Count = Callable[[Conversation], TokenCount]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A model's context window.

    Attributes:
        tokens: How many tokens it takes, input and output together.
        source: Who says so.
        certain: Whether a request that does not fit may be refused for it; a window that the
            server may change only warns and trims.
    """

    tokens: int
    source: str
    certain: bool = True


class Windows(dict[str, Window | None]):
    """What a server says of the windows of its models; None where it was asked and did not tell."""

    def __init__(self, *, certain: bool) -> None:
        """Start without any; what the server says stays true if *certain*."""
        self._certain = certain

    def asks_for(self, model: str) -> bool:
        """Whether the window of *model* is worth a question: once, if it is not known."""
        new = model not in self and len(self) < _MOST_REMEMBERED
        if new:
            self[model] = None
        return new

    def learn(self, found: Mapping[str, int | None], *, refused: bool = False) -> None:
        """Remember what a server says of its models, in tokens; what makes no sense is left out."""
        # what a refusal tells may hold of one of several servers at an address, or be misread
        certain = self._certain and not refused
        for model, tokens in found.items():
            has_room = model in self or len(self) < _MOST_REMEMBERED
            if has_room and tokens is not None and is_whole(tokens, least=1):
                self[model] = Window(tokens=tokens, source="the server", certain=certain)


def reserved(window: Window, policy: ContextPolicy, max_output: int | None) -> int:
    """Return how much of *window* is kept free for the answer, in tokens.

    Where the policy does not say, it is what the model may generate, or 4,096 where that is not
    limited, but a quarter of the window at most.
    """
    if policy.reserve_output is not None:
        return policy.reserve_output
    return min(_ANSWER if max_output is None else max_output, window.tokens // 4)


async def fit(
    conversation: Conversation,
    policy: ContextPolicy,
    window: Window,
    *,
    max_output: int | None,
    extra: int,
    count: _Count,
    tell: Tell,
) -> Conversation:
    """Return *conversation* as it fits *window*: itself, or without what the policy leaves out.

    *extra* tokens go with it, such as tools. It is counted in a thread, which may take a while.

    Raises:
        ContextLengthExceededError: It certainly does not fit, and nothing more can be left out.
        InvalidRequestError: The policy's `summarize` failed.
    """
    counted = await asyncio.to_thread(count, conversation)
    kept_free = reserved(window, policy, max_output)
    needed = counted.tokens + extra + kept_free
    if needed > policy.warn_at * window.tokens:
        tell(ContextNearlyFull, tokens=counted.tokens + extra, window=window.tokens)
    if policy.strategy is not None and needed > window.tokens:
        # a guess may be too low: half of its error is allowed for, since all of it would waste much
        room = int((window.tokens - kept_free) / (1 + counted.error / 2)) - extra
        trimmed, left_out = await _trimmed(conversation, policy, room, count)
        if left_out:
            tell(ContextTrimmed, left_out=left_out, window=window.tokens)
            conversation, counted = trimmed, await asyncio.to_thread(count, trimmed)
    kept = policy.reserve_output or 0
    unsure = sum([media.tokens for media in conversation.media])  # the most that they may take
    if window.certain and counted.least - unsure + kept > window.tokens:
        cure = "a shorter question" if policy.strategy else "a ContextPolicy with a strategy"
        raise ContextLengthExceededError(
            f"the conversation takes {'' if counted.exact else 'about '}{counted.tokens} tokens"
            f"{f' and {kept} kept for the answer' if kept else ''}, and the context window is"
            f" {window.tokens} tokens ({window.source}): shorten it, or use {cure} or another model",
            limit=window.tokens,
            actual=counted.tokens,
        )
    return conversation


async def _trimmed(
    conversation: Conversation, policy: ContextPolicy, room: int, count: _Count
) -> tuple[Conversation, int]:
    """Return what stays of *conversation*, and how many turns do not."""
    from bruno_llm_base.context.trim import summarize, trim  # most requests need neither

    def costs() -> list[int]:
        parts = [Conversation(None, (turn,)) for turn in conversation.turns]
        return [count(part).tokens for part in (Conversation(conversation.system, ()), *parts)]

    system, *turns = await asyncio.to_thread(costs)
    if policy.summarize is None:
        cut = trim(conversation, policy.strategy or "smart", costs=turns, room=room - system)
    else:
        cut = await summarize(
            conversation,
            policy.summarize,
            costs=turns,
            room=room - system,
            count=lambda text: count(Conversation(text, ())).tokens,
        )
    return cut.conversation, len(cut.left_out)
