"""What one provider's answers cost: whose prices hold, and what is said where nobody knows.

Prices are a lot of data; they are loaded when they are first needed.
"""

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.log import log_event
from bruno_llm_base.observe import Observer, PriceUnknown, tell
from bruno_llm_base.types import ModelResponse
from bruno_llm_base.values import is_loopback, is_whole, shown

if TYPE_CHECKING:
    from concurrent.futures import Future

    from bruno_llm_base.cost.price import Cost, Price
    from bruno_llm_base.cost.price_sources import GenaiPrices, PriceSource

__all__ = ["InputPricing", "Pricing", "Tariff", "reported_cost"]

_log = logging.getLogger("bruno_llm")

_INSTALL = "pip install genai-prices"
_OVERRIDE = "give its Price in CostTracker(prices={...})"
_ELSEWHERE = (
    'say whose list holds, price_name="openai", or that it costs nothing, free=True, or'
    f" {_OVERRIDE}"
)


_TICKS_PER_USD = -10  # as a power of ten
_MOST_USD = 1_000_000_000


def reported_cost(counts: Any) -> Decimal | None:
    """Return what a server says in its *counts* of tokens that an answer cost, in USD.

    So do OpenRouter and gateways like it (https://openrouter.ai/docs/use-cases/usage-accounting; to
    a request with the user's own key, the vendor's price comes on top), Perplexity, and xAI
    (https://docs.x.ai/developers/cost-tracking).
    """
    if not isinstance(counts, dict):
        return None
    ticks, cost = counts.get("cost_in_usd_ticks"), counts.get("cost")
    if isinstance(ticks, int) and is_whole(ticks, least=0):
        return Decimal(ticks).scaleb(_TICKS_PER_USD)
    usd = _usd(cost.get("total_cost") if isinstance(cost, dict) else cost)
    details = counts.get("cost_details")
    if usd is not None and counts.get("is_byok") is True and isinstance(details, dict):
        usd += _usd(details.get("upstream_inference_cost")) or 0
    return usd


def _usd(value: object) -> Decimal | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST_USD:
        return Decimal(repr(value))
    return None


class Pricing:
    """How one provider's answers are priced.

    The user's prices go first, then what is free of charge, then what the server says that an
    answer cost, then that this machine charges nothing, then the package `genai-prices`. It
    pickles; a copy tells only the log of unknown prices.

    Attributes:
        operation: What the models are asked for, in events.
    """

    operation: ClassVar[str] = "chat"

    def __init__(
        self,
        provider: str,
        price_name: str,
        free: str | None = None,
        prices: "PriceSource | None" = None,
        *,
        address: str = "",
        observers: Sequence[Observer] = (),
    ) -> None:
        """Load nothing yet.

        Args:
            provider: The provider's name.
            price_name: What lists of prices call the vendor.
            free: Why its answers cost nothing, such as "Ollama runs on your own machine"; None if
                they do.
            prices: The user's source of prices; `genai-prices` if None.
            address: Where the answers come from, if it is not the vendor's own address: lists of
                prices are asked for whoever is there, and nothing is charged on this machine.
            observers: Hear of models whose price is unknown; the log does anyway.

        Raises:
            ConfigurationError: *prices* is no source of prices.
        """
        if prices is not None and not callable(getattr(prices, "price", None)):
            raise ConfigurationError(
                f"prices is {shown(prices)}: give a source of prices, such as Overrides"
            )
        self._provider = provider
        self._price_name = price_name
        self._free = free
        self._prices = prices
        self._host = urlsplit(address).hostname or ""
        self._address = address
        self._is_local = is_loopback(self._host)
        self._observers = (log_event, *observers)
        self._told: set[str] = set()

    def listed(self, model: str, at: datetime) -> "Price | None":
        """Return what `genai-prices` knows of *model*."""
        vendor = self._vendor()
        return None if vendor is None else _genai_prices().price(vendor, model, at)

    def _vendor(self) -> str | None:
        """Return what lists of prices call whoever answers; None if they do not know the address."""
        return _genai_prices().vendor_at(self._address) if self._address else self._price_name

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._provider

    def of(
        self, model: str, at: datetime | None = None, *, unlisted: str | None = None
    ) -> "Tariff":
        """Return the prices that hold for what *model* was asked, now or at another time.

        Args:
            model: The model that was asked.
            at: When; now if None.
            unlisted: The field of the request for which lists of prices do not hold, if any.
        """
        return Tariff(self, model, at or datetime.now(UTC), unlisted)

    def price(
        self, model: str, at: datetime | None = None, *, unlisted: str | None = None
    ) -> "Price | None":
        """Return what *model* costs; None if nobody knows. The arguments are those of `of`."""
        return self._first((model,), at or datetime.now(UTC), unlisted)

    def _first(
        self, models: Sequence[str], at: datetime, unlisted: str | None, *, reported: bool = False
    ) -> "Price | None":
        """Return the first price that is known, the user's before all others.

        Where the server has *reported* what an answer cost, lists are not asked.

        None also where a source fails: no answer that was paid for is lost for want of its price,
        and another source's price may be another one.
        """
        from bruno_llm_base.cost.price import Price

        try:
            price = self._asked(models, at, unlisted, reported=reported)
            if isinstance(price, Price | None):
                return price
            raise TypeError(f"{type(price).__name__} is no Price")  # noqa: TRY301 - and is told so
        except Exception:  # noqa: BLE001 - a user's source, or a package that is half installed
            self._tell_failure(models[-1])
            return None

    def _asked(
        self, models: Sequence[str], at: datetime, unlisted: str | None, *, reported: bool
    ) -> "Price | None":
        from bruno_llm_base.cost.price_sources import FREE

        if self._prices is not None:
            given = (self._prices.price(self._provider, model, at) for model in models)
            if (price := next(filter(None, given), None)) is not None:
                return price
        if self._free is not None:
            return replace(FREE, source=self._free)
        if reported:
            return None
        if self._is_local:
            return replace(FREE, source=f"{self._host} is this machine")
        if unlisted is not None:
            return None
        listed = (self.listed(model, at) for model in models)
        return next(filter(None, listed), None)

    def cost(
        self,
        response: ModelResponse,
        model: str,
        at: datetime | None = None,
        *,
        unlisted: str | None = None,
    ) -> "Cost | None":
        """Return what an answer cost; None if nobody knows, with one warning per model.

        Args:
            response: The answer. It names the version that answered, whose price holds.
            model: The model that was asked, whose price holds where that of the version is unknown.
            at: When it was answered; now if None.
            unlisted: The field of the request for which lists of prices do not hold, if any.
        """
        names, said = tuple(dict.fromkeys((response.model or model, model))), response.reported_cost
        price = self._first(names, at or datetime.now(UTC), unlisted, reported=said is not None)
        if price is None and said is not None:
            from bruno_llm_base.cost.price import Cost

            return Cost(said, {"reported": said}, f"reported by {self._host or self._provider}")
        if price is None:
            self._warn(model, unlisted)
            return None
        return price.cost(response.usage, estimated=response.usage_estimated)

    async def window(self, model: str) -> int | None:
        """Return the context window of *model* in tokens, as price data have it, or None."""
        if self._free is not None:
            return None
        await _loaded()
        try:
            return _genai_prices().window(self._vendor() or self._price_name, model)
        except Exception:  # noqa: BLE001 - a package that is half installed, or a newer one
            self._tell_failure(model)
            return None

    async def load(self) -> None:
        """Load the price data, if need be, without stopping the event loop (some 0.4 s)."""
        if self._free is None and not self._is_local:
            await _loaded()

    def _tell_failure(self, model: str) -> None:
        """Log what is being handled, once per model."""
        if (failed := f"{model}, failed") not in self._told:
            self._told.add(failed)
            _log.exception("a source of prices failed: what %s costs is unknown", model)

    def _warn(self, model: str, unlisted: str | None) -> None:
        if (told := f"{model}, {unlisted}") in self._told:
            return
        self._told.add(told)
        advice = _OVERRIDE if _is_installed() else _INSTALL
        if unlisted is not None:
            advice = f"lists of prices do not tell what {unlisted} costs: {_OVERRIDE}"
        elif self._address and _is_installed() and self._vendor() is None:
            advice = f"lists of prices do not know {self._address}: {_ELSEWHERE}"
        event = PriceUnknown(
            provider=self.provider,
            model=model,
            operation=self.operation,
            advice=advice,
        )
        tell(self._observers, event)

    def __reduce__(self) -> tuple[Any, ...]:
        # Observers stay behind: an answer takes its prices to other processes, and they may not go.
        given = (self.provider, self._price_name, self._free, self._prices)
        return partial(type(self), address=self._address), given


class InputPricing(Pricing):
    """How the answers of models that write nothing are priced, such as embeddings.

    Lists of prices give them none for output.
    """

    operation = "embeddings"

    def listed(self, model: str, at: datetime) -> "Price | None":
        """Return what `genai-prices` knows of *model*, whose output costs nothing."""
        vendor = self._vendor()
        return None if vendor is None else _genai_prices().input_price(vendor, model, at)


class Tariff:
    """The prices that hold for one answer: of the model that was asked, and of that time."""

    __slots__ = ("_at", "_known", "_model", "_pricing", "_unlisted")

    def __init__(
        self, pricing: Pricing, model: str, at: datetime, unlisted: str | None = None
    ) -> None:
        self._pricing = pricing
        self._model = model
        self._at = at
        self._unlisted = unlisted
        self._known: tuple[object, Cost | None] | None = None

    def __str__(self) -> str:
        """Return what it is about."""
        return self._model if self._unlisted is None else f"{self._model} with {self._unlisted}"

    def price(self) -> "Price | None":
        """Return what tokens cost; None if nobody knows."""
        return self._pricing.price(self._model, self._at, unlisted=self._unlisted)

    def cost(self, response: ModelResponse) -> "Cost | None":
        """Return what *response* cost; it is worked out once for the same usage."""
        counted = (
            *(response.usage, response.usage_estimated, response.model, response.reported_cost),
        )
        known = self._known
        if known is None or known[0] != counted:
            cost = self._pricing.cost(response, self._model, self._at, unlisted=self._unlisted)
            known = self._known = (counted, cost)
        return known[1]


def _is_installed() -> bool:
    from importlib.util import find_spec

    try:
        return find_spec("genai_prices") is not None
    except ValueError:  # something stands in its place
        return False


@cache
def _genai_prices() -> "GenaiPrices":
    from bruno_llm_base.cost.price_sources import GenaiPrices

    return GenaiPrices()


@cache
def _loading() -> "Future[Any]":
    """Start to load, once per process; a second thread at the same moment only waits."""
    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(1, "bruno-llm-prices")
    loading = executor.submit(_load)
    executor.shutdown(wait=False)  # its thread ends with the work
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=loading.result)  # a child without the thread would wait for ever
    return loading


async def _loaded() -> None:
    loading = _loading()
    if not loading.done():  # whoever is cancelled here leaves it to the others
        await asyncio.shield(asyncio.wrap_future(loading))


def _load() -> None:
    with suppress(Exception):  # half installed, say: whoever asks for a price tells of it
        _genai_prices().window("", "")
