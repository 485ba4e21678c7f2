"""Vectors, as far as a server's are any."""

import math
from typing import Any

__all__ = ["checked_vector"]

_NUMBERS = {float, int}


def checked_vector(said: Any) -> list[float]:
    """Return what a server has sent as a vector, if it is one.

    Raises:
        TypeError: It is something else, is empty, or holds what is no finite number.
    """
    kinds = set(map(type, said)) if type(said) is list else set()
    if not kinds or not kinds <= _NUMBERS:
        raise TypeError("a vector")
    try:
        vector = list(map(float, said)) if int in kinds else said
        sound = math.isfinite(sum(vector))  # much faster than to look at each
    except OverflowError:
        sound = False
    if not sound:
        raise TypeError("a vector")
    return vector
