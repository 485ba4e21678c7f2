"""What every bruno-llm provider is made of.

Users need `LLMFactory`, the policies, the types and the errors; authors of providers need
`BaseProvider` and what its hooks take and give.
"""

from bruno_llm_base.conversation import Conversation, Messages, Text, ToolResult, Turn
from bruno_llm_base.exceptions import (
    AllProvidersFailedError,
    AuthenticationError,
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
from bruno_llm_base.factory import LLMFactory
from bruno_llm_base.failures import ErrorFacts
from bruno_llm_base.fallback import Breaker, FallbackLLM
from bruno_llm_base.installed import ProviderInfo
from bruno_llm_base.limits import LimitState, RateLimit
from bruno_llm_base.policies import Retry, Timeouts
from bruno_llm_base.provider import BaseProvider, Diagnosis
from bruno_llm_base.stream import TextStream
from bruno_llm_base.types import (
    NOTHING,
    Attempt,
    FinishReason,
    Json,
    ModelResponse,
    ToolCall,
    Usage,
)

__all__ = [
    "NOTHING",
    "AllProvidersFailedError",
    "Attempt",
    "AuthenticationError",
    "BaseProvider",
    "Breaker",
    "CircuitOpenError",
    "ConfigurationError",
    "ContentBlockedError",
    "ContextLengthExceededError",
    "Conversation",
    "Diagnosis",
    "ErrorFacts",
    "FallbackLLM",
    "FinishReason",
    "InvalidRequestError",
    "InvalidResponseError",
    "Json",
    "LLMError",
    "LLMFactory",
    "LLMTimeoutError",
    "LimitState",
    "Messages",
    "ModelNotFoundError",
    "ModelResponse",
    "OutputLimitError",
    "PermissionDeniedError",
    "ProviderInfo",
    "ProviderNotFoundError",
    "QuotaExceededError",
    "RateLimit",
    "RateLimitError",
    "Retry",
    "ServiceUnavailableError",
    "StreamError",
    "Text",
    "TextStream",
    "Timeouts",
    "ToolCall",
    "ToolResult",
    "Turn",
    "Usage",
]
