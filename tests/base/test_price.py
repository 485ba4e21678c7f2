import pickle
from dataclasses import FrozenInstanceError, asdict, replace
from datetime import date, datetime
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from bruno_llm_base import ConfigurationError, Cost, Price, Usage
from hypothesis import given
from hypothesis import strategies as st

FREE = Price(input=0, output=0)

usd = st.decimals(0, 1000, allow_nan=False, places=4)
maybe_usd = st.none() | usd
tokens = st.integers(0, 10**7) | st.just(2**63 - 1)
maybe_tokens = st.none() | tokens


WRITES = ("cache_write", "cache_write_1h", "cache_write_12h")
MEDIA = ("input_audio", "input_image", "output_audio", "output_image")
PARTS = ("cache_read", "cache_read_audio", *WRITES, *MEDIA)
PRICES = ("input", "output", *PARTS)


def prices(**tiers):
    return st.builds(Price, input=usd, output=usd, **dict.fromkeys(PARTS, maybe_usd), **tiers)


tiered = prices(tiers=st.dictionaries(st.integers(0, 10**6), prices(), max_size=2))
usages = st.builds(
    Usage,
    input_tokens=tokens,
    output_tokens=tokens,
    cache_read_tokens=maybe_tokens,
    cache_write_tokens=maybe_tokens,
    cache_write_1h_tokens=maybe_tokens,
    cache_write_12h_tokens=maybe_tokens,
    reasoning_tokens=maybe_tokens,
    **dict.fromkeys([f"{name}_tokens" for name in ("cache_read_audio", *MEDIA)], maybe_tokens),
)


def test_what_is_free_is_zero_without_decimals():
    assert str(FREE.cost(Usage(input_tokens=5, output_tokens=7)).total) == "0"


@given(tiered, usages)
def test_the_parts_sum_to_the_total_exactly(price, usage):
    cost = price.cost(usage)
    assert set(cost.parts) == set(PRICES)
    assert min(cost.parts.values()) >= 0
    assert Fraction(cost.total) == sum(map(Fraction, cost.parts.values()))


@given(usd, usages)
def test_whatever_the_parts_are_said_to_be_no_token_is_paid_for_twice_or_not_at_all(usd, usage):
    whole = Fraction(usage.input_tokens + usage.output_tokens) * Fraction(usd) / 1_000_000
    assert Fraction(Price(input=usd, output=usd).cost(usage).total) == whole


@given(prices(), usages, st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_tokens_never_cost_less(price, usage, more_input, more_output):
    named = {name: getattr(price, name) for name in PRICES}
    dearer = {name: None if usd is None else usd * 2 for name, usd in named.items()}
    price = replace(price, tiers={10**6: Price(**dearer)})
    more = replace(
        usage,
        input_tokens=usage.input_tokens + more_input,
        output_tokens=usage.output_tokens + more_output,
    )
    assert price.cost(more).total >= price.cost(usage).total


@given(tiered, usages, tokens, tokens)
def test_no_text_costs_more_than_the_ceiling(price, usage, more_input, more_output):
    text = replace(
        usage, cache_read_audio_tokens=0, **dict.fromkeys([f"{name}_tokens" for name in MEDIA], 0)
    )
    ceiling = price.ceiling(text.input_tokens + more_input, text.output_tokens + more_output)
    assert price.cost(text).total <= ceiling


@given(tiered, usages, st.sampled_from(["audio", "video"]), st.sampled_from(["image", "document"]))
def test_no_media_cost_more_than_the_ceiling(price, usage, heard, seen):
    audio = min(usage.input_audio_tokens or 0, usage.input_tokens)
    image = min(usage.input_image_tokens or 0, usage.input_tokens - audio)
    cached = min(usage.cache_read_audio_tokens or 0, audio)
    usage = replace(
        usage,
        input_audio_tokens=audio,
        input_image_tokens=image,
        cache_read_audio_tokens=cached,
    )
    ceiling = price.ceiling(usage.input_tokens, usage.output_tokens, {heard: audio, seen: image})
    assert price.cost(usage).total <= ceiling


def test_each_token_of_media_is_held_at_the_dearest_it_can_cost():
    price = Price(input=1, output=2, input_audio=30, input_image=4, output_image=100)
    assert price.ceiling(10**6, 0) == 1
    assert price.ceiling(10**6, 0, {"image": 10**6}) == 4
    assert price.ceiling(10**6, 0, {"audio": 100_000, "image": 100_000}) == Decimal("4.2")
    assert price.ceiling(10**6, 0, {"video": 10**6}) == 30
    assert price.ceiling(0, 10**6) == 100


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_ceiling_is_reached_where_all_input_is_what_is_dearest(read, written):
    price = Price(input=2, output=8, cache_read="0.2", cache_write="2.5", cache_write_1h=4)
    usage = Usage(input_tokens=read, output_tokens=written, cache_write_1h_tokens=read)
    assert price.ceiling(read, written) == price.cost(usage).total


def test_a_tier_that_cannot_be_reached_is_not_in_the_ceiling():
    price = Price(input=1, output=1, tiers={200_000: Price(input=2, output=3)})
    assert price.ceiling(200_000, 10**6) == Decimal("1.2")
    assert price.ceiling(200_001, 10**6) == Decimal("3.400002")


def test_each_part_costs_its_own_price():
    price = Price(
        input=1,
        output=2,
        cache_read=3,
        cache_read_audio=9,
        cache_write=4,
        cache_write_1h=5,
        cache_write_12h=8,
        input_audio=6,
        input_image=10,
        output_audio=7,
        output_image=11,
        source="a list",
        as_of=date(2026, 11, 1),
    )
    usage = Usage(
        input_tokens=18_000_000,
        output_tokens=4_000_000,
        cache_read_tokens=3_000_000,
        cache_read_audio_tokens=1_000_000,
        cache_write_tokens=8_000_000,
        cache_write_1h_tokens=4_000_000,
        cache_write_12h_tokens=1_000_000,
        reasoning_tokens=1_000_000,
        input_audio_tokens=6_000_000,
        input_image_tokens=1_000_000,
        output_audio_tokens=1_000_000,
        output_image_tokens=1_000_000,
    )
    parts = {
        "input": Decimal(1),
        "cache_read": Decimal(6),
        "cache_read_audio": Decimal(9),
        "cache_write": Decimal(12),
        "cache_write_1h": Decimal(20),
        "cache_write_12h": Decimal(8),
        "input_audio": Decimal(30),
        "input_image": Decimal(10),
        "output": Decimal(4),
        "output_audio": Decimal(7),
        "output_image": Decimal(11),
    }
    expected = Cost(Decimal(118), parts, "a list", date(2026, 11, 1), estimated=True)
    assert price.cost(usage, estimated=True) == expected


def test_a_part_without_a_price_costs_what_it_is_a_part_of():
    usage = Usage(
        input_tokens=4_000_000,
        output_tokens=2_000_000,
        cache_read_tokens=1_000_000,
        cache_write_tokens=1_000_000,
        cache_write_1h_tokens=1_000_000,
        input_audio_tokens=1_000_000,
        output_audio_tokens=1_000_000,
    )
    assert Price(input=1, output=10).cost(usage).total == 24
    assert Price(input=1, output=10, cache_write=5).cost(usage).parts["cache_write_1h"] == 5
    heard = replace(usage, cache_read_audio_tokens=1_000_000)
    for usd, expected in (
        ({}, 1),
        ({"input_audio": 6}, 6),
        ({"cache_read": "0.1"}, Decimal("0.1")),
    ):
        assert Price(input=1, output=10, **usd).cost(heard).parts["cache_read_audio"] == expected
    both = Price(input=1, output=10, cache_read="0.1", input_audio=6)
    assert both.cost(heard).parts["cache_read_audio"] == Decimal("0.1")


def test_above_a_threshold_all_tokens_cost_the_tiers_price():
    price = Price(
        input="1.25",
        output=10,
        tiers={200_000: Price(input="2.5", output=15), 400_000: Price(input=5, output=15)},
    )
    costs = [
        price.cost(Usage(input_tokens=count, output_tokens=1_000_000)).total
        for count in (200_000, 200_001, 400_001)
    ]
    assert costs == [Decimal("10.25"), Decimal("15.5000025"), Decimal("17.000005")]


def test_where_parts_are_more_than_the_whole_the_cached_ones_are_believed_first():
    price = Price(input=1, output=1, cache_read="0.1", input_audio=100)
    usage = Usage(
        input_tokens=1_000_000,
        output_tokens=0,
        cache_read_tokens=900_000,
        input_audio_tokens=300_000,
    )
    parts = price.cost(usage).parts
    assert (parts["cache_read"], parts["input_audio"], parts["input"]) == (Decimal("0.09"), 10, 0)


@pytest.mark.parametrize("usage", [Usage(), Usage(input_tokens=5), Usage(output_tokens=5)])
def test_unknown_tokens_cost_nobody_knows_what_unless_they_are_free(usage):
    assert Price(input=1, output=0).cost(usage) is None
    assert Price(input=0, output=0, tiers={9: Price(input=1, output=1)}).cost(usage) is None
    assert FREE.cost(usage).total == 0


@pytest.mark.parametrize("given", [Decimal("0.1"), "0.1", 0.1], ids=["Decimal", "str", "float"])
def test_a_price_means_what_it_is_printed_as(given):
    assert Price(input=given, output=7).input == Decimal("0.1")
    assert Price(input=7, output=given).output == Decimal("0.1")


def test_the_callers_decimal_context_rounds_nothing():
    usage = Usage(input_tokens=123_456_789, output_tokens=0)
    with localcontext(prec=3):
        cost = Price(input="1.23456789", output=0).cost(usage)
    assert cost.total == Decimal("152.41578750190521")


NO_PRICES = [-1, -0.01, "-1", "ten", "", "nan", float("nan"), float("inf"), "sNaN", True, [], b"1"]
NO_PRICES += [Decimal("-1E-9"), 10**10, 10**5000, "1E-99", (0, (1,), 0), {}, 1j]


@pytest.mark.parametrize("bad", NO_PRICES, ids=range(len(NO_PRICES)))
def test_what_is_no_price_is_refused_by_name(bad):
    for name in PRICES:
        with pytest.raises(ConfigurationError, match=rf"Price\.{name} is .*: give USD per million"):
            Price(**{"input": 1, "output": 1, name: bad})


def test_input_and_output_cannot_be_left_open():
    with pytest.raises(ConfigurationError, match="output is None"):
        Price(input=1, output=None)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("tiers", [1]),
        ("tiers", None),
        ("tiers", {-1: FREE}),
        ("tiers", {True: FREE}),
        ("tiers", {"200000": FREE}),
        ("tiers", {5: 7}),
        ("tiers", {5: Price(input=1, output=1, tiers={9: FREE})}),
        ("source", ""),
        ("source", None),
        ("as_of", "2026-11-01"),
        ("as_of", datetime(2026, 11, 1)),  # noqa: DTZ001 - no day, whatever its zone
    ],
)
def test_what_goes_with_a_price_is_checked(name, bad):
    with pytest.raises(ConfigurationError, match=rf"Price\.{name}.*: give"):
        Price(input=1, output=1, **{name: bad})


def test_there_is_no_price_of_minus_nothing():
    cost = Price(input="-0", output=-0.0).cost(Usage(input_tokens=1, output_tokens=1))
    assert not cost.total.is_signed()


@given(tiered, usages)
def test_prices_and_costs_are_values(price, usage):
    for value in (price, price.cost(usage)):
        copy = pickle.loads(pickle.dumps(value))
        assert copy == value
        assert hash(copy) == hash(value)
        assert asdict(value)["source"] == "the user"
        with pytest.raises(FrozenInstanceError):
            value.source = "me"


def test_a_price_does_not_change_with_the_dict_it_was_made_of():
    tiers = {200_000: Price(input=2, output=2)}
    price = Price(input=1, output=1, tiers=tiers)
    tiers.clear()
    assert price.tiers == {200_000: Price(input=2, output=2)}
    assert replace(price, input=3).tiers == price.tiers
