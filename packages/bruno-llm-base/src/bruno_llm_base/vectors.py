"""Vectors: what a server may send as one, and how alike two are."""

import math
from collections.abc import Sequence
from operator import mul
from typing import Any

from bruno_llm_base.exceptions import InvalidRequestError


def similarity(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors, 0 to 1: the higher, the more alike.

    A cosine can be negative, down to -1; bruno-core's scores end at 0, so that is 0 here. So is
    that of a vector of zeros, which has no direction.

    Raises:
        InvalidRequestError: They differ in length, are empty, or hold something that is not a number.
    """
    one, other = unit_vector("first", first), unit_vector("second", second)
    if len(one) != len(other):
        raise InvalidRequestError(
            f"the vectors have {len(one)} and {len(other)} numbers: compare vectors of one model"
            " and one number of dimensions"
        )
    cosine: float = sum(map(mul, one, other))
    return min(1.0, max(0.0, cosine))


def unit_vector(name: str, vector: Sequence[float]) -> list[float]:
    """Return *vector*, which errors call *name*, with the length 1.

    Squares of what is very large or small would be lost.

    Raises:
        InvalidRequestError: It is empty, or holds something that is not a number.
    """
    if isinstance(vector, str | bytes) or not isinstance(vector, Sequence):
        kind = type(vector).__name__
        raise InvalidRequestError(f"the {name} vector is a {kind}: give a list of numbers")
    if not vector:
        raise InvalidRequestError(f"the {name} vector is empty: give a list of numbers")
    try:
        is_sound = all(map(math.isfinite, vector))
    except (TypeError, OverflowError):
        is_sound = False
    if not is_sound:
        raise InvalidRequestError(f"the {name} vector holds something that is not a number")
    largest = max(map(abs, vector)) or 1.0
    scaled = [number / largest for number in vector]
    length = math.hypot(*scaled) or 1.0
    return [number / length for number in scaled]


_NUMBERS = {float, int}


def checked_vector(said: Any) -> list[float]:
    """Return what a server has sent as a vector, if it is one.

    Raises:
        TypeError: It is something else, is empty, or holds what is not a finite number.
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
