"""The fake is what the official SDK expects."""

import openai
import pytest
from bruno_llm_base import ToolCall, Usage
from bruno_llm_testing import FakeAnswer, FakeError, vector_of

HELLO = [{"role": "user", "content": "Hi"}]
MODEL = "gpt-6.1-terra"
FULL = FakeAnswer(
    text="It rains, 世界.",
    tool_calls=(
        ToolCall(index=0, id="call_1", name="weather", arguments='{"city": "Paris"}'),
        ToolCall(index=1, id="call_2", name="time", arguments="{}"),
    ),
    finish_reason="tool_call",
    usage=Usage(input_tokens=60, output_tokens=20, cache_read_tokens=40, reasoning_tokens=5),
)


@pytest.fixture
async def client(server):
    async with openai.AsyncOpenAI(
        **server.connection(), max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


async def test_a_whole_answer(client, server):
    server.say(FULL)
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == (FULL.text, "tool_calls")
    assert [call.function.name for call in choice.message.tool_calls] == ["weather", "time"]
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (60, 80)
    assert answer.usage.prompt_tokens_details.cached_tokens == 40
    assert answer.usage.completion_tokens_details.reasoning_tokens == 5


async def test_a_stream_sums_to_the_whole_answer(client, server):
    server.say(FULL)
    async with client.chat.completions.stream(
        model=MODEL, messages=HELLO, stream_options={"include_usage": True}
    ) as stream:
        answer = await stream.get_final_completion()
    (choice,) = answer.choices
    assert choice.message.content == FULL.text
    assert [call.function.arguments for call in choice.message.tool_calls] == [
        '{"city": "Paris"}',
        "{}",
    ]
    assert answer.usage.completion_tokens == 20


async def test_a_whole_response(client, server):
    server.say(FULL, FakeAnswer(text="", finish_reason="length"), FakeError(kind="rate_limit"))
    answer = await client.responses.create(model=MODEL, input="Hi")
    assert (answer.output_text, answer.status) == (FULL.text, "completed")
    assert [item.type for item in answer.output] == ["message", "function_call", "function_call"]
    assert (answer.usage.input_tokens_details.cached_tokens, answer.usage.total_tokens) == (40, 80)
    cut = await client.responses.create(model=MODEL, input="Hi")
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    with pytest.raises(openai.RateLimitError):
        await client.responses.create(model=MODEL, input="Hi")


async def test_the_events_of_a_response_sum_to_the_whole(client, server):
    thought = FakeAnswer(text=FULL.text, reasoning="Hm.", tool_calls=FULL.tool_calls)
    server.say(thought, thought)
    whole = await client.responses.create(model=MODEL, input="Hi")
    async with client.responses.stream(model=MODEL, input="Hi") as stream:
        kinds = {event.type async for event in stream}
        streamed = await stream.get_final_response()
    assert {"response.reasoning_summary_text.delta", "response.output_text.delta"} < kinds
    assert streamed.output_text == whole.output_text == FULL.text
    for ours, theirs in zip(streamed.output, whole.output, strict=True):
        assert (ours.type, ours.id) == (theirs.type, theirs.id)
        if ours.type == "function_call":
            assert (ours.call_id, ours.arguments) == (theirs.call_id, theirs.arguments)
    assert streamed.output[0].encrypted_content == whole.output[0].encrypted_content


async def test_usage_comes_only_if_asked_for(client):
    stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    assert [chunk.usage async for chunk in stream if chunk.usage] == []


async def test_a_refusal(client, server):
    server.say(FakeAnswer(text="I cannot.", finish_reason="content_filter"))
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.choices[0].message.refusal == "I cannot."


async def test_models(client, server):
    assert [model.id async for model in client.models.list()] == list(server.models)


@pytest.mark.parametrize(
    ("kind", "expected", "code"),
    [
        ("authentication", openai.AuthenticationError, "invalid_api_key"),
        ("quota", openai.RateLimitError, "insufficient_quota"),
        ("model_not_found", openai.NotFoundError, "model_not_found"),
        ("context_length", openai.BadRequestError, "context_length_exceeded"),
        ("overloaded", openai.InternalServerError, "server_overloaded"),
    ],
)
async def test_errors(client, server, kind, expected, code):
    server.say(FakeError(kind=kind))
    with pytest.raises(expected) as caught:
        await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.code == code


async def test_an_error_inside_a_stream(client, server):
    server.say(FakeError(kind="server_error", in_stream=True))
    stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="server_error"):
        [chunk async for chunk in stream]


async def test_what_the_api_would_refuse(client, server):
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model=MODEL, messages=[])
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="gpt-4", messages=HELLO)
    with pytest.raises(openai.NotFoundError):
        await client.embeddings.create(model=MODEL, input="x")


async def test_a_count(client, server):
    count = client.responses.input_tokens.count
    few = await count(model=MODEL, input=HELLO)
    many = await count(model=MODEL, input=HELLO * 9)
    assert 0 < few.input_tokens < many.input_tokens
    assert few == await count(model=MODEL, input=HELLO)
    for wrong in ({"input": []}, {"input": HELLO, "extra_body": {"max_tokens": 9}}):
        with pytest.raises(openai.BadRequestError):
            await count(model=MODEL, **wrong)
    with pytest.raises(openai.BadRequestError):
        await count(model=MODEL, input=HELLO, tools=[{"type": "function"}])
    server.say(FakeError(kind="rate_limit"), to="count_tokens")
    with pytest.raises(openai.RateLimitError):
        await count(model=MODEL, input=HELLO)


async def test_embeddings(client, server):
    server.say(FakeAnswer(usage=Usage(input_tokens=9)), to="embeddings")
    answer = await client.embeddings.create(
        model="text-embedding-3-small", input=["a", "b"], dimensions=8, encoding_format="float"
    )
    assert [row.index for row in answer.data] == [0, 1]
    assert answer.data[1].embedding == vector_of("b", 8)
    assert (answer.model, answer.usage.total_tokens) == ("text-embedding-3-small", 9)
    # the SDK unpacks only what it has not validated
    async with openai.AsyncOpenAI(**server.connection()) as lenient:
        packed = await lenient.embeddings.create(model="text-embedding-3-large", input="a")
    assert list(packed.data[0].embedding) == pytest.approx(vector_of("a", 3072), abs=1e-6)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"model": MODEL}, openai.NotFoundError),
        ({"input": ""}, openai.BadRequestError),
        ({"input": []}, openai.BadRequestError),
        ({"input": ["a"] * 2049}, openai.BadRequestError),
        ({"dimensions": 0}, openai.BadRequestError),
        ({"model": "text-embedding-ada-002", "dimensions": 8}, openai.BadRequestError),
    ],
)
async def test_embeddings_that_openai_refuses(client, wrong, kind):
    asked = {"model": "text-embedding-3-small", "input": "a"} | wrong
    with pytest.raises(kind):
        await client.embeddings.create(**asked)
