"""What 0.2.0's two providers have in common."""

from collections.abc import Mapping
from typing import Any

from bruno_llm_base import BaseProvider
from bruno_llm_base.types import Json

from bruno_llm._old import deprecated

__all__ = ["OldProvider", "renewed"]


class OldProvider(BaseProvider):
    """A provider with 0.2.0's methods and attributes."""

    async def close(self) -> None:
        """Close the running loop's connections: `aclose()`."""
        deprecated("close()", "aclose(), or `async with`")
        await self.aclose()

    @property
    def config(self) -> Any:
        """Raise: there is no such object any more."""
        raise AttributeError("config is gone: use get_model_info()")

    @property
    def cost_tracker(self) -> Any:
        """Raise: 0.2.0's trackers booked what they guessed."""
        raise AttributeError(
            "cost_tracker is gone: give cost=bruno_llm_base.CostTracker() and ask that, or read"
            " (await llm.request(...)).cost"
        )


def renewed(keywords: Mapping[str, Any], renamed: Mapping[str, str]) -> Json:
    """Return *keywords* in today's words, with a warning for each old one.

    Args:
        keywords: Old and new ones; a new one wins over an old one.
        renamed: What old ones are called now; "options.x" is a vendor's option.
    """
    new = {name: value for name, value in keywords.items() if name not in renamed}
    for name, successor in renamed.items():
        value = keywords.get(name)
        if value is None:
            continue
        home, _, own = successor.rpartition(".")
        deprecated(f"the keyword {name}", f"options={{{own!r}: ...}}" if home else own)
        if home:
            new["options"] = {own: value} | dict(new.get("options") or {})
        elif new.get(own) is None:
            new[own] = value
    return new
