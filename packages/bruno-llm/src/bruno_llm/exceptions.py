"""0.2.0's errors, deprecated: they are in `bruno_llm` and `bruno_llm_base`."""

from bruno_llm._old import old_names

_MOVED = {
    name: f"bruno_llm_base.{name}"
    for name in (
        "AuthenticationError",
        "ConfigurationError",
        "ContextLengthExceededError",
        "InvalidResponseError",
        "LLMError",
        "ModelNotFoundError",
        "ProviderNotFoundError",
        "RateLimitError",
        "StreamError",
    )
} | {"TimeoutError": "bruno_llm_base.LLMTimeoutError"}

__all__ = list(_MOVED)
__getattr__ = old_names(__name__, _MOVED)
