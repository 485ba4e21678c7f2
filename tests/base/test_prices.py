import asyncio
import json
import logging
import os
import pickle
import subprocess
import sys
import types
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, partial

import pytest
from bruno_llm_base import (
    Cost,
    GenaiPrices,
    ModelResponse,
    Price,
    Usage,
)
from bruno_llm_base.cost import prices as prices_module
from bruno_llm_base.events import PriceUnknown
from bruno_llm_base.log import Observers

Prices = partial(prices_module.Prices, tell=Observers(()).tell)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
USAGE = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


class Listed:
    """A list of prices, that remembers what it was asked."""

    def __init__(self, **prices):
        self.prices = prices
        self.asked = []

    def price(self, provider, model, at):
        self.asked.append((provider, model, at))
        return self.prices.get(model)


A, B = Price(input=1, output=2, source="a list", as_of=date(2026, 1, 1)), Price(input=5, output=5)


def answer(model=None, **facts):
    return ModelResponse(model=model, usage=USAGE, **facts)


@pytest.mark.parametrize(("answered", "total"), [("a", 3), ("b", 10), ("unknown", 3), (None, 3)])
def test_the_version_that_answered_has_its_own_price_else_that_of_the_model_asked(answered, total):
    prices = Listed(a=A, b=B)
    cost = Prices("acme", "acme-data", None, prices).cost(answer(answered), "a", NOW)
    assert cost.total == total
    assert {(provider, at) for provider, _, at in prices.asked} == {("acme", NOW)}


def test_a_cost_names_its_source_its_date_and_whether_it_is_an_estimate():
    ours = Prices("acme", "acme", None, Listed(a=A))
    cost = ours.cost(answer(usage_estimated=True), "a")
    assert (cost.source, cost.as_of, cost.estimated) == ("a list", date(2026, 1, 1), True)
    assert not ours.cost(answer(), "a").estimated


def test_the_time_is_now_where_nobody_says():
    prices = Listed(a=A)
    before = datetime.now(UTC)
    Prices("acme", "acme", None, prices).price("a")
    assert before <= prices.asked[0][2] <= datetime.now(UTC)


def test_without_prices_of_the_users_those_of_genai_prices_hold():
    cost = Prices("openai", "openai").cost(answer("gpt-5-2025-08-07"), "gpt-5", NOW)
    assert cost == GenaiPrices().price("openai", "gpt-5", NOW).cost(USAGE)


@pytest.mark.parametrize("usage", [USAGE, Usage()], ids=["counted", "uncounted"])
@pytest.mark.parametrize("prices", [None, Listed()], ids=["no prices", "no price"])
def test_what_is_free_costs_0_and_says_why(prices, usage):
    ours = Prices("local", "local", "it runs on your own machine", prices)
    cost = ours.cost(ModelResponse(usage=usage), "any", NOW)
    assert (cost.total, cost.source) == (Decimal(0), "it runs on your own machine")


def test_the_user_may_price_what_is_free():
    assert Prices("local", "local", "it is yours", Listed(a=A)).cost(answer(), "a").total == 3


def warnings(caplog):
    return [record.getMessage() for record in caplog.records]


def test_an_unknown_price_is_none_with_one_warning_per_model(caplog):
    heard = []
    ours = Prices("acme", "acme", None, Listed(a=A), tell=Observers([heard.append]).tell)
    for _ in range(3):
        assert ours.cost(answer("b-2026"), "b") is None
        assert ours.cost(answer(), "c") is None
        assert ours.cost(answer(), "a") is not None
    first, second = warnings(caplog)
    assert first.startswith("price unknown provider=acme model=b ")
    assert "CostTracker(prices=" in first
    assert second.startswith("price unknown provider=acme model=c ")
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert [(type(event), event.model) for event in heard] == [
        (PriceUnknown, "b"),
        (PriceUnknown, "c"),
    ]


def test_without_price_data_the_warning_says_how_to_get_them(caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert Prices("openai", "openai").cost(answer(), "gpt-5") is None
    assert "pip install genai-prices" in warnings(caplog)[0]


class Failing:
    """A source of prices that raises, or returns what is no price."""

    def __init__(self, outcome):
        self.outcome = outcome

    def price(self, provider, model, at):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize("outcome", [KeyError("gpt-5"), 5, "free"], ids=["raises", "5", "text"])
def test_a_source_that_fails_makes_the_price_unknown_and_is_logged_once(caplog, outcome):
    ours = Prices("openai", "openai", None, Failing(outcome))
    assert [ours.cost(answer(), "gpt-5") for _ in range(3)] == [None] * 3
    assert ours.price("gpt-5") is None
    failure, unknown = warnings(caplog)
    assert "a source of prices failed" in failure
    assert caplog.records[0].exc_info
    assert unknown.startswith("price unknown")


async def test_half_installed_price_data_stop_nobody(caplog, monkeypatch):
    half = types.ModuleType("genai_prices")
    half.__version__, half.data_snapshot = "0.2.3", None
    monkeypatch.setitem(sys.modules, "genai_prices", half)
    monkeypatch.setattr(prices_module, "_loading", cache(prices_module._loading.__wrapped__))
    ours = Prices("openai", "openai")
    await ours.load()
    assert await ours.window("gpt-5") is None
    assert ours.cost(answer(), "gpt-5") is None
    assert "a source of prices failed" in warnings(caplog)[0]


def test_an_unknown_usage_costs_nobody_knows_what(caplog):
    assert Prices("acme", "acme", None, Listed(a=A)).cost(ModelResponse(), "a") is None
    assert not caplog.records


def test_what_the_server_reports_goes_before_lists_and_after_the_users_prices():
    said = answer(cost=Cost(Decimal(9), {"reported": Decimal(9)}, "reported by the server"))
    at = "https://proxy.example.com/v1"
    cost = Prices("openai", "openai", address=at).cost(said, "gpt-5")
    assert (cost.total, cost.source) == (9, "reported by proxy.example.com")
    assert Prices("acme", "acme").cost(said, "a").source == "reported by acme"
    assert Prices("acme", "acme", None, Listed(a=A)).cost(said, "a").total == 3
    assert Prices("acme", "acme", "it is yours").cost(said, "a").total == 0


def test_an_answer_takes_its_cost_to_other_processes():
    response = answer(cost=Prices("acme", "acme", None, Listed(a=A)).cost(answer(), "a", NOW))
    assert pickle.loads(pickle.dumps(response)) == response
    assert response.cost.total == 3


async def test_the_window_is_known_of_what_price_data_list():
    assert await Prices("openai", "openai").window("gpt-5") == 400_000
    assert await Prices("openai", "openai").window("nobody's") is None
    assert await Prices("local", "openai", "free").window("gpt-5") is None


async def test_loading_may_be_left_and_repeated():
    ours = Prices("openai", "openai")
    leaver = asyncio.create_task(ours.load())
    await asyncio.sleep(0)
    leaver.cancel()
    await asyncio.gather(*(ours.load() for _ in range(3)))
    assert ours.price("gpt-5") is not None


def run(program):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


LOAD = """
import asyncio, json, sys, threading, time
from bruno_llm_base.cost.prices import Prices

ours = Prices("openai", "openai", tell=print)
assert not {"genai_prices", "bruno_llm_base.cost.price"} & set(sys.modules)
threads = set()

async def main():
    tasks = [asyncio.create_task(ours.load()) for _ in range(5)]
    turns = 0
    while not all(task.done() for task in tasks):
        if turns == 3:
            tasks.pop().cancel()
        turns += 1
        threads.update(thread.name for thread in threading.enumerate())
        await asyncio.sleep(0)
    return turns

loops = [threading.Thread(target=lambda: asyncio.run(main()), name="loop") for _ in range(3)]
for loop in loops:
    loop.start()
turns = asyncio.run(main())
for loop in loops:
    loop.join()
loaders = [name for name in threads if name.startswith("bruno-llm-prices")]
give_up = time.monotonic() + 120
while threading.active_count() > 1 and time.monotonic() < give_up:
    time.sleep(0.01)  # the loader's thread ends with its work, a moment later
known = "genai_prices.data" in sys.modules and ours.price("gpt-5") is not None
print(json.dumps([turns > 10, known, len(loaders) > 0, threading.active_count()]))
"""


def test_price_data_are_loaded_beside_the_event_loop():
    assert run(LOAD) == [True, True, True, 1]


FORK = """
import asyncio, json, os
from bruno_llm_base.cost.prices import Prices

async def main():
    loading = asyncio.create_task(Prices("openai", "openai", tell=print).load())
    await asyncio.sleep(0)
    if child := os.fork():
        return os.waitpid(child, 0)[1]
    os._exit(run_in_child())

def run_in_child():
    asyncio.events._set_running_loop(None)
    ours = Prices("openai", "openai", tell=print)
    asyncio.run(asyncio.wait_for(ours.load(), 120))
    return 0 if ours.price("gpt-5") is not None else 1

print(json.dumps(asyncio.run(main())))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_process_that_is_forked_while_prices_load_has_them():
    assert run(FORK) == 0


FREE = """
import asyncio, json, sys
from bruno_llm_base.cost.prices import Prices
asyncio.run(Prices("local", "local", "it is yours", tell=print).load())
print(json.dumps("genai_prices" in sys.modules))
"""


def test_what_is_free_loads_no_price_data():
    assert run(FREE) is False
