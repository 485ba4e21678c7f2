"""What one provider's answers cost: whose prices hold, and what is said where none is known.

Prices are a lot of data; they are loaded when they are first needed.
"""

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Optional
from urllib.parse import urlsplit

from bruno_llm_base.events import PriceUnknown, Tell
from bruno_llm_base.response import Cost, ModelResponse
from bruno_llm_base.values import is_loopback, is_whole

if TYPE_CHECKING:
    from concurrent.futures import Future

    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

    from bruno_llm_base.cost.price import Price, PriceSource

_log = logging.getLogger("bruno_llm")

_OVERRIDE = "give its Price in CostTracker(prices={...})"
_BATCH = "give its Price in batches, CostTracker(prices={...: Price(..., batch=Price(...))})"
_ELSEWHERE = (
    'say whose list holds, price_name="openai", or that it costs nothing, free=True, or'
    f" {_OVERRIDE}"
)
_TICKS_PER_USD = -10  # as a power of ten
_MOST_USD = 1_000_000_000


@dataclass(frozen=True)
class GenaiPrices:
    """The prices that the package `genai-prices` holds, which need no network.

    See https://github.com/pydantic/genai-prices. Where it is not installed, every price is unknown; so
    is that of a model for which the data list none, or price what `Usage` does not count (a request,
    audio by the hour, films that the model makes). The source of a cost is the package's version; its
    date is that of the last update (`genai_prices.UpdatePrices`), if there was one.

    Attributes:
        output: USD per million tokens of output where none are listed: embeddings have none.
        batch: Whether it is about requests in a vendor's batches.
    """

    output: Decimal | None = None
    batch: bool = False

    def price(self, provider: str, model: str, at: datetime) -> "Price | None":
        """Return what *model* cost at a time, by the day and the hour; None if that is unknown."""
        data = _Data.now()
        info = data.find(provider, model)
        if info is None or not info.prices:
            return None
        if self.batch:
            return data.batch(provider, model, at.replace(second=0, microsecond=0))
        return data.read(info.get_prices(at), self.output, provider)

    def window(self, provider: str, model: str) -> int | None:
        """Return the context window of *model*, in tokens; None if that is unknown."""
        info = _Data.now().find(provider, model)
        window = None if info is None else info.context_window
        return window if is_whole(window, least=1) else None


# What follows knows genai-prices 0.2.3, by names that have no underscore: `get_snapshot()` (a new
# object after each update) and its `providers`, `from_auto_update` and `timestamp`, `find_provider()`
# by id or address, `Provider.find_model()`, `ModelInfo.get_prices()` and `context_window`, prices per
# million tokens that are a Decimal or `base` and `tiers`. `calc_price()` and `find_provider_model()`
# do the same, and keep every model name that they ever heard.

# What the data do not list: OpenAI charges this many times the input for what it keeps for 12 hours,
# as pydantic-ai documents it; where it keeps things at all, writes have a price.
_KEEPS_12H, _WRITE_12H = "openai", Decimal("2.5")

_IN_BATCHES = {"processing": "batch"}  # of `ModelInfo.price_variants`

_REMEMBERED = 256
"""Models: names also come from servers, so that they may be any number."""
_UNCOUNTED = (
    *("requests_kcount", "output_reasoning_mtok", "output_citation_mtok"),
    *("audio_hours", "input_audio_hours", "output_video_mtok"),
)
"""What every answer may be charged for, and `Price` has no word for."""


class _Data:
    """The data as they are until the next update; none where the package is not installed."""

    _now: ClassVar[Optional["_Data"]] = None

    @classmethod
    def now(cls) -> "_Data":
        """Return them."""
        snapshot: DataSnapshot | None = None
        source = ""
        with suppress(ImportError):
            from genai_prices import __version__, data_snapshot

            snapshot, source = data_snapshot.get_snapshot(), f"genai-prices {__version__}"
        data = cls._now
        if data is None or data.snapshot is not snapshot:
            data = cls._now = cls(snapshot, source)
        return data

    def __init__(self, snapshot: "DataSnapshot | None", source: str) -> None:
        self.snapshot = snapshot
        self._facts: dict[str, Any] = {"source": source}
        if snapshot is not None and snapshot.from_auto_update:
            self._facts["as_of"] = snapshot.timestamp.astimezone(UTC).date()
        self._prices: dict[tuple[int, Decimal | None], Price | None] = {}
        self.find = lru_cache(_REMEMBERED)(self._find)
        self.batch = lru_cache(_REMEMBERED)(self._batch)

    def vendor_at(self, address: str) -> str | None:
        """Return what the vendor at *address* is called; None if that is unknown."""
        with suppress(LookupError):
            if self.snapshot is not None:
                return str(self.snapshot.find_provider(None, None, address).id)
        return None

    def _find(self, vendor: str, model: str) -> "ModelInfo | None":
        with suppress(LookupError):
            if self.snapshot is not None:
                found = self.snapshot.find_provider(None, vendor, None)
                return found.find_model(model, all_providers=self.snapshot.providers)
        return None

    def _batch(self, vendor: str, model: str, at: datetime) -> "Price | None":
        """Return the price of a model in batches, where one is listed; never a guess."""
        info, snapshot = self._find(vendor, model), self.snapshot
        if info is None or snapshot is None:
            return None
        # as `calc_price()` has it: another vendor's variants do not hold
        if not any(info is each for each in snapshot.find_provider(None, vendor, None).models):
            return None
        for variant in info.price_variants or ():
            is_active = variant.constraint is None or variant.constraint.active(at)
            if is_active and variant.when == _IN_BATCHES:
                return _read(info.get_prices(at, _IN_BATCHES), None, vendor, self._facts)
        return None

    def read(self, listed: "ModelPrice", output: Decimal | None, vendor: str) -> "Price | None":
        """Return a price that was found; *output* is that of output if it has none."""
        key = id(listed), output  # the snapshot keeps it alive
        if key not in self._prices:
            self._prices[key] = _read(listed, output, vendor, self._facts)
        return self._prices[key]


def _read(
    listed: "ModelPrice", output: Decimal | None, vendor: str, facts: dict[str, Any]
) -> "Price | None":
    from bruno_llm_base.cost.price import WHOLE, Price

    names = {name: f"{name}_mtok" for name in ("input", "output", *WHOLE)}
    names["cache_read_audio"] = "cache_audio_read_mtok"
    usd = {name: getattr(listed, key, None) for name, key in names.items()}
    usd["output"] = output if usd["output"] is None else usd["output"]
    uncounted = any(getattr(listed, name, None) is not None for name in _UNCOUNTED)
    if usd["input"] is None or usd["output"] is None or uncounted:
        return None

    def above(start: int, **tiers: Any) -> Price:
        rates = {name: _above(value, start) for name, value in usd.items()}
        if vendor == _KEEPS_12H and rates["cache_write"] is not None:
            rates["cache_write_12h"] = rates["input"] * _WRITE_12H
        return Price(**rates, **tiers, **facts)

    starts = {tier.start for value in usd.values() for tier in getattr(value, "tiers", ())}
    return above(-1, tiers={start: above(start) for start in starts})


def _above(value: "Decimal | TieredPrices | None", start: int) -> Any:
    """Return the price of requests that are just longer than *start* tokens."""
    if value is None or isinstance(value, Decimal):
        return value
    reached = [tier.price for tier in value.tiers if tier.start <= start]
    return reached[-1] if reached else value.base  # `tiers` are sorted


def reported_cost(counts: Any) -> Cost | None:
    """Return what a server says in its *counts* of tokens that an answer cost.

    So do Perplexity, xAI (https://docs.x.ai/developers/cost-tracking), OpenRouter and gateways like it
    (https://openrouter.ai/docs/use-cases/usage-accounting: with the user's own key, the vendor's price
    comes on top).
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


@dataclass(slots=True, eq=False)
class Prices:
    """What one provider's answers cost.

    The user's prices go first, then what is free of charge, then what the server says that an
    answer cost, then that this machine charges nothing, then the package `genai-prices`.

    Attributes:
        operation: What the models are asked for, in events.
        lists: What knows prices that the user has not given.
        provider: The provider's name.
        price_name: What lists of prices call the vendor.
        free: Why its answers cost nothing, if they do not.
        own: The user's source of prices.
        address: Where the answers come from, if it is not the vendor's own address.
        tell: Tells observers of models whose price is unknown.
        are_loaded: Whether nothing is to be loaded before prices are asked for.
    """

    operation: ClassVar[str] = "chat"
    lists: ClassVar[GenaiPrices] = GenaiPrices()

    provider: str
    price_name: str
    free: str | None = None
    own: "PriceSource | None" = None
    address: str = ""
    tell: Tell = field(kw_only=True)
    are_loaded: bool = field(init=False)
    _host: str = field(init=False)
    _is_local: bool = field(init=False)
    _logged: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._host = urlsplit(self.address).hostname or ""
        self._is_local = is_loopback(self._host)
        self.are_loaded = self.free is not None or self._is_local

    def cost(
        self,
        response: ModelResponse,
        model: str,
        at: datetime | None = None,
        *,
        unpriced_field: str | None = None,
        batch: bool = False,
    ) -> Cost | None:
        """Return what an answer cost; None if that is unknown, with one warning per model.

        The price of the version that answered holds, else that of the *model* that was asked. The
        response's own `cost` is what the server has reported, if anything.
        """
        said = response.cost
        models = (model,) if response.model in (None, "", model) else (response.model, model)
        if price := self.price(
            *models, at=at, unpriced_field=unpriced_field, reported=bool(said), batch=batch
        ):
            return price.cost(response.usage, estimated=response.usage_estimated)
        if said is not None:
            return replace(said, source=f"reported by {self._host or self.provider}")
        self._warn(model, unpriced_field, batch=batch)
        return None

    def price(
        self,
        *models: str,
        at: datetime | None = None,
        unpriced_field: str | None = None,
        reported: bool = False,
        batch: bool = False,
    ) -> "Price | None":
        """Return what the first of *models* whose price is known cost at a time.

        None where none is known, and where a source fails: an answer that was paid for is not lost for
        want of its price. Lists of prices do not hold for a request with an *unpriced_field*, and for an
        answer whose cost was *reported*. What is asked in a vendor's *batch* has prices of its own.
        """
        at = at or datetime.now(UTC)
        try:
            if self.own is not None and (price := _ask(self.own, self.provider, models, at)):
                return price.batch if batch else price
            if self.free is not None:
                return _free_price(self.free)
            if reported:
                return None
            if self._is_local:
                return _free_price(f"{self._host} is this machine")
            if not unpriced_field and (vendor := self._vendor()):
                lists = replace(self.lists, batch=True) if batch else self.lists
                return _ask(lists, vendor, models, at)
        except Exception:  # noqa: BLE001 - a user's source, or a package that is half installed
            self._log_failure(models[-1])
        return None

    async def window(self, model: str) -> int | None:
        """Return the context window of *model* in tokens, as price data have it, or None."""
        if self.free is not None:
            return None
        await _loaded()
        try:
            return self.lists.window(self._vendor() or self.price_name, model)
        except Exception:  # noqa: BLE001 - a package that is half installed, or a newer one
            self._log_failure(model)
            return None

    def start_loading(self) -> None:
        """Begin to load the price data in a thread."""
        _loading()

    async def load(self) -> None:
        """Load the price data, without stopping the event loop (some 0.1 s)."""
        if not self.are_loaded:
            await _loaded()
            self.are_loaded = True

    def _vendor(self) -> str | None:
        """Return what lists call the vendor that answers; None if they do not know the address."""
        return _Data.now().vendor_at(self.address) if self.address else self.price_name

    def _log_failure(self, model: str) -> None:
        """Log the error that is being handled, once per model."""
        if (failed := f"{model}, failed") not in self._logged:
            self._logged.add(failed)
            _log.exception("a source of prices failed: what %s costs is unknown", model)

    def _warn(self, model: str, unpriced_field: str | None, *, batch: bool) -> None:
        if (unknown := f"{model}, {unpriced_field}, {batch}") in self._logged:
            return
        self._logged.add(unknown)
        try:
            import genai_prices  # noqa: F401
        except ImportError:
            advice = "pip install genai-prices"
        else:
            advice = _BATCH if batch else _OVERRIDE
        if unpriced_field is not None:
            advice = f"lists of prices do not tell what {unpriced_field} costs: {_OVERRIDE}"
        elif self.address and advice == _OVERRIDE and self._vendor() is None:
            advice = f"lists of prices do not know {self.address}: {_ELSEWHERE}"
        self.tell(
            PriceUnknown,
            provider=self.provider,
            model=model,
            operation=self.operation,
            advice=advice,
        )


class InputPrices(Prices):
    """What the answers of models that write nothing cost, such as embeddings."""

    operation = "embeddings"
    lists = GenaiPrices(output=Decimal(0))


def _ask(source: "PriceSource", vendor: str, models: Sequence[str], at: datetime) -> "Price | None":
    from bruno_llm_base.cost.price import Price

    for model in models:
        price = source.price(vendor, model, at)
        if not isinstance(price, Price | None):
            raise TypeError(f"a source of prices gave a {type(price).__name__}")
        if price is not None:
            return price
    return None


@cache
def _free_price(reason: str) -> "Price":
    from bruno_llm_base.cost.price import Price

    return Price(input=0, output=0, source=reason)


# -- Loading, once per process


@cache
def _loading() -> "Future[Any]":
    """Start to load; a second thread at the same moment only waits."""
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
        GenaiPrices().window("", "")
