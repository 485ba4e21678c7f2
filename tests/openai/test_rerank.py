"""Rerankers: each vendor's shape by the contract, and what is ours."""

import asyncio
import pickle
import re
from functools import partial

import pytest
from bruno_llm_base import (
    Budget,
    BudgetExceededError,
    ConfigurationError,
    CostTracker,
    InvalidRequestError,
    Price,
    RateLimit,
)
from bruno_llm_openai import Reranker
from bruno_llm_openai.rerank import Ranked
from bruno_llm_openai.rerank_vendors import ROWS
from bruno_llm_openai.row import RerankRow
from bruno_llm_testing import RerankContract
from bruno_llm_testing.reranking import FakeReranker
from openai import AsyncOpenAI


def contract(row):
    facts = {"provider": partial(Reranker, row), "name": row, "shape": row}
    return type(f"Test{row.title()}", (RerankContract,), facts | {"counts_tokens": row != "cohere"})


globals().update({f"Test{row.title()}": contract(row) for row in ROWS})


@pytest.fixture
def server():
    with FakeReranker() as server:
        yield server


@pytest.mark.parametrize("name", ROWS)
def test_what_is_missing_is_told(name):
    row = ROWS[name]
    assert re.fullmatch(r"https://\S+, (.+, )?2026-11-28", row.source)
    if row.default_model and not row.needs_key:
        assert Reranker(name).model == row.default_model
        return
    missing = f"needs an API key: set {row.api_key_env[0]}" if row.default_model else "give model="
    with pytest.raises(ConfigurationError, match=missing):
        Reranker(name)


def test_the_key_comes_from_the_environment(monkeypatch):
    for name, row in ROWS.items():
        for variable in row.api_key_env:
            monkeypatch.setenv(variable, f"a-key-of-{name}")
        reranker = Reranker(name, "a-model")
        assert reranker.access.url == row.base_url
        assert reranker.access.key == (f"a-key-of-{name}" if row.api_key_env else None)
        again = pickle.loads(pickle.dumps(reranker))
        assert (again.name, again.model) == (name, "a-model")
        assert type(again) is type(reranker)
        monkeypatch.undo()
    assert repr(Reranker("llamacpp")) == "LlamacppReranker(model='default')"


def test_another_vendor_is_told_with_the_closest():
    for name, advice in (("jinna", "did you mean 'jina'"), (None, "known: cohere")):
        with pytest.raises(ConfigurationError, match=f"no vendor of rerankers.*{advice}.*base_url"):
            Reranker(name)
    with pytest.raises(ConfigurationError, match="takes no 'tops'"):
        Reranker("jina", api_key="k", tops=3)


@pytest.mark.parametrize("name", ["jina/jina-reranker-v2", " Jina:jina-reranker-v2"])
def test_a_vendor_may_be_named_with_its_model(name):
    reranker = Reranker(name, api_key="k")
    assert (reranker.name, reranker.model) == ("jina", "jina-reranker-v2")
    with pytest.raises(ConfigurationError, match="but model is 'another': leave one"):
        Reranker(name, "another", api_key="k")


async def test_a_row_of_ones_own(server):
    row = RerankRow(name="acme", base_url=server.connection()["base_url"], needs_key=False)
    async with Reranker(row, "a-reranker", api_key=server.api_key) as reranker:
        assert await reranker.rank("cats", ["dogs", "cats"], top=1)
        assert (reranker.name, reranker.access.api_key is not None) == ("acme", True)


async def test_a_client_of_ones_own(server):
    where = server.connection()
    model = where.pop("model")
    async with AsyncOpenAI(**where) as client:
        ranking = await Reranker("vllm", model, client=client).rank("cats", ["dogs", "cats"])
    assert ranking.results == [Ranked(1, 1.0, "cats"), Ranked(0, 0.0, "dogs")]


async def test_more_documents_than_a_vendor_takes_are_refused_first(server):
    for name, most in (("voyage", 1000), ("cohere", 10_000)):
        async with Reranker(name, **server.connection()) as reranker:
            with pytest.raises(
                InvalidRequestError, match=f"has {most + 1:,} texts.*takes {most:,}"
            ):
                await reranker.rank("cats", ["cats"] * (most + 1))
    assert server.received == []


async def test_cohere_tells_what_it_charges_by():
    with FakeReranker("cohere") as server:
        async with Reranker("cohere", **server.connection()) as reranker:
            ranking = await reranker.rank("cats", ["cats"] * 150, top=2)
    assert ranking.search_units == 2
    assert ranking.usage_estimated
    (request,) = server.received
    assert request.body["top_n"] == 2


async def test_costs_are_booked_and_budgets_kept(server):
    price = Price(input=100, output=0)
    costs = CostTracker(prices={"a-reranker": price})
    keywords = server.connection() | {"cost": costs}
    async with Reranker("jina", **keywords, budget=Budget("0.02")) as reranker:
        ranking = await reranker.rank("cats", ["cats", "dogs"])
        assert ranking.cost.total == ranking.usage.input_tokens * price.input / 1_000_000
        # the query is read with each document
        with pytest.raises(BudgetExceededError):
            await reranker.rank("cats " * 10, ["cats"] * 3)
    assert costs.total().requests == 1
    assert len(server.received) == 1


async def test_limits_count_the_tokens(server):
    limit = RateLimit(tokens_per_minute=1000)
    async with Reranker("jina", **server.connection(), rate_limit=limit) as reranker:
        await asyncio.gather(*(reranker.rank("cats", ["cats"] * 9) for _ in range(3)))
    assert len(server.received) == 3


async def test_the_plain_import_loads_no_reranker():
    import subprocess
    import sys

    program = (
        "import bruno_llm_openai, sys; print('bruno_llm_openai.rerank' in sys.modules);"
        " bruno_llm_openai.Reranker; print('openai' in sys.modules)"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]
