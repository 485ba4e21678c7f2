"""From what a server says of an error to an error of ours: document -> facts -> error."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bruno_llm_base.error_documents import error_fields
from bruno_llm_base.error_kinds import (
    A_DAY,
    REQUEST_TOO_LARGE,
    figures_in,
    has,
    kind_by_status,
    kind_of,
)
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ContentBlockedError,
    ContextLengthExceededError,
    LLMError,
    QuotaExceededError,
    RateLimitError,
)
from bruno_llm_base.parts import Json
from bruno_llm_base.values import INT64, LONGEST, is_whole

_REDIRECT, _ERROR = 300, 400
_LONGEST_MESSAGE, _LONGEST_WORD, _LONGEST_READ = 1_000, 200, 2_000
_KEY_REFUSED = "the API key was refused: check that it is complete and not revoked"
_AS_THEY_ARE = ("request_id", "code", "param", "reason", "limit", "actual")
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")  # protobuf's in JSON, such as "45.837906927s"
_SHOULD_RETRY = {"true": True, "false": False}  # `x-should-retry` of OpenAI and Anthropic

# What may be a part of a key: a word with a digit, with asterisks or dots in it, or that begins as keys do.
_OF_A_KEY = re.compile(
    r"[^\s,;]*(?:\d|\*|\u2026|\.\.)[^\s,;]*|\b(?:sk|pk|rk|gsk|xai|nvapi|hf|AIza)[-_]?\w[^\s,;]*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFacts:
    """What a vendor's error document says; what `LLMError` has too means the same there.

    Attributes:
        kind: The error it stands for; None leaves that to the HTTP status.
        message: The vendor's sentence.
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


def read_error_document(
    status: int, data: object, kinds: Mapping[str, type[LLMError]] | None = None
) -> ErrorFacts:
    """Read an error, any JSON or text, that came with an HTTP *status*.

    *kinds* are what the vendor's own codes, types and reasons stand for.
    """
    fields = error_fields(data)
    details = fields.get("details")  # Google's: https://google.aip.dev/193
    codes = _codes(fields, details)
    code = next(iter(codes), None)
    message = fields["message"][:_LONGEST_READ]
    named_status = fields.get("http_status")
    status = status if status >= _ERROR else named_status or status
    kind = kind_of(status, codes, message, kinds or {})
    limit, actual = _count(fields.get("n_ctx")), _count(fields.get("n_prompt_tokens"))
    delay = _DURATION.fullmatch(next(_find(details, "retryDelay"), ""))
    retryable = None
    if (kind or kind_by_status(status)) is RateLimitError:
        if has(A_DAY, " ".join([message, *_find(details, "quotaId")])):
            kind = QuotaExceededError
        else:
            limit, actual = figures_in(message) if "token" in message.lower() else (None, None)
            # it would not fit into any minute
            is_hopeless = (actual or 0) > (limit or INT64) or has(REQUEST_TOO_LARGE, message)
            retryable = False if is_hopeless else None
    elif kind is ContextLengthExceededError and limit is None:
        limit, actual = figures_in(message)
    return ErrorFacts(
        kind=kind,
        message=fields["message"],
        code=code,
        param=_word(fields.get("param"), *_find(details, "field")),
        reason=_word(fields.get("reason"), code if kind is ContentBlockedError else None),
        limit=limit,
        actual=actual,
        retry_after=float(delay[1]) if delay else None,
        request_id=_word(fields.get("request_id"), fields.get("requestId")),
        status=named_status,
        retryable=retryable,
    )


def error_from(facts: ErrorFacts, status: int, headers: Mapping[str, str]) -> LLMError:
    """Return the error that *facts*, an HTTP *status* and its *headers* stand for."""
    if _REDIRECT <= status < _ERROR:
        facts = ErrorFacts(request_id=facts.request_id)  # nothing in it is of use but the status
    retryable = facts.retryable
    if status < _ERROR:
        status = facts.status or status
    elif retryable is None:
        retryable = _SHOULD_RETRY.get(headers.get("x-should-retry", "").lower())
    kind = facts.kind or kind_by_status(status)
    return kind(
        _message(kind, facts.message.strip(), status),
        status_code=status,
        **{name: getattr(facts, name) for name in _AS_THEY_ARE},
        retryable=retryable,
        retry_after=server_wait(headers) if facts.retry_after is None else facts.retry_after,
    )


def server_wait(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the server asks to wait.

    Reads `retry-after-ms` (OpenAI) and `retry-after` in seconds or as a date (RFC 9110, 10.2.3).
    """
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        with suppress(ValueError):
            if 0 <= (number := float(headers.get(name, ""))) <= LONGEST:
                return number / unit
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
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


def _word(*values: object) -> str | None:
    return next((v[:_LONGEST_WORD] for v in values if isinstance(v, str) and v), None)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and is_whole(value, least=0) else None


def _codes(fields: Json, details: object) -> list[str]:
    """Return the words for the error: the most special first, and numbers last."""
    code = fields.get("code")
    is_number = str(code).isdecimal()
    words = [
        *_find(details, "error_code"),  # Anthropic
        None if is_number else code,
        *_find(details, "reason"),
        fields.get("type"),
        fields.get("status"),
        code if is_number else None,
    ]
    return [
        str(w)[:_LONGEST_WORD] for w in words if w not in (None, "") and not isinstance(w, bool)
    ]


def _find(value: object, name: str, depth: int = 4) -> Iterator[str]:
    """Yield the texts that stand under *name* in *value*, or inside of it."""
    if isinstance(value, dict):
        if isinstance(text := value.get(name), str) and text:
            yield text
        value = list(value.values())
    if isinstance(value, list) and depth:
        for inner in value:
            yield from _find(inner, name, depth - 1)
