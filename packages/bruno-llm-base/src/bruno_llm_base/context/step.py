"""The step of a request that looks after the context window: count, warn, leave out, refuse."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bruno_llm_base.context.strategies import Cut, fitted
from bruno_llm_base.context.summaries import summarized
from bruno_llm_base.conversation import Conversation
from bruno_llm_base.exceptions import ContextLengthExceededError
from bruno_llm_base.observe import ContextNearlyFull, ContextTrimmed, Tell
from bruno_llm_base.policies import ContextPolicy
from bruno_llm_base.tokens import TokenCount
from bruno_llm_base.windows import Window, reserved

__all__ = ["Doubt", "resolved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A conversation that may not fit.

    Attributes:
        conversation: What has been said.
        window: The model's context window.
        most_output: How many tokens the model may generate; None if nobody has said.
        extra: Tokens of what goes with the conversation, such as tools.
        count: Counts a conversation.
        tell: Tells observers.
    """

    conversation: Conversation
    window: Window
    most_output: int | None
    extra: int
    count: Callable[[Conversation], TokenCount]
    tell: Tell


async def resolved(doubt: Doubt, policy: ContextPolicy) -> Conversation:
    """Return the conversation as it fits the window: itself, or without what the policy leaves out.

    Counting runs in a thread: it may take a while, or load a vocabulary first.

    Raises:
        ContextLengthExceededError: It certainly does not fit, and nothing more can be left out.
        InvalidRequestError: The policy's `summarize` failed.
    """
    counted = await asyncio.to_thread(doubt.count, doubt.conversation)
    tokens = counted.tokens + doubt.extra
    window = doubt.window.tokens
    needed = tokens + reserved(doubt.window, policy, doubt.most_output)
    if needed > policy.warn_at * window:
        doubt.tell(ContextNearlyFull, tokens=tokens, window=window)
    conversation = doubt.conversation
    if policy.strategy is not None and needed > window:
        cut = await _trimmed(doubt, policy, counted)
        conversation = cut.conversation
        if cut.left_out:
            doubt.tell(ContextTrimmed, left_out=len(cut.left_out), window=window)
            counted = await asyncio.to_thread(doubt.count, conversation)
    _refuse(doubt, policy, counted)
    return conversation


async def _trimmed(doubt: Doubt, policy: ContextPolicy, counted: TokenCount) -> Cut:
    system, *costs = await asyncio.to_thread(_costs, doubt)
    # a guess may be too low: half of its error is allowed for, since all of it would waste much
    kept = reserved(doubt.window, policy, doubt.most_output)
    room = (doubt.window.tokens - kept) / (1 + counted.error / 2)
    room -= doubt.extra + system
    if policy.strategy == "summarize" and policy.summarize is not None:
        return await summarized(
            doubt.conversation,
            policy.summarize,
            costs=costs,
            room=int(room),
            count=lambda text: doubt.count(Conversation(text, ())).tokens,
        )
    return fitted(doubt.conversation, policy.strategy or "smart", costs=costs, room=int(room))


def _costs(doubt: Doubt) -> list[int]:
    """Return what the system text takes, and each turn."""
    system, turns = doubt.conversation
    parts = [Conversation(system, ()), *(Conversation(None, (turn,)) for turn in turns)]
    return [doubt.count(part).tokens for part in parts]


def _refuse(doubt: Doubt, policy: ContextPolicy, counted: TokenCount) -> None:
    """Raise if the conversation certainly does not fit.

    Raises:
        ContextLengthExceededError: It does not.
    """
    window, least = doubt.window, counted.least + (policy.reserve_output or 0)
    if not window.firm or least <= window.tokens:
        return
    about = "" if counted.exact else "about "
    kept = f" and {policy.reserve_output} kept for the answer" if policy.reserve_output else ""
    cure = "a ContextPolicy with a strategy" if policy.strategy is None else "a shorter question"
    raise ContextLengthExceededError(
        f"the conversation takes {about}{counted.tokens} tokens{kept}, and the context window is"
        f" {window.tokens} tokens ({window.source}): shorten it, or use {cure} or another model",
        limit=window.tokens,
        actual=counted.tokens,
    )
