"""No request spends more than is left, however many are on their way at once."""

import asyncio
import copy
import pickle
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from bruno_llm_base.cost.budget import Budget
from bruno_llm_base.cost.price import Overrides, Price
from bruno_llm_base.cost.prices import Prices
from bruno_llm_base.cost.spending import Spending
from bruno_llm_base.cost.tracker import CostTracker, Labels
from bruno_llm_base.deadline import Deadline
from bruno_llm_base.events import BudgetNearlySpent
from bruno_llm_base.exceptions import BudgetExceededError, ConfigurationError
from bruno_llm_base.response import ModelResponse, Usage
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PRICES = Overrides(
    {
        "m": Price(input=1, output=1),
        "free": Price(input=0, output=0),
        "long is dear": Price(input=0, output=0, tiers={1000: Price(input=5, output=5)}),
    },
)


class Clock:
    def __init__(self, now=NOON):
        self.now = now

    def __call__(self):
        return self.now


class Told(list):
    def __call__(self, kind, /, **facts):
        self.append((kind, facts))


def account(limit=None, *, path=None, clock=None, **settings):
    """One whose model "m" costs a dollar for a million tokens."""
    tracker = CostTracker(path, clock=clock or Clock())
    budget = None if limit is None else Budget(limit, **settings)
    return paid_from(tracker, budget)


def paid_from(tracker, budget, provider="p"):
    return Spending(tracker, budget, lambda _: Prices(provider, provider, None, PRICES, tell=print))


class Attempt:
    """One that is on its way until it is settled, with an answer, or cancelled."""

    response = None

    def __init__(self, account, tokens, *, model="m", tell=None, labels=None, most_input=0):
        self.hold = account.hold(
            self,
            model=model,
            most_input=lambda: most_input,
            most_output=tokens,
            deadline=Deadline(),
            labels=labels,
            tell=Told() if tell is None else tell,
        )

    def settle(self, response):
        self.response = response
        self.cancel()

    def cancel(self):
        asyncio.run(self.hold.__aexit__(None, None, None))


def opened(account, tokens, **facts):
    async def begin():
        attempt = Attempt(account, tokens, **facts)
        await attempt.hold.__aenter__()
        return attempt

    return asyncio.run(begin())


def answer(tokens, model="m", **facts):
    usage = Usage(input_tokens=0, output_tokens=tokens)
    price = PRICES.prices.get(model)
    return ModelResponse(usage=usage, cost=price and price.cost(usage), **facts)


def dollars(millionths):
    return Decimal(millionths) / 1_000_000


# Laws


class RandomRequests(RuleBasedStateMachine):
    """Requests begin and end in any order; none costs more than it held."""

    charges = Bundle("charges")
    path = None

    def __init__(self):
        super().__init__()
        self.limit = 1000
        self.account = account(dollars(self.limit), warn_at=1)
        self.open, self.costs = {}, []

    @rule(target=charges, tokens=st.integers(1, 600))
    def begin(self, tokens):
        left = self.limit - sum(self.costs) - sum(self.open.values())
        if tokens > left:
            with pytest.raises(BudgetExceededError) as caught:
                opened(self.account, tokens)
            error = caught.value
            assert (error.left, error.needed) == (dollars(left), dollars(tokens))
            return None
        charge = opened(self.account, tokens)
        self.open[charge] = tokens
        return charge

    @rule(charge=consumes(charges), part=st.floats(0, 1))
    def settle(self, charge, part):
        if charge is not None:
            cost = int(self.open.pop(charge) * part)
            charge.settle(answer(cost))
            self.costs.append(cost)

    @rule(charge=consumes(charges))
    def cancel(self, charge):
        if charge is not None:
            self.open.pop(charge)
            charge.cancel()

    @invariant()
    def holds(self):
        budget = self.account.budgets[0]
        spent, held = sum(self.costs), sum(self.open.values())
        assert budget.spent() == dollars(spent)
        assert budget.left() == dollars(self.limit - spent - held)
        assert spent + held <= self.limit
        total = self.account.tracker.total()
        assert (total.cost, total.requests) == (dollars(spent), len(self.costs))
        assert total.output_tokens == spent


RandomRequests.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)
test_random_requests_never_spend_more_than_the_budget = RandomRequests.TestCase


async def test_a_hundred_tasks_share_a_budget(tmp_path):
    for path in (None, tmp_path / "costs.db"):
        shared = account(dollars(1000), path=path)
        refused, all_have_asked = [], asyncio.Barrier(100)

        async def ask(number, shared=shared, refused=refused, all_have_asked=all_have_asked):
            attempt = Attempt(shared, 50)
            try:
                async with attempt.hold:
                    await all_have_asked.wait()
                    attempt.response = answer(number % 51)
            except BudgetExceededError:
                refused.append(number)
                await all_have_asked.wait()

        await asyncio.gather(*(ask(number) for number in range(100)))
        assert len(refused) == 80
        assert shared.tracker.total().requests == 20
        assert shared.budgets[0].left() == dollars(1000) - shared.tracker.total().cost


def test_sixteen_threads_share_a_budget(tmp_path):
    for path in (None, tmp_path / "costs.db"):
        shared = account(dollars(1000), path=path)
        together, costs, refused, over = threading.Barrier(16), [], [], []

        def work(shared=shared, together=together, costs=costs, refused=refused, over=over):
            together.wait()
            for number in range(20):
                try:
                    charge = opened(shared, 20)
                except BudgetExceededError:
                    refused.append(number)
                    continue
                charge.settle(answer(number))
                costs.append(number)
                over.append(shared.budgets[0].spent() > shared.budgets[0].limit)

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        total = shared.tracker.total()
        assert total.cost == dollars(sum(costs)) <= dollars(1000)
        assert total.requests == len(costs)
        assert refused
        assert not any(over)
        assert shared.budgets[0].left() == dollars(1000 - sum(costs))


# One request


def test_a_refused_request_says_why_and_what_to_do():
    shared = account("0.001", per="day")
    opened(shared, 300).settle(answer(250))
    opened(shared, 400)
    with pytest.raises(BudgetExceededError) as caught:
        opened(shared, 351)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.allowed, error.left, error.needed) == (
        Decimal("0.001"),
        Decimal("0.00035"),
        Decimal("0.000351"),
    )
    assert not error.retryable
    assert str(error) == (
        "the request may cost up to 0.000351 USD, and of the budget of 0.001 USD per day for all"
        " spending of this ledger 0.00035 are left (0.00025 are spent, 0.0004 held by requests on"
        " their way): shorten it, lower max_tokens, or raise the budget; it begins again on"
        " 2026-11-25, 00:00 UTC"
    )
    opened(shared, 350)


def test_input_and_output_are_held_at_their_dearest():
    shared = account(1)
    opened(shared, 300, most_input=100)
    assert shared.budgets[0].left() == 1 - dollars(400)


def test_a_request_that_costs_more_than_it_held_is_recorded_as_it_is():
    shared = account(dollars(100))
    opened(shared, 60).settle(answer(150))
    assert shared.budgets[0].spent() == dollars(150)
    assert shared.budgets[0].left() == 0
    with pytest.raises(BudgetExceededError):
        opened(shared, 1)


def test_what_costs_nothing_may_be_sent_even_when_all_is_spent():
    shared = account(dollars(1))
    opened(shared, 1).settle(answer(1))
    opened(shared, None, model="free").settle(answer(10**6, "free"))
    assert shared.tracker.total(model="free").cost == 0
    assert shared.tracker.total(model="free").unpriced == 0


def test_a_model_whose_price_nobody_knows_is_refused_with_the_cure():
    shared = account(1)
    with pytest.raises(
        ConfigurationError, match=r"prices=\{'new': Price.*on_unknown_price"
    ) as caught:
        opened(shared, 10, model="new")
    assert caught.value.model == "new"


def test_a_model_whose_price_nobody_knows_may_be_allowed_and_is_not_taken_for_free():
    shared = account(1, on_unknown_price="allow")
    opened(shared, None, model="new").settle(answer(10, "new"))
    assert shared.budgets[0].left() == 1
    assert shared.tracker.total().unpriced == 1


def test_without_a_limit_of_the_answer_a_budget_cannot_hold():
    shared = account(1)
    for model in ("m", "long is dear"):
        with pytest.raises(ConfigurationError, match="give max_tokens"):
            opened(shared, None, model=model)
    assert opened(account(None), None)


def test_a_server_that_does_not_say_what_it_took_took_all_that_was_held():
    shared = account(dollars(100))
    opened(shared, 60).settle(ModelResponse())
    total = shared.tracker.total()
    assert (total.cost, total.estimated, total.unpriced) == (dollars(60), 1, 0)


def test_without_a_budget_all_is_recorded_and_nothing_held():
    free = account(None)
    charge = opened(free, 10**9, labels=Labels(tag="t", user="u"))
    usage = Usage(input_tokens=3, output_tokens=4, reasoning_tokens=2)
    cost = PRICES.prices["m"].cost(usage)
    charge.settle(ModelResponse(usage=usage, usage_estimated=True, cost=cost))
    (row,) = free.tracker.total(["day", "provider", "model", "tag", "user"])
    assert (row.provider, row.model, row.tag, row.user) == ("p", "m", "t", "u")
    assert (row.input_tokens, row.output_tokens, row.reasoning_tokens) == (3, 4, 2)
    assert (row.cost, row.estimated) == (dollars(7), 1)


# Periods


@pytest.mark.parametrize(
    ("per", "before", "after", "anew"),
    [
        ("day", "2026-11-24T23:59:59+00:00", "2026-11-25T00:00:00+00:00", "2026-11-25"),
        ("day", "2026-11-24T19:59:59-04:00", "2026-11-24T20:00:00-04:00", "2026-11-25"),
        ("month", "2026-12-31T23:59:59+00:00", "2027-01-01T00:00:00+00:00", "2027-01-01"),
        ("month", "2028-02-29T23:59:59+00:00", "2028-03-01T00:00:00+00:00", "2028-03-01"),
    ],
)
def test_a_period_ends_and_the_next_one_begins_anew(per, before, after, anew):
    clock = Clock(datetime.fromisoformat(before))
    shared = account(dollars(100), per=per, clock=clock)
    opened(shared, 70).settle(answer(70))
    with pytest.raises(BudgetExceededError, match=f"begins again on {anew}, 00:00 UTC"):
        opened(shared, 31)
    clock.now = datetime.fromisoformat(after)
    assert shared.budgets[0].left() == dollars(100)
    opened(shared, 100)


def test_a_total_never_begins_anew():
    clock = Clock()
    shared = account(dollars(100), clock=clock)
    opened(shared, 70).settle(answer(70))
    clock.now += timedelta(days=4000)
    with pytest.raises(BudgetExceededError) as caught:
        opened(shared, 31)
    assert "begins again" not in str(caught.value)


def test_what_is_held_at_midnight_counts_on_both_days():
    clock = Clock(datetime(2026, 11, 24, 23, 59, tzinfo=UTC))
    shared = account(dollars(100), per="day", clock=clock)
    charge = opened(shared, 70)
    clock.now += timedelta(minutes=2)
    assert shared.budgets[0].left() == dollars(30)
    charge.settle(answer(60))
    assert shared.budgets[0].spent() == dollars(60)


def test_a_month_counts_all_its_days_and_none_of_another():
    clock = Clock(datetime(2026, 10, 31, tzinfo=UTC))
    shared = account(dollars(1000), per="month", clock=clock)
    for _ in range(31):
        opened(shared, 10).settle(answer(10))
        clock.now += timedelta(days=1)
    assert shared.budgets[0].spent() == 0  # it is December
    clock.now -= timedelta(days=1)
    assert shared.budgets[0].spent() == dollars(300)


# Warnings


def test_observers_are_warned_once_in_each_period():
    clock, told = Clock(), Told()
    shared = account(dollars(100), per="day", clock=clock, warn_at=0.7)
    opened(shared, 69, tell=told).settle(answer(69))
    assert told == []
    opened(shared, 1, tell=told).settle(answer(1))
    opened(shared, 1, tell=told).settle(answer(1))
    fact = {"spent": dollars(70), "allowed": dollars(100)}
    assert told == [(BudgetNearlySpent, fact)]
    clock.now += timedelta(days=1)
    opened(shared, 71, tell=told)
    assert [kind for kind, _ in told] == [BudgetNearlySpent] * 2


# Trackers


def test_a_budget_without_a_tracker_records_in_memory():
    budget = Budget(1)
    one, two = paid_from(None, budget), paid_from(budget.tracker, budget, "q")
    opened(one, 5).settle(answer(5))
    opened(two, 6).settle(answer(6))
    assert budget.spent() == dollars(11)
    assert [row.provider for row in budget.tracker.total("provider")] == ["p", "q"]


def test_all_that_its_tracker_records_counts():
    budget, tracker = Budget(1), CostTracker(clock=Clock())
    budget.use(tracker)
    tracker.record(provider="p", model="m", cost=Decimal("0.25"))
    assert (budget.spent(), budget.left()) == (Decimal("0.25"), Decimal("0.75"))


def test_a_budget_has_one_tracker():
    budget = Budget(1)
    budget.use(CostTracker())
    with pytest.raises(ConfigurationError, match="same cost="):
        budget.use(CostTracker())


def test_two_trackers_on_one_file_are_one(tmp_path):
    budget = Budget(1)
    budget.use(CostTracker(tmp_path / "costs.db"))
    budget.use(CostTracker(tmp_path / "costs.db"))
    with pytest.raises(ConfigurationError):
        budget.use(CostTracker(tmp_path / "other.db"))


def test_a_copy_has_the_same_settings_and_the_same_file(tmp_path):
    shared = account("1.5", per="month", path=tmp_path / "costs.db", warn_at=0.5)
    opened(shared, 10).settle(answer(10))
    assert shared.budgets[0].spent() == dollars(10)  # it is in the file now
    tracker, budget = pickle.loads(pickle.dumps((shared.tracker, shared.budgets[0])))
    budget.use(tracker)
    assert budget.tracker is tracker
    assert (budget.limit, budget.per) == (Decimal("1.5"), "month")
    assert budget.spent() == dollars(10)
    again = copy.deepcopy(Budget("2", on_unknown_price="allow"))
    assert (again.limit, again.on_unknown_price, again.spent()) == (2, "allow", 0)


# What makes no sense


@pytest.mark.parametrize("limit", [0, -1, "much", None, True, float("nan"), "inf", [1]])
def test_what_is_no_limit_is_refused(limit):
    with pytest.raises(ConfigurationError, match=r"Budget\.limit"):
        Budget(limit)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("warn_at", 0),
        ("warn_at", 1.1),
        ("warn_at", "0.8"),
        ("warn_at", None),
        ("per", "year"),
        ("per", None),
        ("on_unknown_price", "ignore"),
    ],
)
def test_what_is_no_budget_is_refused(field, value):
    with pytest.raises(ConfigurationError, match=rf"Budget\.{field}"):
        Budget(1, **{field: value})


def test_a_limit_means_what_is_printed():
    for limit in (0.1, "0.1", Decimal("0.1")):
        assert Budget(limit).left() == Decimal("0.1")
