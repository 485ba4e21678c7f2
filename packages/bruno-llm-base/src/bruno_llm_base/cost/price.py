"""What tokens cost, exactly, and the user's own prices."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from numbers import Integral
from types import MappingProxyType
from typing import Protocol

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.response import Cost, Usage
from bruno_llm_base.values import is_whole, shown

# Exact, as the decimal FAQ has it (https://docs.python.org/3/library/decimal.html#decimal-faq).
# The bounds of a price keep sums short.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_LEAST, _MOST = Decimal("1E-50"), Decimal("1E+9")
_MILLION = 6  # as a power of ten
_ZERO = Decimal(0)
_NO_TIERS: "Mapping[int, Price]" = MappingProxyType({})
_NO_MEDIA: Mapping[str, int] = MappingProxyType({})
_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|00\d)$")
"""How vendors mark a version of a model: "-2026-04-01", "-20260401", "-001"."""

WHOLE = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "cache_write_12h": "cache_write_1h",
    "input_audio": "input",
    "cache_read_audio": "cache_read",
    "input_image": "input",
    "output_audio": "output",
    "output_image": "output",
}
"""The parts of input and output, and as what each is paid for that has no price of its own."""

_WORDS = ("input", "cache_read", "cache_write", "cache_write_1h", "cache_write_12h")
_KINDS = {
    "audio": ("input_audio", "cache_read_audio"),
    "image": ("input_image",),
    "video": ("input_audio", "cache_read_audio", "input_image"),
    "document": ("input_image",),
}
"""What words, and what media may be paid for as."""


def amount(value: object) -> Decimal | None:
    """Return *value*, a number or the text of one, as a finite Decimal; None if it is neither.

    A float is taken as it is printed: 0.1 is a tenth.
    """
    if isinstance(value, bool) or not isinstance(value, Integral | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value))
    except (ArithmeticError, ValueError):  # the latter for a whole number of too many digits
        return None
    return number if number.is_finite() else None


@dataclass(frozen=True, slots=True, init=False)
class Price:
    """What a model's tokens cost, in USD per million; a float means what it is printed as.

    Attributes:
        input: Input that has no price of its own.
        output: Output that has no price of its own; reasoning is output.
        cache_read: Input from the vendor's prompt cache; costs as `input` if None.
        cache_read_audio: Audio from it; costs as `cache_read` if None, and as `input_audio` if that is
            None too.
        cache_write: Input written to the prompt cache; costs as `input` if None.
        cache_write_1h: Input written to it for an hour; costs as `cache_write` if None.
        cache_write_12h: Input written to it for 12 hours; costs as `cache_write_1h` if None.
        input_audio: Audio input; costs as `input` if None.
        input_image: Pictures that the model reads; cost as `input` if None.
        output_audio: Audio output; costs as `output` if None.
        output_image: Pictures that the model makes; cost as `output` if None.
        batch: What tokens cost in a vendor's batches; unknown if None.
        tiers: Prices for long requests: above so many input tokens, ALL tokens of the request cost
            that much.
        source: Whose price this is.
        as_of: The day on which you read the price, or on which the list that it is from was fetched;
            None if that is unknown.

    Raises:
        ConfigurationError: One of them is not a price.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal | None
    cache_read_audio: Decimal | None
    cache_write: Decimal | None
    cache_write_1h: Decimal | None
    cache_write_12h: Decimal | None
    input_audio: Decimal | None
    input_image: Decimal | None
    output_audio: Decimal | None
    output_image: Decimal | None
    batch: "Price | None"
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
        cache_read_audio: Decimal | float | str | None = None,
        cache_write: Decimal | float | str | None = None,
        cache_write_1h: Decimal | float | str | None = None,
        cache_write_12h: Decimal | float | str | None = None,
        input_audio: Decimal | float | str | None = None,
        input_image: Decimal | float | str | None = None,
        output_audio: Decimal | float | str | None = None,
        output_image: Decimal | float | str | None = None,
        batch: "Price | None" = None,
        tiers: Mapping[int, "Price"] = _NO_TIERS,
        source: str = "the user",
        as_of: date | None = None,
    ) -> None:
        cached = (cache_read, cache_write, cache_write_1h, cache_write_12h)
        audio = (input_audio, cache_read_audio)
        parts = (*cached, *audio, input_image, output_audio, output_image)
        wholes = WHOLE if cache_read is not None else WHOLE | {"cache_read_audio": "input_audio"}
        usd = {"input": _usd("input", input), "output": _usd("output", output)}
        rates = {name: _EXACT.scaleb(price, -_MILLION) for name, price in usd.items()}
        for (name, whole), given in zip(wholes.items(), parts, strict=True):
            price = None if given is None else _usd(name, given)
            rates[name] = rates[whole] if price is None else _EXACT.scaleb(price, -_MILLION)
            object.__setattr__(self, name, price)
        if not isinstance(tiers, Mapping) or not all(
            is_whole(start, least=0) and isinstance(price, Price) and not price.tiers
            for start, price in tiers.items()
        ):
            cure = "a dict of input tokens, whole numbers, and the Price above them, without tiers"
            raise _wrong("tiers", tiers, cure)
        if not isinstance(batch, Price | None):
            raise _wrong("batch", batch, "the Price of a vendor's batches, or None")
        if not isinstance(source, str) or not source.strip():
            raise _wrong("source", source, "words that say whose price it is")
        if isinstance(as_of, datetime) or not isinstance(as_of, date | None):
            raise _wrong("as_of", as_of, "a datetime.date, or None")
        facts = {
            "batch": batch,
            "tiers": dict(sorted(tiers.items())),
            "source": source,
            "as_of": as_of,
        }
        for name, value in (usd | facts | {"_rates": rates}).items():
            object.__setattr__(self, name, value)

    def cost(self, usage: Usage, *, estimated: bool = False) -> Cost | None:
        """Return what *usage* costs, exactly; None if tokens are unknown that are not free.

        Cached input, audio and pictures are taken to be different tokens, but for the audio that the
        server says is cached. Where the parts of the input are more than the whole, they are cut,
        pictures before audio, audio before writes, writes before reads: no token is paid for twice.
        """
        known = usage.input_tokens is not None and usage.output_tokens is not None
        if not known and (self.tiers or any(self._rates.values())):
            return None
        rates = self._rates
        parts: dict[str, Decimal] = {}
        total = _ZERO
        for start, tier in self.tiers.items():
            if (usage.input_tokens or 0) > start:
                rates = tier._rates  # noqa: SLF001 - another of our own
        for name, tokens in _parts(usage).items():
            parts[name] = _EXACT.multiply(rates[name], tokens) if tokens else _ZERO
            if parts[name]:  # a sum of zeros would be written with their decimals
                total = _EXACT.add(total, parts[name])
        return Cost(total, parts, self.source, self.as_of, estimated)

    def ceiling(
        self, input_tokens: int, output_tokens: int, media: Mapping[str, int] = _NO_MEDIA
    ) -> Decimal:
        """Return the most that so much, or less, can cost, in USD, cached or not, whatever it is made of.

        Args:
            input_tokens: The input, of which *media* are a part.
            output_tokens: The output, which may be sound or pictures where these have a price.
            media: How many tokens are "audio", "image", "video" and "document"; a video has sound.
        """
        reached = (tier for start, tier in self.tiers.items() if input_tokens > start)
        rates = [price._rates for price in (self, *reached)]  # noqa: SLF001

        def dearest(*kinds: str) -> Decimal:
            return max(rate[kind] for rate in rates for kind in kinds)

        written = dearest("output", "output_audio", "output_image")
        total = _EXACT.multiply(written, output_tokens)
        words = input_tokens
        for kind, tokens in media.items():
            total = _EXACT.fma(dearest(*_WORDS, *_KINDS[kind]), tokens, total)
            words -= tokens
        return _EXACT.fma(dearest(*_WORDS), words, total)


def _parts(usage: Usage) -> dict[str, int]:
    """Return the tokens of each part of *usage*: no token is in two parts."""
    longer = usage.cache_write_1h_tokens or 0, usage.cache_write_12h_tokens or 0
    cached = usage.cache_read_tokens or 0
    cached_audio = min(usage.cache_read_audio_tokens or 0, cached)
    left = usage.input_tokens or 0
    parts = {
        "cache_read_audio": cached_audio,
        "cache_read": cached - cached_audio,
        "cache_write": max(0, (usage.cache_write_tokens or 0) - sum(longer)),
        "cache_write_1h": longer[0],
        "cache_write_12h": longer[1],
        "input_audio": max(0, (usage.input_audio_tokens or 0) - cached_audio),
        "input_image": usage.input_image_tokens or 0,
    }
    for name, tokens in parts.items():
        parts[name] = min(tokens, left)
        left -= parts[name]
    output = usage.output_tokens or 0
    audio = min(usage.output_audio_tokens or 0, output)
    images = min(usage.output_image_tokens or 0, output - audio)
    made = {"output_audio": audio, "output_image": images, "output": output - audio - images}
    return parts | {"input": left} | made


def _usd(name: str, given: object) -> Decimal:
    usd = amount(given)
    if usd is None or (usd and not _LEAST <= usd <= _MOST):
        raise _wrong(name, given, f"USD per million tokens, 0 to {_MOST:f}")
    return usd.copy_abs()  # there is no -0 USD


def _wrong(name: str, value: object, cure: str) -> ConfigurationError:
    return ConfigurationError(f"Price.{name} is {shown(value)}: give {cure}")


class PriceSource(Protocol):
    """What knows prices."""

    def price(self, provider: str, model: str, at: datetime) -> Price | None:
        """Return what *model*, which may be a dated version of one, cost at a time; None if unknown.

        *provider* is its name, such as "claude"; `GenaiPrices` is given its own word for the vendor.
        """
        ...


@dataclass(frozen=True, slots=True)
class Overrides:
    """The user's own prices, by "model" or "provider/model", which goes first.

    Each holds for dated versions of its model too ("gpt-5.5-2026-04-01") that have no price here.
    """

    prices: Mapping[str, Price] = field(hash=False)

    def __post_init__(self) -> None:
        for model, price in self.prices.items():
            if not isinstance(model, str) or not isinstance(price, Price):
                raise ConfigurationError(
                    f"CostTracker.prices[{shown(model)}] is {shown(price)}: give a model's name its"
                    " Price"
                )

    def price(self, provider: str, model: str, at: datetime) -> Price | None:
        """Return the user's price of *model*; None if there is none."""
        undated = _DATED.sub("", model)
        keys = (f"{provider}/{model}", model, f"{provider}/{undated}", undated)
        return next((self.prices[key] for key in keys if key in self.prices), None)
