"""How a request is to be carried out: values that a user chooses. All times are in seconds."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, TypeVar

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.options import check_keywords
from bruno_llm_base.values import LONGEST, is_seconds, is_whole, shown

_P = TypeVar("_P", bound="Policy")


def check_whole(name: str, value: object, least: int = 1) -> None:
    """Refuse what is not a whole number, *least* or more, with an error that calls it *name*."""
    if not is_whole(value, least=least):
        raise ConfigurationError(f"{name} is {shown(value)}: give a whole number, {least} or more")


def check_seconds(name: str, value: object) -> None:
    """Refuse what is not a time in seconds, with an error that calls it *name*."""
    if not is_seconds(value):
        raise ConfigurationError(f"{name} is {shown(value)}: give seconds, 0 to {LONGEST}")


def check_limit(name: str, value: float | None) -> None:
    """Refuse what is neither a time in seconds nor None, with an error that calls it *name*."""
    if value is not None and not (is_seconds(value) and value > 0):
        raise ConfigurationError(
            f"{name} is {shown(value)}: give seconds above 0, up to {LONGEST}, or None for no limit"
        )


class Policy:
    """What a user chooses by keywords; one that is misspelt is refused with the closest.

    Attributes:
        example: How one is written, for advice.
    """

    __slots__ = ()

    example: ClassVar[str]

    def __new__(cls, *values: Any, **keywords: Any) -> Self:
        """Refuse keywords that are not known, and values without one."""
        if values:
            raise ConfigurationError(
                f"{cls.__name__} has a value without its name, {shown(values[0])}: give {cls.example}"
            )
        check_keywords(cls, keywords)
        return super().__new__(cls)

    @classmethod
    def checked(cls, name: str, given: object) -> Self:
        """Return what was *given* as *name*, or raise how one is written."""
        if not isinstance(given, cls):
            raise ConfigurationError(f"{name} is {shown(given)}: give {cls.example}")
        return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Policy):
    """How often and how patiently a failed request is sent again.

    Waits grow exponentially with full jitter
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/); a wait that the
    server asks for is added to, never undercut.

    Attributes:
        attempts: How many tries in all; 1 sends once.
        wait_initial: The longest first wait.
        wait_max: The longest wait of our own choice.
        deadline: No new attempt starts later than this after the first one began.
    """

    example: ClassVar[str] = "Retry(attempts=3), or max_retries=2"

    attempts: int = 3
    wait_initial: float = 0.5
    wait_max: float = 30.0
    deadline: float = 120.0

    def __post_init__(self) -> None:
        """Check the values."""
        check_whole("Retry.attempts", self.attempts)
        for name in ("wait_initial", "wait_max", "deadline"):
            check_seconds(f"Retry.{name}", getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts(Policy):
    """How long a request, and each step of an attempt, may take. None sets no limit.

    Attributes:
        call: All attempts and waits together, a consumer's own time between two chunks too. What
            must be loaded once, an SDK or prices, does not count.
        connect: Reaching the server.
        first_token: From sending to the first sign of an answer. The default is long: reasoning
            models are silent while they think, and Ollama loads its model first.
        between_tokens: From one sign of the answer to the next, without a consumer's own time.
        total: The whole attempt.
    """

    example: ClassVar[str] = "Timeouts(call=60), or timeout=60 for a request with its retries"

    call: float | None = None
    connect: float | None = 5.0
    first_token: float | None = 600.0
    between_tokens: float | None = 120.0
    total: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        for item in fields(self):
            check_limit(f"Timeouts.{item.name}", getattr(self, item.name))


def policy(kind: type[_P], name: str, given: _P | None, **short: float | None) -> _P:
    """Return the policy that a user chose, in its long or its short form, but not in both."""
    chosen = {field: value for field, value in short.items() if value is not None}
    if given is None:
        return kind(**chosen)
    checked = kind.checked(name, given)
    if chosen:
        said = f"{name}={shown(given)} and its short form are given"
        raise ConfigurationError(f"{said}: give one of them")
    return checked
