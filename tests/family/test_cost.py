"""Money on the path of a request: every provider, over a socket."""

import asyncio
import contextlib
import pickle
from decimal import Decimal

import pytest
from bruno_llm_base import (
    AllProvidersFailedError,
    Budget,
    BudgetExceededError,
    ConfigurationError,
    CostTracker,
    FallbackLLM,
    InvalidRequestError,
    LLMTimeoutError,
    Price,
    RateLimit,
    RateLimitError,
    Retry,
    Timeouts,
    Usage,
)
from bruno_llm_base.events import BudgetNearlySpent, PriceUnknown, RequestAbandoned
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import (
    FakeAnswer,
    FakeClaude,
    FakeError,
    FakeGemini,
    FakeOllama,
    FakeOpenAI,
    Fault,
)

PRICE = Price(input=1_000_000, output=2_000_000, source="this test")  # 1 and 2 USD a token
USAGE = Usage(input_tokens=1000, output_tokens=200)
SHORT = FakeAnswer(text="one two three", usage=Usage(input_tokens=3, output_tokens=2))
"""7 USD at that price."""


def tracker(**keywords):
    return CostTracker(prices={model: PRICE for kind in MODELS for model in kind}, **keywords)


def listed(kind, server):
    """Return the keywords of a provider whose fake charges what lists say of its vendor."""
    return server.connection() | {"price_name": kind.price_name}


MODELS = [FakeOpenAI.models, FakeClaude.models, FakeGemini.models]


async def read(stream):
    return "".join([piece async for piece in stream])


# -- what an answer costs ---------------------------------------------------------------------------


async def test_both_modes_cost_the_same(kind, server):
    server.say(FakeAnswer(usage=USAGE), times=2)
    async with kind(**listed(kind, server)) as llm:
        whole = await llm.request("hi")
        stream = llm.stream("hi")
        await read(stream)
    assert whole.cost == stream.response.cost
    assert whole.cost.total == sum(whole.cost.parts.values())
    assert not whole.cost.estimated
    assert whole.cost.source
    assert (whole.cost.total == 0) == (kind is OllamaProvider)


async def test_an_answer_that_was_pickled_still_knows_its_cost(kind, server):
    async with kind(**listed(kind, server)) as llm:
        answer = await llm.request("hi")
    assert pickle.loads(pickle.dumps(answer)).cost == answer.cost


async def test_what_nobody_knows_the_price_of_costs_none_and_is_told_once(caplog):
    told = []
    with FakeOpenAI() as server:
        server.models = ("nobodys-model",)
        async with OpenAIProvider(
            "nobodys-model", **listed(OpenAIProvider, server), observers=[told.append]
        ) as llm:
            answers = [await llm.request("hi") for _ in range(3)]
    assert [answer.cost for answer in answers] == [None] * 3
    assert sum("price unknown" in message for message in caplog.messages) == 1


class NoPrices:
    def price(self, provider, model, at):
        raise KeyError(model)


async def test_a_source_of_prices_that_fails_costs_no_answer_and_no_place(kind, server):
    costs = CostTracker(prices=NoPrices())
    limit = RateLimit(max_concurrent=1, max_wait=0.2)
    async with kind(**server.connection(), cost=costs, rate_limit=limit) as llm:
        assert await llm.generate("hi")
        assert await read(llm.stream("hi"))
        assert (await llm.request("hi")).cost is None
    assert (costs.total().requests, costs.total().unpriced) == (3, 3)


async def test_a_budget_whose_prices_fail_sends_nothing():
    with FakeOpenAI() as server:
        keywords = {"cost": CostTracker(prices=NoPrices()), "budget": Budget(9), "max_tokens": 5}
        async with OpenAIProvider(**server.connection(), **keywords) as llm:
            with pytest.raises(ConfigurationError, match=r"the price of .* is unknown"):
                await llm.generate("hi")
        assert not server.bodies


UNLISTED = [
    (OpenAIProvider, FakeOpenAI, {"service_tier": "priority"}, "service_tier"),
    (OpenAIProvider, FakeOpenAI, {"web_search_options": {}}, "web_search_options"),
    (ClaudeProvider, FakeClaude, {"speed": "fast"}, "speed"),
    (
        ClaudeProvider,
        FakeClaude,
        {"tools": [{"type": "web_search_20260209", "name": "web_search"}]},
        "tools",
    ),
    (GeminiProvider, FakeGemini, {"tools": [{"googleSearch": {}}]}, "tools"),
    (GeminiProvider, FakeGemini, {"cached_content": "cachedContents/x"}, "cachedContent"),
]


@pytest.mark.parametrize(("kind", "fake", "options", "field"), UNLISTED)
async def test_what_lists_of_prices_do_not_tell_is_unknown(kind, fake, options, field, caplog):
    with fake() as server:
        async with kind(**listed(kind, server)) as llm:
            assert (await llm.request("hi")).cost.total > 0
            assert (await llm.request("hi", **options)).cost is None
        assert f"lists of prices do not tell what {field} costs" in caplog.text
        async with kind(**listed(kind, server), budget=Budget(9), max_tokens=5) as llm:
            with pytest.raises(ConfigurationError, match=f"with {field} is unknown"):
                await llm.request("hi", **options)
        async with kind(**server.connection(), cost=tracker()) as llm:
            assert (await llm.request("hi", **options)).cost.source == "this test"


# -- the tracker on the path ------------------------------------------------------------------------


async def test_one_tracker_books_what_all_providers_cost():
    costs = tracker()
    kinds = {
        FakeOpenAI: OpenAIProvider,
        FakeClaude: ClaudeProvider,
        FakeGemini: GeminiProvider,
        FakeOllama: OllamaProvider,
    }
    for fake, provider in kinds.items():
        with fake() as server, costs.label(tag=provider.name, user="ann"):
            server.say(SHORT, times=2)
            async with provider(**server.connection(), cost=costs) as llm:
                await llm.generate("hi")
                await read(llm.stream("hi"))
    rows = {row.provider: row for row in costs.total("provider")}
    assert {name: row.cost for name, row in rows.items()} == {
        "openai": 14,
        "claude": 14,
        "gemini": 14,
        "ollama": 0,
    }
    assert {row.requests for row in rows.values()} == {2}
    assert costs.total(tag="claude", user="ann").cost == 14
    assert costs.total(user="bob").requests == 0


async def test_a_label_holds_from_when_a_stream_was_asked_for(kind, server):
    costs = tracker()
    async with kind(**server.connection(), cost=costs) as llm:
        with costs.label(tag="asked"):
            stream = llm.stream("hi")
        await read(stream)
    assert costs.total(tag="asked").requests == 1


async def test_a_label_holds_through_a_fallback(kind, server):
    costs = tracker()
    server.say(FakeError(kind="authentication"), SHORT)
    members = [kind(**server.connection(), cost=costs) for _ in range(2)]
    async with FallbackLLM(members) as llm:
        with costs.label(tag="asked"):
            stream = llm.stream("hi")
        await read(stream)
    assert costs.total(tag="asked").requests == costs.total().requests == 1


async def test_what_is_refused_costs_nothing(kind, server):
    costs = tracker()
    server.say(FakeError(kind="overloaded"), FakeError(kind="rate_limit"), SHORT)
    async with kind(**server.connection(), cost=costs, retry=Retry(wait_initial=0)) as llm:
        await llm.generate("hi")
    total = costs.total()
    assert (total.requests, total.estimated, total.input_tokens) == (1, 0, 3)


async def test_every_attempt_that_reached_the_server_is_booked(kind, server):
    costs = tracker()
    server.say(Fault(then="reset"), SHORT)
    async with kind(**server.connection(), cost=costs, retry=Retry(wait_initial=0)) as llm:
        await llm.generate("hi there, how are you?", max_tokens=50)
    total = costs.total()
    assert (total.requests, total.estimated) == (2, 1)
    assert total.output_tokens == 2  # of the lost answer nobody has seen any


async def test_nobody_there_costs_nothing(kind, fake):
    with fake() as server:
        connection = server.connection()
    costs = tracker()
    async with kind(**connection, cost=costs, max_retries=0) as llm:
        with pytest.raises(Exception, match="address"):
            await llm.generate("hi")
    assert costs.total().requests == 0


async def test_a_stream_that_is_left_costs_what_it_said(kind, server):
    costs, told = tracker(), []
    server.say(Fault(SHORT, between_events=0.02))
    async with kind(**server.connection(), cost=costs, observers=[told.append]) as llm:
        stream = llm.stream("How many is it?")
        async with contextlib.aclosing(stream):
            async for piece in stream:
                if piece:
                    break
    total = costs.total()
    assert (total.requests, total.estimated) == (1, 1)
    assert total.input_tokens > 2
    assert 0 < total.output_tokens <= 7
    (left,) = [event.response for event in told if isinstance(event, RequestAbandoned)]
    assert left.usage_estimated
    assert left.usage.output_tokens == total.output_tokens


async def test_a_cancelled_call_is_booked_by_its_input(kind, server, until):
    costs = tracker()
    server.say(Fault(then="stall"))
    async with kind(**server.connection(), cost=costs) as llm:
        task = asyncio.create_task(llm.generate("hi", max_tokens=99))
        await until(lambda: server.bodies)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    total = costs.total()
    assert (total.requests, total.estimated, total.output_tokens) == (1, 1, 0)
    assert total.input_tokens > 0


async def test_usage_that_is_not_reported_is_estimated_and_flagged(kind, server):
    server.say(FakeAnswer(usage=Usage()), times=2)
    async with kind(**server.connection()) as llm:
        answers = [await llm.request("What is the meaning of all this?")]
        stream = llm.stream("What is the meaning of all this?")
        await read(stream)
    for answer in (*answers, stream.response):
        if kind in (OpenAIProvider, GeminiProvider, OllamaProvider):
            assert answer.usage_estimated or answer.usage.total_tokens == 0
        assert answer.usage.total_tokens is not None


# -- budgets ----------------------------------------------------------------------------------------


async def test_a_hundred_calls_at_once_never_overspend(server, kind):
    """Calls, streams and retries: what the server sees is never more than the budget allows."""
    if kind is OllamaProvider:
        costs = CostTracker(prices={"llama3.2": PRICE, "llama3.2:latest": PRICE})
    else:
        costs = tracker()
    server.say(*[FakeError(kind="overloaded"), SHORT, SHORT] * 20)
    budget = Budget(2000)  # an attempt reserves 1 for each byte of its body, and 2 * 2 for output
    llm = kind(
        **server.connection(),
        cost=costs,
        budget=budget,
        max_tokens=2,
        retry=Retry(attempts=2, wait_initial=0),
    )
    most_spent = []

    async def ask(number):
        try:
            if number % 2:
                await read(llm.stream("hi"))
            else:
                await llm.generate("hi")
        except (BudgetExceededError, Exception) as error:  # noqa: BLE001
            return error
        finally:
            most_spent.append(budget.spent())
        return None

    async with llm:
        outcomes = await asyncio.gather(*map(ask, range(100)))
    answered = outcomes.count(None)
    if kind is not OllamaProvider:  # free, so nothing is reserved
        assert any(isinstance(error, BudgetExceededError) for error in outcomes)
        assert answered
    assert max(most_spent) <= 2000
    assert costs.total().requests == answered


def own_tracker(kind, **keywords):
    """Return a tracker to which even a free model has a price."""
    return CostTracker(prices={kind.default_model: PRICE}, **keywords)


async def test_what_one_user_spends_does_not_stop_another(kind, server):
    """With calls and streams, at the same time."""
    costs, budget = own_tracker(kind), Budget(1000, by="user")
    server.say(SHORT, times=400)
    costs.record(provider=kind.name, model="m", cost=Decimal(995), user="ann")
    refused = []

    async def ask(user, number):
        with costs.label(user=user):
            try:
                await (read(llm.stream("hi")) if number % 2 else llm.generate("hi"))
            except BudgetExceededError as error:
                refused.append(error)

    async with kind(
        kind.default_model, **server.connection(), cost=costs, budget=budget, max_tokens=2
    ) as llm:
        for number in range(4):
            await asyncio.gather(ask("ann", number), ask("ben", number))
    assert [error.account for error in refused] == ["user 'ann'"] * 4
    assert all("for user 'ann'" in str(error) for error in refused)
    assert len(server.bodies) == 4
    assert (budget.spent("ann"), budget.spent("ben")) == (995, 28)
    assert {row.user: row.cost for row in costs.report(by="user").rows} == {"ann": 995, "ben": 28}


async def test_a_provider_keeps_to_each_of_several_budgets(kind, server):
    costs = own_tracker(kind)
    budgets = [Budget(100_000), Budget(10, of={"tag": "small"})]
    server.say(SHORT, times=9)
    async with kind(
        kind.default_model, **server.connection(), cost=costs, budget=budgets, max_tokens=2
    ) as llm:
        await llm.generate("hi")
        with costs.label(tag="small"), pytest.raises(BudgetExceededError, match="tag 'small'"):
            await llm.generate("hi")
    assert [budget.spent() for budget in budgets] == [7, 0]


async def ask_on(llm):
    while True:
        await llm.generate("hi")


async def test_what_is_beyond_the_budget_is_not_sent():
    with FakeOpenAI() as server:
        server.say(SHORT, times=99)
        budget = Budget("800")
        async with OpenAIProvider(
            **server.connection(), cost=tracker(), budget=budget, max_tokens=10
        ) as llm:
            with pytest.raises(BudgetExceededError) as caught:
                await ask_on(llm)
            sent = len(server.bodies)
            assert budget.spent() == 7 * sent
            assert caught.value.needed > caught.value.left == budget.left()
            assert caught.value.provider == "openai"
            with pytest.raises(BudgetExceededError):
                await read(llm.stream("hi"))
            assert len(server.bodies) == sent


async def test_a_budget_wants_to_know_the_most():
    with FakeOpenAI() as server:
        async with OpenAIProvider(**listed(OpenAIProvider, server), budget=Budget(1)) as llm:
            with pytest.raises(ConfigurationError, match="max_tokens"):
                await llm.generate("hi")
            assert not server.bodies
            assert await llm.generate("hi", max_tokens=10)


async def test_a_budget_without_a_price_sends_nothing():
    with FakeOpenAI() as server:
        server.models = ("nobodys-model",)
        keywords = listed(OpenAIProvider, server) | {"model": "nobodys-model", "max_tokens": 5}
        async with OpenAIProvider(**keywords, budget=Budget(1)) as llm:
            with pytest.raises(ConfigurationError, match="nobodys-model"):
                await llm.generate("hi")
            assert not server.bodies
        allowed = Budget(1, on_unknown_price="allow")
        async with OpenAIProvider(**keywords, budget=allowed) as llm:
            assert await llm.generate("hi")
        assert allowed.tracker.total().unpriced == 1


async def test_a_free_model_needs_neither_price_nor_limit():
    with FakeOllama() as server:
        async with OllamaProvider(**server.connection(), budget=Budget("0.01")) as llm:
            assert await llm.generate("hi")


async def test_the_threshold_is_told_once():
    told = []
    with FakeOpenAI() as server:
        server.say(SHORT, times=9)
        budget = Budget(1000, warn_at=0.01)
        async with OpenAIProvider(
            **server.connection(),
            cost=tracker(),
            budget=budget,
            max_tokens=2,
            observers=[told.append],
        ) as llm:
            for _ in range(4):
                await llm.generate("hi")
    assert [event.allowed for event in told if isinstance(event, BudgetNearlySpent)] == [1000]


async def test_when_the_budget_is_spent_a_free_model_answers():
    with FakeOpenAI() as paid, FakeOllama() as free:
        free.say(FakeAnswer(text="from home"))
        llm = FallbackLLM(
            [
                OpenAIProvider(
                    **paid.connection(), cost=tracker(), budget=Budget("0.01"), max_tokens=9
                ),
                OllamaProvider(**free.connection()),
            ]
        )
        async with llm:
            assert await llm.generate("hi") == "from home"
        assert not paid.bodies


async def test_when_every_budget_is_spent_that_is_said():
    with FakeOpenAI() as paid:
        spent = OpenAIProvider(
            **paid.connection(), cost=tracker(), budget=Budget("0.01"), max_tokens=9
        )
        async with FallbackLLM([spent]) as llm:
            with pytest.raises(AllProvidersFailedError) as caught:
                await llm.generate("hi")
    assert isinstance(caught.value.errors[0], BudgetExceededError)


async def test_a_timeout_gives_its_reservation_back(jump):
    with FakeOpenAI() as server:
        server.say(Fault(then="stall"), SHORT)
        budget = Budget(2000)
        async with (
            OpenAIProvider(
                **server.connection(),
                cost=tracker(),
                budget=budget,
                max_tokens=2,
                retry=Retry(attempts=1),
                timeouts=Timeouts(total=100),
            ) as llm,
            jump(100, lambda: server.bodies),
        ):
            with pytest.raises(LLMTimeoutError):
                await llm.generate("hi")
        assert budget.left() == 2000 - budget.spent()
        assert budget.spent() > 2 * 2


@pytest.mark.parametrize(
    ("keywords", "complaint"),
    [
        ({"cost": "costs.db"}, "cost is 'costs.db'"),
        ({"budget": 5}, "budget is 5"),
        ({"context": "smart"}, "context is 'smart'"),
    ],
)
def test_something_else_than_a_tracker_is_named(kind, keywords, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        kind(api_key="k", **keywords)


async def test_money_is_no_option_of_a_call(kind, server):
    async with kind(**server.connection()) as llm:
        for name in ("cost", "budget", "context"):
            with pytest.raises(InvalidRequestError, match=f"'{name}' is not an option of a call"):
                await llm.generate("hi", **{name: 1})
    assert not server.bodies


async def test_pickled_providers_share_a_ledger(kind, server, tmp_path, monkeypatch):
    connection = server.connection()
    if key := connection.pop("api_key", None):
        monkeypatch.setenv(kind.api_key_env[0], key)
    costs = CostTracker(tmp_path / "costs.db")
    llm = kind(**connection, cost=costs, budget=Budget(5))
    async with pickle.loads(pickle.dumps(llm)) as copy:
        assert await copy.generate("hi", max_tokens=5)
    assert costs.total().requests == 1


def test_the_events_are_exported():
    assert PriceUnknown
    assert RateLimitError
    assert Decimal
