"""What every provider is built with, and how its requests are sent."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from bruno_llm_base.access import Access, Vendor, find_access
from bruno_llm_base.adapter import Adapter
from bruno_llm_base.attempt import Endpoint
from bruno_llm_base.config import Basics
from bruno_llm_base.context.windows import Windows
from bruno_llm_base.cost.prices import Prices
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ConfigurationError,
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    PermissionDeniedError,
    ServiceUnavailableError,
    StreamError,
)
from bruno_llm_base.limits import RateLimit
from bruno_llm_base.log import Observers
from bruno_llm_base.observe import Observer
from bruno_llm_base.policies import Retry, Timeouts, policy
from bruno_llm_base.provider.offer import Offer
from bruno_llm_base.retry import RetryThrottle
from bruno_llm_base.transport import PerLoop, Transport, proxy_for
from bruno_llm_base.types import Json
from bruno_llm_base.values import is_whole, shown

if TYPE_CHECKING:
    from bruno_llm_base.cost.budget import Budget
    from bruno_llm_base.cost.price_sources import PriceSource
    from bruno_llm_base.cost.spending import Spending
    from bruno_llm_base.cost.tracker import CostTracker

__all__ = ["Core"]

# What a proxy may be to blame for.
_ON_THE_WAY = (
    InvalidResponseError,
    LLMTimeoutError,
    PermissionDeniedError,
    ServiceUnavailableError,
    StreamError,
)
_PROXY_LOGIN = 407


class Core(Vendor, ABC):
    """A provider's settings and connections.

    Attributes:
        adapter_type: How the API spells things.
        default_model: The model where none is named.
        capabilities: What it can do, for the factories' `providers()`.
        prices_type: What its answers cost.
    """

    adapter_type: ClassVar[type[Adapter]]
    default_model: ClassVar[str]
    capabilities: ClassVar[frozenset[str]] = frozenset()
    prices_type: ClassVar[type[Prices]] = Prices

    @staticmethod
    @abstractmethod
    def open_transport(access: Access, timeouts: Timeouts) -> Transport:
        """Return a transport for the running event loop; the SDK is imported here."""

    def __init__(
        self,
        settings: Basics,
        /,
        *,
        client: Any = None,
        retry: Retry | None = None,
        rate_limit: RateLimit | None = None,
        timeouts: Timeouts | None = None,
        cost: "CostTracker | None" = None,
        budget: "Budget | Sequence[Budget] | None" = None,
        observers: Sequence[Observer] = (),
        timeout: float | None = None,
        max_retries: int | None = None,
        window: int | None = None,
    ) -> None:
        """Set up what all kinds of providers have, from checked *settings*.

        The keywords are those of `BaseProvider`; `window` is what the user says of context windows.

        Raises:
            ConfigurationError: A value is wrong, or the key is missing.
        """
        self._settings = settings
        self._timeouts = policy(Timeouts, "timeouts", timeouts, call=timeout)
        if max_retries is not None and not is_whole(max_retries, least=0):
            raise ConfigurationError(
                f"max_retries is {shown(max_retries)}: give a whole number, 0 or more"
            )
        attempts = None if max_retries is None else max_retries + 1
        self._retry = policy(Retry, "retry", retry, attempts=attempts)
        self._rate_limit = _checked_limit(rate_limit)
        self._windows = Windows(window, certain=self.fixed_windows)
        self._offer = Offer()
        self._access = find_access(type(self), settings, client)
        self._adapter = self.adapter_type.at(self._access)
        self._observers = Observers(observers)
        self._model = self.plain_name(settings.model or self.default_model)
        self._transports = PerLoop(needs=self.sdk)
        self._cost, self._budget = cost, budget
        self._spending = self._find_spending()
        spending = self._spending
        self._prices = self._prices_by(None) if spending is None else spending.prices
        self._endpoint = Endpoint(
            provider=self.name,
            address=self._access.address,
            adapter=self._adapter,
            transports=self._transports,
            open_transport=partial(self.open_transport, self._access, self._timeouts),
            redact=self._access.blot,
            timeouts=self._timeouts,
            retry=self._retry,
            throttle=RetryThrottle(),
            rate_limit=self._rate_limit,
            spending=spending,
            prices=self._prices,
            observers=self._observers,
        )

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self._model

    @property
    def adapter(self) -> Adapter:
        """How the API spells things."""
        return self._adapter

    @property
    def access(self) -> Access:
        """Where the API is, and the key: what `open_transport` needs."""
        return self._access

    @property
    def timeouts(self) -> Timeouts:
        """How long each step of an attempt may take."""
        return self._timeouts

    async def aclose(self) -> None:
        """Close the running loop's connections; they are opened again when needed."""
        await self._transports.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        own = self._access.base_url or self._access.client_address
        where = f", base_url={self._access.address!r}" if own else ""
        return f"{type(self).__name__}(model={self._model!r}{where})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings and where the key is, never a key or a client."""
        login = "@" in (self._settings.base_url or "")
        if self._settings.api_key is not None or self._access.client is not None or login:
            raise ConfigurationError(
                f"a {type(self).__name__} with a literal api_key, a login or a client cannot be"
                f" pickled: set {' or '.join(self.api_key_env)} in the worker's environment"
            )
        keywords = self._settings.model_dump(exclude={"api_key"}) | {
            "retry": self._retry,
            "rate_limit": self._rate_limit,
            "timeouts": self._timeouts,
            "cost": self._cost,
            "budget": self._budget,
            "observers": self._observers.given,
        }
        return _rebuild, (type(self), keywords)

    def _find_spending(self) -> "Spending | None":
        """Return where costs are recorded, if anywhere."""
        if self._cost is None and self._budget is None:
            return None
        from bruno_llm_base.cost.spending import Spending  # most providers do without

        return Spending(self._cost, self._budget, lambda cost: self._prices_by(cost.prices))

    def _prices_by(self, own: "PriceSource | None") -> Prices:
        """Return what answers cost, by the user's *own* prices first."""
        settings, address = self._settings, self._access.address
        vendors_own = address.rstrip("/") == self.default_base_url.rstrip("/")
        return self.prices_type(
            self.name,
            settings.price_name or self.price_name or self.name,
            "declared free of charge" if settings.free else self.free,
            own,
            address="" if settings.price_name or vendors_own else address,
            observers=self._observers,
        )

    async def _advise(self, error: LLMError) -> list[str]:
        """Return what a user may want to know about an error that a request ended with."""
        advice = []
        if isinstance(error, AuthenticationError) and self._access.key_source:
            advice.append(f"the key came from {self._access.key_source}")
        elif isinstance(error, ServiceUnavailableError) and error.status_code is None:
            advice.append(f"the address is {self._access.address}")
        on_the_way = isinstance(error, _ON_THE_WAY) or error.status_code == _PROXY_LOGIN
        ours = on_the_way and self._access.client is None
        if ours and (proxy := proxy_for(self._access.address)):
            advice.append(f"requests go through the proxy {proxy}")
        return [*advice, self._adapter.advice(error)]


def _checked_limit(limit: RateLimit | None) -> RateLimit | None:
    if not isinstance(limit, RateLimit | None):
        raise ConfigurationError(f"rate_limit is {shown(limit)}: give a RateLimit")
    return limit


def _rebuild(kind: Callable[..., Core], keywords: Json) -> Core:
    return kind(**keywords)
