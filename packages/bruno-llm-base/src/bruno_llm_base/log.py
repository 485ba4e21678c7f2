"""The log, which is an observer."""

import logging
from collections.abc import MutableMapping
from dataclasses import fields
from typing import Any

import structlog

from bruno_llm_base.exceptions import LLMError
from bruno_llm_base.observe import (
    AttemptFailed,
    BudgetNearlySpent,
    ContextNearlyFull,
    ContextTrimmed,
    CountEstimated,
    Event,
    FinishReasonUnknown,
    FirstToken,
    OptionDropped,
    PriceUnknown,
    PromptCut,
    ProviderAnswered,
    ProviderPassedOver,
    RequestAbandoned,
    RequestFailed,
    RequestFinished,
    RequestStarted,
)
from bruno_llm_base.types import Attempt, ModelResponse
from bruno_llm_base.values import shown

__all__ = ["log_event"]

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
    FinishReasonUnknown: (logging.WARNING, "finish reason unknown: it counts as a stop"),
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
