"""How much may be sent in a while, and a line for what has to wait."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.forking import start_fresh_in_children
from bruno_llm_base.limits.headers import LimitState
from bruno_llm_base.limits.line import Line
from bruno_llm_base.limits.store import MemoryStore, Place
from bruno_llm_base.types import ModelResponse, Outcome
from bruno_llm_base.values import LONGEST, is_seconds, is_whole, shown

__all__ = ["Permit", "RateLimit", "Slot"]


class Permit(Place):
    """A place for one attempt. Give it back whatever happens: `settle` it or `cancel` it.

    Both may be called from any thread, and after the first call do nothing.
    """

    __slots__ = ("_line",)

    def __init__(self, tokens: int, line: Line) -> None:
        self.tokens = tokens
        self.taken = False
        self._line = line

    def settle(self, tokens: int | None = None) -> None:
        """End the attempt, which really used *tokens*; None keeps what was reserved.

        What was reserved too much is free at once; what was too little is owed by the requests of
        the next minute.
        """
        self._line.settle(self, tokens)

    def cancel(self) -> None:
        """Give everything back: the attempt never reached the server."""
        self._line.undo(self)


class RateLimit:
    """Keeps requests within limits, in any minute and any day, and lets the rest wait in line.

    Pass the same object to several providers and they share the limits; it works across event loops
    and threads. Each process counts for itself: a copy that was sent to another process, or came with
    a fork, has the same settings and all its places free.

    The windows slide and are exact: no 60 seconds ever hold more than allowed, the first ones
    included. The line is strictly first come, first served: a small request does not overtake a
    large one. Servers that report their own limits can only lower these; a request larger than what
    a server says waits for an empty window, and the server decides.

    Args:
        requests_per_minute: The most requests in any 60 seconds.
        tokens_per_minute: The most tokens in any 60 seconds, input and output.
        requests_per_day: The most requests in any 24 hours.
        max_concurrent: The most requests at once.
        max_wait: The longest wait in line, in seconds; None waits as long as it takes.
        clock: Tells the time in seconds; must never go back.

    Raises:
        ConfigurationError: A value is of the wrong type or out of range.
    """

    def __init__(
        self,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        requests_per_day: int | None = None,
        max_concurrent: int | None = None,
        max_wait: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = {
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
            "requests_per_day": requests_per_day,
            "max_concurrent": max_concurrent,
        }
        for name, value in limits.items():
            if value is not None and not is_whole(value, least=1):
                raise ConfigurationError(
                    f"RateLimit.{name} is {shown(value)}: give a whole number, 1 or more, or None for no"
                    " limit"
                )
        if max_wait is not None and not is_seconds(max_wait):
            raise ConfigurationError(
                f"RateLimit.max_wait is {shown(max_wait)}: give seconds, 0 to {LONGEST}, or None for no"
                " limit"
            )
        if not callable(clock):
            raise ConfigurationError(f"RateLimit.clock is {shown(clock)}: give a callable")
        given: dict[str, Any] = {**limits, "max_wait": max_wait}
        self._settings = {name: value for name, value in given.items() if value is not None}
        self._clock = clock
        self._limits = limits
        self._max_wait = max_wait
        self._most_tokens = tokens_per_minute
        self.start_fresh()
        start_fresh_in_children(self)

    def start_fresh(self) -> None:
        """Free all places, and empty the line."""
        self._line = Line(MemoryStore(**self._limits), self._clock, self._max_wait)

    @property
    def tokens_per_minute(self) -> int | None:
        """The most tokens in a minute, and so in one request; None for no limit."""
        return self._most_tokens

    @property
    def counts_tokens(self) -> bool:
        """Whether `acquire` needs to know how many tokens a request takes."""
        return self._most_tokens is not None

    @property
    def counts_time(self) -> bool:
        """Whether it limits requests or tokens in a time, which servers do too."""
        return any(name.endswith(("_per_minute", "_per_day")) for name in self._settings)

    async def acquire(self, tokens: int) -> Permit:
        """Wait for a place for a request of about *tokens*, input and output.

        Raises:
            InvalidRequestError: The request alone is more than `tokens_per_minute`.
            RateLimitError: The wait is longer than `max_wait`; `retry_after` says how long it is,
                where that is known. Raised as soon as it is known.
        """
        if not is_whole(tokens, least=0):
            raise InvalidRequestError(f"tokens is {shown(tokens)}: give a whole number, 0 or more")
        if self._most_tokens is not None and tokens > self._most_tokens:
            raise InvalidRequestError(
                f"the request takes up to {tokens} tokens, and RateLimit.tokens_per_minute is"
                f" {self._most_tokens}: shorten it, lower max_tokens, or raise the limit",
                limit=self._most_tokens,
                actual=tokens,
            )
        permit = Permit(tokens, self._line)
        waiter = self._line.ask(permit)
        if waiter is not None:
            await self._line.wait(waiter)
        return permit

    def lower(self, state: LimitState | None) -> None:
        """Believe a server that allows less than we do; what is not limited here stays unlimited."""
        if state is not None:
            self._line.lower(state)

    def __repr__(self) -> str:
        return (
            f"RateLimit({', '.join(f'{name}={value}' for name, value in self._settings.items())})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **self._settings, clock=self._clock), ()


class Attempt(Protocol):
    """What a `Slot` reads of the attempt that has it, once that is over."""

    outcome: Outcome
    response: ModelResponse | None
    """What has arrived, with the tokens that it took; None if it took none."""

    @property
    def limits_of_server(self) -> LimitState | None:
        """What the server says of its own limits."""


class Slot:
    """An attempt's place in every limit: `async with Slot(limits, attempt, tokens)` around it.

    It waits in line for each, and settles itself by the attempt's outcome: an attempt that was not
    sent has its places back, any other pays the tokens of its response.
    """

    __slots__ = ("_attempt", "_limits", "_permits", "_tokens")

    def __init__(self, limits: Sequence[RateLimit], attempt: Attempt, tokens: int) -> None:
        self._limits = limits
        self._attempt = attempt
        self._tokens = tokens
        self._permits: list[Permit] = []

    async def __aenter__(self) -> None:
        """Wait for the places.

        Raises:
            InvalidRequestError: The request alone is more than a limit allows.
            RateLimitError: The wait would be too long.
        """
        try:
            for limit in self._limits:
                self._permits.append(await limit.acquire(self._tokens))
        except BaseException:
            self._give_back()
            raise

    async def __aexit__(self, *_: object) -> None:
        """Give the places back, and believe what the server says of its limits."""
        self._give_back()
        for limit in self._limits:
            if limit.counts_time:
                limit.lower(self._attempt.limits_of_server)

    def _give_back(self) -> None:
        outcome, response = self._attempt.outcome, self._attempt.response
        tokens = 0 if response is None else response.usage.total_tokens
        for permit in self._permits:
            if outcome is Outcome.NOT_SENT:
                permit.cancel()
            else:
                permit.settle(tokens)
