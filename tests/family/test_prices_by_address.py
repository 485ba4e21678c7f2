"""Whose prices hold: by where an answer comes from, and by what the server says that it cost."""

import json
from decimal import Decimal
from importlib import import_module

import pytest
from bruno_llm_base import (
    Budget,
    ConfigurationError,
    CostTracker,
    InvalidResponseError,
    LLMFactory,
    Price,
    ToolCall,
    Usage,
)
from bruno_llm_base.events import PriceUnknown
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeOpenAI, RawReply

PRICE = Price(input=1, output=1, source="this test")


async def streamed(llm):
    stream = llm.stream("What is the answer to all this?")
    async for _ in stream:
        pass
    return stream.response


# -- on this machine ------------------------------------------------------------------------------


async def test_an_answer_of_this_machine_costs_nothing(kind, server):
    costs = CostTracker()
    async with kind(**server.connection(), cost=costs) as llm:
        for answer in (await llm.request("hi"), await streamed(llm)):
            assert answer.cost.total == 0
            assert answer.cost.source
            assert answer.usage.total_tokens > 0
        assert (await llm.price()).output == 0
    assert (costs.total().cost, costs.total().unpriced) == (0, 0)


async def test_the_user_says_whose_prices_hold_on_this_machine(server, kind):
    async with kind(**server.connection(), price_name=kind.price_name) as llm:
        listed = (await llm.request("hi")).cost
    async with kind(**server.connection(), cost=CostTracker(prices={llm.model: PRICE})) as llm:
        assert (await llm.request("hi")).cost.source == "this test"
    if kind is not OllamaProvider:  # which is always one's own
        assert listed.total > 0
        assert "genai-prices" in listed.source


@pytest.mark.parametrize(
    "address",
    ["http://localhost:1/v1", "http://127.8.9.10/v1", "http://[::1]:8/v1", "http://0.0.0.0:1"],
)
async def test_this_machine_has_many_names(address):
    assert (await OpenAIProvider("gpt-4o", base_url=address, api_key="k").price()).input == 0
    own = OpenAIProvider("gpt-4o", base_url=address, api_key="k", price_name="openai")
    assert (await own.price()).input > 0


# -- at other addresses, which nothing is sent to ---------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "model", "address"),
    [
        (OpenAIProvider, "openai/gpt-4o", "https://openrouter.ai/api/v1"),
        (OpenAIProvider, "openai/gpt-oss-120b", "https://api.groq.com/openai/v1"),
        (OpenAIProvider, "mistral-large-latest", "https://api.mistral.ai/v1"),
        (OpenAIProvider, "gpt-4o", "https://me.openai.azure.com/openai/v1"),
        (OpenAIProvider, "gpt-4o", "https://api.openai.com/v1/"),
        (OpenAIProvider, "gpt-4o", None),
        (ClaudeProvider, "anthropic/claude-sonnet-4.5", "https://openrouter.ai/api"),
        (ClaudeProvider, "claude-sonnet-4-5", None),
        (GeminiProvider, "gemini-2.5-flash", "https://europe-west1-aiplatform.googleapis.com"),
        (OpenAIEmbeddings, "text-embedding-3-small", "https://me.openai.azure.com/openai/v1"),
    ],
)
async def test_prices_are_those_of_whoever_is_at_the_address(kind, model, address):
    price = await kind(model, base_url=address, api_key="k").price()
    assert price.input > 0
    assert "genai-prices" in price.source


@pytest.mark.parametrize("kind", [OpenAIProvider, ClaudeProvider, GeminiProvider])
async def test_no_list_knows_other_addresses(kind):
    given = {"base_url": "https://llm.example.com/v1", "api_key": "k"}
    assert await kind(**given).price() is None
    assert (await kind(**given, price_name=kind.price_name).price()).input > 0
    assert (await kind(**given, free=True).price()).output == 0
    costs = CostTracker(prices={kind.default_model: PRICE})
    assert (await kind(**given, cost=costs).price()).source == "this test"
    assert (await kind(**given, cost=costs, free=True).price()).source == "this test"


async def test_a_client_of_the_users_own_says_where_it_points():
    import openai

    for address, is_known in (("https://me.openai.azure.com/x", True), ("https://x.test", False)):
        async with openai.AsyncOpenAI(base_url=address, api_key="k") as client:
            price = await OpenAIProvider("gpt-4o", client=client).price()
        assert (price is not None) == is_known


def chat(usage):
    choice = {"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}
    return {"model": "gpt-4o", "choices": [choice], "usage": usage}


async def test_an_unknown_address_is_told_once_with_its_cures():
    import openai

    http = import_module(openai.DefaultAsyncHttpxClient.__mro__[1].__module__)  # httpx in old SDKs
    heard, body = [], chat({"prompt_tokens": 1000, "completion_tokens": 1000})
    there = http.MockTransport(lambda _: http.Response(200, json=body))
    async with openai.AsyncOpenAI(
        base_url="https://llm.example.com/v1",
        api_key="k",
        http_client=http.AsyncClient(transport=there),
    ) as client:
        llm = OpenAIProvider("gpt-4o", client=client, observers=[heard.append])
        assert [(await llm.request("hi")).cost for _ in range(2)] == [None, None]
        with pytest.raises(ConfigurationError, match="gpt-4o"):
            await OpenAIProvider("gpt-4o", client=client, budget=Budget(1)).request("hi")
        free = OpenAIProvider("gpt-4o", client=client, budget=Budget(1), free=True)
        assert (await free.request("hi")).cost.total == 0
    (unknown,) = [event for event in heard if isinstance(event, PriceUnknown)]
    for cure in ("https://llm.example.com/v1", 'price_name="openai"', "free=True", "CostTracker"):
        assert cure in unknown.advice


def test_both_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_OPENAI_BASE_URL", "https://llm.example.com/v1")
    monkeypatch.setenv("BRUNO_LLM_OPENAI_FREE", "yes")
    monkeypatch.setenv("BRUNO_LLM_CLAUDE_PRICE_NAME", "anthropic")
    monkeypatch.setenv("BRUNO_LLM_CLAUDE_API_KEY", "k")
    assert LLMFactory.from_env("openai")
    assert LLMFactory.from_env("claude")
    for wrong in ({"free": "perhaps"}, {"price_name": ""}, {"price_name": 3}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            OpenAIProvider(api_key="k", **wrong)


# -- what the server says -----------------------------------------------------------------------------

COUNTS = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
BYOK = {"is_byok": True, "cost": 0.0005, "cost_details": {"upstream_inference_cost": 0.01}}
REPORTED = [
    ({"cost": 0.0075}, "0.0075"),
    ({"cost": 0}, "0"),
    ({"cost": 0.95, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.95}}, "0.95"),
    (BYOK, "0.0105"),
    ({"cost": {"input_tokens_cost": 0.001, "total_cost": 0.006}}, "0.006"),
    ({"cost_in_usd_ticks": 37756000}, "0.0037756"),
]


async def both(llm, server, usage):
    """Return the answer in both modes, in which the server reports *usage*."""
    whole = chat(usage)
    delta = {"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}
    events = [{"model": "gpt-4o", "choices": [delta]}, {"choices": [], "usage": usage}]
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    server.say(RawReply(body=json.dumps(whole).encode()))
    server.say(RawReply(body="".join([*lines, "data: [DONE]\n\n"]).encode()))
    return await llm.request("hi"), await streamed(llm)


@pytest.mark.parametrize(("said", "usd"), REPORTED)
async def test_what_the_server_says_beats_lists(said, usd):
    costs = CostTracker()
    with FakeOpenAI() as server:
        keywords = server.connection() | {"price_name": "openai", "cost": costs}
        async with OpenAIProvider(**keywords) as llm:
            for answer in await both(llm, server, COUNTS | said):
                assert answer.cost.total == sum(answer.cost.parts.values()) == Decimal(usd)
                assert answer.cost.source.startswith("reported by ")
                assert not answer.cost.estimated
                assert answer.usage == Usage(input_tokens=1000, output_tokens=500)
    assert costs.total().cost == 2 * Decimal(usd)


@pytest.mark.parametrize(
    "nonsense", [None, "0.5", -1, True, [1], {}, {"total_cost": "much"}, float("1e300")]
)
async def test_what_is_no_amount_is_no_cost(nonsense):
    with FakeOpenAI() as server:
        async with OpenAIProvider(**server.connection(), price_name="openai") as llm:
            for answer in await both(llm, server, COUNTS | {"cost": nonsense}):
                assert "genai-prices" in answer.cost.source
                assert answer.cost.total > 0


async def test_the_user_knows_better_than_the_server():
    with FakeOpenAI() as server:
        for own in ({"cost": CostTracker(prices={"gpt-4o": PRICE})}, {"free": True}):
            async with OpenAIProvider(**server.connection(), **own) as llm:
                for answer in await both(llm, server, COUNTS | {"cost": 9}):
                    assert answer.cost.total < 1


async def test_a_budget_counts_what_the_server_says():
    with FakeOpenAI() as server:
        budget = Budget(1)
        async with OpenAIProvider(**server.connection(), budget=budget) as llm:
            await both(llm, server, COUNTS | {"cost": 0.25})
    assert budget.spent() == Decimal("0.5")


async def test_embeddings_report_their_cost_too():
    rows = [{"index": 0, "embedding": [0.5, 1.0]}]
    usage = {"prompt_tokens": 8, "total_tokens": 8, "cost": 0.002}
    costs = CostTracker()
    with FakeOpenAI() as server:
        server.say(
            RawReply(body=json.dumps({"data": rows, "usage": usage}).encode()), to="embeddings"
        )
        async with OpenAIEmbeddings(**server.connection(), dimensions=2, cost=costs) as embeddings:
            await embeddings.embed_text("hi")
    assert costs.total().cost == Decimal("0.002")


async def test_claudes_protocol_reports_it_too():
    from bruno_llm_testing import FakeClaude

    usage = {"input_tokens": 10, "output_tokens": 5, "cost": 0.004, "is_byok": False}
    answer = {"content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn"}
    events = [
        {"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 10}}},
        {"type": "content_block_start", "index": 0, "content_block": answer["content"][0]},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    ]
    with FakeClaude() as server:
        server.say(RawReply(body=json.dumps(answer | {"usage": usage}).encode()))
        lines = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
        server.say(RawReply(body="".join(lines).encode()))
        async with ClaudeProvider(**server.connection()) as llm:
            for reply in (await llm.request("hi"), await streamed(llm)):
                assert reply.cost.total == Decimal("0.004")


# -- counts of nothing --------------------------------------------------------------------------------


async def test_zeros_beside_a_text_are_unknown(kind, server):
    server.say(FakeAnswer(usage=Usage(input_tokens=0, output_tokens=0)), times=2)
    async with kind(**server.connection()) as llm:
        for answer in (await llm.request("What is the answer to all this?"), await streamed(llm)):
            assert answer.usage_estimated
            assert answer.usage.input_tokens > 5
            assert answer.usage.output_tokens > 3


async def test_one_count_of_nothing_is_enough(kind, server):
    server.say(FakeAnswer(usage=Usage(input_tokens=0, output_tokens=9)), times=2)
    server.say(FakeAnswer(usage=Usage(input_tokens=9, output_tokens=0)), times=2)
    async with kind(**server.connection()) as llm:
        for answer in (await llm.request("hi"), await streamed(llm)):
            assert answer.usage_estimated
            assert answer.usage.output_tokens == 9
        for answer in (await llm.request("hi"), await streamed(llm)):
            assert answer.usage_estimated
            assert answer.usage.input_tokens == 9
            assert answer.usage.output_tokens > 3


async def test_a_call_is_written_too(kind, server):
    call = ToolCall(id="call_1", name="weather", arguments='{"city": "Paris"}')
    said = FakeAnswer(text="", tool_calls=(call,), usage=Usage(input_tokens=9, output_tokens=0))
    server.say(said, times=2)
    async with kind(**server.connection()) as llm:
        answers = [await llm.request("hi")]
        stream = llm.stream("hi")
        with pytest.raises(InvalidResponseError, match="only calls tools"):
            _ = [piece async for piece in stream]
        answers.append(stream.response)
    for answer in answers:
        assert answer.usage_estimated
        assert answer.usage.output_tokens > 3


async def test_nothing_written_is_nothing(kind, server):
    said = FakeAnswer(text="", finish_reason="length", usage=Usage(input_tokens=9, output_tokens=0))
    server.say(said)
    async with kind(**server.connection()) as llm:
        answer = await llm.request("hi")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (9, 0)
    assert not answer.usage_estimated
