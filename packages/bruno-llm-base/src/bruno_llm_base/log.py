"""Who is told of events: the log first, then the observers of a provider."""

import inspect
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

from bruno_llm_base.events import Event, Observer
from bruno_llm_base.exceptions import Attempt, ConfigurationError, LLMError
from bruno_llm_base.parts import ToolCall
from bruno_llm_base.response import ModelResponse
from bruno_llm_base.values import shown

_OTEL = {
    "provider": "gen_ai.provider.name",
    "operation": "gen_ai.operation.name",
    "streamed": "gen_ai.request.stream",
    "address": "server.address",
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


_NEVER_LOGGED = ("telemetry_name", "options", "prompt", "tag", "conversation", "result")


def _plain(value: object) -> object:
    """Return *value* on one line: names and ids are a server's, which may try to forge a record."""
    if isinstance(value, str) and len(value) < 80 and value.isprintable():
        return value
    return shown(value)


LOGGER = logging.getLogger("bruno_llm")
LOGGER.addHandler(logging.NullHandler())  # silent unless the application wants to hear


def log_event(event: Event) -> None:
    """Log *event* on the logger "bruno_llm": how long, how many tokens, never what was said."""
    if LOGGER.isEnabledFor(event.level):
        facts = _facts(event)
        text = " ".join([event.words, *(f"{key}={_plain(value)}" for key, value in facts.items())])
        extra = {_OTEL.get(key, f"bruno_llm.{key}"): value for key, value in facts.items()}
        LOGGER.log(event.level, text, extra=extra)


class Observers:
    """The log, and the observers of one provider.

    Attributes:
        given: The observers.
        around: The methods `around` of those that have one.
    """

    __slots__ = ("around", "given")

    def __init__(self, given: Sequence[Observer]) -> None:
        """Take the observers.

        Raises:
            ConfigurationError: They are something else, or one is asynchronous.
        """
        if not isinstance(given, Sequence) or not all(map(callable, given)):
            raise ConfigurationError(f"observers is {shown(given)}: give a list of callables")
        for observer in given:
            calls = (observer, getattr(observer, "__call__", None))  # noqa: B004 - the method
            if any(map(inspect.iscoroutinefunction, calls)):
                raise ConfigurationError(
                    f"observers has the asynchronous {shown(observer)}: give a plain callable, which"
                    " may start a task"
                )
        self.given = tuple(given)
        self.around: tuple[Callable[[Event], Any], ...] = tuple(
            [each.around for each in given if hasattr(each, "around")]
        )

    def tell(self, kind: type[Event], /, **facts: Any) -> None:
        """Tell the log and every observer of an event; one that fails is logged and stops nothing."""
        event = kind(**facts)
        for observer in (log_event, *self.given):
            try:
                observer(event)
            except Exception:
                LOGGER.exception("an observer failed")

    def enter(self, event: Event) -> AbstractContextManager[None]:
        """Return what is to be done within, once *event* was told."""
        return _Around(self.around, event)


class _Around:
    """The context managers of all observers; one that fails is logged and stops nothing."""

    def __init__(self, around: Sequence[Callable[[Event], Any]], event: Event) -> None:
        self._around = around
        self._event = event
        self._entered: list[Any] = []

    def __enter__(self) -> None:
        for around in self._around:
            try:
                manager = around(self._event)
                manager.__enter__()
            except Exception:
                LOGGER.exception("an observer failed")
            else:
                self._entered.append(manager)

    def __exit__(self, *failure: object) -> None:
        while self._entered:
            try:
                self._entered.pop().__exit__(*failure)
            except Exception:
                LOGGER.exception("an observer failed")


def _facts(event: Event) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name in event.holds:
        if name in _NEVER_LOGGED:
            continue
        match getattr(event, name):
            case ModelResponse() as response:
                facts |= {
                    "response_model": response.model,
                    "response_id": response.id,
                    "request_id": response.request_id,
                    "finish_reason": response.finish_reason,
                    "attempts": len(response.attempts),
                    **asdict(response.usage),
                }
            case LLMError() as error:
                facts |= {
                    "error": type(error).__name__,
                    "status_code": error.status_code,
                    "request_id": error.request_id,
                    "attempts": len(error.attempts),
                }
            case ToolCall() as call:  # its arguments may be private
                facts |= {"tool": call.name, "call_id": call.id}
            case Attempt() as attempt:
                facts |= {"error": attempt.error, "status_code": attempt.status_code}
                facts |= {"request_id": attempt.request_id}
            case float() as number:
                facts[name] = round(number, 4)
            case value:
                facts[name] = value
    return {name: value for name, value in facts.items() if value is not None}
