import pickle
import sys
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import genai_prices
import pytest
from bruno_llm_base import ConfigurationError, Price, Usage
from bruno_llm_base.cost.price import Overrides
from bruno_llm_base.cost.prices import GenaiPrices, _Data
from genai_prices import data_snapshot
from genai_prices.types import (
    ClauseEquals,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PRICES = GenaiPrices()
LISTED = [
    (provider.id, model)
    for provider in data_snapshot.get_snapshot().providers
    if provider.id in ("anthropic", "deepseek", "google", "openai", "perplexity")
    for model in provider.models
    if model.is_match(model.id)
]


def calculated(usage, provider, model, at):
    """What `genai-prices` itself makes of a usage."""
    theirs = genai_prices.Usage(
        **{
            name: getattr(usage, name)
            for name in (
                *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
                *("cache_write_1h_tokens", "input_audio_tokens", "output_audio_tokens"),
                *("input_image_tokens", "output_image_tokens"),
            )
        },
        cache_audio_read_tokens=usage.cache_read_audio_tokens,
    )
    found = genai_prices.calc_price(theirs, model, provider_id=provider, genai_request_timestamp=at)
    return found.total_price


def thresholds(model):
    listed = model.prices if isinstance(model.prices, list) else [model]
    values = [value for entry in listed for value in vars(entry.prices).values()]
    tiers = [tier for value in values if isinstance(value, TieredPrices) for tier in value.tiers]
    return [0, 1, 1_000_000, *(tier.start + more for tier in tiers for more in (0, 1))]


def moments(model):
    listed = model.prices if isinstance(model.prices, list) else []
    starts = [getattr(entry.constraint, "start_date", None) for entry in listed]
    days = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in starts if day]
    return [NOW, *days, *(day - timedelta(microseconds=1) for day in days)]


@st.composite
def requests(draw):
    provider, model = draw(st.sampled_from(LISTED))
    read = draw(st.sampled_from(thresholds(model)))
    cached = draw(st.integers(0, read))
    write = draw(st.integers(0, read - cached))
    written = draw(st.integers(0, 10**6))
    heard = draw(st.integers(0, cached))
    audio = draw(st.integers(0, read - write - cached))
    image = draw(st.integers(0, read - write - cached - audio))
    spoken = draw(st.integers(0, written))
    # theirs refuse to price media and cached input at once without the tokens that are both
    media = {"input_audio_tokens": audio, "input_image_tokens": image}
    both = {"cache_read_audio_tokens": heard, "input_audio_tokens": audio + heard}
    kept = {"cache_read_tokens": cached}
    usage = Usage(
        input_tokens=read,
        output_tokens=written,
        **draw(st.sampled_from([media, kept, kept | both])),
        cache_write_tokens=write,
        cache_write_1h_tokens=draw(st.integers(0, write)),
        reasoning_tokens=draw(st.integers(0, written)),
        output_audio_tokens=spoken,
        output_image_tokens=draw(st.integers(0, written - spoken)),
    )
    hour = draw(st.timedeltas(timedelta(0), timedelta(days=1)))
    return provider, model, usage, draw(st.sampled_from(moments(model))) + hour


@given(requests())
def test_a_cost_is_what_genai_prices_calculates(request):
    provider, model, usage, at = request
    price = PRICES.price(provider, model.id, at)
    if price is not None:
        assert price.cost(usage).total == calculated(usage, provider, model.id, at)


def test_what_openai_keeps_for_12_hours_costs_more_than_the_data_list():
    usage = Usage(
        input_tokens=300_000,
        output_tokens=0,
        cache_write_tokens=200_000,
        cache_write_12h_tokens=100_000,
    )
    price = PRICES.price("openai", "gpt-6.1-terra", NOW)
    for read, factor in ((272_000, 1), (272_001, 2)):  # above that, all is dearer
        parts = price.cost(replace(usage, input_tokens=read)).parts
        whole = price.input * factor
        assert parts["cache_write_12h"] == whole / 10 * Decimal("2.5")
        assert parts["cache_write"] == whole / 10 * Decimal("1.25")
    assert PRICES.price("openai", "gpt-4.1", NOW).cache_write_12h is None
    assert PRICES.price("anthropic", "claude-sonnet-5-5", NOW).cache_write_12h is None


def test_all_models_that_are_billed_by_input_and_output_have_a_price():
    for provider, model in LISTED:
        listed = vars(model.get_prices(NOW))
        uncounted = {"requests_kcount", "output_video_mtok"} & set(listed)
        expected = {"input_mtok", "output_mtok"} <= set(listed) and not uncounted
        if "output_reasoning_mtok" not in listed:
            assert (PRICES.price(provider, model.id, NOW) is not None) == expected, model.id


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=5, output_tokens=5, cache_read_tokens=6),
        Usage(input_tokens=5, output_tokens=5, cache_read_tokens=1, cache_write_tokens=5),
        Usage(input_tokens=5, output_tokens=5, output_audio_tokens=6),
    ],
    ids=["cache", "sum", "audio"],
)
def test_counts_that_contradict_each_other_are_priced_where_genai_prices_refuses(prices, usage):
    with pytest.raises(ValueError, match="Invalid usage data"):
        calculated(usage, "acme", "spoken", NOW)
    assert 0 < prices.price("acme", "spoken", NOW).cost(usage).total < 1


def test_audio_in_the_cache_is_priced_where_genai_prices_refuses(prices):
    usage = Usage(input_tokens=9, output_tokens=0, cache_read_tokens=3, input_audio_tokens=4)
    with pytest.raises(ValueError, match="cache_audio_read_tokens"):
        calculated(usage, "acme", "spoken", NOW)
    cost = prices.price("acme", "spoken", NOW).cost(usage)
    assert cost.total == (2 * 1 + 3 * Decimal("0.1") + 4 * 20) / Decimal(1_000_000)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-6.2-astra"),
        ("openai", "gpt-5-nobody-knows"),
        ("openai", "gpt-4o-2099-01-01"),
        ("openai", "my-gpt-5"),
        ("openai", ""),
        ("anthropic", "claude-opus-99"),
        ("google", "gemini-99-pro"),
        ("ollama", "llama3.2"),
        ("", "gpt-5"),
        ("acme", "plain"),
    ],
)
def test_an_unknown_model_has_no_price_and_not_its_siblings(provider, model):
    assert PRICES.price(provider, model, NOW) is None
    assert PRICES.window(provider, model) is None


def test_dated_names_have_the_price_of_their_model():
    for provider, model, dated in [
        ("openai", "gpt-5", "gpt-5-2025-08-07"),
        ("anthropic", "claude-opus-4-5", "claude-opus-4-5-20251101"),
        ("google", "gemini-2.0-flash", "gemini-2.0-flash-001"),
    ]:
        price = PRICES.price(provider, dated, NOW)
        assert price is not None
        assert price == PRICES.price(provider, model, NOW)


def test_a_price_names_the_version_of_its_data_and_claims_no_date():
    price = PRICES.price("openai", "gpt-5", NOW)
    assert price.source == f"genai-prices {genai_prices.__version__}"
    assert price.as_of is None


def mtok(**usd):
    return ModelPrice(**{f"{name}_mtok": Decimal(value) for name, value in usd.items()})


def acme(*models):
    models = [
        ModelInfo(id=name, match=ClauseEquals(equals=name), prices=prices, context_window=window)
        for name, prices, window in models
    ]
    return [Provider(id="acme", name="Acme", api_pattern="acme", models=models)]


SPOKEN = mtok(input="1", output="2", cache_read="0.1", cache_write="1", input_audio="20")
SPOKEN.cache_audio_read_mtok = SPOKEN.cache_audio_write_mtok = Decimal(3)
SPOKEN.output_audio_mtok = Decimal(40)
BY_DAY = [
    ConditionalPrice(prices=mtok(input="1", output="1")),
    ConditionalPrice(StartDateConstraint(date(2026, 12, 1)), prices=mtok(input="2", output="2")),
    ConditionalPrice(
        TimeOfDateConstraint(
            datetime(2026, 1, 1, 22, tzinfo=UTC).timetz(),
            datetime(2026, 1, 1, 6, tzinfo=UTC).timetz(),
        ),
        prices=mtok(input="0.5", output="0.5"),
    ),
]
TIERED = ModelPrice(
    input_mtok=TieredPrices(Decimal(1), [Tier(100, Decimal(3)), Tier(200, Decimal(5))]),
    output_mtok=TieredPrices(Decimal(2), [Tier(200, Decimal(9))]),
)


@pytest.fixture
def prices():
    """Prices of a vendor of ours."""
    models = acme(
        ("plain", mtok(input="1", output="2"), 8000),
        ("spoken", SPOKEN, None),
        ("by day", BY_DAY, None),
        ("tiered", TIERED, None),
        (
            "per request",
            ModelPrice(**vars(mtok(input="1", output="2")), requests_kcount=Decimal(5)),
            None,
        ),
        ("unpriced", ModelPrice(), 9000),
        ("unlisted", [], None),
        ("embeddings", mtok(input="1"), None),
    )
    data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot(models, from_auto_update=False))
    yield GenaiPrices()
    data_snapshot.set_custom_snapshot(None)


@pytest.mark.parametrize("model", ["per request", "unpriced", "unlisted", "embeddings"])
def test_what_is_not_billed_by_input_and_output_alone_has_no_price(prices, model):
    assert prices.price("acme", model, NOW) is None


def test_the_window_is_known_without_a_price(prices):
    assert prices.window("acme", "unpriced") == 9000
    assert prices.window("acme", "spoken") is None


@pytest.mark.parametrize(
    ("at", "usd"),
    [
        (datetime(2026, 11, 30, 12, tzinfo=UTC), 1),
        (datetime(2026, 12, 1, 12, tzinfo=UTC), 2),
        (datetime(2026, 12, 1, 23, tzinfo=UTC), Decimal("0.5")),
        (datetime(2026, 11, 30, 5, tzinfo=UTC), Decimal("0.5")),
    ],
)
def test_prices_go_by_the_day_and_the_hour(prices, at, usd):
    assert prices.price("acme", "by day", at).input == usd
    assert prices.price("acme", "by day", NOW).input == 1


def test_thresholds_of_input_and_output_become_tiers_of_the_whole_price(prices):
    source = f"genai-prices {genai_prices.__version__}"
    assert prices.price("acme", "tiered", NOW) == Price(
        input=1,
        output=2,
        tiers={
            100: Price(input=3, output=2, source=source),
            200: Price(input=5, output=9, source=source),
        },
        source=source,
    )


def test_an_update_of_the_data_is_noticed_and_dated(prices):
    assert prices.price("acme", "plain", NOW).input == 1
    models = acme(("plain", mtok(input="7", output="7"), None))
    updated = data_snapshot.DataSnapshot(models, from_auto_update=True, timestamp=NOW)
    data_snapshot.set_custom_snapshot(updated)
    price = prices.price("acme", "plain", NOW)
    assert (price.input, price.as_of) == (7, NOW.date())


def test_any_number_of_names_takes_little_room(prices):
    snapshot = data_snapshot.get_snapshot()
    snapshot.providers[0].models[0].match = ClauseStartsWith(starts_with="plain")
    before = len(pickle.dumps(snapshot))
    for number in range(2000):
        assert prices.price("acme", f"plain-{number}", NOW).input == 1
        assert prices.price("acme", f"nobody-{number}", NOW) is None
    assert _Data.now().find.cache_info().currsize < 1000
    assert len(pickle.dumps(snapshot)) < before + 1000


def test_without_the_package_every_price_is_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert GenaiPrices().price("openai", "gpt-5", NOW) is None
    assert GenaiPrices().window("openai", "gpt-5") is None


def test_several_threads_may_ask_first():
    prices, start, found = GenaiPrices(), threading.Barrier(8), []

    def ask():
        start.wait()
        found.append(prices.price("openai", "gpt-5", NOW))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [PRICES.price("openai", "gpt-5", NOW)] * 8
    assert found[0] is not None


MINE, OTHER = Price(input=1, output=2), Price(input=3, output=4)
FREE = Price(input=0, output=0)


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("openai", "gpt-5", MINE),
        ("openai", "gpt-5-2025-08-07", MINE),
        ("anthropic", "claude-opus-4-5-20251101", MINE),
        ("google", "gemini-2.0-flash-001", OTHER),
        ("openai", "gpt-5-mini-2025-08-07", OTHER),
        ("openai", "gpt-5-nano", None),
        ("openai", "gpt-5-20", None),
        ("acme", "shared", FREE),
        ("other", "shared", MINE),
        ("other", "org/shared", OTHER),
    ],
)
def test_the_users_prices_go_first(provider, model, expected):
    prices = Overrides(
        {
            "gpt-5": MINE,
            "gpt-5-mini": MINE,
            "gpt-5-mini-2025-08-07": OTHER,
            "anthropic/claude-opus-4-5": MINE,
            "gemini-2.0-flash": OTHER,
            "shared": MINE,
            "acme/shared": FREE,
            "org/shared": OTHER,
        },
    )
    for source in (prices, pickle.loads(pickle.dumps(prices))):
        assert source.price(provider, model, NOW) == expected


@pytest.mark.parametrize(
    ("prices", "named"),
    [
        ({"gpt-5": 3}, r"prices\['gpt-5'\] is 3"),
        ({5: MINE}, r"prices\[5\]"),
    ],
)
def test_overrides_of_something_else_are_refused(prices, named):
    with pytest.raises(ConfigurationError, match=rf"CostTracker\.{named}.*: give"):
        Overrides(prices)


def test_pictures_that_a_model_makes_cost_what_they_are_listed_at():
    usage = Usage(input_tokens=268, output_tokens=1300, output_image_tokens=1290)
    price = PRICES.price("google", "gemini-2.5-flash-image", NOW)
    assert price.cost(usage).parts["output_image"] == Decimal("0.0387")  # their own example


def test_sound_from_the_cache_has_a_price_of_its_own():
    usage = Usage(
        input_tokens=5000,
        output_tokens=0,
        cache_read_tokens=4096,
        cache_read_audio_tokens=3840,
        input_audio_tokens=4700,
    )
    parts = PRICES.price("google", "gemini-3-flash-preview", NOW).cost(usage).parts
    assert {name: cost * 1_000_000 for name, cost in parts.items() if cost} == {
        "cache_read_audio": 3840 * Decimal("0.1"),
        "cache_read": 256 * Decimal("0.05"),
        "input_audio": 860 * Decimal(1),
        "input": 44 * Decimal("0.5"),
    }
