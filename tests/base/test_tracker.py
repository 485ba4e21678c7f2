"""What was recorded, by whatever one wants to know."""

import asyncio
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, localcontext

import pytest
from bruno_llm_base.cost.price import Price, amount
from bruno_llm_base.cost.prices import GenaiPrices
from bruno_llm_base.cost.rows import Row, pico, usd
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.response import Cost, Usage
from hypothesis import given, settings
from hypothesis import strategies as st

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEYS = ("day", "provider", "model", "tag", "user")
NOTHING = {
    "requests": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
    "reasoning_tokens": 0,
    "cost": Decimal(0),
    "unpriced": 0,
    "estimated": 0,
}


def noon():
    return NOON


def tracked(**settings):
    return CostTracker(clock=noon, **settings)


# Sums

names = st.sampled_from(["a", "b", "an ä", "\ud800", "x\0y", "'; DROP TABLE entries"])
labels = st.none() | st.sampled_from(["one", "two", "'"])
tokens = st.none() | st.integers(0, 10**9)
records = st.fixed_dictionaries(
    {
        "provider": names,
        "model": names,
        "tag": labels,
        "user": labels,
        "usage": st.builds(
            Usage,
            input_tokens=tokens,
            output_tokens=tokens,
            cache_read_tokens=tokens,
            cache_write_tokens=tokens,
            reasoning_tokens=tokens,
        ),
        "cost": st.none() | st.decimals(0, 1_000_000, places=12),
        "estimated": st.booleans(),
    }
)


def summed(rows):
    total = dict(NOTHING)
    for row in rows:
        for name in total:
            total[name] += getattr(row, name)
    return total


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), records), max_size=12),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=5),
)
def test_the_rows_of_any_grouping_sum_to_the_records(days_and_records, by):
    now = NOON
    tracker = CostTracker(clock=lambda: now)
    expected = dict(NOTHING)
    for day, record in days_and_records:
        now = NOON + timedelta(days=day)
        tracker.record(**record)
        usage = record["usage"]
        for name in expected:
            expected[name] += getattr(usage, name, None) or 0
        expected["requests"] += 1
        expected["cost"] += record["cost"] or 0
        expected["unpriced"] += record["cost"] is None
        expected["estimated"] += record["estimated"]
    rows = tracker.total(by)
    assert summed(rows) == expected
    assert summed([tracker.total()]) == expected
    found = [tuple(getattr(row, name) for name in by) for row in rows]
    assert len(set(found)) == len(found)
    assert {(day_after(day), record["tag"]) for day, record in days_and_records} == {
        (row.day, row.tag) for row in tracker.total(["day", "tag"])
    }


def day_after(days):
    return date(2026, 11, 24) + timedelta(days=days)


@settings(deadline=None)
@given(st.lists(records, max_size=8), names, labels)
def test_a_filter_selects_what_has_that_value(given_records, model, tag):
    tracker = tracked()
    for record in given_records:
        tracker.record(**record)
    expected = sum(
        record["model"] == model and (tag is None or record["tag"] == tag)
        for record in given_records
    )
    assert tracker.total(model=model, tag=tag).requests == expected
    assert sum(row.requests for row in tracker.total("user", model=model, tag=tag)) == expected


def test_days_are_those_of_utc_and_both_ends_count():
    now = datetime(2026, 11, 24, 23, 59, tzinfo=timezone(timedelta(hours=-5)))
    tracker = CostTracker(clock=lambda: now)
    tracker.record(provider="p", model="m")
    now += timedelta(days=1)
    tracker.record(provider="p", model="m")
    first, second = date(2026, 11, 25), date(2026, 11, 26)
    assert [row.day for row in tracker.total("day")] == [first, second]
    assert tracker.total(since=first, until=first).requests == 1
    assert tracker.total(since=second).requests == 1
    assert tracker.total(until=first).requests == 1
    assert tracker.total(since=first, until=second).requests == 2
    assert tracker.total(since=date(2026, 11, 27)).requests == 0


def test_rows_come_in_the_order_of_what_was_asked_for():
    tracker = tracked()
    for model, provider in (("b", "y"), ("a", "y"), ("b", "x")):
        tracker.record(provider=provider, model=model)
    found = [(row.model, row.provider) for row in tracker.total(["model", "provider"])]
    assert found == [("a", "y"), ("b", "x"), ("b", "y")]


def test_what_has_no_label_has_a_row_of_its_own():
    tracker = tracked()
    tracker.record(provider="p", model="m")
    tracker.record(provider="p", model="m", tag="t")
    assert [(row.tag, row.requests) for row in tracker.total("tag")] == [(None, 1), ("t", 1)]


def test_of_nothing_the_total_is_nothing_and_there_are_no_rows():
    assert tracked().total() == Row(**NOTHING)
    assert tracked().total("model") == []


def test_a_request_without_a_price_does_not_pass_for_free():
    tracker = tracked()
    tracker.record(provider="p", model="known", cost=Decimal(0))
    tracker.record(provider="p", model="unknown", cost=None)
    assert tracker.total().cost == 0
    assert [(row.model, row.unpriced) for row in tracker.total("model")] == [
        ("known", 0),
        ("unknown", 1),
    ]


def test_what_a_cost_says_of_itself_is_recorded_with_it():
    tracker = tracked()
    price = Price(input="2.5", output=10)
    usage = Usage(input_tokens=3, output_tokens=7)
    tracker.record(
        provider="p", model="m", usage=usage, cost=price.cost(usage, estimated=True), tag="t"
    )
    row = tracker.total()
    assert (row.cost, row.estimated, row.unpriced) == (Decimal("0.0000775"), 1, 0)


def test_absurd_counts_and_costs_spoil_nothing_else():
    tracker = tracked()
    for _ in range(3):
        tracker.record(
            provider="p",
            model="m",
            usage=Usage(input_tokens=2**63 - 1),
            cost=Decimal("9E+999"),
        )
        tracker.record(provider="p", model="n", cost=Decimal("1E+6"))
    tracker.record(provider="p", model="n", cost=Decimal("0.5"))
    assert tracker.total(model="n").cost == Decimal("3000000.5")
    assert tracker.total().cost > 9_000_000
    assert tracker.total().requests == 7


# Money


@given(st.integers(0, 10**30))
def test_picodollars_become_dollars_and_back_exactly(picodollars):
    with localcontext(prec=3):  # an application may have chosen so
        dollars = usd(picodollars)
        assert pico(dollars) == min(picodollars, 10**24)
        assert "E" not in str(dollars) or dollars < Decimal("1E-6")


def test_a_started_picodollar_counts():
    assert pico(Decimal("1E-13")) == 1
    assert pico(Decimal("1.0000000000001")) == 10**12 + 1


@pytest.mark.parametrize(
    ("value", "means"),
    [(0.1, "0.1"), ("2.50", "2.50"), (3, "3"), (Decimal("0.3"), "0.3")],
)
def test_amounts_mean_what_is_printed(value, means):
    assert amount(value) == Decimal(means)


@pytest.mark.parametrize("value", [True, None, "much", "nan", float("inf"), [1], 1j])
def test_what_is_no_amount_is_none(value):
    assert amount(value) is None


# Labels


def test_a_block_labels_what_is_requested_within():
    tracker = tracked()
    with tracker.label(tag="summaries", user="ann"):
        tracker.record(provider="p", model="m")
        with tracker.label(user="bob"):
            tracker.record(provider="p", model="m")
            tracker.record(provider="p", model="m", tag="titles")
        tracker.record(provider="p", model="m")
    tracker.record(provider="p", model="m")
    found = [(row.tag, row.user, row.requests) for row in tracker.total(["tag", "user"])]
    assert found == [
        (None, None, 1),
        ("summaries", "ann", 2),
        ("summaries", "bob", 1),
        ("titles", "bob", 1),
    ]


def test_labels_are_those_of_one_tracker():
    one, other = tracked(), tracked()
    with one.label(tag="one"):
        assert other.labels().tag is None
        with other.label(tag="other"):
            assert (one.labels().tag, other.labels().tag) == ("one", "other")


def test_a_block_that_fails_labels_nothing_after_it():
    tracker = tracked()
    with pytest.raises(ZeroDivisionError), tracker.label(tag="t"):
        1 / 0
    assert tracker.labels().tag is None


async def test_tasks_have_their_own_labels():
    tracker = tracked()
    both = asyncio.Barrier(5)

    async def work(name):
        with tracker.label(user=name):
            await both.wait()  # all are within their blocks now
            tracker.record(provider="p", model="m")
            await asyncio.to_thread(tracker.record, provider="p", model="m")

    with tracker.label(tag="job"):
        await asyncio.gather(*(work(f"user {number}") for number in range(5)))
    rows = tracker.total(["tag", "user"])
    assert [(row.tag, row.user, row.requests) for row in rows] == [
        ("job", f"user {number}", 2) for number in range(5)
    ]


def test_a_thread_begins_without_labels():
    tracker = tracked()
    found = []
    with tracker.label(tag="t"):
        thread = threading.Thread(target=lambda: found.append(tracker.labels().tag))
        thread.start()
        thread.join()
    assert found == [None]


# What makes no sense


@pytest.mark.parametrize("label", ["", 7, b"t", "\ud800"])
def test_what_is_no_label_is_refused(label):
    tracker = tracked()
    with pytest.raises(InvalidRequestError, match="user is"), tracker.label(user=label):
        pass
    with pytest.raises(InvalidRequestError, match="tag is"):
        tracker.record(provider="p", model="m", tag=label)
    assert tracker.total().requests == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider", ""),
        ("model", None),
        ("usage", {"input_tokens": 3}),
        ("cost", 0.5),
        ("cost", Decimal(-1)),
        ("cost", Decimal("NaN")),
        ("cost", "1"),
    ],
)
def test_what_is_no_record_is_refused(field, value):
    tracker = tracked()
    with pytest.raises(InvalidRequestError, match=f"{field} is"):
        tracker.record(**{"provider": "p", "model": "m", field: value})
    assert tracker.total().requests == 0


def test_a_wrong_name_is_answered_with_the_right_one():
    for wrong in (["day", "modell"], [7], "days"):
        with pytest.raises(InvalidRequestError, match=r"give some of day, provider, model, tag, u"):
            tracked().total(wrong)
    with pytest.raises(InvalidRequestError, match="did you mean 'model'"):
        tracked().total("day", modell="m")


@pytest.mark.parametrize(
    ("field", "value"),
    [("since", "2026-11-24"), ("until", NOON), ("model", 7), ("user", b"ann")],
)
def test_what_selects_nothing_sensible_is_refused(field, value):
    with pytest.raises(InvalidRequestError, match=f"{field} is"):
        tracked().total("model", **{field: value})


class NoSource:
    price = 3


@pytest.mark.parametrize(
    ("field", "value"),
    [("prices", 7), ("prices", NoSource()), ("clock", NOON), ("prices", {"m": 3})],
)
def test_a_tracker_of_nonsense_is_refused(field, value):
    with pytest.raises(ConfigurationError, match=r"prices|clock"):
        CostTracker(**{field: value})


def test_prices_of_ones_own_go_first():
    price = Price(input=1, output=2)
    tracker = tracked(prices={"p/m": price})
    assert tracker.prices.price("p", "m", NOON) == price
    assert tracker.prices.price("p", "n", NOON) is None
    assert tracked(prices=GenaiPrices()).prices == GenaiPrices()
    assert tracked().prices is None


def test_a_cost_is_taken_whatever_its_parts():
    tracker = tracked()
    tracker.record(provider="p", model="m", cost=Cost(Decimal(2), {}, "me", None, estimated=False))
    assert tracker.total().cost == 2
