"""Anthropic's errors (https://platform.claude.com/docs/en/api/errors)."""

import re

from bruno_llm_base import (
    AuthenticationError,
    ContextLengthExceededError,
    ErrorFacts,
    InvalidRequestError,
    Json,
    LLMError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)

from bruno_llm_claude.binding import MISMATCH

__all__ = ["MESSAGES", "read"]

MESSAGES = "messages"
"""The field of the request in which thoughts are that no longer fit what stands before them."""

_BY_CODE: dict[str, type[LLMError]] = {
    "contract_spend_limit_reached": QuotaExceededError,
    "enforced_spend_limit_reached": QuotaExceededError,
    "organization_on_hold": PermissionDeniedError,
}
_BY_TYPE: dict[str, type[LLMError]] = {
    "api_error": ServiceUnavailableError,
    "authentication_error": AuthenticationError,
    "billing_error": QuotaExceededError,
    "exceed_context_size_error": ContextLengthExceededError,  # llama.cpp
    "invalid_request_error": InvalidRequestError,
    "not_found_error": InvalidRequestError,
    "overloaded_error": ServiceUnavailableError,
    "permission_error": PermissionDeniedError,
    "rate_limit_error": RateLimitError,
    "request_too_large": InvalidRequestError,
    "timeout_error": ServiceUnavailableError,
}

# These have no code of their own: they are told from others of their type by Anthropic's words, and
# should those change, they stay an InvalidRequestError.
_BY_WORDS: tuple[tuple[str, re.Pattern[str], type[LLMError]], ...] = (
    (
        "invalid_request_error",
        re.compile(r"(prompt|input) is too long|exceed context limit", re.IGNORECASE),
        ContextLengthExceededError,
    ),
    (
        "invalid_request_error",
        re.compile(r"credit balance is too low|API usage limits"),
        QuotaExceededError,
    ),
    ("not_found_error", re.compile(r"^model\b"), ModelNotFoundError),
)
# As in "215000 tokens > 200000 maximum" and "limit: 195000 + 16000 > 200000": the figures stand in no
# field, so they are read where they can be; nothing depends on them.
_FIGURES = re.compile(r"\b(\d{1,12})(?: \+ (\d{1,12}))?(?: tokens)? > (\d{1,12})\b")


def read(data: Json) -> ErrorFacts:
    """Read an error document, or the error inside a stream."""
    error = data.get("error")
    if not isinstance(error, dict):  # Bedrock sends a message alone
        error = {"message": error or data.get("message")}
    message, kind = str(error.get("message") or "")[:1000], error.get("type")
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None  # Vertex sends a list
    known = (
        _BY_CODE.get(str(code))
        or _by_words(kind or "invalid_request_error", message)
        or _BY_TYPE.get(str(kind))
    )
    limit, actual = error.get("n_ctx"), error.get("n_prompt_tokens")
    figures = _FIGURES.search(message)
    if figures and known is ContextLengthExceededError:
        limit, actual = int(figures[3]), int(figures[1]) + int(figures[2] or 0)
    return ErrorFacts(
        kind=known,
        message=message,
        code=code or kind,
        param=MESSAGES if MISMATCH.search(message) else None,
        limit=limit,
        actual=actual,
        request_id=data.get("request_id"),
    )


def _by_words(kind: str, message: str) -> type[LLMError] | None:
    return next(
        (known for of, words, known in _BY_WORDS if of == kind and words.search(message)), None
    )
