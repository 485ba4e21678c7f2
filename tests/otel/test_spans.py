"""Spans of requests."""

import asyncio
import json
import pickle
from urllib.parse import urlsplit

import pytest
from bruno_llm_base import (
    AllProvidersFailedError,
    Budget,
    BudgetExceededError,
    CachedLLM,
    ConfigurationError,
    ContextPolicy,
    CostTracker,
    FallbackLLM,
    Media,
    Price,
    RateLimitError,
    Retry,
    ToolCall,
)
from bruno_llm_base.parts import Reasoning, Text, ToolResult, VendorBlock
from bruno_llm_base.response import ModelResponse, Usage
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider, Reranker
from bruno_llm_otel import Telemetry
from bruno_llm_prompts import Prompt
from bruno_llm_testing import FakeClaude, FakeError, FakeGemini, FakeOpenAI, FakeReranker, MockLLM
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

SCHEMA = "https://opentelemetry.io/schemas/gen-ai/0.1.0"
AT_ONCE = Retry(attempts=3, wait_initial=0)
SECRET = "the launch code is 0000"


@pytest.fixture
def server():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def llm(server, told):
    costs = CostTracker(prices={OpenAIProvider.default_model: Price(input=1, output=2)})
    return OpenAIProvider(
        **server.connection(), retry=AT_ONCE, observers=[told.telemetry()], cost=costs
    )


async def test_a_request_is_one_span_by_the_conventions(server, llm, told):
    await llm.request("hi", temperature=0.5, max_tokens=50, stop=["END"], seed=7)
    (span,) = told.spans
    assert (span.name, span.kind, span.status.status_code) == (
        f"chat {llm.model}",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    assert (span.instrumentation_scope.name, span.instrumentation_scope.schema_url) == (
        "bruno_llm",
        SCHEMA,
    )
    attributes = dict(span.attributes)
    assert attributes.pop("gen_ai.response.id")
    assert attributes.pop("bruno_llm.cost.usd") == 25e-6
    assert {name: value for name, value in attributes.items() if value != 0} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": llm.model,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 7,
        "gen_ai.response.model": llm.model,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "server.address": "127.0.0.1",
        "server.port": urlsplit(server.connection()["base_url"]).port,
        "bruno_llm.attempts": 1,
    }


async def test_what_a_sampler_may_want_is_there_when_the_span_begins(told):
    seen = {}

    class Sampler(type(ALWAYS_OFF)):
        def should_sample(self, *args, **kwargs):
            seen.update(kwargs.get("attributes") or args[4])
            return super().should_sample(*args, **kwargs)

    told.tracers.sampler = Sampler(ALWAYS_OFF._decision)
    assert await MockLLM(observers=[told.telemetry()]).generate("hi")
    assert {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"} < seen.keys()
    assert {"server.address", "server.port"} < seen.keys()
    assert told.spans == ()
    assert told.points("gen_ai.client.inference.duration")[0].count == 1


async def test_all_attempts_are_one_span(server, llm, told):
    server.say(FakeError(kind="overloaded"))
    await llm.generate("hi")
    (event,) = told.span.events
    assert event.name == "bruno_llm.attempt_failed"
    assert event.attributes["error.type"] == "ServiceUnavailableError"
    assert event.attributes["http.response.status_code"] == 503
    assert event.attributes["bruno_llm.number"] == 1
    assert event.attributes["bruno_llm.wait"] >= 0
    assert told.span.attributes["bruno_llm.attempts"] == 2
    assert told.span.status.status_code is StatusCode.UNSET


async def test_a_failure_is_told_by_its_class_and_never_in_words(server, llm, told):
    for _ in range(3):
        server.say(FakeError(kind="rate_limit"))
    with pytest.raises(RateLimitError):
        await llm.generate(SECRET)
    span = told.span
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert span.attributes["error.type"] == "RateLimitError"
    assert span.attributes["http.response.status_code"] == 429
    assert span.attributes["bruno_llm.attempts"] == 3
    assert SECRET not in span.to_json()


async def test_the_span_of_a_stream_ends_with_the_stream(llm, told):
    stream = llm.stream("hi")
    assert await anext(stream)
    assert told.spans == ()
    async for _ in stream:
        with told.tracer.start_as_current_span("between"):
            pass
    with told.tracer.start_as_current_span("after"):
        pass
    span = told.span
    assert span.attributes["gen_ai.request.stream"] is True
    assert span.attributes["gen_ai.usage.output_tokens"] == 7
    passed = (span.end_time - span.start_time) / 1e9
    assert 0 < span.attributes["gen_ai.response.time_to_first_chunk"] <= passed
    others = [other for other in told.spans if other.name in ("between", "after")]
    assert len(others) > 1
    assert {told.parent(other) for other in others} == {None}
    assert not trace.get_current_span().get_span_context().is_valid


async def test_a_stream_that_is_left_ends_its_span(llm, told):
    async with llm.stream("hi") as stream:
        async for _ in stream:
            break
    with told.tracer.start_as_current_span("after") as after:
        assert after.parent is None
    assert told.span.attributes["bruno_llm.abandoned"] is True
    assert told.span.status.status_code is StatusCode.UNSET


async def test_the_parent_is_taken_when_the_call_is_made(llm, told):
    with told.tracer.start_as_current_span("asking"):
        stream = llm.stream("hi")

    async def read():
        with told.tracer.start_as_current_span("reading"):
            return [text async for text in stream]

    assert await asyncio.create_task(read())
    with told.tracer.start_as_current_span("request"):
        await llm.request("hi")
    ours = [span for span in told.spans if span.name.startswith("chat")]
    assert [told.parent(span) for span in ours] == ["asking", "request"]


async def test_requests_at_the_same_time_are_told_apart(told):
    llm = MockLLM([str(number) for number in range(20)], observers=[told.telemetry()])

    async def ask(number):
        with told.tracer.start_as_current_span(f"caller {number}"):
            await llm.generate("hi", max_tokens=number + 1)

    await asyncio.gather(*map(ask, range(20)))
    ours = [span for span in told.spans if span.name.startswith("chat")]
    asked = {told.parent(s): s.attributes["gen_ai.request.max_tokens"] for s in ours}
    assert asked == {f"caller {number}": number + 1 for number in range(20)}


async def test_vendors_are_named_as_the_conventions_name_them(told):
    for kind, provider, operation in (
        (ClaudeProvider, "anthropic", "chat"),
        (GeminiProvider, "gcp.gemini", "generate_content"),
    ):
        with (FakeGemini if kind is GeminiProvider else FakeClaude)() as server:
            llm = kind(**server.connection(), observers=[told.telemetry()])
            async with llm:
                await llm.generate("hi")
        span = told.spans[-1]
        assert span.attributes["gen_ai.provider.name"] == provider
        assert span.name == f"{operation} {llm.model}"


async def test_vectors_are_spans(server, told):
    embeddings = OpenAIEmbeddings(**server.connection(), observers=[told.telemetry()], dimensions=8)
    with told.tracer.start_as_current_span("indexing"):
        await embeddings.embed_texts(["a", SECRET])
    span = told.span
    assert span.name == f"embeddings {embeddings.model}"
    assert told.parent(span) == "indexing"
    assert span.attributes["gen_ai.operation.name"] == "embeddings"
    assert span.attributes["gen_ai.embeddings.dimension.count"] == 8
    assert span.attributes["gen_ai.usage.input_tokens"] > 0
    assert SECRET not in span.to_json()


async def test_rankings_are_spans(told):
    with FakeReranker() as server:
        reranker = Reranker("jina", **server.connection(), observers=[told.telemetry()])
        await reranker.rank("q", ["a", "b"])
    assert told.span.name == f"rerank {reranker.model}"
    assert told.span.attributes["gen_ai.operation.name"] == "rerank"
    (point,) = told.points("gen_ai.client.operation.duration")
    assert point.attributes["gen_ai.operation.name"] == "rerank"


async def test_lists_of_models_are_no_spans(llm, told):
    await llm.list_models()
    assert told.spans == ()


async def test_usage_and_cost_stand_on_one_span_alone(server, told):
    observers = [told.telemetry()]
    broken = OpenAIProvider(**server.connection(), observers=observers, max_retries=0)
    good = MockLLM(observers=observers)
    server.say(FakeError(kind="overloaded"))
    with told.tracer.start_as_current_span("caller"):
        await FallbackLLM([broken, good], observers=observers).generate("hi")
    with_usage = [s.name for s in told.spans if "gen_ai.usage.input_tokens" in s.attributes]
    with_cost = [s.name for s in told.spans if "bruno_llm.cost.usd" in s.attributes]
    assert with_usage == with_cost == ["chat mock-model"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_fallback_is_a_span_around_those_of_its_providers(server, told, streamed):
    observers = [told.telemetry()]
    broken = OpenAIProvider(**server.connection(), max_retries=0, observers=observers)
    server.say(FakeError(kind="overloaded"))
    llm = FallbackLLM([broken, MockLLM(observers=observers)], observers=observers)
    with told.tracer.start_as_current_span("caller"):
        answer = llm.stream("hi") if streamed else await llm.generate("hi")
    if streamed:
        async for _ in answer:
            assert not trace.get_current_span().get_span_context().is_valid
    (fallback,) = [span for span in told.spans if span.name == "fallback"]
    others = [span for span in told.spans if span.name.startswith("chat")]
    assert [told.parent(span) for span in (*others, fallback)] == ["fallback"] * 2 + ["caller"]
    assert (fallback.kind, dict(fallback.attributes)) == (SpanKind.INTERNAL, {})
    passed_over, answered = fallback.events
    assert passed_over.name == "bruno_llm.provider_passed_over"
    assert passed_over.attributes["error.type"] == "ServiceUnavailableError"
    assert passed_over.attributes["gen_ai.provider.name"] == "openai"
    assert answered.name == "bruno_llm.provider_answered"
    assert answered.attributes["gen_ai.provider.name"] == "mock"
    assert answered.attributes["bruno_llm.passed_over"] == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_fallback_that_none_can_help_has_failed(told, streamed):
    llm = FallbackLLM([MockLLM([RateLimitError("no")])], observers=[told.telemetry()])
    with pytest.raises(AllProvidersFailedError):
        await (llm.stream("hi") if streamed else llm.generate("hi"))
    assert told.span.attributes["error.type"] == "AllProvidersFailedError"
    assert told.span.status.status_code is StatusCode.ERROR


async def test_a_stream_of_a_fallback_that_is_left_has_not_failed(told):
    llm = FallbackLLM([MockLLM(["a b c"])], observers=[told.telemetry()])
    async with llm.stream("hi") as stream:
        async for _ in stream:
            break
    assert told.span.name == "fallback"
    assert told.span.status.status_code is StatusCode.UNSET
    assert len([event for event in told.span.events if event.name.endswith("answered")]) == 1


async def test_a_trimmed_conversation_is_told(told):
    llm = MockLLM(
        observers=[told.telemetry()],
        context=ContextPolicy(strategy="oldest_first", window=80),
        max_tokens=5,
    )
    turns = [
        {"role": role, "content": "words " * 10} for _ in range(5) for role in ("user", "assistant")
    ]
    await llm.generate([*turns, {"role": "user", "content": "and now?"}])
    assert told.span.attributes["gen_ai.conversation.compacted"] is True
    assert "bruno_llm.context_trimmed" in {event.name for event in told.span.events}


async def test_a_price_of_ones_own_is_the_cost_on_the_span(told):
    costs = CostTracker(prices={"mock-model": Price(input=1, output=2)})
    usage = Usage(input_tokens=1_000_000, output_tokens=500_000)
    llm = MockLLM([ModelResponse(parts=(), usage=usage)], cost=costs, observers=[told.telemetry()])
    with costs.label(tag="summaries", user="ann"):
        await llm.request("hi")
    assert told.span.attributes["bruno_llm.cost.usd"] == 2.0
    assert told.span.attributes["bruno_llm.tag"] == "summaries"
    assert "ann" not in told.span.attributes.values()


async def test_nothing_that_was_said_is_told_unless_it_is_wanted(told):
    call = ToolCall(id="c1", name="look", arguments=json.dumps({"where": SECRET}))

    def look(where: str) -> str:
        """Look."""
        return where

    llm = MockLLM([call, SECRET], observers=[told.telemetry()], system_prompt=SECRET)
    await llm.request(SECRET, tools=[look])
    async for _ in llm.stream(SECRET, tools=[look]):
        pass
    assert len(told.spans) == 2
    assert not any(SECRET in span.to_json() for span in told.spans)


async def test_content_is_told_where_it_is_wanted(told):
    call = ToolCall(id="c1", name="look", arguments='{"where": "Paris"}')

    def look(where: str) -> str:
        """Look around."""
        return where

    llm = MockLLM([call], observers=[told.telemetry(content=True)], system_prompt="Be brief.")
    await llm.request("What is there?", tools=[look])
    said = {
        name.removeprefix("gen_ai."): json.loads(value)
        for name, value in told.span.attributes.items()
        if name.endswith(("messages", "instructions", "definitions"))
    }
    arguments = {"where": "Paris"}
    assert said["system_instructions"] == [{"type": "text", "content": "Be brief."}]
    assert said["input.messages"] == [
        {"role": "user", "parts": [{"type": "text", "content": "What is there?"}]}
    ]
    (message,) = said["output.messages"]
    assert (message["role"], message["finish_reason"]) == ("assistant", "tool_call")
    assert message["parts"] == [
        {"type": "tool_call", "id": "c1", "name": "look", "arguments": arguments}
    ]
    (tool,) = said["tool.definitions"]
    assert (tool["type"], tool["name"], tool["description"]) == ("function", "look", "Look around.")
    assert tool["parameters"]["properties"]["where"]


async def test_a_whole_conversation_is_told_but_for_media_and_what_only_a_vendor_reads(told):
    call = ToolCall(id="c1", name="look", arguments="{}")
    parts = [Reasoning("Hm."), call, VendorBlock("anthropic", {"secret": SECRET})]
    said = [
        {"role": "user", "content": "What is it?"},
        ModelResponse(parts=tuple(parts)).to_message(),
        ToolResult("c1", "look", "A mole.").to_message(),
        {"role": "user", "content": "Sure?"},
    ]
    picture = Media(data=b"\x89PNG\r\n\x1a\n" + SECRET.encode(), type="image/png")
    tool = {"type": "web_search"}
    llm = MockLLM(observers=[told.telemetry(content=True)])
    await llm.request(said, attachments=[picture], tools=[tool])
    messages = json.loads(told.span.attributes["gen_ai.input.messages"])
    assert [(message["role"], message["parts"]) for message in messages] == [
        ("user", [{"type": "text", "content": "What is it?"}]),
        (
            "assistant",
            [
                {"type": "reasoning", "content": "Hm."},
                {"type": "tool_call", "id": "c1", "name": "look", "arguments": {}},
            ],
        ),
        ("tool", [{"type": "tool_call_response", "id": "c1", "response": "A mole."}]),
        (
            "user",
            [
                {"type": "media", "modality": "image", "mime_type": "image/png"},
                {"type": "text", "content": "Sure?"},
            ],
        ),
    ]
    assert json.loads(told.span.attributes["gen_ai.tool.definitions"]) == [tool]
    assert SECRET not in told.span.to_json()


async def test_budgets_are_told(told):
    costs = CostTracker(prices={"mock-model": Price(input=1, output=1)})
    usage = Usage(input_tokens=900_000, output_tokens=0)
    llm = MockLLM(
        [ModelResponse(parts=(Text("a"),), usage=usage), "b"],
        cost=costs,
        budget=Budget("1.00"),
        max_tokens=9,
        observers=[told.telemetry()],
    )
    await llm.generate("hi")
    await llm.generate("hi")
    with pytest.raises(BudgetExceededError):
        await llm.generate("hi " * 300_000)
    (event,) = told.spans[1].events
    assert event.name == "bruno_llm.budget_nearly_spent"
    assert event.attributes["bruno_llm.allowed"] == 1.0
    assert 0.8 <= event.attributes["bruno_llm.spent"] <= 1.0
    assert told.spans[-1].attributes["error.type"] == "BudgetExceededError"


async def test_calls_in_a_stream_are_events(told):
    call = ToolCall(id="c1", name="look", arguments=json.dumps({"where": SECRET}))
    async for _ in MockLLM([["Hm.", call]], observers=[told.telemetry()]).stream("hi"):
        pass
    (event,) = told.span.events
    assert event.name == "bruno_llm.tool_call_ready"
    assert dict(event.attributes) == {"gen_ai.tool.name": "look", "gen_ai.tool.call.id": "c1"}


async def test_a_redactor_is_given_every_text(told):
    def redact(text):
        return text.replace("0000", "****")

    call = ToolCall(id="c1", name="look", arguments=json.dumps({"where": SECRET}))
    llm = MockLLM(
        [[SECRET, call]], observers=[told.telemetry(content=redact)], system_prompt=SECRET
    )
    await llm.request([{"role": "user", "content": SECRET}])
    text = told.span.to_json()
    assert "0000" not in text
    assert text.count("the launch code is ****") == 4


async def test_a_redactor_that_fails_tells_nothing_and_loses_no_span(told, caplog):
    def redact(text):
        raise ValueError(text)

    llm = MockLLM([SECRET], observers=[told.telemetry(content=redact)])
    await llm.generate(SECRET)
    assert SECRET not in told.span.to_json()
    assert "content is not told: ValueError was raised" in caplog.text
    assert SECRET not in caplog.text


async def test_attributes_of_ones_own(told):
    fixed = MockLLM(observers=[told.telemetry(attributes={"team": "search"})])
    await fixed.generate("hi")
    assert told.spans[0].attributes["team"] == "search"

    def conversation(request):
        return {"gen_ai.conversation.id": f"of {request.model}"}

    asked = MockLLM(observers=[told.telemetry(attributes=conversation)])
    await asked.generate("hi")
    assert told.spans[1].attributes["gen_ai.conversation.id"] == "of mock-model"
    point, *_ = told.points("gen_ai.client.inference.duration")
    assert not {"team", "gen_ai.conversation.id"} & point.attributes.keys()


async def test_the_schema_of_an_answer_is_an_output_of_json(told):
    llm = MockLLM(['{"n": 1}'], observers=[told.telemetry()])
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    await llm.request("hi", output=schema)
    assert told.span.attributes["gen_ai.output.type"] == "json"


async def test_it_does_nothing_without_an_sdk():
    assert await MockLLM(observers=[Telemetry()]).generate("hi")


def test_it_can_be_pickled_with_a_provider():
    llm = pickle.loads(pickle.dumps(MockLLM(["hi"], observers=[Telemetry(content=True)])))
    assert type(llm._settings["observers"][0]) is Telemetry


def test_what_it_is_built_with_is_checked():
    with pytest.raises(ConfigurationError, match="content is 'yes': give True, False"):
        Telemetry(content="yes")
    with pytest.raises(ConfigurationError, match="attributes is neither"):
        Telemetry(attributes=["a"])


async def test_a_request_that_is_cancelled_ends_its_span(told):
    asked = asyncio.Event()

    async def answer(_):
        asked.set()
        await asyncio.sleep(60)

    llm = MockLLM([answer], observers=[told.telemetry()])
    task = asyncio.create_task(llm.request("hi"))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told.span.attributes["bruno_llm.abandoned"] is True


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_was_kept_is_a_span_without_usage_and_cost(llm, told, streamed):
    llm = CachedLLM(llm)
    await llm.request("hi", max_tokens=50)
    with told.tracer.start_as_current_span("caller"):
        stream = llm.stream("hi", max_tokens=50)
        if not streamed:
            await llm.generate("hi", max_tokens=50)
    if streamed:
        async for _ in stream:
            pass
    with_cost = [span.name for span in told.spans if "bruno_llm.cost.usd" in span.attributes]
    assert with_cost == [f"chat {OpenAIProvider.default_model}"]
    (hit,) = [span for span in told.spans if span.name == "cache"]
    assert (hit.kind, told.parent(hit)) == (SpanKind.INTERNAL, "caller")
    assert hit.start_time <= hit.end_time
    assert hit.attributes.keys() == {
        "bruno_llm.age",
        "bruno_llm.duration",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    }
    assert sum(point.count for point in told.points("gen_ai.client.inference.duration")) == 1


async def test_the_prompt_that_made_a_request_is_told(llm, told):
    for prompt in (
        Prompt("hi", name="greeting", version="3"),
        Prompt("hi", name="a"),
        Prompt("hi"),
    ):
        await llm.generate(prompt())
    found = [
        {name: value for name, value in span.attributes.items() if name.startswith("gen_ai.prompt")}
        for span in told.spans
    ]
    assert found == [
        {"gen_ai.prompt.name": "greeting", "gen_ai.prompt.version": "3"},
        {"gen_ai.prompt.name": "a"},
        {},
    ]
