"""Anthropic's errors (https://platform.claude.com/docs/en/api/errors)."""

from bruno_llm_base import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidRequestError,
    LLMError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)

__all__ = ["KINDS", "MESSAGES"]

MESSAGES = "messages"
"""The field of the request in which thoughts are that no longer fit what stands before them."""

KINDS: dict[str, type[LLMError]] = {
    # codes
    "contract_spend_limit_reached": QuotaExceededError,
    "enforced_spend_limit_reached": QuotaExceededError,
    "organization_on_hold": PermissionDeniedError,
    # types
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
