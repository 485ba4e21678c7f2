"""The observer that tells OpenTelemetry of requests."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

from bruno_llm_base.events import (
    ContextTrimmed,
    Event,
    FirstToken,
    RequestAbandoned,
    RequestFailed,
    RequestFinished,
    RequestStarted,
)
from bruno_llm_base.exceptions import Attempt, ConfigurationError, LLMError
from bruno_llm_base.log import LOGGER
from bruno_llm_base.parts import ToolCall
from bruno_llm_base.response import ModelResponse
from opentelemetry import context, trace
from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from bruno_llm_otel import conventions as names
from bruno_llm_otel.metrics import Metrics

Attributes = Mapping[str, AttributeValue]

_OF_ALL_EVENTS = frozenset(Event.holds)
_SCOPE = "bruno_llm"


@dataclass(slots=True)
class _Request:
    """A request under way: its span, and what its metrics are told apart by."""

    span: Span
    operation: str
    attributes: dict[str, AttributeValue]
    first_chunk: float | None = None


class Telemetry:
    """Tells OpenTelemetry of every request: a span, and metrics.

        llm = OpenAIProvider(observers=[Telemetry()])

    A request has one CLIENT span over all of its attempts, which ends with its answer, that of a
    stream included. Its parent is the span that was current when the call was made; it is current
    itself only while an attempt is sent, so that spans of an instrumented HTTP client are its children.
    Names are those of the GenAI conventions 0.1.0.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        content: bool | Callable[[str], str] = False,
        attributes: Attributes | Callable[[RequestStarted], Attributes] | None = None,
    ) -> None:
        """Set it up; without an OpenTelemetry SDK it does nothing.

        Args:
            tracer_provider: Where spans go; the global one if None.
            meter_provider: Where metrics go; the global one if None.
            content: Whether spans hold what is said: messages, answers, tools. A function is given
                each text, and returns what may be told of it. Media are never told.
            attributes: More attributes of spans, such as `{"gen_ai.conversation.id": "7"}`, or a
                function that returns those of a request, called in the context of the call.

        Raises:
            ConfigurationError: `content` or `attributes` is something else.
        """
        if not isinstance(content, bool) and not callable(content):
            raise ConfigurationError(f"content is {content!r}: give True, False or a function")
        if not (attributes is None or isinstance(attributes, Mapping) or callable(attributes)):
            raise ConfigurationError("attributes is neither a mapping nor a function: give one")
        self._made = partial(
            Telemetry, tracer_provider, meter_provider, content=content, attributes=attributes
        )
        self._redact = content if callable(content) else str if content else None
        self._attributes = attributes
        url = names.SCHEMA_URL
        self._tracer = trace.get_tracer(_SCOPE, None, tracer_provider, url)
        self._metrics = Metrics(get_meter(_SCOPE, "", meter_provider, url))
        self._requests: dict[str, _Request] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy it by what it was made of; what is under way stays here."""
        return self._made, ()

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, RequestStarted):
            if event.operation in names.DURATION:
                self._start(event)
            return
        request = self._requests.get(event.id or "")
        match event:
            case RequestFinished() | RequestAbandoned() | RequestFailed():
                if request is not None:
                    del self._requests[str(event.id)]
                    self._end(request, event)
            case FirstToken():
                if request is not None:
                    request.first_chunk = event.duration
            case _:
                span = trace.get_current_span() if request is None else request.span
                if span.is_recording():
                    span.add_event(_name(type(event).__name__), dict(_told(event)))
                    if isinstance(event, ContextTrimmed):
                        span.set_attributes({names.COMPACTED: True})

    def around(self, request: RequestStarted) -> AbstractContextManager[None]:
        """Return what makes the span of *request* current while an attempt is sent."""
        known = self._requests.get(request.id or "")
        return nullcontext() if known is None else _Current(known.span)

    def _start(self, event: RequestStarted) -> None:
        known = _known_at_start(event)
        options = event.options
        more = dict(known)
        if event.streamed:
            more[names.STREAM] = True
        if options.get("output") is not None:
            more[names.OUTPUT_TYPE] = "json"
        for name, (attribute, kind) in names.OPTIONS.items():
            value = options.get(name)
            if value is not None:
                more[attribute] = kind(value)
        if stop := options.get("stop"):
            more[names.STOP_SEQUENCES] = [stop] if isinstance(stop, str) else list(stop)
        given = self._attributes
        more |= (given(event) if callable(given) else given) or {}
        operation = str(known[names.OPERATION])
        name = f"{operation} {event.model}" if event.model else operation
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=more)
        self._requests[str(event.id)] = _Request(span, event.operation, known)
        if self._redact is not None and event.conversation is not None and span.is_recording():
            from bruno_llm_otel.content import asked

            tools = options.get("tools") or ()
            self._tell_content(span, asked, event.conversation, tools)

    def _end(
        self, request: _Request, event: RequestFinished | RequestAbandoned | RequestFailed
    ) -> None:
        span, error = request.span, None
        if isinstance(event, RequestFailed):
            error = event.error
            response = error.partial or ModelResponse(attempts=tuple(error.attempts))
        else:
            response = event.response
        try:
            if response.model is not None:
                request.attributes[names.RESPONSE_MODEL] = response.model
            if error is not None:
                request.attributes[names.ERROR_TYPE] = type(error).__name__
            if span.is_recording():
                span.set_attributes(_known_at_end(request, response))
                if isinstance(event, RequestAbandoned):
                    span.set_attributes({names.ABANDONED: True})
                if error is not None:
                    span.set_attributes(dict(_told_of_error(error)))
                    span.set_status(Status(StatusCode.ERROR))
                if self._redact is not None and response.parts:
                    from bruno_llm_otel.content import answered

                    self._tell_content(span, answered, response)
        finally:
            span.end()
        self._metrics.record(
            request.operation, request.attributes, event.duration, request.first_chunk, response
        )

    def _tell_content(
        self, span: Span, write: Callable[..., dict[str, str]], *said: object
    ) -> None:
        """Put on *span* what is said; where that fails, nothing is told, and the span is not lost."""
        try:
            span.set_attributes(write(*said, self._redact))
        except Exception as error:  # noqa: BLE001 - whatever a redactor raises
            LOGGER.warning("content is not told: %s was raised", type(error).__name__)


class _Current:
    """Makes a span current."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        self._token = context.attach(trace.set_span_in_context(self._span))

    def __exit__(self, *_: object) -> None:
        context.detach(self._token)


def _known_at_start(event: RequestStarted) -> dict[str, AttributeValue]:
    """Return what samplers and metrics tell requests apart by."""
    provider = event.telemetry_name or event.provider
    is_google = event.operation == "chat" and provider.startswith("gcp.")
    known: dict[str, AttributeValue] = {
        names.OPERATION: names.GENERATE_CONTENT if is_google else event.operation,
        names.PROVIDER: provider,
    }
    if event.model:
        known[names.REQUEST_MODEL] = event.model
    return known | _server(event.address or "")


@cache
def _server(address: str) -> dict[str, AttributeValue]:
    url = urlsplit(address)
    if not url.hostname:
        return {}
    port = url.port or (80 if url.scheme == "http" else 443)
    return {names.SERVER_ADDRESS: url.hostname, names.SERVER_PORT: port}


def _known_at_end(request: _Request, response: ModelResponse) -> dict[str, AttributeValue]:
    """Return what is known of an answer, or of what has come of it."""
    known: dict[str, AttributeValue] = {}
    if response.model is not None:
        known[names.RESPONSE_MODEL] = response.model
    if response.id is not None:
        known[names.RESPONSE_ID] = response.id
    if response.finish_reason is not None:
        known[names.FINISH_REASONS] = [response.finish_reason]
    if request.first_chunk is not None:
        known[names.TIME_TO_FIRST_CHUNK] = request.first_chunk
    for name, attribute in names.USAGE.items():
        count = getattr(response.usage, name)
        if count is not None:
            known[attribute] = count
    if response.usage_estimated:
        known[names.ESTIMATED] = True
    if response.cost is not None:
        known[names.COST] = float(response.cost.total)
    if response.attempts:
        known[names.ATTEMPTS] = len(response.attempts)
    return known


@cache
def _name(kind: str) -> str:
    """Return the name of an event on a span: `AttemptFailed` is "bruno_llm.attempt_failed"."""
    return names.EVENTS + re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()


def _told(event: Event) -> Iterator[tuple[str, AttributeValue]]:
    """Yield the attributes of an event on a span; nothing that was said is among them."""
    for name in event.holds:
        if name not in _OF_ALL_EVENTS:
            yield from _facts(name, getattr(event, name))
    if event.id is None:  # it stands on the application's own span
        yield names.PROVIDER, event.provider
        if event.model:
            yield names.REQUEST_MODEL, event.model


def _facts(name: str, value: object) -> Iterator[tuple[str, AttributeValue]]:
    match value:
        case LLMError():
            yield from _told_of_error(value)
        case Attempt():
            yield names.ERROR_TYPE, str(value.error)
            if value.status_code is not None:
                yield names.STATUS_CODE, value.status_code
        case ToolCall():
            yield names.TOOL_NAME, value.name or ""
            if value.id:
                yield names.TOOL_CALL_ID, value.id
        case bool() | str() | int() | float():
            yield names.EVENTS + name, value
        case Decimal():
            yield names.EVENTS + name, float(value)


def _told_of_error(error: LLMError) -> Iterator[tuple[str, AttributeValue]]:
    yield names.ERROR_TYPE, type(error).__name__
    if error.status_code is not None:
        yield names.STATUS_CODE, error.status_code
