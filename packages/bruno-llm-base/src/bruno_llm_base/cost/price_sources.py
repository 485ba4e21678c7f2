"""Sources of prices: the package genai-prices, and the user."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from bruno_llm_base.cost.price import Price
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.values import is_whole, shown

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

__all__ = ["FREE", "GenaiPrices", "Overrides", "PriceSource"]

FREE = Price(input=0, output=0, source="free of charge")
"""The price of what costs nothing."""


class PriceSource(Protocol):
    """What knows prices."""

    def price(self, provider: str, model: str, at: datetime) -> Price | None:
        """Return what *model* cost at a time; None if that is unknown.

        Args:
            provider: The provider, such as "claude"; `GenaiPrices` is given its own word for the
                vendor.
            model: The model, which may be a dated version of one.
            at: When it was asked, with a time zone.
        """
        ...


class GenaiPrices:
    """The prices that the package `genai-prices` holds, which need no network.

    See https://github.com/pydantic/genai-prices. It is imported at the first question; where it is
    not installed, every price is unknown. A model is unknown too if the data price something that
    `Usage` does not count (a flat price per request, audio by the hour), or list no price for it:
    they do not tell what is free from what was not looked up. Images are priced as text.

    The costs name the package's version as their source, which pins the data; these have no date
    of their own. If the application updates them (`genai_prices.UpdatePrices`), it is the day of
    the update.

    Instances are alike. They pickle, and several threads may use one at once.
    """

    def __init__(self) -> None:
        self._book: _Book | None = None

    def price(self, provider: str, model: str, at: datetime) -> Price | None:
        """Return what *model* cost at a time, by the day and the hour; None if that is unknown."""
        book = self._opened()
        return None if book is None else book.price(provider, model, at)

    def input_price(self, provider: str, model: str, at: datetime) -> Price | None:
        """Return what *model* cost at a time where it is used to read only, as for embeddings.

        Such models are listed without a price of output. It is 0 here, since they have none; for a
        model that answers it would be unknown.
        """
        book = self._opened()
        return None if book is None else book.price(provider, model, at, Decimal(0))

    def vendor_at(self, address: str) -> str | None:
        """Return the vendor whose API is at *address*, a URL; None if that is unknown."""
        book = self._opened()
        return None if book is None else book.vendor_at(address)

    def window(self, provider: str, model: str) -> int | None:
        """Return the context window of *model*, in tokens; None if that is unknown."""
        book = self._opened()
        info = None if book is None else book.find(provider, model)
        window = None if info is None else info.context_window
        return window if is_whole(window, least=1) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenaiPrices)

    def __hash__(self) -> int:
        return hash(GenaiPrices)

    def __reduce__(self) -> tuple[type["GenaiPrices"], tuple[()]]:
        return GenaiPrices, ()

    def _opened(self) -> "_Book | None":
        try:
            from genai_prices import __version__, data_snapshot
        except ImportError:
            return None
        snapshot, book = data_snapshot.get_snapshot(), self._book
        if book is None or book.snapshot is not snapshot:
            book = self._book = _Book(snapshot, f"genai-prices {__version__}")
        return book


@dataclass(frozen=True, slots=True)
class Overrides:
    """Prices that the user knows better than any list of prices.

    Attributes:
        prices: By model, such as "gpt-5.5", or by provider and model, such as "openai/gpt-5.5",
            which goes first. Each holds for dated versions of its model too ("gpt-5.5-2026-04-01"),
            unless they have prices of their own here.
    """

    prices: Mapping[str, Price] = field(hash=False)

    def __post_init__(self) -> None:
        """Check the values."""
        if not isinstance(self.prices, Mapping):
            raise ConfigurationError(
                f"Overrides.prices is {shown(self.prices)}: give a dict of models and their Price"
            )
        for model, price in self.prices.items():
            if not isinstance(model, str) or not isinstance(price, Price):
                raise ConfigurationError(
                    f"Overrides.prices[{shown(model)}] is {shown(price)}: give a Price to the name"
                    " of a model"
                )

    def price(self, provider: str, model: str, at: datetime) -> Price | None:
        """Return the user's price of *model*; None if there is none."""
        del at
        for name in dict.fromkeys((model, _DATED.sub("", model))):
            for key in (f"{provider}/{name}", name):
                if key in self.prices:
                    return self.prices[key]
        return None


_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|00\d)$")
"""How vendors mark a version of a model: "-2026-04-01", "-20260401", "-001"."""


# What follows knows genai-prices 0.2.3, by names that have no underscore: `get_snapshot()` (a new
# object after each update) and its `providers`, `from_auto_update` and `timestamp`,
# `find_provider()` by id or address, `Provider.find_model()`, `ModelInfo.get_prices()` and `context_window`, prices
# per million tokens that are a Decimal or `base` and `tiers`. `calc_price()` and
# `find_provider_model()` do the same, and keep every model name that they ever heard.

_REMEMBERED = 256
"""Models per source: names also come from servers, so that they may be any number."""


class _Book:
    """The data as they are until the next update."""

    def __init__(self, snapshot: "DataSnapshot", source: str) -> None:
        self.snapshot = snapshot
        self._source = source
        updated = snapshot.timestamp.astimezone(UTC).date()
        self._as_of = updated if snapshot.from_auto_update else None
        self._read: dict[tuple[int, Decimal | None], Price | None] = {}
        self.find = lru_cache(_REMEMBERED)(self._find)
        self.vendor_at = lru_cache(_REMEMBERED)(self._vendor_at)

    def price(
        self, provider: str, model: str, at: datetime, output: Decimal | None = None
    ) -> Price | None:
        """Return a price, which may differ by the day and the hour; *output* is that of what has none."""
        info = self.find(provider, model)
        if info is None or not info.prices:
            return None
        listed = info.get_prices(at)
        key = id(listed), output  # the snapshot keeps the prices alive
        if key not in self._read:
            self._read[key] = _read(listed, output, self._source, self._as_of)
        return self._read[key]

    def _vendor_at(self, address: str) -> str | None:
        try:
            found: str = self.snapshot.find_provider(None, None, address).id
        except LookupError:
            return None
        return found

    def _find(self, provider: str, model: str) -> "ModelInfo | None":
        try:
            vendor = self.snapshot.find_provider(None, provider, None)
        except LookupError:
            return None
        return vendor.find_model(model, all_providers=self.snapshot.providers)


_NAMES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "input_audio": "input_audio_mtok",
    "output_audio": "output_audio_mtok",
}
_UNCOUNTED = (
    *("requests_kcount", "output_reasoning_mtok", "output_citation_mtok"),
    *("audio_hours", "input_audio_hours"),
)
"""What every answer may be charged for, and `Price` has no word for."""


def _read(
    listed: "ModelPrice", output: Decimal | None, source: str, as_of: date | None
) -> Price | None:
    said = {ours: getattr(listed, theirs, None) for ours, theirs in _NAMES.items()}
    if said["output"] is None:
        said["output"] = output
    if said["input"] is None or said["output"] is None:
        return None
    if any(getattr(listed, name, None) is not None for name in _UNCOUNTED):
        return None
    usd = {name: value for name, value in said.items() if value is not None}
    tiered = [value for value in usd.values() if not isinstance(value, Decimal)]
    starts = sorted({tier.start for value in tiered for tier in value.tiers})

    def above(start: int, **facts: Any) -> Price:
        prices: dict[str, Any] = {name: _above(value, start) for name, value in usd.items()}
        return Price(**prices, source=source, as_of=as_of, **facts)

    return above(-1, tiers={start: above(start) for start in starts})


def _above(value: "Decimal | TieredPrices", start: int) -> Decimal:
    """Return the price of requests that are just longer than *start* tokens."""
    if isinstance(value, Decimal):
        return value
    reached = [tier.price for tier in value.tiers if tier.start <= start]
    return reached[-1] if reached else value.base  # `tiers` are sorted
