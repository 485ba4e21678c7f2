"""The fake is what the official SDK expects."""

from collections.abc import AsyncIterator

import anthropic
import pytest
from bruno_llm_base import ToolCall, Usage
from bruno_llm_testing import FakeAnswer, FakeClaude, FakeError

HELLO: list[anthropic.types.MessageParam] = [{"role": "user", "content": "Hi"}]
MODEL = "claude-sonnet-5-5"
FULL = FakeAnswer(
    text="It rains, 世界.",
    reasoning="Let me look.",
    tool_calls=(ToolCall(id="toolu_1", name="weather", arguments='{"city": "Paris"}'),),
    finish_reason="tool_call",
    usage=Usage(
        input_tokens=60,
        output_tokens=20,
        cache_read_tokens=40,
        cache_write_tokens=10,
        cache_write_1h_tokens=4,
        reasoning_tokens=5,
    ),
)


@pytest.fixture
async def client(server: FakeClaude) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        **server.connection(), max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


async def test_a_whole_answer(client, server):
    server.say(FULL)
    message = await client.messages.create(model=MODEL, max_tokens=50, messages=HELLO)
    thought, text, call = message.content
    assert isinstance(thought, anthropic.types.ThinkingBlock)
    assert (thought.thinking, bool(thought.signature)) == ("Let me look.", True)
    assert isinstance(text, anthropic.types.TextBlock)
    assert text.text == "It rains, 世界."
    assert isinstance(call, anthropic.types.ToolUseBlock)
    assert (call.id, call.name, call.input) == ("toolu_1", "weather", {"city": "Paris"})
    assert message.stop_reason == "tool_use"
    usage = message.usage
    assert (usage.input_tokens, usage.output_tokens) == (10, 20)
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (40, 10)
    assert usage.cache_creation is not None
    assert usage.cache_creation.ephemeral_1h_input_tokens == 4
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 5


async def test_a_stream_sums_to_the_whole_answer(client, server):
    server.say(FULL, times=2)
    whole = await client.messages.create(model=MODEL, max_tokens=50, messages=HELLO)
    async with client.messages.stream(model=MODEL, max_tokens=50, messages=HELLO) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_message()
    assert final.stop_reason == whole.stop_reason
    assert final.usage.to_dict() == whole.usage.to_dict()
    thought, text, call = final.content
    assert [thought.thinking, text.text, call.input] == [
        whole.content[0].thinking,
        whole.content[1].text,
        whole.content[2].input,
    ]
    assert thought.signature == whole.content[0].signature
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"


async def test_a_refusal(client, server):
    server.say(FakeAnswer(text="", finish_reason="content_filter"))
    message = await client.messages.create(model=MODEL, max_tokens=50, messages=HELLO)
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None
    assert message.stop_details.category == "general_harms"


async def test_the_models(client):
    page = await client.models.list()
    assert [model.id for model in page.data] == list(FakeClaude.models)
    assert page.data[0].lifecycle == "active"
    assert not page.has_next_page()


@pytest.mark.parametrize(
    ("kind", "expected", "word"),
    [
        ("authentication", anthropic.AuthenticationError, "authentication_error"),
        ("permission", anthropic.PermissionDeniedError, "permission_error"),
        ("quota", anthropic.PaymentRequiredError, "billing_error"),
        ("rate_limit", anthropic.RateLimitError, "rate_limit_error"),
        ("overloaded", anthropic.OverloadedError, "overloaded_error"),
        ("server_error", anthropic.InternalServerError, "api_error"),
        ("model_not_found", anthropic.NotFoundError, "not_found_error"),
        ("context_length", anthropic.BadRequestError, "invalid_request_error"),
        ("invalid_request", anthropic.BadRequestError, "invalid_request_error"),
    ],
)
async def test_errors(client, server, kind, expected, word):
    server.say(FakeError(kind=kind))
    with pytest.raises(expected) as caught:
        await client.messages.create(model=MODEL, max_tokens=50, messages=HELLO)
    assert caught.value.type == word
    assert caught.value.api_message


async def test_an_error_inside_a_stream(client, server):
    server.say(FakeError(kind="overloaded", in_stream=True))
    with pytest.raises(anthropic.APIStatusError) as caught:
        async with client.messages.stream(model=MODEL, max_tokens=50, messages=HELLO) as stream:
            await stream.get_final_message()
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"temperature": 1.0}, "temperature: Extra inputs are not permitted"),
        ({"top_k": 5}, "top_k: Extra inputs are not permitted"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "first message must use"),
        (
            {
                "messages": [
                    *HELLO,
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}],
                    },
                    *HELLO,
                ]
            },
            "`tool_use` ids were found without `tool_result` blocks",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}],
                    }
                ]
            },
            "unexpected `tool_use_id`",
        ),
    ],
)
async def test_what_the_api_refuses(client, body, complaint):
    with pytest.raises(anthropic.BadRequestError, match=complaint):
        await client.messages.create(model=MODEL, max_tokens=50, messages=HELLO, extra_body=body)


async def test_keys_and_versions(client, server):
    ask = client.messages.create
    question = {"model": MODEL, "max_tokens": 50, "messages": HELLO}
    old = {"anthropic-version": "2023-06-01"}
    assert await ask(**question, extra_headers=old, extra_body={"temperature": 0.5})
    with pytest.raises(anthropic.BadRequestError, match="is not a valid version"):
        await ask(**question, extra_headers={"anthropic-version": "2099-01-01"})
    with pytest.raises(anthropic.AuthenticationError):
        await client.with_options(api_key="wrong").messages.create(**question)
    header = {"authorization": anthropic.omit, "x-api-key": server.api_key}
    assert await ask(**question, extra_headers=header)


async def test_a_count(client, server):
    count = client.messages.count_tokens
    few = await count(model=MODEL, messages=HELLO)
    many = await count(model=MODEL, messages=HELLO, system="Be brief." * 9)
    assert 0 < few.input_tokens < many.input_tokens
    server.say(FakeAnswer(usage=Usage(input_tokens=99)), to="count_tokens")
    assert (await count(model=MODEL, messages=HELLO)).input_tokens == 99
    for name in ("max_tokens", "stream", "temperature"):
        with pytest.raises(anthropic.BadRequestError, match=f"{name}: Extra inputs"):
            await count(model=MODEL, messages=HELLO, extra_body={name: 1})
    with pytest.raises(anthropic.BadRequestError, match="messages: Field required"):
        await count(model=MODEL, messages=[])
