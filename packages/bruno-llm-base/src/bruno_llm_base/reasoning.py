"""How much a model is to think: levels and budgets, and what a model takes of them."""

from collections.abc import Sequence

LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""From not at all to as much as the model can."""

_BUDGETS = {"none": 0, "minimal": 1024, "low": 2048, "medium": 10_000, "high": 16_384}
_LARGEST = 32_768
_ENDS = {"none": 1, "minimal": 1024, "low": 2_000, "medium": 12_000, "high": 24_000}


def level_of(wanted: str | int) -> str:
    """Return the level that is *wanted*, which may be a number of tokens."""
    if isinstance(wanted, str):
        return wanted
    return next((level for level, end in _ENDS.items() if wanted < end), "xhigh")


def snapped(wanted: str | int, levels: Sequence[str]) -> str:
    """Return the highest of *levels*, in rising order, that does not exceed *wanted*; else the lowest."""
    most = LEVELS.index(level_of(wanted))
    return next((level for level in reversed(levels) if LEVELS.index(level) <= most), levels[0])


def tokens_of(wanted: str | int) -> int:
    """Return the budget, in tokens, that is *wanted*, which may be a level."""
    return wanted if isinstance(wanted, int) else _BUDGETS.get(wanted, _LARGEST)
