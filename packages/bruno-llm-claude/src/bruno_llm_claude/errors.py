"""Anthropic's errors (https://platform.claude.com/docs/en/api/errors)."""

from dataclasses import replace

from bruno_llm_base import (
    AuthenticationError,
    ContextLengthExceededError,
    ErrorFacts,
    InvalidRequestError,
    Json,
    LLMError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_base.error_mapping import read_error_document

from bruno_llm_claude.binding import MISMATCH

__all__ = ["MESSAGES", "read"]

MESSAGES = "messages"
"""The field of the request in which thoughts are that no longer fit what stands before them."""

_KINDS: dict[str, type[LLMError]] = {
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


def read(status: int, data: Json) -> ErrorFacts:
    """Read an error document, or the error inside a stream."""
    facts = read_error_document(status, data, _KINDS)
    return replace(facts, param=MESSAGES) if MISMATCH.search(facts.message) else facts
