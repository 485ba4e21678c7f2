"""Which errors another provider can help with, and which speak against the provider."""

from typing import NamedTuple

from bruno_llm_base.exceptions import (
    AllProvidersFailedError,
    AuthenticationError,
    BudgetExceededError,
    CircuitOpenError,
    ConfigurationError,
    ContentBlockedError,
    ContextLengthExceededError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    ModelNotFoundError,
    OutputLimitError,
    PermissionDeniedError,
    ProviderNotFoundError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
    StreamError,
)

__all__ = ["Verdict", "verdict_on"]


class Verdict(NamedTuple):
    """What an error means where there are several providers.

    Attributes:
        switches: Whether the next provider is asked.
        counts: Whether it is a failure of the provider, as its circuit breaker counts them.
    """

    switches: bool
    counts: bool


_PROVIDER_FAILS = Verdict(switches=True, counts=True)
_ANOTHER_MAY_DO = Verdict(switches=True, counts=False)
_CALLER_DECIDES = Verdict(switches=False, counts=False)

_VERDICTS: dict[type[LLMError], Verdict] = {
    # A kind that nobody has thought of, or an error of somebody else's provider.
    LLMError: _PROVIDER_FAILS,
    ServiceUnavailableError: _PROVIDER_FAILS,
    LLMTimeoutError: _PROVIDER_FAILS,
    RateLimitError: _PROVIDER_FAILS,
    QuotaExceededError: _PROVIDER_FAILS,
    # Keys, rights and models are each provider's own; until somebody mends them, every call fails.
    AuthenticationError: _PROVIDER_FAILS,
    PermissionDeniedError: _PROVIDER_FAILS,
    ModelNotFoundError: _PROVIDER_FAILS,
    # Nonsense, or an answer that broke off (before its first text, or nobody would switch).
    InvalidResponseError: _PROVIDER_FAILS,
    StreamError: _PROVIDER_FAILS,
    # Too much for this model: another may have a larger window, or think less. The server is well.
    ContextLengthExceededError: _ANOTHER_MAY_DO,
    OutputLimitError: _ANOTHER_MAY_DO,
    # Another one may be cheaper, or free.
    BudgetExceededError: _ANOTHER_MAY_DO,
    # Of a fallback within a fallback: its own members' circuits remember.
    AllProvidersFailedError: _ANOTHER_MAY_DO,
    CircuitOpenError: _ANOTHER_MAY_DO,
    # Wrong for every provider; and one that took it would hide the mistake.
    InvalidRequestError: _CALLER_DECIDES,
    ConfigurationError: _CALLER_DECIDES,
    ProviderNotFoundError: _CALLER_DECIDES,
    # Going from model to model until one obeys is for the caller to decide, if for anybody.
    ContentBlockedError: _CALLER_DECIDES,
}


def verdict_on(error: LLMError) -> Verdict:
    """Return what *error* means where there are several providers."""
    if isinstance(error, RateLimitError) and not error.retryable:
        return _ANOTHER_MAY_DO  # of our own limit, or too large for the provider's
    if isinstance(error, InvalidResponseError) and error.partial and error.partial.tool_calls:
        return _CALLER_DECIDES  # a good answer that was asked for as text
    kinds = [kind for kind in type(error).__mro__ if kind in _VERDICTS]
    return _VERDICTS[kinds[0]]
