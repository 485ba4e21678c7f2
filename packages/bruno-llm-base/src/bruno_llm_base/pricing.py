"""What one provider's answers cost: whose prices hold, and what is said where nobody knows.

Prices are a lot of data; they are loaded when they are first needed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.observe import Observer, PriceUnknown, log_event, tell
from bruno_llm_base.types import ModelResponse
from bruno_llm_base.values import shown

if TYPE_CHECKING:
    from concurrent.futures import Future

    from bruno_llm_base.cost.catalogue import GenaiPrices, PriceSource
    from bruno_llm_base.cost.price import Cost, Price

__all__ = ["InputPricing", "Pricing", "Tariff"]

_INSTALL = "pip install genai-prices"
_OVERRIDE = "give its Price in CostTracker(prices={...})"


class Pricing:
    """How one provider's answers are priced.

    The user's prices go first, then what is free of charge, then the package `genai-prices`.
    It pickles; a copy tells only the log of unknown prices.

    Attributes:
        operation: What the models are asked for, in events.
    """

    operation: ClassVar[str] = "chat"

    def __init__(
        self,
        provider: str,
        catalogue: str,
        free: str | None = None,
        prices: "PriceSource | None" = None,
        *,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Load nothing yet.

        Args:
            provider: The provider's name.
            catalogue: The vendor's name in price data.
            free: Why its answers cost nothing, such as "Ollama runs on your own machine"; None if
                they do.
            prices: The user's source of prices; `genai-prices` if None.
            observers: Hear of models whose price is unknown; the log does anyway.

        Raises:
            ConfigurationError: *prices* is no source of prices.
        """
        if prices is not None and not callable(getattr(prices, "price", None)):
            raise ConfigurationError(
                f"prices is {shown(prices)}: give a source of prices, such as Overrides"
            )
        self._provider = provider
        self._catalogue = catalogue
        self._free = free
        self._prices = prices
        self._observers = (log_event, *observers)
        self._told: set[str] = set()

    def listed(self, model: str, at: datetime) -> "Price | None":
        """Return what `genai-prices` knows of *model*."""
        return _genai_prices().price(self._catalogue, model, at)

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._provider

    def of(self, model: str, at: datetime | None = None) -> "Tariff":
        """Return the prices that hold for what *model* was asked, now or at another time."""
        return Tariff(self, model, at or datetime.now(UTC))

    def price(self, model: str, at: datetime | None = None) -> "Price | None":
        """Return what *model* costs, now or at another time; None if nobody knows."""
        return self._first((model,), at or datetime.now(UTC))

    def _first(self, models: Sequence[str], at: datetime) -> "Price | None":
        """Return the first price that is known, the user's before all others."""
        from bruno_llm_base.cost.catalogue import FREE

        if self._prices is not None:
            given = (self._prices.price(self._provider, model, at) for model in models)
            if (price := next(filter(None, given), None)) is not None:
                return price
        if self._free is not None:
            return replace(FREE, source=self._free)
        listed = (self.listed(model, at) for model in models)
        return next(filter(None, listed), None)

    def cost(
        self, response: ModelResponse, model: str, at: datetime | None = None
    ) -> "Cost | None":
        """Return what an answer cost; None if nobody knows, with one warning per model.

        Args:
            response: The answer. It names the version that answered, whose price holds.
            model: The model that was asked, whose price holds where that of the version is unknown.
            at: When it was answered; now if None.
        """
        names = tuple(dict.fromkeys((response.model or model, model)))
        price = self._first(names, at or datetime.now(UTC))
        if price is None:
            self._warn(model)
            return None
        return price.cost(response.usage, estimated=response.usage_estimated)

    async def window(self, model: str) -> int | None:
        """Return the context window of *model* in tokens, as price data have it, or None."""
        if self._free is not None:
            return None
        await self.load()
        return _genai_prices().window(self._catalogue, model)

    async def load(self) -> None:
        """Load the price data, if need be, without stopping the event loop (some 0.4 s)."""
        if self._free is not None:
            return
        loading = _loading()
        if not loading.done():  # whoever is cancelled here leaves it to the others
            await asyncio.shield(asyncio.wrap_future(loading))

    def _warn(self, model: str) -> None:
        if model in self._told:
            return
        self._told.add(model)
        from importlib.util import find_spec

        event = PriceUnknown(
            provider=self.provider,
            model=model,
            operation=self.operation,
            advice=_OVERRIDE if find_spec("genai_prices") else _INSTALL,
        )
        tell(self._observers, event)

    def __reduce__(self) -> tuple[Any, ...]:
        # Observers stay behind: an answer takes its prices to other processes, and they may not go.
        return type(self), (self.provider, self._catalogue, self._free, self._prices)


class InputPricing(Pricing):
    """How the answers of models that write nothing are priced, such as embeddings.

    Lists of prices give them none for output.
    """

    operation = "embeddings"

    def listed(self, model: str, at: datetime) -> "Price | None":
        """Return what `genai-prices` knows of *model*, whose output costs nothing."""
        return _genai_prices().input_price(self._catalogue, model, at)


class Tariff:
    """The prices that hold for one answer: of the model that was asked, and of that time."""

    __slots__ = ("_at", "_known", "_model", "_pricing")

    def __init__(self, pricing: Pricing, model: str, at: datetime) -> None:
        self._pricing = pricing
        self._model = model
        self._at = at
        self._known: tuple[object, Cost | None] | None = None

    def cost(self, response: ModelResponse) -> "Cost | None":
        """Return what *response* cost; it is worked out once for the same usage."""
        counted = (response.usage, response.usage_estimated, response.model)
        known = self._known
        if known is None or known[0] != counted:
            cost = self._pricing.cost(response, self._model, self._at)
            known = self._known = (counted, cost)
        return known[1]


@cache
def _genai_prices() -> "GenaiPrices":
    from bruno_llm_base.cost.catalogue import GenaiPrices

    return GenaiPrices()


@cache
def _loading() -> "Future[Any]":
    """Start to load, once per process; a second thread at the same moment only waits."""
    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(1, "bruno-llm-prices")
    loading = executor.submit(lambda: _genai_prices().window("", ""))
    executor.shutdown(wait=False)  # its thread ends with the work
    return loading
