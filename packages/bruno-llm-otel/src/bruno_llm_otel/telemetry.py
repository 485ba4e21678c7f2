"""The observer that tells OpenTelemetry of requests."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from bruno_llm_base.events import (
    CacheHit,
    ContextTrimmed,
    Event,
    FallbackFinished,
    FallbackStarted,
    FirstToken,
    RequestAbandoned,
    RequestFailed,
    RequestFinished,
    RequestStarted,
    ToolFinished,
    ToolStarted,
)
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.log import LOGGER
from bruno_llm_base.response import ModelResponse
from opentelemetry import context, trace
from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from bruno_llm_otel import conventions as names
from bruno_llm_otel.attributes import (
    known_at_end,
    known_at_start,
    name_of,
    options_of,
    told_of,
    told_of_error,
)
from bruno_llm_otel.metrics import Metrics

Attributes = Mapping[str, AttributeValue]

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
        request = self._requests.get(event.id or "")
        match event:
            case RequestStarted():
                if event.operation in names.DURATION:
                    self._start(event)
            case ToolStarted() | FallbackStarted():
                self._start_inside(event)
            case ToolFinished() | FallbackFinished():
                if request is not None:
                    del self._requests[str(event.id)]
                    self._end_inside(request, event)
            case RequestFinished() | RequestAbandoned() | RequestFailed():
                if request is not None:
                    del self._requests[str(event.id)]
                    self._end(request, event)
            case FirstToken():
                if request is not None:
                    request.first_chunk = event.duration
            case _:
                self._add(event, trace.get_current_span() if request is None else request.span)

    def around(self, event: Event) -> AbstractContextManager[None]:
        """Return what makes the span of a request current while an attempt is sent, or of a tool."""
        known = self._requests.get(event.id or "")
        return nullcontext() if known is None else _Current(known.span)

    def _add(self, event: Event, span: Span) -> None:
        if isinstance(event, CacheHit):
            self._tell_hit(event)
        elif span.is_recording():
            span.add_event(name_of(type(event).__name__), dict(told_of(event)))
            if isinstance(event, ContextTrimmed):
                span.set_attributes({names.COMPACTED: True})

    def _start(self, event: RequestStarted) -> None:
        known = known_at_start(event)
        more = known | options_of(event)
        given = self._attributes
        more |= (given(event) if callable(given) else given) or {}
        operation = str(known[names.OPERATION])
        name = f"{operation} {event.model}" if event.model else operation
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=more)
        self._requests[str(event.id)] = _Request(span, event.operation, known)
        if self._redact is not None and event.conversation is not None and span.is_recording():
            from bruno_llm_otel.content import asked

            tools = event.options.get("tools") or ()
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
                span.set_attributes(known_at_end(response, request.first_chunk))
                if isinstance(event, RequestAbandoned):
                    span.set_attributes({names.ABANDONED: True})
                if error is not None:
                    span.set_attributes(dict(told_of_error(error)))
                    span.set_status(Status(StatusCode.ERROR))
                if self._redact is not None and response.parts:
                    from bruno_llm_otel.content import answered

                    self._tell_content(span, answered, response)
        finally:
            span.end()
        self._metrics.record(
            request.operation, request.attributes, event.duration, request.first_chunk, response
        )

    def _start_inside(self, event: ToolStarted | FallbackStarted) -> None:
        """Begin the span of what happens in this process."""
        if isinstance(event, FallbackStarted):
            span = self._tracer.start_span(names.FALLBACK)
            self._requests[str(event.id)] = _Request(span, names.FALLBACK, {})
            return
        call = event.call
        known: dict[str, AttributeValue] = {
            names.OPERATION: event.operation,
            names.TOOL_NAME: call.name or "",
        }
        more = known | {names.TOOL_TYPE: names.FUNCTION}
        if call.id:
            more[names.TOOL_CALL_ID] = call.id
        span = self._tracer.start_span(f"{event.operation} {call.name}", attributes=more)
        self._requests[str(event.id)] = _Request(span, event.operation, known)

    def _tell_hit(self, event: CacheHit) -> None:
        """Tell of an answer that nothing was sent for: a span that has no usage and no cost."""
        now = time.time_ns()
        span = self._tracer.start_span(
            names.CACHE, attributes=dict(told_of(event)), start_time=now - int(event.duration * 1e9)
        )
        span.end(now)

    def _end_inside(self, request: _Request, event: ToolFinished | FallbackFinished) -> None:
        span, error = request.span, event.error
        if error is not None:
            request.attributes[names.ERROR_TYPE] = error
            span.set_attribute(names.ERROR_TYPE, error)
            span.set_status(Status(StatusCode.ERROR))
        if isinstance(event, ToolFinished):
            if self._redact is not None and span.is_recording():
                from bruno_llm_otel.content import executed

                self._tell_content(span, executed, event.call, event.result)
            self._metrics.record_duration(request.operation, request.attributes, event.duration)
        span.end()

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
