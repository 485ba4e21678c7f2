"""What kind of error a document tells of, and its figures.

Each vendor has codes of its own, which come first. What stands here is common to many: gateways,
clouds and servers of one's own pass on what others have said, whatever the API.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bruno_llm_base.error_documents import error_fields, object_in
from bruno_llm_base.exceptions import (
    ContentBlockedError,
    ContextLengthExceededError,
    InvalidRequestError,
    LLMError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_base.failures import ErrorFacts, kind_of
from bruno_llm_base.types import Json

__all__ = ["read_error_document"]

_LONGEST_READ = 2_000
_ERROR, _TOO_LARGE_STATUS, _TOO_MANY, _SERVER_ERROR = 400, 413, 429, 500
# What standards know as faults of the request; a server may mean anything by others.
_USUAL = frozenset({*range(_ERROR, 418), 421, 422, 426, 428, 429, 431, 451})


def read_error_document(
    status: int, data: object, kinds: Mapping[str, type[LLMError]] | None = None
) -> ErrorFacts:
    """Read an error in whatever spelling.

    Args:
        status: The HTTP status.
        data: What the server has said: any JSON, or a text.
        kinds: What the vendor's own codes, types and reasons stand for.
    """
    fields = error_fields(data)
    details = [row for row in _list(fields.get("details")) if isinstance(row, dict)]
    codes = _codes(fields, details)
    message: str = fields["message"][:_LONGEST_READ]
    inner = fields.get("http_status")
    status = status if status >= _ERROR else inner or status
    kind = _kind(status, codes, message, kinds or {})
    code = next(iter(codes), None)
    facts = ErrorFacts(
        kind=kind,
        message=fields["message"],
        code=code,
        param=fields.get("param") or next(_inner_values(details, "fieldViolations", "field"), None),
        reason=fields.get("reason") or code if kind is ContentBlockedError else None,
        limit=fields.get("n_ctx"),
        actual=fields.get("n_prompt_tokens"),
        retry_after=next(filter(None, map(_seconds, _values(details, "retryDelay"))), None),
        request_id=fields.get("request_id") or fields.get("requestId"),
        status=inner,
    )
    if (kind or kind_of(status)) is RateLimitError:
        return _of_a_while(facts, message, _inner_values(details, "violations", "quotaId"))
    if kind is ContextLengthExceededError and facts.limit is None:
        limit, actual = _figures(message)
        return replace(facts, limit=limit, actual=actual)
    return facts


def _of_a_while(facts: ErrorFacts, message: str, quotas: Iterator[str]) -> ErrorFacts:
    """Return *facts* of a limit of requests or tokens in a while, and what it says of that."""
    from bruno_llm_base import error_words as words

    if words.A_DAY(message) or any(map(words.A_DAY, quotas)):
        return replace(facts, kind=QuotaExceededError)
    limit, actual = _figures(message) if "token" in message.lower() else (None, None)
    hopeless = limit is not None and actual is not None and actual > limit
    if hopeless or words.TOO_LARGE(message):  # it would not fit into any while
        facts = replace(facts, retryable=False)
    return replace(facts, limit=limit, actual=actual)


def _kind(
    status: int, codes: list[str], message: str, kinds: Mapping[str, type[LLMError]]
) -> type[LLMError] | None:
    """Return the kind that the vendor's codes, or all that is said, stand for, if any."""
    from bruno_llm_base import error_words as words  # compiles many patterns

    found = [kinds[code] for code in codes if code in kinds]
    for kind, matches in words.CODES:
        # some servers call it an error of theirs that a text is too long
        if status < _SERVER_ERROR or kind is ContextLengthExceededError:
            found += [kind] if matches(" ".join(codes)) else []
    in_a_while = words.IN_A_WHILE(message)
    for kind, statuses, matches in words.SENTENCES:
        if in_a_while and kind is ContextLengthExceededError:
            continue
        if status < _ERROR or status in statuses:
            found += [kind] if matches(message) else []
    return min(found, key=_breadth) if found else _broad_kind(status, " ".join(codes), message)


def _breadth(kind: type[LLMError]) -> int:
    """Return how much *kind* leaves open: of all that an error is called, the most special counts."""
    if kind is PermissionDeniedError:
        return 1
    return 2 if kind in (InvalidRequestError, RateLimitError, ServiceUnavailableError) else 0


def _broad_kind(status: int, codes: str, message: str) -> type[LLMError] | None:
    """Return the kind of an error of which no more is known than that it is one."""
    from bruno_llm_base import error_words as words

    if status < _ERROR:
        rules = [(kind, matches(codes)) for kind, matches in words.BROAD_CODES]
        rules += [(kind, matches(message)) for kind, matches in words.BROAD_SENTENCES]
        return next((kind for kind, matched in rules if matched), None)
    if status == _TOO_LARGE_STATUS and words.IN_A_WHILE(message):
        return RateLimitError
    full = words.FULL_CODE(codes) or (status not in _USUAL and words.FULL(message))
    if full and status < _SERVER_ERROR and status != _TOO_MANY:
        return ServiceUnavailableError
    return None


def _codes(fields: Json, details: list[Json]) -> list[str]:
    """Return the words for the error: the most special first, and numbers last."""
    code, kind = fields.get("code"), fields.get("type")
    number = str(code).isdecimal()
    words = [
        object_in(fields.get("details")).get("error_code"),  # Anthropic
        None if number else code,
        *_values(details, "reason"),  # Google
        kind,
        fields.get("status"),
        code if number else None,
    ]
    return [str(word) for word in words if word is not None and not isinstance(word, bool)]


# Google's details, each of which names its type (https://google.aip.dev/193).


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _values(rows: list[Any], name: str) -> Iterator[str]:
    return (str(row[name]) for row in rows if isinstance(row, dict) and row.get(name))


def _inner_values(details: list[Json], outer: str, name: str) -> Iterator[str]:
    return _values([row for detail in details for row in _list(detail.get(outer))], name)


def _seconds(delay: str) -> float | None:
    """Read a protobuf duration in JSON, such as "45.837906927s"."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", delay)
    return float(found[1]) if found else None


def _figures(message: str) -> tuple[int | None, int | None]:
    """Return the limit that *message* tells of, and what was sent."""
    from bruno_llm_base import error_words as words

    for pattern in words.FIGURES:
        if found := pattern.search(message):
            told = {name: int(n.replace(",", "")) for name, n in found.groupdict().items() if n}
            sent = told.get("actual")
            return told.get("limit"), None if sent is None else sent + told.get("more", 0)
    return None, None
