"""What happens to a request, told to whoever wants to know.

Observers are plain callables that take an event. The log is one of them.
"""

import logging
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, dataclass_transform

import structlog

from bruno_llm_base.exceptions import ConfigurationError, LLMError
from bruno_llm_base.types import Attempt, ModelResponse
from bruno_llm_base.values import shown

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = [
    "AttemptFailed",
    "BudgetNearlySpent",
    "ContextNearlyFull",
    "ContextTrimmed",
    "CountEstimated",
    "Event",
    "FirstToken",
    "Observer",
    "OptionDropped",
    "PriceUnknown",
    "PromptCut",
    "ProviderAnswered",
    "ProviderPassedOver",
    "RequestAbandoned",
    "RequestFailed",
    "RequestFinished",
    "RequestStarted",
    "Tell",
    "checked_observers",
    "log_event",
    "tell",
]


@dataclass_transform(kw_only_default=True, frozen_default=True)
class _Frozen:
    """What is built by the names of what it holds, and never changes.

    A dataclass, but for the time that it takes to make one: with as many as there are kinds of
    events, that would be a tenth of what importing a provider takes.
    """

    holds: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls.holds = (*cls.holds, *cls.__annotations__)

    def __init__(self, **facts: Any) -> None:
        for name in self.holds:
            if name not in facts and not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} needs {name}")
        if not facts.keys() <= set(self.holds):
            raise TypeError(f"{type(self).__name__} holds {', '.join(self.holds)} and no more")
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
        operation: What was asked of it: "chat", "stream", "embeddings", "models",
            "count_tokens"; "pull" of a server that fetches a model; "select" of several providers.
    """

    provider: str
    model: str | None
    operation: str


class RequestStarted(Event):
    """A request is about to be sent."""


class AttemptFailed(Event):
    """An attempt failed, and another follows after `wait` seconds."""

    attempt: Attempt
    number: int
    wait: float


class FirstToken(Event):
    """The first text of a stream is here, `duration` seconds after the request started."""

    duration: float


class RequestFinished(Event):
    """A request was answered, after `duration` seconds."""

    response: ModelResponse
    duration: float


class RequestFailed(Event):
    """A request failed for good, after `duration` seconds."""

    error: LLMError
    duration: float


class RequestAbandoned(Event):
    """The caller left a stream, or was cancelled; `response` holds what had arrived."""

    response: ModelResponse
    duration: float


class OptionDropped(Event):
    """An option was left out because the model refuses it."""

    option: str


class CountEstimated(Event):
    """The server could not say how many tokens a request takes, so they are estimated."""

    error: LLMError


class ContextNearlyFull(Event):
    """The conversation takes about `tokens` of a context window of `window` tokens."""

    tokens: int
    window: int


class ContextTrimmed(Event):
    """To fit the window, `left_out` turns of the conversation were left out, or summarized."""

    left_out: int
    window: int


class PromptCut(Event):
    """The server read far fewer tokens than were sent: it cut the conversation by itself."""

    tokens: int
    read: int


class PriceUnknown(Event):
    """Nobody knows what the model costs: told once per model, with `advice` what to do about it."""

    advice: str | None = None


class BudgetNearlySpent(Event):
    """Of a budget of `allowed` USD, `spent` are gone: told once per period."""

    spent: "Decimal"
    allowed: "Decimal"


class ProviderPassedOver(Event):
    """One of several providers could not answer, or was left alone, and the next one is asked."""

    error: LLMError


class ProviderAnswered(Event):
    """One of several providers answered, after `passed_over` others could not."""

    passed_over: int


Observer = Callable[[Event], object]


class Tell(Protocol):
    """Tells the observers of one request of an event."""

    def __call__(self, kind: type[Event], /, **facts: Any) -> None:
        """Tell of an event of *kind*, with its own *facts*; what all events hold is known."""


def checked_observers(observers: Sequence[Observer]) -> tuple[Observer, ...]:
    """Return *observers*.

    Raises:
        ConfigurationError: They are something else.
    """
    if not isinstance(observers, Sequence) or not all(map(callable, observers)):
        raise ConfigurationError(f"observers is {shown(observers)}: give a list of callables")
    return tuple(observers)


_OTEL = {
    "provider": "gen_ai.provider.name",
    "operation": "gen_ai.operation.name",
    "model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "response_id": "gen_ai.response.id",
    "finish_reason": "gen_ai.response.finish_reasons",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "error": "error.type",
    "status_code": "http.response.status_code",
}
"""Our names and OpenTelemetry's (https://github.com/open-telemetry/semantic-conventions-genai)."""


def _render(_: Any, __: str, facts: MutableMapping[str, Any]) -> tuple[Any, ...]:
    event = facts.pop("event")
    text = " ".join([event, *(f"{key}={_plain(value)}" for key, value in facts.items())])
    extra = {_OTEL.get(key, f"bruno_llm.{key}"): value for key, value in facts.items()}
    return (text,), {"extra": extra}


def _plain(value: object) -> object:
    """Return *value* on one line: names and ids are a server's, which may try to forge a record."""
    if isinstance(value, str) and len(value) < 80 and value.isprintable():
        return value
    return shown(value)


_stdlib = logging.getLogger("bruno_llm")
_stdlib.addHandler(logging.NullHandler())  # silent unless the application wants to hear

_log = structlog.wrap_logger(
    _stdlib,
    processors=[structlog.stdlib.filter_by_level, _render],
    wrapper_class=structlog.stdlib.BoundLogger,
    context_class=dict,
    cache_logger_on_first_use=False,
)


def log_event(event: Event) -> None:
    """Log *event* on the logger "bruno_llm": how long, how many tokens, never what was said."""
    level, words = _LEVELS[type(event)]
    if _stdlib.isEnabledFor(level):
        _log.log(level, words, **_facts(event))


_LEVELS: dict[type[Event], tuple[int, str]] = {
    RequestStarted: (logging.DEBUG, "request started"),
    FirstToken: (logging.DEBUG, "first token"),
    ProviderAnswered: (logging.DEBUG, "provider answered"),
    RequestFinished: (logging.INFO, "request finished"),
    RequestAbandoned: (logging.INFO, "request abandoned"),
    AttemptFailed: (logging.WARNING, "attempt failed"),
    OptionDropped: (logging.WARNING, "option dropped: the model refuses it"),
    CountEstimated: (logging.WARNING, "tokens estimated: the server cannot be asked"),
    ContextNearlyFull: (logging.WARNING, "context window nearly full"),
    ContextTrimmed: (logging.WARNING, "context trimmed"),
    PromptCut: (logging.WARNING, "prompt cut by the server"),
    PriceUnknown: (logging.WARNING, "price unknown"),
    BudgetNearlySpent: (logging.WARNING, "budget nearly spent"),
    ProviderPassedOver: (logging.WARNING, "provider passed over"),
    RequestFailed: (logging.ERROR, "request failed"),
}


def _facts(event: Event) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name in event.holds:
        value = getattr(event, name)
        if isinstance(value, ModelResponse):
            facts |= _response_facts(value)
        elif isinstance(value, LLMError):
            facts |= {
                "error": type(value).__name__,
                "status_code": value.status_code,
                "request_id": value.request_id,
                "attempts": len(value.attempts),
            }
        elif isinstance(value, Attempt):
            facts |= {"error": value.error, "status_code": value.status_code}
            facts |= {"request_id": value.request_id}
        else:
            facts[name] = round(value, 4) if isinstance(value, float) else value
    return {name: value for name, value in facts.items() if value is not None}


def _response_facts(response: ModelResponse) -> dict[str, Any]:
    usage = {item.name: getattr(response.usage, item.name) for item in fields(response.usage)}
    return {
        "response_model": response.model,
        "response_id": response.id,
        "request_id": response.request_id,
        "finish_reason": response.finish_reason,
        "attempts": len(response.attempts),
        **usage,
    }


def tell(observers: Sequence[Observer], event: Event) -> None:
    """Tell every observer; one that fails is logged and stops nobody."""
    for observer in observers:
        try:
            observer(event)
        except Exception:  # noqa: BLE001 - whatever it raises, the request goes on
            _stdlib.exception("an observer failed")
