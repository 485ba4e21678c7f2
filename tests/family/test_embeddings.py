"""Embeddings of every vendor over a socket: money, copies, loops, threads, and what is loaded."""

import asyncio
import importlib
import json
import math
import pickle
import subprocess
import sys
import threading
from base64 import b64encode

import pytest
from bruno_llm_base import (
    Budget,
    BudgetExceededError,
    CostTracker,
    InvalidResponseError,
    Price,
    RateLimit,
    RateLimitError,
    Retry,
    Usage,
)
from bruno_llm_base.events import PriceUnknown, RequestAbandoned
from bruno_llm_testing import FakeAnswer, FakeError, Fault
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SDKS = {"openai", "google.genai", "httpx", "httpx2", "aiohttp", "genai_prices"}
NAMES = {"openai": "OpenAI", "gemini": "Gemini", "ollama": "Ollama"}
KEYS = {"openai": "OPENAI_API_KEY", "gemini": "GEMINI_API_KEY", "ollama": "OLLAMA_API_KEY"}


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def kind(name):
    return getattr(importlib.import_module(f"bruno_llm_{name}"), f"{NAMES[name]}Embeddings")


def loaded_by(program):
    """Return the modules that a program loads beside bruno-core."""
    before = "import bruno_core.interfaces, bruno_core.utils.exceptions, sys, json\n"
    before += "core = set(sys.modules)\n"
    after = "\nprint(json.dumps(list(set(sys.modules) - core)))"
    done = subprocess.run(
        [sys.executable, "-c", before + program + after], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def asked(server):
    return [r for r in server.received if server.operation(r) == "embeddings"]


async def test_embeddings_cost_what_the_lists_say(name, kind, server):
    costs = CostTracker()
    server.say(FakeAnswer(usage=Usage(input_tokens=1_000_000)), to="embeddings")
    keywords = {"cost": costs, "price_name": kind.price_name}
    async with kind(**server.connection(), **keywords) as embeddings:
        await embeddings.embed_text("hi")
    row = costs.total()
    assert (row.requests, row.input_tokens, row.output_tokens) == (1, 1_000_000, 0)
    assert row.unpriced == 0
    assert row.cost == 0 if name == "ollama" else 0.01 < row.cost < 1


async def test_a_count_of_nothing_is_no_count(kind, server):
    costs = CostTracker()
    server.say(FakeAnswer(usage=Usage(input_tokens=0)), to="embeddings")
    async with kind(**server.connection(), cost=costs) as embeddings:
        await embeddings.embed_text("What is the answer to all this?")
    assert costs.total().estimated == 1
    assert costs.total().input_tokens > 3


async def test_a_model_that_no_list_knows_is_told_once(kind, server):
    if kind.free:
        return
    heard = []
    model = next(iter(server.embedding_models))
    server.__class__ = type("Own", (type(server),), {"embedding_models": {"own-1": 4}})
    keywords = server.connection() | {"observers": [heard.append], "price_name": kind.price_name}
    async with kind("own-1", **keywords) as embeddings:
        costs = [await embeddings.embed_text(text) for text in ("a", "b")]
    assert len(costs) == 2
    assert model != "own-1"
    for event in [event for event in heard if hasattr(event, "response")]:
        assert event.response.cost is None
    (unknown,) = [event for event in heard if isinstance(event, PriceUnknown)]
    assert unknown.operation == "embeddings"


async def test_a_budget_stops_them_before_they_are_sent(kind, server):
    if kind.free:
        return
    model = next(iter(server.embedding_models))
    costs = CostTracker(prices={model: Price(input=1_000_000, output=0, source="test")})
    server.say(FakeAnswer(usage=Usage(input_tokens=40)), times=300, to="embeddings")
    keywords = server.connection() | {"cost": costs, "budget": Budget(4_000), "batch_size": 1}
    async with kind(model, **keywords) as embeddings:
        with pytest.raises(BudgetExceededError):
            await embeddings.embed_texts(["a", "b"] * 150)
    # up to eight were on their way when one was refused, and are booked by our estimate
    assert 60 < len(asked(server)) <= 108
    assert 2_400 < costs.total().cost <= 4_000


async def test_a_limit_is_shared_by_all_that_are_given_it(kind, server):
    limit = RateLimit(requests_per_minute=3, max_wait=1, clock=lambda: 0.0)
    async with kind(**server.connection(), rate_limit=limit, batch_size=1) as one:
        await one.embed_texts(["a", "b"])
        async with kind(**server.connection(), rate_limit=limit) as other:
            await other.embed_text("c")
            with pytest.raises(RateLimitError, match="our own rate limit"):
                await other.embed_text("d")
    assert len(asked(server)) == 3


async def test_the_server_sees_that_whoever_waited_has_left(kind, server, until):
    heard = []
    server.say(*(Fault(then="stall") for _ in range(3)), to="embeddings")
    async with kind(**server.connection(), batch_size=1, observers=[heard.append]) as embeddings:
        assert await embeddings.check_connection()  # loads the SDK
        task = asyncio.create_task(embeddings.embed_texts(["a", "b", "c"]))
        await until(lambda: len(asked(server)) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: all(request.left.is_set() for request in asked(server)))
    assert sum(isinstance(event, RequestAbandoned) for event in heard) == 3


async def test_failures_of_some_batches_change_nothing(kind, server):
    texts = [f"text {place}" for place in range(30)]
    again = Retry(attempts=8, wait_initial=0)
    async with kind(**server.connection(), retry=again) as embeddings:
        expected = await embeddings.embed_texts(texts)
    server.say(
        FakeError(kind="overloaded"),
        Fault(after=1, then="close"),
        Fault(then="reset"),
        FakeError(kind="rate_limit", retry_after=0),
        to="embeddings",
    )
    async with kind(**server.connection(), retry=again, batch_size=4) as embeddings:
        assert await embeddings.embed_texts(texts) == expected


def test_a_copy_in_another_process_would_do_the_same(name, kind, server, monkeypatch):
    monkeypatch.setenv(KEYS[name], server.api_key)
    original = kind(base_url=server.connection()["base_url"], dimensions=8, batch_size=3)
    copy = pickle.loads(pickle.dumps(original))
    texts = ["a", "b", "c", "d"]
    first, second = (asyncio.run(each.embed_texts(texts)) for each in (original, copy))
    assert first == second
    assert len(asked(server)) == 4
    assert (copy.get_dimension(), copy.get_max_batch_size()) == (8, 3)


def test_one_provider_embeds_in_two_loops_at_once(kind, server):
    embeddings = kind(**server.connection(), batch_size=2)
    texts = [f"text {place}" for place in range(11)]
    results = {}

    def work(name):
        results[name] = asyncio.run(embeddings.embed_texts(texts))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1]
    assert len(results[0]) == 11


NUMBERS = st.floats() | st.integers() | st.just(10**400)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=8)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
ROW = st.fixed_dictionaries(
    {},
    optional={
        "index": JSON,
        "embedding": JSON | st.lists(NUMBERS) | st.binary().map(lambda b: b64encode(b).decode()),
        "values": JSON | st.lists(NUMBERS),
    },
)
DOCUMENT = st.fixed_dictionaries(
    {},
    optional={
        "data": JSON | st.lists(ROW, max_size=3),
        "embeddings": JSON | st.lists(ROW | st.lists(NUMBERS), max_size=3),
        "usage": JSON | st.fixed_dictionaries({"prompt_tokens": JSON}),
        "usageMetadata": JSON | st.fixed_dictionaries({"promptTokenCount": JSON}),
        "prompt_eval_count": JSON,
        "model": JSON,
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # of the first example
@given(document=DOCUMENT, name=st.sampled_from(sorted(NAMES)))
def test_whatever_a_server_sends_is_vectors_or_an_error_of_ours(document, name):
    package = importlib.import_module(f"bruno_llm_{name}")
    embeddings = getattr(package, f"{NAMES[name]}Embeddings")("nobodys-own", api_key="k")
    try:
        response = embeddings._parse(2, document)
    except (InvalidResponseError, AttributeError, LookupError, TypeError, ValueError):
        return  # which the base tells as an answer that is not as documented
    first, second = response.vectors
    assert len(first) == len(second) == embeddings.get_dimension() > 0
    assert all(math.isfinite(number) for number in first + second)
    assert response.usage.output_tokens == 0


def test_chat_loads_nothing_of_embeddings_and_embeddings_no_sdk(name):
    late = {"bruno_llm_base.embeddings", "bruno_llm_base.vectors"}
    chat = loaded_by(f"from bruno_llm_{name} import {NAMES[name]}Provider")
    assert not (late | {f"bruno_llm_{name}.embeddings"}) & chat
    program = "from bruno_llm_base import EmbeddingFactory\n"
    program += f"EmbeddingFactory.create({name!r}, api_key='k').get_dimension()"
    loaded = loaded_by(program)
    assert late <= loaded
    assert not SDKS & loaded
    assert f"bruno_llm_{name}.embeddings" in loaded_by(
        f"from bruno_llm import {NAMES[name]}Embeddings"
    )


def test_a_package_has_no_other_names(name):
    package = importlib.import_module(f"bruno_llm_{name}")
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'Nobody'"):
        _ = package.Nobody
