"""US dollars as whole numbers of picodollars, and back.

A picodollar is 1e-12 USD. A price per million tokens with up to six decimals is a whole number of
them per token, so sums of such costs are exact.
"""

from decimal import ROUND_CEILING, Context, Decimal
from numbers import Integral

__all__ = ["MOST", "PICO", "amount", "pico", "usd"]

PICO = 10**12
"""Picodollars in a dollar."""

MOST = Decimal("1E+12")
"""A trillion dollars: more is a mistake."""

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
    """Return *cost*, in USD, in picodollars; a started one counts, so that no sum says too little."""
    exact = min(cost, MOST).scaleb(_DIGITS, _EXACT)
    return int(exact.to_integral_value(ROUND_CEILING, _EXACT))


def usd(picodollars: int) -> Decimal:
    """Return *picodollars* in USD, without needless zeros."""
    if not picodollars % PICO:
        return Decimal(picodollars // PICO)
    return Decimal(picodollars).scaleb(-_DIGITS, _EXACT).normalize(_EXACT)
