"""Metrics of requests."""

import pytest
from bruno_llm_base import CostTracker, Price, Retry, ServiceUnavailableError
from bruno_llm_base.parts import Text
from bruno_llm_base.response import ModelResponse, Usage
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider
from bruno_llm_testing import FakeError, FakeOpenAI, MockLLM

INPUT, OUTPUT = (f"gen_ai.client.inference.usage.{kind}_tokens" for kind in ("input", "output"))
OLD = ("gen_ai.client.token.usage", "gen_ai.client.operation.duration")


def by_modality(points):
    return {point.attributes["gen_ai.token.modality"]: point.value for point in points}


async def test_durations_and_tokens(told):
    usage = Usage(
        input_tokens=100,
        output_tokens=50,
        cache_read_tokens=60,
        cache_write_tokens=10,
        reasoning_tokens=20,
        input_image_tokens=30,
    )
    reply = ModelResponse(parts=(Text("hi"),), usage=usage, model="mock-2026")
    llm = MockLLM([reply, reply], observers=[told.telemetry()])
    await llm.request("hi")
    async for _ in llm.stream("hi"):
        pass
    (point,) = told.points("gen_ai.client.inference.duration")
    assert told.unit == "s"
    assert point.count == 2
    assert point.explicit_bounds == pytest.approx([0.01 * 2**n for n in range(14)])
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "mock",
        "gen_ai.request.model": "mock-model",
        "gen_ai.response.model": "mock-2026",
        "server.address": "mock.invalid",
        "server.port": 80,
    }
    assert point.attributes == attributes
    assert by_modality(told.points(INPUT)) == {"image": 60, "unknown": 140}
    assert told.unit == "{token}"
    assert by_modality(told.points(OUTPUT)) == {"unknown": 100}
    spent = "gen_ai.client.inference.usage"
    assert by_modality(told.points(f"{spent}.cache_read.input_tokens")) == {"unknown": 120}
    assert by_modality(told.points(f"{spent}.cache_write.input_tokens")) == {"unknown": 20}
    assert by_modality(told.points(f"{spent}.reasoning.output_tokens")) == {"unknown": 40}
    (point,) = told.points("gen_ai.client.inference.operation.input_tokens")
    assert (point.count, point.sum, point.attributes) == (2, 200, attributes)
    assert not [name for name in OLD if told.points(name)]


async def test_the_time_to_the_first_text_is_of_streams(told):
    llm = MockLLM(["a b", "a b"], observers=[told.telemetry()])
    await llm.request("hi")
    assert told.points("gen_ai.client.inference.time_to_first_chunk") == []
    async for _ in llm.stream("hi"):
        pass
    (point,) = told.points("gen_ai.client.inference.time_to_first_chunk")
    assert point.count == 1


async def test_failed_requests_count(told):
    with FakeOpenAI() as server:
        server.say(FakeError(kind="overloaded"))
        llm = OpenAIProvider(
            **server.connection(), retry=Retry(attempts=1), observers=[told.telemetry()]
        )
        with pytest.raises(ServiceUnavailableError):
            await llm.generate("hi")
    (point,) = told.points("gen_ai.client.inference.duration")
    assert point.attributes["error.type"] == "ServiceUnavailableError"
    for name in (INPUT, OUTPUT):
        (point,) = told.points(name)
        assert (point.value, point.attributes["gen_ai.token.modality"]) == (0, "unknown")
        assert point.attributes["error.type"] == "ServiceUnavailableError"


async def test_money_is_counted_in_dollars(told):
    costs = CostTracker(prices={"mock-model": Price(input=1, output=2)})
    reply = ModelResponse(parts=(), usage=Usage(input_tokens=1_000_000, output_tokens=500_000))
    llm = MockLLM([reply, reply], cost=costs, observers=[told.telemetry()])
    await llm.request("hi")
    await llm.request("hi")
    (point,) = told.points("bruno_llm.cost")
    assert (told.unit, point.value) == ("{USD}", 4.0)
    assert float(costs.total().cost) == 4.0


async def test_vectors_have_metrics_of_their_own(told):
    with FakeOpenAI() as server:
        embeddings = OpenAIEmbeddings(**server.connection(), observers=[told.telemetry()])
        await embeddings.embed_text("hi")
    (point,) = told.points("gen_ai.client.embeddings.duration")
    assert point.attributes["gen_ai.operation.name"] == "embeddings"
    (point,) = told.points("gen_ai.client.embeddings.operation.input_tokens")
    assert point.sum > 0
    assert told.points(INPUT) == told.points("gen_ai.client.inference.duration") == []
