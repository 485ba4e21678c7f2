"""From what a server says of an error to an error of ours.

Each vendor has codes of its own, which come first. What stands here is common to many: gateways,
clouds and servers of one's own pass on what others have said, whatever the API.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from bruno_llm_base.error_documents import error_fields, object_in
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ContentBlockedError,
    ContextLengthExceededError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_base.response import Json
from bruno_llm_base.values import LONGEST, is_whole

__all__ = ["ErrorFacts", "error_from", "read_error_document", "server_wait"]

_BY_STATUS: dict[int, type[LLMError]] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    408: ServiceUnavailableError,
    409: ServiceUnavailableError,
    420: RateLimitError,
    425: ServiceUnavailableError,
    429: RateLimitError,
    449: ServiceUnavailableError,
    498: ServiceUnavailableError,  # Groq: no capacity
    499: ServiceUnavailableError,  # the server gave the request up, as Ollama does when it stops
}
_REDIRECT, _ERROR, _TOO_LARGE_STATUS, _TOO_MANY, _SERVER_ERROR = 300, 400, 413, 429, 500
# What standards know as faults of the request; a server may mean anything by others.
_USUAL = frozenset({*range(_ERROR, 418), 421, 422, 426, 428, 429, 431, 451})
_LONGEST_MESSAGE, _LONGEST_WORD, _LONGEST_READ = 1_000, 200, 2_000
_KEY_REFUSED = "the API key was refused: check that it is complete and not revoked"
_SHOULD_RETRY = {"true": True, "false": False}  # `x-should-retry` of OpenAI and Anthropic

# What may be a part of a key: a word with a digit, with asterisks or dots in it, or that begins as keys do.
_OF_A_KEY = re.compile(
    r"[^\s,;]*(?:\d|\*|\u2026|\.\.)[^\s,;]*|\b(?:sk|pk|rk|gsk|xai|nvapi|hf|AIza)[-_]?\w[^\s,;]*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFacts:
    """What a vendor's error document says.

    Attributes:
        kind: The error it stands for; None leaves that to the HTTP status.
        message: The vendor's sentence.
        code: The vendor's own word for the error.
        param: The request field it complains about.
        reason: Why an answer was blocked.
        limit: The limit that was exceeded, in tokens.
        actual: What was sent, in tokens.
        retry_after: How many seconds to wait.
        request_id: The vendor's name for the request.
        status: The status that the document names; it counts where HTTP's is a success.
        retryable: Whether the same request may succeed later; None leaves that to the kind.
    """

    kind: type[LLMError] | None = None
    message: str = ""
    code: str | None = None
    param: str | None = None
    reason: str | None = None
    limit: int | None = None
    actual: int | None = None
    retry_after: float | None = None
    request_id: str | None = None
    status: int | None = None
    retryable: bool | None = None


def error_from(facts: ErrorFacts, status: int, headers: Mapping[str, str]) -> LLMError:
    """Return the error that *facts*, an HTTP *status* and its *headers* stand for."""
    if _REDIRECT <= status < _ERROR:
        facts = ErrorFacts(request_id=facts.request_id)  # nothing in it is of use but the status
    retryable = facts.retryable
    if status < _ERROR:
        status = facts.status or status
    elif retryable is None:
        retryable = _SHOULD_RETRY.get(headers.get("x-should-retry", "").lower())
    kind = facts.kind or _kind_of_status(status)
    wait = facts.retry_after
    return kind(
        _message(kind, str(facts.message).strip(), status),
        status_code=status,
        request_id=_word(facts.request_id),
        code=_word(facts.code),
        param=_word(facts.param),
        reason=_word(facts.reason),
        limit=_count(facts.limit),
        actual=_count(facts.actual),
        retryable=retryable,
        retry_after=server_wait(headers) if wait is None else wait,
    )


def server_wait(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the server asks to wait.

    Reads `retry-after-ms` (OpenAI) and `retry-after` in seconds or as a date (RFC 9110, 10.2.3).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _message(kind: type[LLMError], said: str, status: int) -> str:
    if kind is AuthenticationError:
        # a vendor's complaint about a key quotes parts of it
        words = _OF_A_KEY.sub("***", said)[:_LONGEST_MESSAGE]
        return f"{_KEY_REFUSED}; the server says: {words}" if words else _KEY_REFUSED
    if said:
        return said[:_LONGEST_MESSAGE]
    if _REDIRECT <= status < _ERROR:
        return (
            f"the server redirects ({status}), which is not followed: set base_url to the API's own"
            " address"
        )
    return f"the server answered {status}"


def _kind_of_status(status: int) -> type[LLMError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= _SERVER_ERROR:
        return ServiceUnavailableError
    if status >= _ERROR:
        return InvalidRequestError
    # a redirect that was not followed, or an error inside a 200 that names no kind
    return InvalidResponseError if status >= _REDIRECT else ServiceUnavailableError


# The facts come out of a foreign document, so they may be anything.


def _word(value: object) -> str | None:
    return value[:_LONGEST_WORD] if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and is_whole(value, least=0) else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number <= LONGEST else None


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
    if (kind or _kind_of_status(status)) is RateLimitError:
        return _of_rate_limit(facts, message, _inner_values(details, "violations", "quotaId"))
    if kind is ContextLengthExceededError and facts.limit is None:
        limit, actual = _figures(message)
        return replace(facts, limit=limit, actual=actual)
    return facts


def _of_rate_limit(facts: ErrorFacts, message: str, quotas: Iterator[str]) -> ErrorFacts:
    from bruno_llm_base import error_words as words  # compiles many patterns

    if words.A_DAY(message) or any(map(words.A_DAY, quotas)):
        return replace(facts, kind=QuotaExceededError)
    limit, actual = _figures(message) if "token" in message.lower() else (None, None)
    is_hopeless = limit is not None and actual is not None and actual > limit
    if is_hopeless or words.TOO_LARGE(message):  # it would not fit into any minute
        facts = replace(facts, retryable=False)
    return replace(facts, limit=limit, actual=actual)


def _kind(
    status: int, codes: list[str], message: str, kinds: Mapping[str, type[LLMError]]
) -> type[LLMError] | None:
    """Return the kind that the vendor's codes, or all that is said, stand for, if any."""
    from bruno_llm_base import error_words as words

    all_codes = " ".join(codes)
    found = [kinds[code] for code in codes if code in kinds]
    for kind, matches in words.CODES:
        # some servers call it an error of theirs that a text is too long
        if status < _SERVER_ERROR or kind is ContextLengthExceededError:
            found += [kind] if matches(all_codes) else []
    is_rate = words.IN_A_WHILE(message)
    for kind, statuses, matches in words.SENTENCES:
        is_believed = status < _ERROR or status in statuses
        if is_believed and not (is_rate and kind is ContextLengthExceededError):
            found += [kind] if matches(message) else []
    if found:
        return min(found, key=_breadth)
    if status < _ERROR:
        rules = [(kind, matches(all_codes)) for kind, matches in words.BROAD_CODES]
        rules += [(kind, matches(message)) for kind, matches in words.BROAD_SENTENCES]
        return next((kind for kind, matched in rules if matched), None)
    if status == _TOO_LARGE_STATUS and is_rate:
        return RateLimitError
    is_full = words.FULL_CODE(all_codes) or (status not in _USUAL and words.FULL(message))
    is_full = is_full and status < _SERVER_ERROR and status != _TOO_MANY
    return ServiceUnavailableError if is_full else None


def _breadth(kind: type[LLMError]) -> int:
    """Return how much *kind* leaves open: of all that an error is called, the most special counts."""
    if kind is PermissionDeniedError:
        return 1
    return 2 if kind in (InvalidRequestError, RateLimitError, ServiceUnavailableError) else 0


def _codes(fields: Json, details: list[Json]) -> list[str]:
    """Return the words for the error: the most special first, and numbers last."""
    code = fields.get("code")
    is_number = str(code).isdecimal()
    words = [
        object_in(fields.get("details")).get("error_code"),  # Anthropic
        None if is_number else code,
        *_values(details, "reason"),  # Google
        fields.get("type"),
        fields.get("status"),
        code if is_number else None,
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
