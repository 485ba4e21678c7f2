"""From what a server said to an error of ours."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bruno_llm_base.exceptions import (
    AuthenticationError,
    ContentBlockedError,
    ContextLengthExceededError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    OutputLimitError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_base.finish import is_full_window
from bruno_llm_base.types import ModelResponse
from bruno_llm_base.values import LONGEST, is_whole

__all__ = ["ErrorFacts", "answer_text", "error_from", "kind_of", "request_id", "server_wait"]

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
_SERVER_ERROR, _CLIENT_ERROR, _REDIRECT = 500, 400, 300
_LONGEST_MESSAGE, _LONGEST_WORD = 1_000, 200

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
    """Return the error that *facts* and an HTTP *status* stand for."""
    if _REDIRECT <= status < _CLIENT_ERROR:
        facts = ErrorFacts(request_id=facts.request_id)  # nothing in it is of use but the status
    retryable = facts.retryable
    if status < _CLIENT_ERROR:
        status = facts.status or status
    elif retryable is None:
        retryable = _SHOULD_RETRY.get(headers.get("x-should-retry", "").lower())
    kind = facts.kind or kind_of(status)
    wait = facts.retry_after
    return kind(
        _sentence(kind, str(facts.message).strip(), status),
        status_code=status,
        request_id=_word(facts.request_id) or request_id(headers),
        code=_word(facts.code),
        param=_word(facts.param),
        reason=_word(facts.reason),
        limit=_count(facts.limit),
        actual=_count(facts.actual),
        retryable=retryable,
        retry_after=server_wait(headers) if wait is None else wait,
    )


def _sentence(kind: type[LLMError], said: str, status: int) -> str:
    if kind is not AuthenticationError:
        return said[:_LONGEST_MESSAGE] or _unsaid(status)
    # A vendor's complaint about a key quotes parts of it.
    words = _OF_A_KEY.sub("***", said)[:_LONGEST_MESSAGE]
    return f"{_KEY_REFUSED}; the server says: {words}" if words else _KEY_REFUSED


# The facts come out of a foreign document, so they may be anything.


def _word(value: object) -> str | None:
    return value[:_LONGEST_WORD] if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and is_whole(value, least=0) else None


_KEY_REFUSED = "the API key was refused: check that it is complete and not revoked"
_SHOULD_RETRY = {
    "true": True,
    "false": False,
}  # https://github.com/openai/openai-python, _base_client.py


def _unsaid(status: int) -> str:
    if _REDIRECT <= status < _CLIENT_ERROR:
        return (
            f"the server redirects ({status}), which is not followed: set base_url to the API's own"
            " address"
        )
    return f"the server answered {status}"


def kind_of(status: int) -> type[LLMError]:
    """Return what an HTTP *status* stands for."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= _SERVER_ERROR:
        return ServiceUnavailableError
    if status >= _CLIENT_ERROR:
        return InvalidRequestError
    # a redirect that nobody followed, or an error inside a 200 that names no kind
    return InvalidResponseError if status >= _REDIRECT else ServiceUnavailableError


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the vendor's name for a request."""
    return _word(headers.get("x-request-id") or headers.get("request-id"))


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


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number <= LONGEST else None


def answer_text(response: ModelResponse, provider: str) -> str:
    """Return the text of an answer of *provider*.

    Raises:
        ContentBlockedError: The model refused, or a filter took the answer.
        OutputLimitError: The output budget was spent before any text.
        InvalidResponseError: It only calls tools, or says nothing.
    """
    blocked = response.finish_reason == "content_filter"
    if response.text.strip() and not blocked:
        return response.text
    kind, message = _instead_of_text(response)
    raise kind(
        message,
        provider=provider,
        model=response.model,
        request_id=response.request_id,
        reason=response.finish_detail if blocked else None,
        attempts=response.attempts,
        partial=response,
    )


def _instead_of_text(response: ModelResponse) -> tuple[type[LLMError], str]:
    """Return what an answer has in place of text."""
    detail = response.finish_detail
    if response.finish_reason == "content_filter":
        return ContentBlockedError, f"the answer was blocked: {detail}"
    if response.finish_reason == "length" and is_full_window(detail):
        return ContextLengthExceededError, (
            "the context window was full before any text: shorten the conversation, or see"
            " ContextPolicy"
        )
    if response.finish_reason == "length":
        return OutputLimitError, (
            "the output limit was reached before any text (reasoning counts as output): raise"
            " max_tokens or lower the reasoning effort"
        )
    if response.finish_reason == "pause":
        return InvalidResponseError, (
            f"the model paused before any text ({detail}): use request(), and send its to_message()"
            " back to let it go on"
        )
    if response.tool_calls:
        return InvalidResponseError, "the answer only calls tools: use request() to read them"
    return InvalidResponseError, "the answer holds no text"
