"""Gemini's errors (https://ai.google.dev/gemini-api/docs/troubleshooting).

They are Google's common ones: a status word, and details each of which names its type
(https://google.aip.dev/193).
"""

from bruno_llm_base import (
    AuthenticationError,
    ErrorFacts,
    Json,
    LLMError,
    ModelNotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_base.error_mapping import read_error_document

__all__ = ["read"]

_KINDS: dict[str, type[LLMError]] = {
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


def read(status: int, data: Json) -> ErrorFacts:
    """Read an error document, or the error inside a stream."""
    return read_error_document(status, data, _KINDS)
