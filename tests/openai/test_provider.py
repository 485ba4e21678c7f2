import asyncio

import openai
import pytest
from bruno_core.models import Message
from bruno_llm_base import (
    ContentBlockedError,
    ContextLengthExceededError,
    InvalidRequestError,
    ModelNotFoundError,
    ModelResponse,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    Retry,
    ServiceUnavailableError,
)
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeError


def read(status, data):
    return OpenAIProvider.adapter_type().read_error(status, {}, data)


async def test_what_is_sent(server, llm):
    await llm.generate("hi", reasoning_effort="low", max_tokens=9, stop="END", seed=3)
    assert server.bodies[0] == {
        "model": "gpt-6.1-terra",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "stop": ["END"],
        "seed": 3,
        "reasoning_effort": "low",
    }


async def test_a_stream_asks_for_its_usage(server, llm):
    stream = await llm.stream("hi")
    assert [piece async for piece in stream]
    assert server.bodies[0]["stream"] is True
    assert server.bodies[0]["stream_options"] == {"include_usage": True}


async def test_openai_itself_gets_the_newer_word(server):
    client = openai.AsyncOpenAI(**server.connection())
    llm = OpenAIProvider(client=client, max_tokens=9)
    await llm.generate("hi")
    assert server.bodies[0]["max_completion_tokens"] == 9
    assert "max_tokens" not in server.bodies[0]
    await llm.aclose()
    assert not client.is_closed()
    await client.close()


async def test_an_injected_client_does_not_retry_by_itself(server):
    async with openai.AsyncOpenAI(**server.connection(), max_retries=5) as client:
        llm = OpenAIProvider(client=client, retry=Retry(attempts=1))
        server.say(FakeError(kind="overloaded"), times=2)
        with pytest.raises(ServiceUnavailableError):
            await llm.generate("hi")
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("model", "options", "refused"),
    [
        ("o3", {}, True),
        ("gpt-5", {"reasoning_effort": "none"}, True),
        ("gpt-5-mini", {}, True),
        ("gpt-5.5-pro", {"reasoning_effort": "none"}, True),
        ("gpt-6-astra", {"reasoning_effort": "none"}, True),
        ("gpt-6.1-terra", {}, True),
        ("gpt-6.1-terra", {"reasoning_effort": "none"}, False),
        ("gpt-5.6-sol", {"reasoning_effort": "none"}, False),
        ("gpt-5.4", {}, False),
        ("gpt-5.4", {"reasoning_effort": "high"}, True),
        ("gpt-5-chat-latest", {}, False),
        ("gpt-4.1", {}, False),
        ("my-local-model", {}, False),
    ],
)
def test_reasoning_models_refuse_sampling(model, options, refused):
    found = OpenAIProvider(api_key="k").adapter.refused_options(model, options | {"temperature": 1})
    assert found == ({"temperature", "top_p"} if refused else set())


async def test_a_refusal_is_told(server, llm):
    server.say(FakeAnswer(text="I cannot.", finish_reason="content_filter"), times=2)
    with pytest.raises(ContentBlockedError) as caught:
        await llm.generate("hi")
    assert (caught.value.reason, caught.value.partial.text) == ("refusal", "I cannot.")
    stream = llm.stream("hi")
    with pytest.raises(ContentBlockedError):
        [piece async for piece in stream]
    assert stream.response.finish_detail == "refusal"


async def test_a_context_overflow_has_its_figures(server, llm):
    server.say(FakeError(kind="context_length", limit=128000, actual=130001))
    with pytest.raises(ContextLengthExceededError) as caught:
        await llm.generate("hi")
    assert (caught.value.limit, caught.value.actual) == (128000, 130001)


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"code": "organization_spend_limit_exceeded"}, QuotaExceededError, None),
        ({"code": "DeploymentNotFound"}, ModelNotFoundError, None),
        ({"type": "server_error"}, ServiceUnavailableError, None),
        ({"code": 502}, None, 502),
        ({"code": "429"}, None, 429),
        ({"code": "content_filter"}, ContentBlockedError, None),
        (
            {"type": "exceed_context_size_error", "n_ctx": 10, "n_prompt_tokens": 20, "code": 400},
            ContextLengthExceededError,
            400,
        ),
        ({}, None, None),
        ("just words", None, None),
    ],
)
def test_errors_of_servers_of_this_protocol(error, kind, status):
    facts = read(400, {"error": error})
    assert (facts.kind, facts.status) == (kind, status)


def test_a_bad_request_is_told_by_its_type_only_where_no_status_tells_more():
    error = {"error": {"type": "invalid_request_error"}}
    assert read(200, error).kind is InvalidRequestError
    assert read(401, error).kind is None


async def test_a_key_that_the_server_repeats_is_blotted_out(server, llm):
    server.say(FakeError(kind="permission"))
    server.render_error = lambda _, request: (
        403,
        {"error": {"message": f"not allowed: {request.headers['authorization']}"}},
    )
    with pytest.raises(PermissionDeniedError, match=r"not allowed: Bearer \*\*\*"):
        await llm.generate("hi")


async def test_of_several_answers_the_first_is_read(llm):
    parts = [
        llm.adapter.parse_event({"choices": [{"index": i, "delta": {"content": text}}]})
        for i, text in ((0, "a"), (1, "x"), (0, "b"), (1, "y"))
    ]
    assert ModelResponse.join(parts).text == "ab"


async def test_a_status_inside_a_stream_counts(server, llm):
    server.say(FakeError(kind="rate_limit", in_stream=True))
    with pytest.raises(RateLimitError):
        [piece async for piece in llm.stream("hi")]


async def test_a_lone_error_inside_a_stream():
    async def listen(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        body = b'data: {"error": {"message": "went wrong"}}\n\n'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        writer.write(b"content-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with OpenAIProvider(base_url=f"http://127.0.0.1:{port}", max_retries=0) as llm:
            with pytest.raises(ServiceUnavailableError, match="went wrong"):
                [piece async for piece in llm.stream("hi")]


async def test_reasoning_and_tools_go_where_the_api_has_them(server, llm):
    calls = [{"id": "c1", "name": "f", "arguments": '{"a": 1}'}]
    await llm.generate(
        [
            Message(role="user", content="go"),
            Message(role="assistant", content="(tool call)", metadata={"tool_calls": calls}),
            Message(role="tool", content="42", metadata={"tool_call_id": "c1"}),
        ]
    )
    _, assistant, tool = server.bodies[0]["messages"]
    assert assistant == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
        ],
    }
    assert tool == {"role": "tool", "tool_call_id": "c1", "content": "42"}
