"""Vectors that depend on their text alone."""

import math
import random

__all__ = ["vector_of"]


def vector_of(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 that is always the same for *text*, and another for any other.

    Args:
        text: What is embedded.
        dimensions: How many numbers it has.
    """
    numbers = random.Random(text)  # noqa: S311 - no secret
    raw = [numbers.uniform(-1, 1) for _ in range(dimensions)]
    length = math.hypot(*raw)
    return [number / length for number in raw]
