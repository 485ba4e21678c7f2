"""What a user wants done about a conversation that does not fit."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.policies import Policy, check_whole
from bruno_llm_base.values import shown

Strategy = Literal["oldest_first", "sliding_window", "middle_out", "smart", "summarize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextPolicy(Policy):
    """What is done about a conversation that does not fit the model's context window.

    By default nothing is left out: a request that certainly cannot fit is refused before it is
    sent, any other is sent. With a strategy, parts of the conversation are left out until it fits.
    No strategy ever leaves out the system text, the user's last turn or what follows it, or half
    of a tool call, or changes the order.

    Attributes:
        strategy: What is left out: "oldest_first" (the oldest turns, no more than needed),
            "sliding_window" (the oldest exchanges, so that what is left begins with a question),
            "middle_out" (exchanges, from the middle outwards), "smart" (old tool calls, then what
            lies between the first task and the recent exchanges), "summarize" (the oldest turns,
            replaced by what `summarize` makes of them).
        window: The context window in tokens, where the provider's own word is not to be trusted.
        reserve_output: Tokens of the window that are kept free for the answer; `max_tokens` of the
            request if None.
        warn_at: From which part of the window on observers are warned, above 0 to 1.
        summarize: For the strategy of that name: is given the text of what is left out, and
            returns a summary of it, which may take a quarter of the room; may be async. Nothing
            is remembered: each request that does not fit asks for a new one.
    """

    example: ClassVar[str] = 'ContextPolicy(strategy="oldest_first"), or ContextPolicy(window=8000)'

    strategy: Strategy | None = None
    window: int | None = None
    reserve_output: int | None = None
    warn_at: float = 0.9
    summarize: Callable[[str], str | Awaitable[str]] | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        window, reserve, part = self.window, self.reserve_output, self.warn_at
        names = (*get_args(Strategy), None)
        if self.strategy not in names:
            raise _wrong("strategy", self.strategy, f"give one of {', '.join(map(repr, names))}")
        if window is not None:
            check_whole("ContextPolicy.window", window)
        if reserve is not None:
            check_whole("ContextPolicy.reserve_output", reserve, least=0)
        if not isinstance(part, int | float) or isinstance(part, bool) or not 0 < part <= 1:
            raise _wrong("warn_at", part, "give a number above 0, up to 1")
        if reserve is not None and window is not None and reserve >= window:
            cure = f"give less than the window of {window}, or nothing can be asked"
            raise _wrong("reserve_output", reserve, cure)
        wanted, given = self.strategy == "summarize", self.summarize
        if given is not None and not callable(given):
            raise _wrong("summarize", given, "give a function that takes a text and returns one")
        if wanted and given is None:
            cure = "the strategy of that name needs it, so give a function that takes a text"
            raise _wrong("summarize", given, cure)
        if given is not None and not wanted:
            # not shown: it may hold anything, such as a partial's keyword with a key
            raise ConfigurationError(
                f"ContextPolicy.summarize is given, and strategy={self.strategy!r} makes no use of"
                " it: give strategy='summarize' too, or leave it out"
            )


def _wrong(field: str, value: object, cure: str) -> ConfigurationError:
    return ConfigurationError(f"ContextPolicy.{field} is {shown(value)}: {cure}")
