"""OpenAI's errors (https://platform.openai.com/docs/guides/error-codes)."""

import re

from bruno_llm_base import (
    AuthenticationError,
    ContentBlockedError,
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

__all__ = ["read"]

_BY_CODE: dict[str, type[LLMError]] = {
    "billing_hard_limit_reached": QuotaExceededError,
    "content_filter": ContentBlockedError,
    "content_policy_violation": ContentBlockedError,
    "context_length_exceeded": ContextLengthExceededError,
    "credit_balance_exhausted": QuotaExceededError,
    "DeploymentNotFound": ModelNotFoundError,  # Azure
    "exceed_context_size_error": ContextLengthExceededError,  # llama.cpp
    "insufficient_permissions": PermissionDeniedError,
    "insufficient_quota": QuotaExceededError,
    "invalid_api_key": AuthenticationError,
    "invalid_prompt": ContentBlockedError,
    "model_not_found": ModelNotFoundError,
    "organization_spend_limit_exceeded": QuotaExceededError,
    "project_spend_limit_exceeded": QuotaExceededError,
    "rate_limit_exceeded": RateLimitError,
    "server_error": ServiceUnavailableError,
    "server_overloaded": ServiceUnavailableError,
}

# Of texts that are too long to embed the words alone tell (the second are llama.cpp's, which calls
# it an error of the server's).
_TOO_LONG = re.compile(r"maximum context length is \d|is too large to process")

# "maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens": the
# figures stand in no field, so they are read where they can be; nothing depends on them.
_FIGURES = re.compile(r"maximum context length is (\d{1,12})\b.*?\b(\d{1,12}) tokens", re.DOTALL)


def read(status: int, data: Json) -> ErrorFacts:
    """Read an error document, or the error inside a stream."""
    error = data.get("error")
    if not isinstance(error, dict):
        return ErrorFacts(message=str(error or data.get("message") or ""))
    message = str(error.get("message") or "")[:1000]
    code, kind = error.get("code"), error.get("type")
    known = _BY_CODE.get(str(code)) or _BY_CODE.get(str(kind))
    if known is None and status == 200 and kind == "invalid_request_error":
        known = (
            InvalidRequestError  # many a status has this type, but in a stream there is no other
        )
    if _TOO_LONG.search(message):
        known = ContextLengthExceededError
    figures = _FIGURES.search(message)
    limit, actual = error.get("n_ctx"), error.get("n_prompt_tokens")
    if figures and known is ContextLengthExceededError:
        limit, actual = int(figures[1]), int(figures[2])
    number = str(code)
    return ErrorFacts(
        kind=known,
        message=message,
        code=str(code or kind) if code or kind else None,
        param=error.get("param"),
        limit=limit,
        actual=actual,
        reason=str(code) if known is ContentBlockedError else None,
        # OpenRouter and llama.cpp name the status inside a stream
        status=int(number) if number.isdecimal() and len(number) == 3 else None,
    )
