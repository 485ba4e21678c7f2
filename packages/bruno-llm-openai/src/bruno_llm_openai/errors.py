"""OpenAI's errors (https://platform.openai.com/docs/guides/error-codes)."""

from bruno_llm_base import (
    AuthenticationError,
    ContentBlockedError,
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
from bruno_llm_base.error_mapping import read_error_document

__all__ = ["read"]

_KINDS: dict[str, type[LLMError]] = {
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


def read(status: int, data: Json) -> ErrorFacts:
    """Read an error document, or the error inside a stream."""
    return read_error_document(status, data, _KINDS)
