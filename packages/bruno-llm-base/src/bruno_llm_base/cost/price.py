"""What tokens cost: exact arithmetic in USD, nothing rounded."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation
from types import MappingProxyType

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.types import Cost, Usage
from bruno_llm_base.values import is_whole, shown

__all__ = ["Price"]

# Exact, as the decimal FAQ has it (https://docs.python.org/3/library/decimal.html#decimal-faq).
# The bounds of a price keep sums short.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_LEAST, _MOST = Decimal("1E-50"), Decimal("1E+9")
_MILLION = 6  # as a power of ten
_ZERO = Decimal(0)

_NO_TIERS: "Mapping[int, Price]" = MappingProxyType({})


@dataclass(frozen=True, slots=True, init=False)
class Price:
    """What a model's tokens cost, in USD per million.

    Numbers may be given as Decimal, int, str or float; a float means what it is printed as.

    Attributes:
        input: Input that has no price of its own.
        output: Output that has no price of its own; reasoning is output.
        cache_read: Input from the vendor's prompt cache; costs as `input` if None.
        cache_write: Input written to the prompt cache; costs as `input` if None.
        cache_write_1h: Input written to it for an hour; costs as `cache_write` if None.
        input_audio: Audio input; costs as `input` if None.
        output_audio: Audio output; costs as `output` if None.
        tiers: Prices for long requests: above so many input tokens, ALL tokens of the request cost
            that much.
        source: Whose price this is.
        as_of: The day of the price; None if that is unknown.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal | None
    cache_write: Decimal | None
    cache_write_1h: Decimal | None
    input_audio: Decimal | None
    output_audio: Decimal | None
    tiers: Mapping[int, "Price"] = field(hash=False)
    source: str
    as_of: date | None
    _rates: Mapping[str, Decimal] = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        *,
        input: Decimal | float | str,  # noqa: A002 - what everybody calls it
        output: Decimal | float | str,
        cache_read: Decimal | float | str | None = None,
        cache_write: Decimal | float | str | None = None,
        cache_write_1h: Decimal | float | str | None = None,
        input_audio: Decimal | float | str | None = None,
        output_audio: Decimal | float | str | None = None,
        tiers: Mapping[int, "Price"] = _NO_TIERS,
        source: str = "the user",
        as_of: date | None = None,
    ) -> None:
        """Take the prices.

        Raises:
            ConfigurationError: One of them is not a price.
        """
        parts = {
            "cache_read": cache_read,
            "cache_write": cache_write,
            "cache_write_1h": cache_write_1h,
            "input_audio": input_audio,
            "output_audio": output_audio,
        }
        given = {"input": _usd("input", input), "output": _usd("output", output)}
        given |= {name: _usd(name, usd) for name, usd in parts.items() if usd is not None}
        for name in ("input", "output", *parts):
            object.__setattr__(self, name, given.get(name))
        object.__setattr__(self, "tiers", _checked_tiers(tiers))
        object.__setattr__(self, "source", _checked_source(source))
        object.__setattr__(self, "as_of", _checked_day(as_of))
        object.__setattr__(self, "_rates", _rates(self))

    def cost(self, usage: Usage, *, estimated: bool = False) -> Cost | None:
        """Return what *usage* costs, exactly; None if tokens are unknown that are not free.

        Cached input and audio are taken to be different tokens, because servers do not count what
        is both. Where that, or a server's wrong sum, makes the parts of the input more than the
        whole, they are cut, audio before writes, writes before reads: no token is
        paid for twice.

        Args:
            usage: The tokens.
            estimated: Whether some of them are a guess, which is noted in the cost.
        """
        known = usage.input_tokens is not None and usage.output_tokens is not None
        if not known and (self.tiers or any(self._rates.values())):
            return None
        rates = self._for(usage.input_tokens or 0)._rates  # noqa: SLF001 - another of our own
        parts = {
            name: _times(tokens, rates[name]) if tokens else _ZERO for name, tokens in _parts(usage)
        }
        return Cost(_sum(filter(None, parts.values())), parts, self.source, self.as_of, estimated)

    def ceiling(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return the most that so much text, or less, can cost, in USD.

        Args:
            input_tokens: At most so many; whether they are cached is not yet known.
            output_tokens: At most so many.
        """
        reached = (tier for start, tier in self.tiers.items() if input_tokens > start)
        rates = [price._rates for price in (self, *reached)]  # noqa: SLF001
        dearest = max(rate[name] for rate in rates for name in _TEXT_INPUT)
        output = max(rate["output"] for rate in rates)
        return _sum((_times(input_tokens, dearest), _times(output_tokens, output)))

    def _for(self, input_tokens: int) -> "Price":
        reached = [start for start in self.tiers if input_tokens > start]
        return self.tiers[max(reached)] if reached else self


_TEXT_INPUT = ("input", "cache_read", "cache_write", "cache_write_1h")


def _rates(price: Price) -> dict[str, Decimal]:
    """Return the price of every part: what has none of its own costs as the part that it is of."""
    write = price.input if price.cache_write is None else price.cache_write
    return {
        "input": price.input,
        "cache_read": price.input if price.cache_read is None else price.cache_read,
        "cache_write": write,
        "cache_write_1h": write if price.cache_write_1h is None else price.cache_write_1h,
        "input_audio": price.input if price.input_audio is None else price.input_audio,
        "output": price.output,
        "output_audio": price.output if price.output_audio is None else price.output_audio,
    }


def _parts(usage: Usage) -> Iterator[tuple[str, int]]:
    """Yield the tokens of each part of *usage*: no token is in two parts."""
    hour = usage.cache_write_1h_tokens or 0
    left = usage.input_tokens or 0
    for name, tokens in (
        ("cache_read", usage.cache_read_tokens or 0),
        ("cache_write", max(0, (usage.cache_write_tokens or 0) - hour)),
        ("cache_write_1h", hour),
        ("input_audio", usage.input_audio_tokens or 0),
    ):
        taken = min(tokens, left)
        left -= taken
        yield name, taken
    yield "input", left
    output = usage.output_tokens or 0
    audio = min(usage.output_audio_tokens or 0, output)
    yield "output_audio", audio
    yield "output", output - audio


def _times(tokens: int, rate: Decimal) -> Decimal:
    return _EXACT.scaleb(_EXACT.multiply(rate, tokens), -_MILLION)


def _sum(parts: Iterable[Decimal]) -> Decimal:
    total = _ZERO
    for part in parts:
        total = _EXACT.add(total, part)
    return total


def _usd(name: str, given: object) -> Decimal:
    try:
        usd = Decimal(repr(given) if isinstance(given, float) else given)  # type: ignore[arg-type]
    except (InvalidOperation, TypeError, ValueError):
        usd = Decimal("NaN")
    sound = not isinstance(given, bool | tuple | list) and usd.is_finite()
    if sound and (not usd or _LEAST <= usd <= _MOST):
        return usd.copy_abs()  # there is no -0 USD
    raise ConfigurationError(
        f"Price.{name} is {shown(given)}: give USD per million tokens, 0 to {_MOST:f}"
    )


def _checked_tiers(tiers: Mapping[int, Price]) -> dict[int, Price]:
    if not isinstance(tiers, Mapping):
        raise ConfigurationError(
            f"Price.tiers is {shown(tiers)}: give a dict of input tokens and the Price above them"
        )
    for start, price in tiers.items():
        if not is_whole(start, least=0):
            raise ConfigurationError(
                f"Price.tiers has a tier above {shown(start)}: give a whole number of input tokens"
            )
        if not isinstance(price, Price) or price.tiers:
            raise ConfigurationError(
                f"Price.tiers[{start}] is {shown(price)}: give a Price without tiers"
            )
    return dict(tiers)


def _checked_source(source: str) -> str:
    if not isinstance(source, str) or not source.strip():
        raise ConfigurationError(
            f"Price.source is {shown(source)}: give words that say whose price it is"
        )
    return source


def _checked_day(day: date | None) -> date | None:
    if isinstance(day, datetime) or not isinstance(day, date | None):
        raise ConfigurationError(f"Price.as_of is {shown(day)}: give a datetime.date, or None")
    return day
