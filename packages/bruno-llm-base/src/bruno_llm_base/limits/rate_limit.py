"""How much may be sent in a while, and an attempt's place in it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, cast

from bruno_llm_base.events import StoreUnreachable
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.forks import start_fresh_in_children
from bruno_llm_base.limits.headers import LimitState
from bruno_llm_base.limits.queue import LimitStore, Permit, Queue
from bruno_llm_base.limits.windows import Limits, LimitUse
from bruno_llm_base.policies import Policy, check_seconds, check_whole
from bruno_llm_base.response import ModelResponse, Outcome
from bruno_llm_base.values import INT64, shown

if TYPE_CHECKING:
    from bruno_llm_base.limits.shared import SharedQueue


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RateLimit(Policy, Limits):
    """Keeps requests within limits, in any minute and any day, and lets the rest wait in a queue.

    Providers that are given the same object share the limits, across event loops and threads.
    Without a *store* each process counts for itself: a copy that was sent to another process, or
    came with a fork, has the same settings and all its places free.

    The windows slide and are exact: no 60 seconds ever hold more than allowed, the first ones
    included. The queue is strictly first come, first served. Servers that report their own limits
    can only lower these; a request larger than what a server says waits for an empty window, and the
    server decides.

    Attributes:
        requests_per_minute: The most requests in any 60 seconds; None for no limit.
        tokens_per_minute: The most tokens in any 60 seconds, input and output.
        requests_per_day: The most requests in any 24 hours.
        max_concurrent: The most requests at once.
        max_wait: The longest wait for a place, in seconds; None waits as long as it takes.
        store: Counts for several processes: a URL such as "redis://host/0" (of bruno-llm-redis), or
            an object.
        name: What the limit is called in a store of a URL: those of the same name are one.
        on_outage: What happens while that store cannot be reached: "local" keeps each process to
            its share of the limit, "refuse" raises `ServiceUnavailableError`.
        clock: Tells the time in seconds; must never go back.

    Raises:
        ConfigurationError: A value is of the wrong type or out of range.
    """

    example: ClassVar[str] = "RateLimit(requests_per_minute=60)"

    max_wait: float | None = None
    store: LimitStore | str | None = None
    name: str | None = None
    on_outage: Literal["local", "refuse"] = "local"
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    _queue: Queue = field(init=False, repr=False)
    _shared: "SharedQueue | None" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the values."""
        for item in fields(Limits):
            if (value := getattr(self, item.name)) is not None:
                check_whole(f"RateLimit.{item.name}", value)
        if self.max_wait is not None:
            check_seconds("RateLimit.max_wait", self.max_wait)
        if not callable(self.clock):
            raise ConfigurationError(f"RateLimit.clock is {shown(self.clock)}: give a callable")
        if not (self.store is None or isinstance(self.store, str) or hasattr(self.store, "take")):
            raise ConfigurationError(
                f"RateLimit.store is {shown(self.store)}: give a URL or a LimitStore"
            )
        if self.on_outage not in ("local", "refuse"):
            raise ConfigurationError(
                f"RateLimit.on_outage is {shown(self.on_outage)}: give 'local' or 'refuse'"
            )
        is_named = isinstance(self.name, str) and self.name.isprintable() and bool(self.name)
        if isinstance(self.store, str) != is_named or (self.name is not None and not is_named):
            raise ConfigurationError(
                f"RateLimit.name is {shown(self.name)}: a store of a URL needs a name for the limit,"
                " such as 'openai-prod', and nothing else takes one"
            )
        if self.store is None and self.on_outage != "local":
            raise ConfigurationError(
                "RateLimit.on_outage is about a store: give one, or leave it out"
            )
        self.start_fresh()
        start_fresh_in_children(self)

    def start_fresh(self) -> None:
        """Free all places, and empty the queue."""
        object.__setattr__(self, "_queue", Queue(self, self.clock, self.max_wait))
        store, shared = self.store, None
        if isinstance(store, str):
            from bruno_llm_base.discovery import store_of  # only where there is one

            opened = store_of(store, "limit_store")(store, self.name, self.on_outage)
            store = cast(LimitStore, opened)
        if store is not None:
            from bruno_llm_base.limits.shared import SharedQueue

            shared = SharedQueue(store, self, self.clock, self.max_wait)
        object.__setattr__(self, "_shared", shared)

    async def acquire(self, tokens: int) -> Permit:
        """Wait for a place for a request of about *tokens*, input and output.

        Raises:
            InvalidRequestError: The request alone is more than `tokens_per_minute`.
            RateLimitError: The wait is longer than `max_wait`; `retry_after` says how long it is,
                where that is known. Raised as soon as it is known.
        """
        if type(tokens) is not int or not 0 <= tokens <= INT64:  # `is_whole`, in half its time
            raise InvalidRequestError(f"tokens is {shown(tokens)}: give a whole number, 0 or more")
        most = self.tokens_per_minute
        if most is not None and tokens > most:
            raise InvalidRequestError(
                f"the request takes up to {tokens} tokens, and RateLimit.tokens_per_minute is"
                f" {most}: shorten it, lower max_tokens, or raise the limit",
                limit=most,
                actual=tokens,
            )
        if self._shared is not None:
            return await self._shared.acquire(tokens)
        permit = self._queue.take(tokens)
        if permit.entries is None:
            await self._queue.wait(permit)
        return permit

    def slot(self, attempt: "Attempt", tokens: int) -> "Slot":
        """Return *attempt*'s place, a block to enter around it."""
        return Slot(self, attempt, tokens)

    def lower(self, state: LimitState | None) -> None:
        """Believe a server that allows less than we do; what is not limited here stays unlimited."""
        if state is None:
            return
        if self._shared is None:
            self._queue.change(self._queue.counts.lower, state)
        else:
            self._shared.store.lower(state)

    def pause(self, seconds: float) -> None:
        """Give no process a place for so long, as the vendor asked one of them; without a store, nothing."""
        if self._shared is not None:
            self._shared.store.pause(seconds)

    async def state(self) -> LimitUse:
        """Return what is taken at this moment: by this process, or by all, as the store says.

        Raises:
            ServiceUnavailableError: The store cannot be reached.
        """
        return self._queue.state() if self._shared is None else await self._shared.state()

    def __repr__(self) -> str:
        given = {item.name: getattr(self, item.name) for item in fields(self) if item.repr}
        given["store"] = self._shared and self._shared.store  # a URL may hold a password
        if self.name is None:
            del given["on_outage"]
        return f"RateLimit({', '.join(f'{name}={value}' for name, value in given.items() if value is not None)})"

    def __reduce__(self) -> tuple[Any, ...]:
        settings = {item.name: getattr(self, item.name) for item in fields(self) if item.init}
        return partial(type(self), **settings), ()


class Attempt(Protocol):
    """What a `Slot` reads of the attempt that has it, once that is over."""

    endpoint: Any
    request: Any
    outcome: Outcome
    response: ModelResponse | None
    """What has arrived, with the tokens that it took; None if it took none."""

    @property
    def limits_of_server(self) -> LimitState | None:
        """What the server says of its own limits."""


@dataclass(slots=True, eq=False)
class Slot:
    """An attempt's place in a limit, from which it reads at its end what the attempt took."""

    limit: RateLimit
    attempt: Attempt
    tokens: int
    _permit: Permit = field(init=False)

    async def __aenter__(self) -> None:
        self._permit = permit = await self.limit.acquire(self.tokens)
        if self.limit.store is not None and (facts := getattr(permit, "outage", None)):
            self.attempt.endpoint.tell(self.attempt.request, StoreUnreachable, **facts)

    async def __aexit__(self, *_: object) -> None:
        attempt, limit = self.attempt, self.limit
        if attempt.outcome is Outcome.NOT_SENT:
            self._permit.cancel()
        else:
            self._permit.settle(attempt.response.usage.total_tokens if attempt.response else 0)
        if limit.requests_per_minute or limit.tokens_per_minute:  # which servers limit too
            limit.lower(attempt.limits_of_server)
