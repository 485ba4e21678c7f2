"""What happens to a request, told to its observers.

Observers are plain callables that take an event. The log (`log.py`) is one of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from logging import DEBUG, ERROR, INFO, WARNING
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, dataclass_transform

from bruno_llm_base.exceptions import Attempt, LLMError
from bruno_llm_base.parts import ToolCall, ToolResult
from bruno_llm_base.response import ModelResponse

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass_transform(kw_only_default=True, frozen_default=True)
class _Frozen:
    """What is built by the names of what it holds, and never changes.

    A dataclass, but for the time that it takes to make one: with as many as there are kinds of
    events, that would be a tenth of what importing a provider takes.
    """

    holds: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[str]
    level: ClassVar[int]

    def __init_subclass__(cls, words: str = "", level: int = INFO) -> None:
        cls.holds = (*cls.holds, *cls.__annotations__)
        cls.words, cls.level = words, level

    def __init__(self, **facts: Any) -> None:
        vars(self).update(facts)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"events are frozen: {name} cannot be set")

    def __repr__(self) -> str:
        held = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.holds)
        return f"{type(self).__name__}({held})"


class Event(_Frozen):
    """Something happened to a request.

    Attributes:
        provider: The provider's name.
        model: The model that was asked.
        operation: What was asked of it, by its name in OpenTelemetry's GenAI conventions where it
            has one: "chat", "embeddings", "execute_tool"; else "rerank", "models", "count_tokens",
            "pull" of a server that fetches a model, "select" of several providers.
        id: Our own name for the request, the same in all of its events; None for what belongs to
            no single request.
        address: Where the request goes, without what may be secret in it.
        streamed: Whether its answer is streamed.
        words: What the log calls it.
        level: Its level in the log.
    """

    provider: str
    model: str | None
    operation: str
    id: str | None = None
    address: str | None = None
    streamed: bool = False


class RequestStarted(Event, words="request started", level=DEBUG):
    """A request is about to be sent; observers hear it in the context in which the call was made.

    What is asked is for observers alone, and never logged.

    Attributes:
        telemetry_name: What OpenTelemetry calls the vendor (`gen_ai.provider.name`).
        options: The options of the call and those of the provider, by our own names.
        prompt: "name" and "version" of the `Prompt` of bruno-llm-prompts that made it; empty if none did.
        tag: What the request is for, as `CostTracker.label` says.
        conversation: What is asked, a `messages.Conversation`; None for requests that are no part of one.
    """

    telemetry_name: str | None = None
    options: Mapping[str, Any] = MappingProxyType({})
    prompt: Mapping[str, Any] = MappingProxyType({})
    tag: str | None = None
    conversation: Any = None


class AttemptFailed(Event, words="attempt failed", level=WARNING):
    """An attempt failed, and another follows after `wait` seconds."""

    attempt: Attempt
    number: int
    wait: float


class FirstToken(Event, words="first token", level=DEBUG):
    """The first text of a stream is here, `duration` seconds after the request started."""

    duration: float


class ToolCallReady(Event, words="tool call ready", level=DEBUG):
    """A call in a stream is complete: the next one has begun, or the answer has ended.

    Where the answer breaks off later and is asked for again, its calls are told again.
    """

    call: ToolCall


class ToolStarted(Event, words="tool started", level=DEBUG):
    """A tool is about to run in `run_tools` or `stream_tools`; `id` is that of this one run."""

    call: ToolCall


class ToolFinished(Event, words="tool finished", level=DEBUG):
    """A tool has run for `duration` seconds.

    Attributes:
        result: What is told to the model, for observers alone: it is not logged. None where the tool
            has ended the loop, or was cancelled.
        error: The class of the error that ended it; "ToolError" for those that the model is told of.
    """

    call: ToolCall
    result: ToolResult | None
    error: str | None
    duration: float


class RequestFinished(Event, words="request finished"):
    """A request was answered, after `duration` seconds."""

    response: ModelResponse
    duration: float


class RequestFailed(Event, words="request failed", level=ERROR):
    """A request failed for good, after `duration` seconds."""

    error: LLMError
    duration: float


class RequestAbandoned(Event, words="request abandoned"):
    """The caller left a stream, or was cancelled; `response` holds the text that it has got."""

    response: ModelResponse
    duration: float


class OptionDropped(Event, words="option dropped: the model refuses it", level=WARNING):
    """An option was left out because the model refuses it."""

    option: str


class ReasoningChanged(Event, words="reasoning changed to what the model takes", level=WARNING):
    """The model cannot think as much as `wanted`, so `used` is asked for: told once of each."""

    wanted: str | int
    used: str | int


class AnotherApiAsked(
    Event,
    words="another API of the vendor asked: the usual one does not take the model or an option",
):
    """Requests like this one go to `path`, another API of the vendor: told once per model."""

    path: str


class FinishReasonUnknown(Event, words="finish reason unknown: it counts as a stop", level=WARNING):
    """The vendor's word for why an answer ended is new to us, and counts as a stop: told once per word."""

    word: str


class CountEstimated(Event, words="tokens estimated: the server cannot be asked", level=WARNING):
    """The server could not say how many tokens a request takes, so they are estimated."""

    error: LLMError


class ContextNearlyFull(Event, words="context window nearly full", level=WARNING):
    """The conversation takes about `tokens` of a context window of `window` tokens."""

    tokens: int
    window: int


class ContextTrimmed(Event, words="context trimmed", level=WARNING):
    """To fit the window, `left_out` turns of the conversation were left out, or summarized."""

    left_out: int
    window: int


class PromptCut(Event, words="prompt cut by the server", level=WARNING):
    """The server read far fewer tokens than were sent: it cut the conversation by itself."""

    tokens: int
    read: int


class PriceUnknown(Event, words="price unknown", level=WARNING):
    """It is not known what the model costs: told once per model, with `advice` what to do about it."""

    advice: str | None = None


class BudgetNearlySpent(Event, words="budget nearly spent", level=WARNING):
    """Of a budget of `allowed` USD, `spent` are gone: told once per period and account.

    `account` says whose it is, such as "user 'ann'", where the budget has a selection.
    """

    spent: "Decimal"
    allowed: "Decimal"
    account: str | None = None


class StoreUnreachable(Event, words="store unreachable", level=WARNING):
    """The store of a shared limit cannot be reached: told once per outage and process.

    Until it answers again, this process keeps to its share of the limit among `processes`.
    """

    store: str
    reason: str
    processes: int


class CacheHit(Event, words="answered from the cache"):
    """A question was answered before, and nothing is sent: it costs nothing.

    Attributes:
        age: Seconds since the answer was kept.
        duration: Seconds until it was here, with the time for which another call was asking.
    """

    age: float
    duration: float


class CacheUnusable(Event, words="cache unusable: all is asked", level=WARNING):
    """Answers can be neither read nor kept: told once, until the store works again."""

    reason: str


class FallbackStarted(Event, words="fallback started", level=DEBUG):
    """Several providers are about to be asked in turn; all events of it have one `id`."""


class FallbackFinished(Event, words="fallback finished", level=DEBUG):
    """One of several providers has answered after `duration` seconds, or none could.

    Attributes:
        error: The class of the error that was raised; None if there was an answer, or it was left.
    """

    error: str | None
    duration: float


class ProviderPassedOver(Event, words="provider passed over", level=WARNING):
    """One of several providers could not answer, or was left alone, and the next one is asked."""

    error: LLMError


class ProviderAnswered(Event, words="provider answered", level=DEBUG):
    """One of several providers answered, after `passed_over` others could not."""

    passed_over: int


class BatchSubmitted(Event, words="batch submitted"):
    """A vendor has taken a batch, or a part of one, of so many `rows`; `batch` is its id."""

    batch: str
    rows: int


class MapProgress(Event, words="rows answered", level=DEBUG):
    """A row of a map has its answer, or its error.

    Attributes:
        answered: The rows that have an answer so far.
        failed: Those that have an error.
        skipped: Those that were answered before, as the file says.
        cost: USD, as far as it is known.
    """

    answered: int
    failed: int
    skipped: int
    cost: "Decimal"


Observer = Callable[[Event], object]
"""Takes every event. It may also have a method `around(event)`, given the `RequestStarted` of a
request, a `ToolStarted` or a `FallbackStarted`: each attempt is sent, the tool runs, and providers are
asked within the context manager that it returns."""


class Tell(Protocol):
    """Tells the observers of one request of an event."""

    def __call__(self, kind: type[Event], /, **facts: Any) -> None:
        """Tell of an event of *kind*, with its own *facts*; what all events hold is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Whether a provider can be used, and if not, why.

    Attributes:
        ok: Whether it answers, takes the key and, where that can be told, has the model.
        reason: What is wrong, for people; None if nothing is.
        error: The error behind it.
        models: The models on offer.
    """

    ok: bool
    reason: str | None = None
    error: LLMError | None = None
    models: tuple[str, ...] = ()
