"""How much a model reads at once, and how much a conversation takes at most."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bruno_llm_base.context.policy import ContextPolicy
from bruno_llm_base.messages import Conversation
from bruno_llm_base.response import Json
from bruno_llm_base.tokens import texts, utf8_size
from bruno_llm_base.values import is_whole

__all__ = ["Window", "Windows", "most_tokens", "reserved"]

_PER_PART = 16  # what marks where a part begins and ends, and who speaks: templates need less
_MOST_REMEMBERED = 1000  # models; lists of them are a server's
_ANSWER = 4_096  # tokens: most answers are shorter


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


class Windows:
    """What is known of the windows of one provider's models; no server is asked for it."""

    def __init__(self, given: int | None, *, certain: bool) -> None:
        """Start with the user's own for every model, if any; a server's stays true if *certain*."""
        self._given = None if given is None else Window(tokens=given, source="ContextPolicy.window")
        self._certain = certain
        self._learned: dict[str, Window | None] = {}  # None: the server was asked

    def of(self, model: str) -> Window | None:
        """Return the window of *model*: the user's own, else the server's."""
        return self._given or self._learned.get(model)

    def asks_for(self, model: str) -> bool:
        """Whether the window of *model* is worth a question: once, if it is not known."""
        return self._given is None and model not in self._learned and self._learn(model, None)

    def learn(self, found: Mapping[str, int | None], *, refused: bool = False) -> None:
        """Remember what a server says of its models, in tokens; what makes no sense is left out."""
        # what a refusal tells may hold of one of several servers at an address, or be misread
        certain = self._certain and not refused
        for model, tokens in found.items():
            if tokens is not None and is_whole(tokens, least=1):
                self._learn(model, Window(tokens=tokens, source="the server", certain=certain))

    def _learn(self, model: str, window: Window | None) -> bool:
        has_room = model in self._learned or len(self._learned) < _MOST_REMEMBERED
        if has_room:
            self._learned[model] = window
        return has_room


def reserved(window: Window, policy: ContextPolicy, max_output: int | None) -> int:
    """Return how much of *window* is kept free for the answer, in tokens.

    Where the policy does not say, it is what the model may generate, or 4,096 where that is not
    limited, but a quarter of the window at most.
    """
    if policy.reserve_output is not None:
        return policy.reserve_output
    return min(_ANSWER if max_output is None else max_output, window.tokens // 4)


def most_tokens(conversation: Conversation | None, options: Json) -> int:
    """Return more tokens than any model makes of *conversation* and *options*, without counting.

    A tokenizer of bytes, as all of today's are or fall back to, makes at most one token of a byte.
    Of the options, tools and the like are read by the model too.
    """
    most = _PER_PART
    for text in texts(conversation) if conversation else ():
        most += _PER_PART + utf8_size(text)
    for value in options.values():
        if isinstance(value, dict | list):
            most += len(json.dumps(value))
    return most
