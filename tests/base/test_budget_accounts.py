"""Whose spending a budget counts: everybody's, each user's, or what a selection is about."""

import asyncio
import copy
import pickle
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
from bruno_llm_base.exceptions import (
    BudgetExceededError,
    ConfigurationError,
    InvalidRequestError,
)
from bruno_llm_base.response import ModelResponse, Usage
from hypothesis import given, settings
from hypothesis import strategies as st

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PRICES = Overrides(dict.fromkeys(("m", "n"), Price(input=0, output=1_000_000)))  # 1 USD a token


@pytest.fixture(params=[False, True], ids=["memory", "file"])
def path(request, tmp_path):
    return tmp_path / "costs.db" if request.param else None


def noon():
    return NOON


def account(*budgets, path=None, clock=noon, tracker=None, provider="p"):
    tracker = tracker or CostTracker(path, clock=clock)
    return paid_from(tracker, list(budgets), provider)


def paid_from(tracker, budget, provider="p"):
    return Spending(tracker, budget, lambda _: Prices(provider, provider, None, PRICES, tell=print))


class Attempt:
    """One that is on its way until it is settled, with an answer, or cancelled."""

    response = None

    def settle(self, response):
        self.response = response
        self.cancel()

    def cancel(self):
        asyncio.run(self.hold.__aexit__(None, None, None))


def opened(account, tokens, *, model="m", told=None, **labels):
    def tell(kind, /, **facts):
        if told is not None:
            told.append((kind, facts))

    async def begin():
        attempt = Attempt()
        attempt.hold = account.hold(
            attempt,
            model=model,
            most_input=lambda: 0,
            most_output=tokens,
            deadline=Deadline(),
            labels=Labels(**labels),
            tell=tell,
        )
        await attempt.hold.__aenter__()
        return attempt

    return asyncio.run(begin())


def spend(account, tokens, **facts):
    usage = Usage(input_tokens=0, output_tokens=tokens)
    answer = ModelResponse(usage=usage, cost=PRICES.prices["m"].cost(usage))
    opened(account, tokens, **facts).settle(answer)


def refused(account, tokens, **facts):
    with pytest.raises(BudgetExceededError) as caught:
        opened(account, tokens, **facts)
    return caught.value


# Accounts


def test_two_users_do_not_hurt_each_other(path):
    budget = Budget(10, by="user")
    shared = account(budget, path=path)
    spend(shared, 7, user="ann")
    held = opened(shared, 3, user="ann")
    error = refused(shared, 1, user="ann")
    assert (error.left, error.account) == (0, "user 'ann'")
    spend(shared, 10, user="ben")
    assert (budget.spent("ann"), budget.left("ann")) == (7, 0)
    assert (budget.spent("ben"), budget.left("ben")) == (10, 0)
    assert (budget.spent("cleo"), budget.left("cleo")) == (0, 10)
    held.cancel()
    assert budget.left("ann") == 3


def test_requests_without_a_label_have_one_account_together(path):
    budget = Budget(10, by="user")
    shared = account(budget, path=path)
    spend(shared, 6)
    spend(shared, 4, tag="t")
    error = refused(shared, 1)
    assert error.account == "requests without a user"
    spend(shared, 10, user="ann")
    assert (budget.spent(), budget.left()) == (10, 0)


@pytest.mark.parametrize(
    ("by", "one", "other", "words"),
    [
        ("tag", {"tag": "a"}, {"tag": "b"}, "tag 'a'"),
        ("model", {"model": "m"}, {"model": "n"}, "model 'm'"),
    ],
)
def test_each_value_of_a_label_has_an_account(path, by, one, other, words):
    budget = Budget(10, by=by)
    shared = account(budget, path=path)
    spend(shared, 10, **one)
    assert refused(shared, 1, **one).account == words
    spend(shared, 10, **other)
    assert budget.spent(one[by]) == budget.spent(other[by]) == 10


def test_each_provider_has_an_account(path):
    budget, tracker = Budget(10, by="provider"), CostTracker(path, clock=noon)
    one = account(budget, tracker=tracker)
    other = account(budget, tracker=tracker, provider="q")
    spend(one, 10)
    assert refused(one, 1).account == "provider 'p'"
    spend(other, 4)
    assert (budget.left("p"), budget.left("q")) == (0, 6)


def test_a_selection_limits_what_it_selects_and_nothing_else(path):
    budget = Budget(10, of={"tag": "summaries"})
    shared = account(budget, path=path)
    spend(shared, 100)
    spend(shared, 100, tag="titles")
    spend(shared, 6, tag="summaries", user="ann")
    spend(shared, 4, tag="summaries", user="ben", model="n")
    error = refused(shared, 1, tag="summaries")
    assert (error.account, error.left) == ("tag 'summaries'", 0)
    spend(shared, 100, tag="titles")
    assert (budget.spent(), budget.left()) == (10, 0)


def test_each_user_has_an_account_of_what_is_selected(path):
    budget = Budget(10, by="user", of={"tag": "summaries", "model": "m"})
    shared = account(budget, path=path)
    spend(shared, 50, user="ann", tag="titles")
    spend(shared, 50, user="ann", tag="summaries", model="n")
    spend(shared, 8, user="ann", tag="summaries")
    assert refused(shared, 3, user="ann", tag="summaries").account == (
        "model 'm' and tag 'summaries' and user 'ann'"
    )
    spend(shared, 10, user="ben", tag="summaries")
    spend(shared, 10, tag="summaries")
    assert refused(shared, 1, tag="summaries").account == (
        "model 'm' and tag 'summaries' without a user"
    )
    assert [budget.left(user) for user in ("ann", "ben", "cleo", None)] == [2, 0, 10, 0]


def test_a_budget_for_all_says_that_it_counts_all():
    budget = Budget(10)
    tracker = CostTracker(clock=noon)
    spend(account(tracker=tracker, provider="q"), 8, user="ann")
    error = refused(account(budget, tracker=tracker), 3, user="ben")
    assert error.account == "all spending of this ledger"
    assert "budget of 10 USD for all spending of this ledger 2 are left" in str(error)
    assert pickle.loads(pickle.dumps(error)).account == error.account


def test_accounts_begin_again_with_the_period(path):
    now = NOON
    budget = Budget(10, per="day", by="user")
    shared = account(budget, path=path, clock=lambda: now)
    spend(shared, 10, user="ann")
    assert "user 'ann'" in str(refused(shared, 1, user="ann"))
    now += timedelta(days=1)
    assert budget.left("ann") == 10
    spend(shared, 10, user="ann")


LABELLED = st.fixed_dictionaries(
    {
        "model": st.sampled_from("mn"),
        "tag": st.sampled_from((None, "a", "b")),
        "user": st.sampled_from((None, "a", "b")),
        "tokens": st.integers(1, 5),
        "days": st.integers(0, 2),
        "open": st.booleans(),
    }
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(LABELLED, max_size=12),
    st.sampled_from((None, "model", "tag", "user")),
    st.dictionaries(st.sampled_from(("model", "tag", "user")), st.sampled_from("abm"), max_size=2),
    st.sampled_from(("total", "day")),
)
def test_an_account_counts_what_has_its_labels_and_no_more(requests, by, of, per):
    of = {label: value for label, value in of.items() if label != by}
    now = NOON
    budget = Budget(10**9, per=per, by=by, of=of)
    shared = account(budget, clock=lambda: now)
    for request in sorted(requests, key=lambda request: request["days"]):
        now = NOON + timedelta(days=request["days"])
        labels = {name: request[name] for name in ("model", "tag", "user")}
        if request["open"]:
            opened(shared, request["tokens"], **labels)
        else:
            spend(shared, request["tokens"], **labels)
    now = NOON + timedelta(days=2)
    for value in (None, "a", "b", "m", "n") if by else (None,):
        counted = [
            request
            for request in requests
            if all(request[label] == wanted for label, wanted in of.items())
            and (by is None or request[by] == value)
        ]
        spent = sum(
            request["tokens"]
            for request in counted
            if not request["open"] and (per == "total" or request["days"] == 2)
        )
        held = sum(request["tokens"] for request in counted if request["open"])
        assert budget.spent(value) == spent
        assert budget.left(value) == 10**9 - spent - held


# Several budgets


def test_several_budgets_all_hold(path):
    all_of_it, each = Budget(15), Budget(10, by="user")
    shared = account(all_of_it, each, path=path)
    spend(shared, 9, user="ann")
    assert refused(shared, 2, user="ann").account == "user 'ann'"
    assert refused(shared, 7, user="ben").account == "all spending of this ledger"
    held = opened(shared, 6, user="ben")
    assert (all_of_it.left(), each.left("ann"), each.left("ben")) == (0, 1, 4)
    held.cancel()
    assert (all_of_it.left(), each.left("ben")) == (6, 10)


def test_budgets_of_one_provider_share_a_tracker():
    new, used = Budget(1), Budget(2)
    used.use(CostTracker())
    tracker = paid_from(None, [new, used]).tracker
    assert tracker is used.tracker is new.tracker
    other = Budget(3)
    other.use(CostTracker())
    with pytest.raises(ConfigurationError, match="same cost="):
        paid_from(tracker, [new, other])


def test_of_several_budgets_the_strict_one_wants_to_know_the_price():
    lenient, strict = Budget(5, on_unknown_price="allow"), Budget(5, of={"tag": "t"})
    shared = account(lenient, strict)
    opened(shared, None, model="new")
    with pytest.raises(ConfigurationError, match=r"is unknown.*of=\{'tag': 't'\}"):
        opened(shared, None, model="new", tag="t")


@pytest.mark.parametrize("budget", [5, "much", [5], [Budget(1), None], {"user": Budget(1)}])
def test_what_is_no_budget_is_refused(budget):
    with pytest.raises(
        ConfigurationError, match=r"budget is .*: give Budget\(.*, or a list of them"
    ):
        paid_from(CostTracker(), budget)


# Warnings


def test_each_account_is_warned_of_once_in_each_period():
    now, told = NOON, []
    budget = Budget(10, per="day", by="user", warn_at=0.8)
    shared = account(budget, clock=lambda: now)
    for user in ("ann", "ben"):
        spend(shared, 7, user=user, told=told)
        assert not told
        spend(shared, 1, user=user, told=told)
        spend(shared, 1, user=user, told=told)
        fact = {"spent": 8, "allowed": 10, "account": f"user '{user}'"}
        assert told == [(BudgetNearlySpent, fact)]
        told.clear()
    now += timedelta(days=1)
    spend(shared, 8, user="ann", told=told)
    assert [facts["account"] for _, facts in told] == ["user 'ann'"]


# Copies, and what makes no sense


def test_a_copy_counts_the_same(tmp_path):
    budget = Budget(10, by="user", of={"tag": "t"})
    shared = account(budget, path=tmp_path / "costs.db")
    spend(shared, 4, user="ann", tag="t")
    for same in (pickle.loads(pickle.dumps(budget)), copy.deepcopy(budget)):
        assert repr(same) == "Budget(10, per='total', by='user', of={'tag': 't'})"
        assert same.left("ann") == 6


def test_a_user_of_a_budget_without_accounts_is_no_question():
    with pytest.raises(InvalidRequestError, match=r"has one account.*'ann'.*give by="):
        Budget(1).left("ann")
    for value in ("", 7):
        with pytest.raises(InvalidRequestError, match="the user is"):
            Budget(1, by="user").spent(value)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"by": "users"}, r"Budget\.by is 'users': did you mean 'user'"),
        ({"by": "day"}, r"Budget\.by is 'day'"),
        ({"by": 7}, r"Budget\.by is 7"),
        ({"of": "ann"}, r"Budget\.of is 'ann': give a dict"),
        ({"of": {"tags": "t"}}, r"Budget\.of has 'tags': did you mean 'tag'"),
        ({"of": {"tag": ""}}, r"Budget\.of has the tag '': give a text"),
        ({"of": {"tag": None}}, r"Budget\.of has the tag None: give a text"),
        ({"of": {"tag": ["a", "b"]}}, r"Budget\.of has the tag \['a', 'b'\]: give a text"),
        ({"by": "user", "of": {"user": "ann"}}, "both about the user"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(settings, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        Budget(1, **settings)


def test_what_is_selected_may_be_called_anything():
    name = "'; DROP TABLE held --"
    budget = Budget(Decimal(10), by="user", of={"tag": name})
    shared = account(budget)
    spend(shared, 4, user=name, tag=name)
    assert budget.left(name) == 6
