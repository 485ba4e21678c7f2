"""How far something that takes long has come."""

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One report of work that a server does.

    Attributes:
        step: What it is doing, in its own words.
        part: What of several things the numbers are about; None where there is but one.
        done: How much of it is done, in bytes; None where that is not said.
        total: How much there is to do, in bytes; None where that is not said.
    """

    step: str
    part: str | None = None
    done: int | None = None
    total: int | None = None
