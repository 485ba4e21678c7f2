"""US dollars as whole numbers of picodollars, and back.

A picodollar is 1e-12 USD. A price per million tokens with up to six decimals is a whole number of
them per token, so sums of such costs are exact.
"""

from decimal import ROUND_CEILING, Context, Decimal
from numbers import Integral

from bruno_llm_base.values import INT64

__all__ = ["PICO", "amount", "pico", "usd"]

PICO = 10**12
"""Picodollars in a dollar."""

_DIGITS = 12
_EXACT = Context(prec=100, rounding=ROUND_CEILING)  # the application's own may hold fewer digits


def amount(value: object) -> Decimal | None:
    """Return *value*, a number or the text of one, as a finite Decimal; None if it is none.

    A float is taken as it is printed: 0.1 is a tenth.
    """
    if isinstance(value, bool) or not isinstance(value, Integral | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def pico(cost: Decimal) -> int:
    """Return *cost*, in USD, in picodollars; a started picodollar counts, so no sum says too little.

    More than some nine million dollars, which is no request's cost, count as that.
    """
    exact = cost.scaleb(_DIGITS, _EXACT).to_integral_value(ROUND_CEILING, _EXACT)
    return min(int(exact), INT64) if exact.adjusted() < 20 else INT64


def usd(picodollars: int) -> Decimal:
    """Return *picodollars* in USD, without needless zeros."""
    value = Decimal(picodollars).scaleb(-_DIGITS, _EXACT).normalize(_EXACT)
    return value if value == 0 or value.adjusted() < 0 or value % 1 else value.quantize(Decimal(1))
