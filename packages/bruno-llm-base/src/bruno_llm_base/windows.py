"""How much a model reads at once: what is known of it, and the most that a conversation takes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bruno_llm_base.conversation import Conversation
from bruno_llm_base.policies import ContextPolicy
from bruno_llm_base.tokens import texts, utf8_size
from bruno_llm_base.types import Json
from bruno_llm_base.values import is_whole

__all__ = ["Window", "Windows", "in_doubt", "most_tokens", "reserved"]

_PER_PART = 16  # what marks where a part begins and ends, and who speaks: templates need less
_MOST_REMEMBERED = 1000  # models; lists of them are a server's
_ANSWER = 4_096  # tokens: most answers are shorter
_SMALLEST = 8_000  # tokens: what is shorter fits every model that lists of prices know


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A model's context window.

    Attributes:
        tokens: How many tokens it takes, input and output together.
        source: Who says so.
        firm: Whether a request that does not fit may be refused for it; a window that the server
            changes as it likes only warns and trims.
    """

    tokens: int
    source: str
    firm: bool = True


class Windows:
    """What is known of the windows of one provider's models; nothing is ever asked for it."""

    def __init__(self, given: int | None, *, firm: bool) -> None:
        """Start with what the user says of every model, if anything.

        Args:
            given: The user's word.
            firm: Whether a server's word stays true.
        """
        self._given = None if given is None else Window(tokens=given, source="ContextPolicy.window")
        self._firm = firm
        self._learned: dict[str, Window] = {}
        self._asked: set[str] = set()

    def of(self, model: str) -> Window | None:
        """Return the window of *model*: the user's word, else the server's."""
        return self._given or self._learned.get(model)

    def asks_for(self, model: str) -> bool:
        """Whether the window of *model* is worth a question: once, if nobody has told it."""
        new = self.of(model) is None and model not in self._asked
        if new and len(self._asked) < _MOST_REMEMBERED:
            self._asked.add(model)
        return new

    def learn(self, found: Mapping[str, int | None], *, refused: bool = False) -> None:
        """Remember what a server says of its models; what makes no sense is left out.

        Args:
            found: The windows by model, in tokens.
            refused: Whether a refusal says so. It may come from one of several servers at an
                address, or be misread, so it is nothing to refuse other requests by.
        """
        firm = self._firm and not refused
        for model, tokens in found.items():
            room = model in self._learned or len(self._learned) < _MOST_REMEMBERED
            if room and tokens is not None and is_whole(tokens, least=1):
                self._learned[model] = Window(tokens=tokens, source="the server", firm=firm)


def reserved(window: Window, policy: ContextPolicy, most_output: int | None) -> int:
    """Return how much of *window* is kept free for the answer, in tokens.

    Where the policy does not say, it is what the model may generate, or 4,096 where nobody says, but
    a quarter of the window at most.
    """
    if policy.reserve_output is not None:
        return policy.reserve_output
    return min(_ANSWER if most_output is None else most_output, window.tokens // 4)


def in_doubt(
    most: int, window: Window | None, policy: ContextPolicy, most_output: int | None
) -> bool:
    """Whether a conversation of *most* tokens or fewer has to be counted before it is sent."""
    if window is None:
        return most > _SMALLEST
    return most + reserved(window, policy, most_output) > policy.warn_at * window.tokens


def most_tokens(conversation: Conversation, options: Json) -> int:
    """Return more tokens than any model makes of *conversation*, without counting them.

    A byte tokenizer, as all of today's are or fall back to, makes at most one token of a byte.

    Args:
        conversation: What has been said.
        options: What goes with it; tools and the like are read as well.
    """
    most = _PER_PART
    for text in texts(conversation):
        most += _PER_PART + utf8_size(text)
    for value in options.values():
        if isinstance(value, dict | list):
            most += len(json.dumps(value))
    return most
