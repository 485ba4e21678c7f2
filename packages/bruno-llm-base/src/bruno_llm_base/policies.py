"""How a request is to be carried out: values that a user chooses. All times are in seconds."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import Literal, TypeVar, get_args

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.values import LONGEST, is_seconds, is_whole, shown

__all__ = ["ContextPolicy", "Retry", "Strategy", "Timeouts", "policy"]

_P = TypeVar("_P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and how patiently a failed request is sent again.

    Waits grow exponentially with full jitter
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/); a wait that the
    server asks for is added to, never undercut.

    Attributes:
        attempts: How many tries in all; 1 sends once.
        wait_initial: The longest first wait.
        wait_max: The longest wait of our own choice.
        deadline: No new attempt starts later than this after the first one began.
    """

    attempts: int = 3
    wait_initial: float = 0.5
    wait_max: float = 30.0
    deadline: float = 120.0

    def __post_init__(self) -> None:
        """Check the values."""
        if not is_whole(self.attempts, least=1):
            raise ConfigurationError(
                f"Retry.attempts is {shown(self.attempts)}: give a whole number, 1 or more"
            )
        for name in ("wait_initial", "wait_max", "deadline"):
            value = getattr(self, name)
            if not is_seconds(value):
                raise ConfigurationError(
                    f"Retry.{name} is {shown(value)}: give seconds, 0 to {LONGEST}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a request, and each step of an attempt, may take. None sets no limit.

    Attributes:
        call: All attempts and waits together: in the lines of limits, between attempts, for the
            answer, and a consumer's own time between two chunks. What must be loaded once, an SDK
            or prices, does not count.
        connect: Reaching the server.
        first_token: From sending to the first sign of an answer. The default is long: reasoning
            models are silent while they think, and Ollama loads its model first.
        between_tokens: From one sign of the answer to the next; a consumer's own time between two
            chunks does not count.
        total: The whole attempt.
    """

    call: float | None = None
    connect: float | None = 5.0
    first_token: float | None = 600.0
    between_tokens: float | None = 120.0
    total: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and not (is_seconds(value) and value > 0):
                raise ConfigurationError(
                    f"Timeouts.{item.name} is {shown(value)}: give seconds above 0, up to {LONGEST},"
                    " or None for no limit"
                )


Strategy = Literal["oldest_first", "sliding_window", "middle_out", "smart", "summarize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextPolicy:
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
            is remembered: it is asked anew by each request that does not fit.
    """

    strategy: Strategy | None = None
    window: int | None = None
    reserve_output: int | None = None
    warn_at: float = 0.9
    summarize: Callable[[str], str | Awaitable[str]] | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        strategies = (*get_args(Strategy), None)
        if self.strategy not in strategies:
            names = ", ".join(map(repr, strategies))
            raise _wrong("strategy", self.strategy, f"give one of {names}")
        if self.window is not None and not is_whole(self.window, least=1):
            raise _wrong("window", self.window, "give a whole number of tokens, 1 or more, or None")
        self._check_reserve()
        part = self.warn_at
        if not isinstance(part, int | float) or isinstance(part, bool) or not 0 < part <= 1:
            raise _wrong("warn_at", part, "give a number above 0, up to 1")
        self._check_summarize()

    def _check_reserve(self) -> None:
        reserve, window = self.reserve_output, self.window
        if reserve is None:
            return
        if not is_whole(reserve, least=0):
            cure = "give a whole number of tokens, 0 or more, or None"
            raise _wrong("reserve_output", reserve, cure)
        if window is not None and reserve >= window:
            cure = f"give less than the window of {window}, or nothing can be asked"
            raise _wrong("reserve_output", reserve, cure)

    def _check_summarize(self) -> None:
        wanted, given = self.strategy == "summarize", self.summarize
        if given is not None and not callable(given):
            raise _wrong("summarize", given, "give a function that takes a text and returns one")
        if wanted and given is None:
            cure = "give a function that takes a text and returns a summary of it"
            raise _wrong("summarize", given, f"the strategy of that name needs it, so {cure}")
        if given is not None and not wanted:
            # not shown: it may hold anything, such as a partial's keyword with a key
            raise ConfigurationError(
                f"ContextPolicy.summarize is given, and strategy={self.strategy!r} makes no use of"
                " it: give strategy='summarize' too, or leave it out"
            )


def _wrong(field: str, value: object, cure: str) -> ConfigurationError:
    return ConfigurationError(f"ContextPolicy.{field} is {shown(value)}: {cure}")


def policy(kind: type[_P], name: str, given: _P | None, **short: float | None) -> _P:
    """Return the policy that a user chose, in its long or its short form.

    Raises:
        ConfigurationError: Both forms are given, or the long one is something else.
    """
    chosen = {field: value for field, value in short.items() if value is not None}
    if given is not None and chosen:
        raise ConfigurationError(
            f"{name}={shown(given)} and its short form are given: give one of them"
        )
    if given is not None and not isinstance(given, kind):
        raise ConfigurationError(f"{name} is {shown(given)}: give a {kind.__name__}")
    return given or kind(**chosen)
