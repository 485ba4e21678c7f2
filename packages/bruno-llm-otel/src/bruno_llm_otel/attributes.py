"""What spans say of events: attributes by the conventions' names, and nothing that was said."""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from urllib.parse import urlsplit

from bruno_llm_base.events import Event, ProviderAnswered, ProviderPassedOver, RequestStarted
from bruno_llm_base.exceptions import Attempt, LLMError
from bruno_llm_base.parts import ToolCall
from bruno_llm_base.response import ModelResponse
from opentelemetry.util.types import AttributeValue

from bruno_llm_otel import conventions as names

_OF_ALL_EVENTS = frozenset(Event.holds)


def known_at_start(event: RequestStarted) -> dict[str, AttributeValue]:
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


def options_of(event: RequestStarted) -> dict[str, AttributeValue]:
    """Return what is asked for."""
    options, known = event.options, dict[str, AttributeValue]()
    if event.streamed:
        known[names.STREAM] = True
    if options.get("output") is not None:
        known[names.OUTPUT_TYPE] = "json"
    for name, (attribute, kind) in names.OPTIONS.items():
        if (value := options.get(name)) is not None:
            known[attribute] = kind(value)
    known |= {
        names.PROMPT[name]: str(event.prompt[name])
        for name in names.PROMPT
        if event.prompt.get(name)
    }
    if event.tag is not None:
        known[names.TAG] = event.tag
    if stop := options.get("stop"):
        known[names.STOP_SEQUENCES] = [stop] if isinstance(stop, str) else list(stop)
    return known


@cache
def _server(address: str) -> dict[str, AttributeValue]:
    url = urlsplit(address)
    if not url.hostname:
        return {}
    port = url.port or (80 if url.scheme == "http" else 443)
    return {names.SERVER_ADDRESS: url.hostname, names.SERVER_PORT: port}


def known_at_end(response: ModelResponse, first_chunk: float | None) -> dict[str, AttributeValue]:
    """Return what is known of an answer, or of what has come of it."""
    known: dict[str, AttributeValue] = {}
    if response.model is not None:
        known[names.RESPONSE_MODEL] = response.model
    if response.id is not None:
        known[names.RESPONSE_ID] = response.id
    if response.finish_reason is not None:
        known[names.FINISH_REASONS] = [response.finish_reason]
    if first_chunk is not None:
        known[names.TIME_TO_FIRST_CHUNK] = first_chunk
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
def name_of(kind: str) -> str:
    """Return the name of an event on a span: `AttemptFailed` is "bruno_llm.attempt_failed"."""
    return names.EVENTS + re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()


def told_of(event: Event) -> Iterator[tuple[str, AttributeValue]]:
    """Yield the attributes of an event on a span; nothing that was said is among them."""
    for name in event.holds:
        if name not in _OF_ALL_EVENTS:
            yield from _facts(name, getattr(event, name))
    if event.id is None or isinstance(event, ProviderPassedOver | ProviderAnswered):
        # it stands on a span that is of no one provider
        yield names.PROVIDER, event.provider
        if event.model:
            yield names.REQUEST_MODEL, event.model


def _facts(name: str, value: object) -> Iterator[tuple[str, AttributeValue]]:
    match value:
        case LLMError():
            yield from told_of_error(value)
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


def told_of_error(error: LLMError) -> Iterator[tuple[str, AttributeValue]]:
    """Yield what kind of error it is, never its words."""
    yield names.ERROR_TYPE, type(error).__name__
    if error.status_code is not None:
        yield names.STATUS_CODE, error.status_code
