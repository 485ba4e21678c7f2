"""What one provider's answers cost: whose prices hold, and what is said where none is known.

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
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.log import Observers
from bruno_llm_base.observe import PriceUnknown
from bruno_llm_base.types import Cost, ModelResponse
from bruno_llm_base.values import is_loopback, is_whole, shown

if TYPE_CHECKING:
    from concurrent.futures import Future

    from bruno_llm_base.cost.price import Price
    from bruno_llm_base.cost.price_sources import GenaiPrices, PriceSource

__all__ = ["InputPrices", "Prices", "reported_cost"]

_log = logging.getLogger("bruno_llm")

_INSTALL = "pip install genai-prices"
_OVERRIDE = "give its Price in CostTracker(prices={...})"
_ELSEWHERE = (
    'say whose list holds, price_name="openai", or that it costs nothing, free=True, or'
    f" {_OVERRIDE}"
)
_TICKS_PER_USD = -10  # as a power of ten
_MOST_USD = 1_000_000_000


def reported_cost(counts: Any) -> Cost | None:
    """Return what a server says in its *counts* of tokens that an answer cost.

    So do OpenRouter and gateways like it (https://openrouter.ai/docs/use-cases/usage-accounting; to
    a request with the user's own key, the vendor's price comes on top), Perplexity, and xAI
    (https://docs.x.ai/developers/cost-tracking).
    """
    if not isinstance(counts, dict):
        return None
    ticks, cost = counts.get("cost_in_usd_ticks"), counts.get("cost")
    if isinstance(ticks, int) and is_whole(ticks, least=0):
        usd: Decimal | None = Decimal(ticks).scaleb(_TICKS_PER_USD)
    else:
        usd = _usd(cost.get("total_cost") if isinstance(cost, dict) else cost)
        details = counts.get("cost_details")
        if usd is not None and counts.get("is_byok") is True and isinstance(details, dict):
            usd += _usd(details.get("upstream_inference_cost")) or 0
    return None if usd is None else Cost(usd, {"reported": usd}, "reported by the server")


def _usd(value: object) -> Decimal | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST_USD:
        return Decimal(repr(value))
    return None


class Prices:
    """What one provider's answers cost.

    The user's prices go first, then what is free of charge, then what the server says that an
    answer cost, then that this machine charges nothing, then the package `genai-prices`.

    Attributes:
        operation: What the models are asked for, in events.
    """

    operation: ClassVar[str] = "chat"

    def __init__(
        self,
        provider: str,
        price_name: str,
        free: str | None = None,
        own: "PriceSource | None" = None,
        *,
        address: str = "",
        observers: Observers | None = None,
    ) -> None:
        """Load nothing yet.

        Args:
            provider: The provider's name.
            price_name: What lists of prices call the vendor.
            free: Why its answers cost nothing, such as "Ollama runs on your own machine"; None if
                they do.
            own: The user's source of prices.
            address: Where the answers come from, if it is not the vendor's own address: lists of
                prices are asked for the vendor at that address, and this machine charges nothing.
            observers: Hear of models whose price is unknown; the log does anyway.

        Raises:
            ConfigurationError: *own* is not a source of prices.
        """
        if own is not None and not callable(getattr(own, "price", None)):
            raise ConfigurationError(
                f"prices is {shown(own)}: give a source of prices, such as Overrides"
            )
        self.provider = provider
        self._price_name = price_name
        self._free = free
        self._own = own
        self._host = urlsplit(address).hostname or ""
        self._address = address
        self._is_local = is_loopback(self._host)
        self._observers = observers or Observers(())
        self._logged: set[str] = set()

    def price(
        self, *models: str, at: datetime | None = None, unpriced_field: str | None = None
    ) -> "Price | None":
        """Return what the first of *models* whose price is known costs; None if none is.

        None also where a source fails: an answer that was paid for is not lost for want of its
        price.

        Args:
            models: The models, by the names that a list of prices may know.
            at: When they were asked; now if None.
            unpriced_field: The field of the request for which lists of prices do not hold, if any.
        """
        return self._find(models, at, unpriced_field, is_reported=False)

    def cost(
        self,
        response: ModelResponse,
        model: str,
        at: datetime | None = None,
        *,
        unpriced_field: str | None = None,
    ) -> Cost | None:
        """Return what an answer cost; None if that is unknown, with one warning per model.

        Args:
            response: The answer. It names the version that answered, whose price holds; its `cost`
                is what the server has reported, if anything.
            model: The model that was asked, whose price holds where that of the version is unknown.
            at: When it was answered; now if None.
            unpriced_field: The field of the request for which lists of prices do not hold, if any.
        """
        reported = response.cost
        models = (model,) if response.model in (None, "", model) else (response.model, model)
        price = self._find(models, at, unpriced_field, is_reported=reported is not None)
        if price is not None:
            return price.cost(response.usage, estimated=response.usage_estimated)
        if reported is not None:
            return replace(reported, source=f"reported by {self._host or self.provider}")
        self._warn(model, unpriced_field)
        return None

    async def window(self, model: str) -> int | None:
        """Return the context window of *model* in tokens, as price data have it, or None."""
        if self._free is not None:
            return None
        await _loaded()
        try:
            return _genai_prices().window(self._vendor() or self._price_name, model)
        except Exception:  # noqa: BLE001 - a package that is half installed, or a newer one
            self._log_failure(model)
            return None

    def start_loading(self) -> None:
        """Begin to load the price data in a thread, if need be."""
        if self._free is None and not self._is_local:
            _loading()

    async def load(self) -> None:
        """Load the price data, if need be, without stopping the event loop (some 0.1 s)."""
        if self._free is None and not self._is_local:
            await _loaded()

    def _find(
        self,
        models: Sequence[str],
        at: datetime | None,
        unpriced_field: str | None,
        *,
        is_reported: bool,
    ) -> "Price | None":
        at = at or datetime.now(UTC)
        try:
            price = None if self._own is None else self._own_price(models, at)
            if price is not None:
                return price
            if self._free is not None:
                return _free_price(self._free)
            if is_reported:
                return None
            if self._is_local:
                return _free_price(f"{self._host} is this machine")
            listed = () if unpriced_field else (self._listed(model, at) for model in models)
            return next(filter(None, listed), None)
        except Exception:  # noqa: BLE001 - a user's source, or a package that is half installed
            self._log_failure(models[-1])
            return None

    def _own_price(self, models: Sequence[str], at: datetime) -> "Price | None":
        """Return the user's price of the first model that has one.

        Raises:
            TypeError: It is not a price.
        """
        from bruno_llm_base.cost.price import Price

        for model in models:
            price = None if self._own is None else self._own.price(self.provider, model, at)
            if not isinstance(price, Price | None):
                raise TypeError(f"a source of prices gave a {type(price).__name__}")
            if price is not None:
                return price
        return None

    def _listed(self, model: str, at: datetime) -> "Price | None":
        """Return what `genai-prices` knows of *model*."""
        vendor = self._vendor()
        return None if vendor is None else _genai_prices().price(vendor, model, at)

    def _vendor(self) -> str | None:
        """Return what lists call the vendor that answers; None if they do not know the address."""
        return _genai_prices().vendor_at(self._address) if self._address else self._price_name

    def _log_failure(self, model: str) -> None:
        """Log the error that is being handled, once per model."""
        if (failed := f"{model}, failed") not in self._logged:
            self._logged.add(failed)
            _log.exception("a source of prices failed: what %s costs is unknown", model)

    def _warn(self, model: str, unpriced_field: str | None) -> None:
        if (unknown := f"{model}, {unpriced_field}") in self._logged:
            return
        self._logged.add(unknown)
        advice = _OVERRIDE if _is_installed() else _INSTALL
        if unpriced_field is not None:
            advice = f"lists of prices do not tell what {unpriced_field} costs: {_OVERRIDE}"
        elif self._address and _is_installed() and self._vendor() is None:
            advice = f"lists of prices do not know {self._address}: {_ELSEWHERE}"
        self._observers.tell(
            PriceUnknown,
            provider=self.provider,
            model=model,
            operation=self.operation,
            advice=advice,
        )


class InputPrices(Prices):
    """What the answers of models that write nothing cost, such as embeddings.

    Lists of prices give them none for output.
    """

    operation = "embeddings"

    def _listed(self, model: str, at: datetime) -> "Price | None":
        vendor = self._vendor()
        return None if vendor is None else _genai_prices().input_price(vendor, model, at)


@cache
def _free_price(reason: str) -> "Price":
    from bruno_llm_base.cost.price_sources import FREE

    return replace(FREE, source=reason)


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
    if not loading.done():  # one that is cancelled here leaves it to the others
        await asyncio.shield(asyncio.wrap_future(loading))


def _load() -> None:
    with suppress(Exception):  # half installed, say: the first question for a price logs it
        _genai_prices().window("", "")
