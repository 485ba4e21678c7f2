"""What can go wrong, in one family: every error is bruno-core's `LLMError`.

Only `ToolError` is not: tools raise it, and models read it. A mistake in a program is none of them
either: reading a stream twice is a RuntimeError, and what a hook of the user's raises comes out as
it is. Errors pickle. Neither their text nor their attributes hold a key, or a prompt or (but for
`partial`) an answer, unless the server's own words for the error do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bruno_core.utils import exceptions as core

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = [
    "AllProvidersFailedError",
    "Attempt",
    "AuthenticationError",
    "BudgetExceededError",
    "CircuitOpenError",
    "ConfigurationError",
    "ContentBlockedError",
    "ContextLengthExceededError",
    "InvalidRequestError",
    "InvalidResponseError",
    "LLMError",
    "LLMTimeoutError",
    "MediaError",
    "MediaTooLargeError",
    "MediaTypeError",
    "MediaUnavailableError",
    "ModelNotFoundError",
    "OutputInvalidError",
    "OutputLimitError",
    "PermissionDeniedError",
    "ProviderNotFoundError",
    "QuotaExceededError",
    "RateLimitError",
    "ServiceUnavailableError",
    "StreamError",
    "ToolError",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a request, with times in seconds.

    Attributes:
        error: The kind of error that ended it; None for success.
        request_id: The server's name for it.
        retry_after: The wait that the server asked for.
    """

    duration: float
    error: str | None = None
    status_code: int | None = None
    request_id: str | None = None
    retry_after: float | None = None


class LLMError(core.LLMError):
    """A request to a language model failed.

    Attributes:
        message: What happened, for people.
        advice: What may be done about it, or where the request went; "" for nothing.
        provider: The provider's name, such as "openai".
        model: The model that was asked.
        status_code: The HTTP status, where the server sent one.
        request_id: The server's name for the request; vendors' support asks for it.
        code: The vendor's own word for the error.
        param: The request field that the vendor complains about.
        reason: Why an answer was blocked, in the vendor's word.
        limit: The limit that was exceeded, in tokens.
        actual: What was sent or asked for, in tokens.
        retryable: Whether the same request may succeed later.
        retry_after: How many seconds the server asks to wait.
        attempts: What happened to each attempt, in order.
        partial: The answer so far, a `ModelResponse`, where some of it had arrived.
        batch: The id of the batch so far, where the vendor has taken a part of it before this.
    """

    is_failure: ClassVar[bool] = True  # of the provider, as circuit breakers count them
    another_may_answer: ClassVar[bool] = True  # so `FallbackLLM` asks the next model

    advice: str = ""
    provider: str | None = None
    model: str | None = None
    status_code: int | None = None
    request_id: str | None = None
    code: str | None = None
    param: str | None = None
    reason: str | None = None
    limit: int | None = None
    actual: int | None = None
    retryable: bool = False
    retry_after: float | None = None
    attempts: Sequence[Attempt] = ()
    partial: Any = None
    batch: str | None = None

    def __init_subclass__(cls, **flags: bool) -> None:
        """Set *flags*: `retryable`, `is_failure` or `another_may_answer`."""
        super().__init_subclass__()
        for name, value in flags.items():
            setattr(cls, name, value)

    def __init__(self, message: str, *, cause: Exception | None = None, **facts: Any) -> None:
        """Say what happened, for people; *facts* are attributes, of which None says nothing."""
        super().__init__(message, cause=cause)
        self.__cause__ = cause
        for name, value in facts.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no attribute {name!r}")
            if value is not None:
                setattr(self, name, value)

    @property
    def description(self) -> str:
        """The message and the advice."""
        return f"{self.message}; {self.advice}" if self.advice else self.message

    def __str__(self) -> str:
        """Return the description and where it came from."""
        names = ("provider", "model", "status_code", "code", "request_id")
        facts = ((name.partition("_")[0], getattr(self, name)) for name in names)
        known = ", ".join(f"{name} {value}" for name, value in facts if value is not None)
        return f"{self.description} ({known})" if known else self.description

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # the cause may be an SDK's error, and those fail to unpickle: its text is in ours
        return type(self), (self.message,), vars(self) | {"cause": None}


class ConfigurationError(LLMError, core.ConfigError, is_failure=False, another_may_answer=False):
    """A provider cannot be set up as asked. Nothing was sent."""


class ProviderNotFoundError(ConfigurationError):
    """No installed distribution offers this provider."""


class AuthenticationError(LLMError):
    """The key is missing, wrong or revoked."""


class PermissionDeniedError(LLMError):
    """The key is good, but may not do this."""


class QuotaExceededError(LLMError):
    """The account's money or its daily quota is used up; never retried."""


class RateLimitError(LLMError, retryable=True):
    """Too many requests or tokens at once; not `retryable` where a request is too large for any time."""


class ServiceUnavailableError(LLMError, retryable=True):
    """The server is down, overloaded, unreachable or dropped the connection."""


class LLMTimeoutError(LLMError, TimeoutError, retryable=True):
    """The server took longer than allowed; the message says which limit, in seconds."""


class InvalidRequestError(LLMError, is_failure=False, another_may_answer=False):
    """The request is wrong and would fail again."""


class ModelNotFoundError(InvalidRequestError, is_failure=True, another_may_answer=True):
    """The server does not offer this model."""


class ContextLengthExceededError(InvalidRequestError, another_may_answer=True):
    """The conversation does not fit the model's context window: see `limit` and `actual`."""


class MediaError(InvalidRequestError):
    """A picture, sound, film or document cannot be sent, or not be read.

    Attributes:
        media: Which one: its file's name or address, or what it is.
    """

    media: str | None = None


class MediaTooLargeError(MediaError, another_may_answer=True):
    """It is larger than the model takes, by its bytes, its pixels or its pages."""


class MediaTypeError(MediaError, another_may_answer=True):
    """The model does not read media of this type, or the type is not known."""


class MediaUnavailableError(MediaError, another_may_answer=True):
    """The file is not there or may not be read, or the vendor could not fetch the address.

    In the latter case another vendor may, so `FallbackLLM` asks it.
    """


class ContentBlockedError(LLMError, is_failure=False, another_may_answer=False):
    """The model refused, or a safety filter took the answer: see `reason`."""


class OutputLimitError(LLMError, is_failure=False):
    """The output budget was spent before any text, or within a typed output.

    Raise `max_tokens` or lower the reasoning effort.
    """


class OutputInvalidError(LLMError, is_failure=False):
    """The answer does not fit the type that was asked for, and did not when it was asked for again.

    `partial` is the last answer, with the usage and the cost of all.

    Attributes:
        errors: What is wrong with it, a line each.
    """

    errors: Sequence[str] = ()


class InvalidResponseError(LLMError):
    """The server's answer cannot be read, or holds no text."""


class StreamError(LLMError, core.StreamError, retryable=True):
    """The stream broke off before its end: `partial` holds what had arrived."""


class BudgetExceededError(LLMError, is_failure=False):
    """The request might cost more than the budget has left. Nothing was sent.

    Attributes:
        allowed: The budget, in USD.
        left: What is neither spent nor reserved, in USD.
        needed: The most that the request can cost, in USD.
        account: Whose spending the budget counts, such as "user 'ann'".
    """

    allowed: "Decimal | None" = None
    left: "Decimal | None" = None
    needed: "Decimal | None" = None
    account: str | None = None


class CircuitOpenError(LLMError, retryable=True, is_failure=False):
    """The provider kept failing and is left alone for `retry_after` seconds. Nothing was sent."""


class AllProvidersFailedError(LLMError, is_failure=False):
    """Of several providers none could answer: `errors` says why, in the order they were asked.

    `retryable`, `retry_after` (the soonest) and `attempts` (all) sum up those of the errors.
    """

    errors: Sequence[LLMError] = ()

    def __init__(self, message: str, *, errors: Sequence[LLMError] = (), **facts: Any) -> None:
        waits = [error.retry_after for error in errors if error.retry_after is not None]
        summed: dict[str, Any] = {
            "errors": tuple(errors),
            "retryable": any(error.retryable for error in errors),
            "retry_after": min(waits, default=None),
            "attempts": tuple(attempt for error in errors for attempt in error.attempts),
            "cause": errors[-1] if errors else None,
        }
        super().__init__(message, **summed | facts)


class ToolError(Exception):
    """Raised by a tool of yours to tell the model, in words, why it has no result."""
