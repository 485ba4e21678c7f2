"""Gemini's errors (https://ai.google.dev/gemini-api/docs/troubleshooting).

They are Google's common ones: a status word, and details each of which names its type
(https://google.aip.dev/193).
"""

import re
from collections.abc import Iterator
from typing import Any

from bruno_llm_base import (
    AuthenticationError,
    ContextLengthExceededError,
    ErrorFacts,
    Json,
    LLMError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)

__all__ = ["read"]

_BY_WORD: dict[str, type[LLMError]] = {
    # reasons
    "API_KEY_INVALID": AuthenticationError,
    "CONSUMER_SUSPENDED": AuthenticationError,  # says so with the key in its message
    # statuses
    "ABORTED": ServiceUnavailableError,
    "DEADLINE_EXCEEDED": ServiceUnavailableError,
    "INTERNAL": ServiceUnavailableError,
    "NOT_FOUND": ModelNotFoundError,
    "PERMISSION_DENIED": PermissionDeniedError,
    "RESOURCE_EXHAUSTED": RateLimitError,
    "UNAUTHENTICATED": AuthenticationError,
    "UNAVAILABLE": ServiceUnavailableError,
    "UNKNOWN": ServiceUnavailableError,
}

# No field tells an overflow from any other wrong request.
_OVERFLOW = re.compile(
    r"input token count(?: \(?(\d{1,12})\)?)? exceeds the maximum number of tokens allowed"
    r"(?: \(?(\d{1,12})\)?)?"
)


def read(data: Json) -> ErrorFacts:
    """Read an error document, or the error inside a stream."""
    error = data.get("error")
    if not isinstance(error, dict):
        return ErrorFacts(message=str(error or data.get("message") or ""))
    details = [row for row in error.get("details") or () if isinstance(row, dict)]
    message, status, number = (
        str(error.get("message") or "")[:1000],
        error.get("status"),
        error.get("code"),
    )
    reason = next(_values(details, "reason"), None)
    kind = _BY_WORD.get(str(reason)) or _BY_WORD.get(str(status))
    if kind is RateLimitError and any("PerDay" in quota for quota in _quotas(details)):
        kind = QuotaExceededError
    limit = actual = None
    if overflow := _OVERFLOW.search(message):
        kind = ContextLengthExceededError
        actual, limit = (int(figure) if figure else None for figure in overflow.groups())
    return ErrorFacts(
        kind=kind,
        message=message,
        code=reason or status,
        param=next((row.get("field") for row in _rows(details, "fieldViolations")), None),
        limit=limit,
        actual=actual,
        retry_after=next((_seconds(delay) for delay in _values(details, "retryDelay")), None),
        status=number if isinstance(number, int) and 400 <= number < 600 else None,
    )


def _values(details: list[Json], name: str) -> Iterator[str]:
    return (str(row[name]) for row in details if row.get(name))


def _rows(details: list[Json], name: str) -> Iterator[Any]:
    return (row for detail in details for row in detail.get(name) or ())


def _quotas(details: list[Json]) -> Iterator[str]:
    return (str(row.get("quotaId")) for row in _rows(details, "violations"))


def _seconds(delay: str) -> float | None:
    """Read a protobuf duration in JSON, such as "45.837906927s"."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", delay)
    return float(found[1]) if found else None
