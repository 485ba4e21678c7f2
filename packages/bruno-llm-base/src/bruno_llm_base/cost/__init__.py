"""What answers cost: prices, and where they come from."""

from bruno_llm_base.cost.price import Cost, Price
from bruno_llm_base.cost.price_sources import FREE, GenaiPrices, Overrides, PriceSource

__all__ = ["FREE", "Cost", "GenaiPrices", "Overrides", "Price", "PriceSource"]
