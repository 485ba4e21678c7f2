"""How much a model reads at once, and how much of that is kept free."""

from collections.abc import Mapping
from dataclasses import dataclass

from bruno_llm_base.context.policy import ContextPolicy
from bruno_llm_base.values import is_whole

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
