"""What answers cost: prices, and where they come from."""

from bruno_llm_base.cost.catalogue import FREE, GenaiPrices, Overrides, PriceSource
from bruno_llm_base.cost.price import Cost, Price

__all__ = ["FREE", "Cost", "GenaiPrices", "Overrides", "Price", "PriceSource"]
