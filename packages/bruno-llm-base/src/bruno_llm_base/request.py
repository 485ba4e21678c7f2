"""What is to be sent, where it goes, and by which rules."""

import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, cast

from bruno_llm_base.adapter import Adapter
from bruno_llm_base.cost.prices import Prices
from bruno_llm_base.deadline import Deadline
from bruno_llm_base.events import Event, Tell
from bruno_llm_base.exceptions import LLMError
from bruno_llm_base.limits import RateLimit
from bruno_llm_base.log import LOGGER, Observers
from bruno_llm_base.messages import Conversation
from bruno_llm_base.parts import Json
from bruno_llm_base.policies import Retry, Timeouts
from bruno_llm_base.reader import AnswerReader, Reader
from bruno_llm_base.response import ModelResponse
from bruno_llm_base.tokens import estimate_conversation, estimate_tokens, utf8_size
from bruno_llm_base.transport import PerLoop, Transport

T = TypeVar("T")
_TOOL_TOKENS = 2_000
_MOST_IN_HAND, _PER_ANSWER = 20.0, 0.2


@dataclass(slots=True)
class RetryThrottle:
    """Keeps an outage from becoming a storm: a provider that keeps failing is asked once per request.

    Twenty retries are in hand; each one sent takes one away, and five answered requests bring one
    back. The idea is that of gRPC's retry throttling
    (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs).
    """

    _in_hand: float = _MOST_IN_HAND

    def spend(self) -> bool:
        """Say whether a retry may be sent, and count it."""
        if self._in_hand < 1:
            return False
        self._in_hand -= 1
        return True

    def earn(self) -> None:
        """Count a request that was answered."""
        self._in_hand = min(_MOST_IN_HAND, self._in_hand + _PER_ANSWER)


class Billing(Protocol):
    """Where costs are recorded and budgets are kept; it is `cost.spending.Spending`."""

    def labels(self) -> Any:
        """Return what is billed here and now is booked under."""

    def hold(
        self,
        attempt: Any,
        *,
        model: str,
        most_input: Callable[[], int],
        media_tokens: Callable[[], Mapping[str, int]],
        most_output: int | None,
        deadline: Deadline,
        tell: Tell,
        labels: Any,
        unpriced_field: str | None,
        batch: bool = False,
    ) -> AbstractAsyncContextManager[None]:
        """Return the block in which an attempt is sent and answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the requests of one provider go, and by which rules; it holds no provider.

    Attributes:
        provider: The provider's name.
        telemetry_name: What OpenTelemetry calls the vendor.
        address: Where requests go, for people.
        transports: The transports that are open.
        open_transport: Opens one.
        secrets: What must never be shown of what a server says.
        timeouts: How long each step may take.
        retry: When to send again.
        throttle: How many retries the provider has in hand.
        rate_limit: How much may be sent in a while, if that is limited.
        spending: Where costs are recorded and budgets are kept, if anywhere.
        prices: What answers cost.
        observers: Hear every event.
    """

    provider: str
    telemetry_name: str
    address: str
    transports: PerLoop
    open_transport: Callable[[], Transport]
    secrets: tuple[str, ...] = field(repr=False)
    timeouts: Timeouts
    retry: Retry
    throttle: RetryThrottle
    rate_limit: RateLimit | None
    spending: Billing | None
    prices: Prices
    observers: Observers

    def facts(self, request: "Request[Any]") -> dict[str, Any]:
        """Return what all events of *request* hold; the first one gives it its id."""
        request.id = request.id or os.urandom(8).hex()
        return {
            "provider": self.provider,
            "model": request.model,
            "operation": request.operation,
            "id": request.id,
            "address": self.address,
            "streamed": request.stream,
        }

    def asked(self, request: "Request[Any]") -> dict[str, Any]:
        """Return what `RequestStarted` holds beside; observers alone read it."""
        return {
            "telemetry_name": self.telemetry_name,
            "options": request.options or {},
            "prompt": request.prompt or {},
            "tag": None if request.labels is None else request.labels.tag,
            "conversation": request.conversation,
        }

    def tell(self, request: "Request[Any]", kind: type[Event], /, **facts: Any) -> None:
        """Tell of an event of *request*, which is not made where nothing hears it."""
        if self.observers.given or LOGGER.isEnabledFor(kind.level):
            self.observers.tell(kind, **self.facts(request), **facts)


@dataclass(slots=True, kw_only=True)
class Request(Generic[T]):
    """What is to be sent, and how its answer is read.

    Attributes:
        operation: What it is called in events.
        adapter: How the API that is asked spells things.
        path: The endpoint, as the vendor's documentation spells it.
        parse: Reads one document of the answer.
        advise: Returns what may be done about the error that it has failed with for good.
        is_billed: Whether the answer costs anything: lists of models and counts of tokens do not.
        method: The HTTP method.
        body: The JSON to send.
        model: The model it is for.
        stream: Whether the answer is read piece by piece.
        parse_whole: Reads an answer that comes as a whole, for servers that do not stream.
        is_last: Says whether a document is the end of a stream that is not a model's answer.
        think_tags: Whether thoughts stand in the text, between tags.
        tokens: About how many tokens it takes, input and output; 0 where no limit counts them.
        own: What the user has set in the vendor's own words, which is never left out.
        options: What was asked for, by our own names, where an observer hears of it.
        prompt: Name and version of the prompt that made it, where an observer hears of it.
        conversation: What is asked; None for requests that are no part of one.
        texts: What is to be embedded; none for requests that do not embed.
        labels: What its cost is booked under, as `Billing.labels` gave it.
        unpriced_field: The field for which the vendor charges what no list of prices tells, if any.
        is_large: Whether its body holds media, and is encoded in a thread.
        load: Reads the files that go with it, and then makes its body, where there are any.
        fit: Makes it fit the context window, where that is in doubt.
        amend: Returns a body without what the server has just refused, or None.
        learn: Is told what a request has really used.
        id: Our own name for it, once there was an event.
        once: Whether it is not sent again where the server may have carried it out, unanswered.
        most_bytes: How many bytes its streamed answer may have; 0 for as many as usual.
    """

    operation: str
    adapter: Adapter
    path: str
    parse: Callable[[Json], T]
    advise: Callable[[LLMError], Awaitable[list[str]]]
    is_billed: bool = False
    method: str = "POST"
    body: Json | None = None
    model: str | None = None
    stream: bool = False
    parse_whole: Callable[[Json], ModelResponse] | None = None
    is_last: Callable[[T], bool] | None = None
    think_tags: bool = False
    tokens: int = 0
    own: Json = field(default_factory=dict)
    options: Mapping[str, Any] | None = None
    prompt: Mapping[str, Any] | None = None
    conversation: Conversation | None = None
    texts: Sequence[str] = ()
    labels: Any = None
    unpriced_field: str | None = None
    is_large: bool = False
    load: "Callable[[Request[T]], Awaitable[None]] | None" = None
    fit: "Callable[[Request[T], Tell], Awaitable[None]] | None" = None
    amend: "Callable[[Request[T], LLMError], Json | None] | None" = None
    learn: "Callable[[Request[T], ModelResponse], None] | None" = None
    id: str = ""
    once: bool = False
    most_bytes: int = 0

    @property
    def estimated_input(self) -> int:
        """About how many tokens its input takes, without what frames it."""
        if self.conversation is not None:
            return estimate_conversation(self.conversation)
        return sum(map(estimate_tokens, self.texts))

    @property
    def most_input(self) -> int:
        """More tokens than its input can take: one per byte, and the vendor's own words for tools.

        Those are some hundreds at Anthropic, who publishes them (Tool use, "Pricing").
        """
        if self.is_large and self.conversation is not None:
            media = self.conversation.media
            encoded = tuple([each.encoded for each in media if each.encoded])
            size = _size(self.body, encoded) + sum([each.tokens for each in media])
        else:
            size = len(json.dumps(self.body, ensure_ascii=False).encode())
        return size + (_TOOL_TOKENS if self.body and self.body.get("tools") else 0)

    def media_tokens(self) -> dict[str, int]:
        """Return the most tokens that its media can take, by their kind: of `most_input`."""
        tokens: dict[str, int] = {}
        for media in self.conversation.media if self.conversation is not None else ():
            kind = media.kind if media.type else "video"  # what is not known may be the dearest
            tokens[kind] = tokens.get(kind, 0) + media.tokens
        return tokens

    def reader(self) -> Reader[T]:
        """Return what reads the answer to one attempt."""
        if self.conversation is None:
            return Reader(self.parse, self.is_last)
        think_tags = None
        if self.think_tags:
            from bruno_llm_base.text_filters import ThinkTags  # most providers do without

            think_tags = ThinkTags()
        reader = AnswerReader(
            cast(Callable[[Json], ModelResponse], self.parse),
            streams=self.stream,
            parse_whole=self.parse_whole,
            think_tags=think_tags,
        )
        return cast(Reader[T], reader)


def _size(value: Any, encoded: tuple[str, ...]) -> int:
    """Return about how many bytes *value* has as JSON, but for *encoded* media, which end a text."""
    if isinstance(value, str):
        return 0 if value.endswith(encoded) else utf8_size(value) + 2
    if isinstance(value, dict):
        return sum([len(name) + _size(inner, encoded) + 4 for name, inner in value.items()]) + 2
    if isinstance(value, list):
        return sum([_size(inner, encoded) + 1 for inner in value]) + 2
    return len(str(value))
