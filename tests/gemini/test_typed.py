"""A google-genai client of the user's own: the same answers, and the same care."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from bruno_llm_base import (
    InvalidResponseError,
    LLMTimeoutError,
    ModelResponse,
    QuotaExceededError,
    Retry,
    ServiceUnavailableError,
    StreamError,
    Timeouts,
    ToolCall,
    Usage,
)
from bruno_llm_base.exceptions import ConfigurationError, ModelNotFoundError
from bruno_llm_gemini import GeminiProvider, typed
from bruno_llm_testing import FakeAnswer, FakeError, FakeGemini, Fault, RawReply, Received
from google import genai

# google-genai subclasses aiohttp's session, which aiohttp has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

ANSWER = FakeAnswer(
    text="Hello there.",
    reasoning="Hm.",
    tool_calls=(
        ToolCall(id="call_1", name="weather", arguments='{"city": "Rome"}'),
        ToolCall(name="time", arguments="{}"),
    ),
    usage=Usage(input_tokens=42, output_tokens=20, cache_read_tokens=8, reasoning_tokens=5),
)


@pytest.fixture(params=["aiohttp", "httpx"])
async def client(
    server: FakeGemini, http: Any, request: pytest.FixtureRequest
) -> AsyncIterator[genai.Client]:
    options = genai.types.HttpOptions(
        base_url=server.address,
        httpx_async_client=http if request.param == "httpx" else None,
        retry_options=genai.types.HttpRetryOptions(attempts=5, initial_delay=0.01),
    )
    with genai.Client(api_key=server.api_key, http_options=options) as client:
        yield client
        await client.aio.aclose()


@pytest.fixture
def llm(client: genai.Client) -> GeminiProvider:
    return GeminiProvider(client=client, retry=Retry(attempts=1), temperature=0.5)


def known(response: ModelResponse) -> list[object]:
    """Return what both transports must agree on; signatures differ in base64's alphabet."""
    names = ("text", "reasoning", "finish_reason", "finish_detail", "usage", "model")
    calls = [replace(call, state=None) for call in response.tool_calls]
    return [getattr(response, name) for name in names] + [calls]


async def test_it_reads_what_the_other_transport_reads(
    server: FakeGemini, llm: GeminiProvider
) -> None:
    server.say(ANSWER, ANSWER, ANSWER)
    async with GeminiProvider(**server.connection(), temperature=0.5) as own:
        expected = await own.request("x")
    whole = await llm.request("x")
    stream = llm.stream("x")
    assert "".join([piece async for piece in stream]) == ANSWER.text
    assert known(whole) == known(stream.response) == known(expected)
    assert [type(part) for part in whole.parts] == [type(part) for part in expected.parts]
    first, second, third = server.bodies
    assert first == second == third
    assert first["generationConfig"] == {"temperature": 0.5}


async def test_models(llm: GeminiProvider) -> None:
    assert await llm.list_models() == list(FakeGemini.models)
    assert await llm.check_connection()


async def test_refusals(server: FakeGemini, llm: GeminiProvider) -> None:
    server.say(FakeError(kind="quota", retry_after=3.5), FakeError(kind="overloaded"))
    with pytest.raises(QuotaExceededError) as caught:
        await llm.generate("x")
    assert (caught.value.status_code, caught.value.retry_after) == (429, 3.5)
    with pytest.raises(ServiceUnavailableError):
        await llm.stream("x")
    assert len(server.bodies) == 2, "the SDK sends nothing again"
    with pytest.raises(ModelNotFoundError, match="closest on offer"):
        await llm.generate("x", model="gemini-3.8-flush")


async def test_what_goes_wrong_inside_a_stream(server: FakeGemini, llm: GeminiProvider) -> None:
    server.say(FakeError(kind="overloaded", in_stream=True), Fault(after=2, then="close"))
    for kind in (ServiceUnavailableError, StreamError):
        with pytest.raises(kind) as caught:
            _ = [piece async for piece in llm.stream("x")]
        assert caught.value.partial is not None
        assert caught.value.partial.text.startswith("Hello from")


async def test_the_server_sees_that_we_leave(server: FakeGemini, llm: GeminiProvider) -> None:
    # slowly: a server that has said all sees nobody leave
    server.say(Fault(FakeAnswer(text="word " * 1_000), between_events=0.02))
    async for _ in llm.stream("x"):
        break
    assert await asyncio.to_thread(server.received[-1].left.wait, 120.0)


async def test_a_limit_ends_the_wait_for_the_first_token(http: Any) -> None:
    closed = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()  # returns when the client leaves
        writer.close()
        closed.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as quiet:
        port = quiet.sockets[0].getsockname()[1]
        options = genai.types.HttpOptions(
            base_url=f"http://127.0.0.1:{port}", httpx_async_client=http
        )
        slow = genai.Client(api_key="x", http_options=options)
        llm = GeminiProvider(
            client=slow, timeouts=Timeouts(first_token=0.1), retry=Retry(attempts=1)
        )
        with pytest.raises(LLMTimeoutError, match="no first token"):
            await llm.stream("x")
        await asyncio.wait_for(closed.wait(), 120)
        slow.close()


async def test_the_client_stays_the_users(client: genai.Client, llm: GeminiProvider) -> None:
    await llm.generate("x")
    await llm.aclose()
    answer = await client.aio.models.generate_content(model=llm.model, contents="x")
    assert answer.text
    with pytest.raises(ConfigurationError, match="pickled"):
        llm.__reduce__()


def test_a_page_of_a_proxy_is_an_error_too() -> None:
    page = genai.errors.ServerError(502, {"message": "<html>", "status": "Bad Gateway"})
    assert json.loads(typed._error(page)) == {"error": {"code": 502, "message": "<html>"}}


async def test_what_nobody_reads_is_bounded(server: FakeGemini, llm: GeminiProvider) -> None:
    asked = Received(
        method="POST", path="/v1/models/x:y", query={"alt": "sse"}, headers={}, body={}
    )
    chunk = server.render_stream(FakeAnswer(text="x" * 1_000_000), asked)[0]
    server.say(RawReply(body=chunk, repeat=1000))
    stream = await llm.stream("x")
    assert await asyncio.to_thread(server.received[-1].left.wait, 20), "the connection is closed"
    with pytest.raises(InvalidResponseError, match="wait to be read") as caught:
        _ = [piece async for piece in stream]
    assert caught.value.partial is not None
    assert 60_000_000 < len(caught.value.partial.text) < 70_000_000


@pytest.mark.parametrize(
    ("body", "label"),
    [
        (b'[{"error": {"code": 503, "message": "the reason", "status": "UNAVAILABLE"}}]', "json"),
        (b'{"detail": "the reason"}', "json"),
        (b"<html><body><h1>the reason</h1></body></html>", "html"),
        (b"the reason", "plain"),
    ],
)
async def test_a_servers_own_words_come_through(
    server: FakeGemini, llm: GeminiProvider, body: bytes, label: str
) -> None:
    kind = "application/json" if label == "json" else f"text/{label}"
    reply = RawReply(status=503, headers={"content-type": kind}, body=body)
    server.say(reply, reply)
    with pytest.raises(ServiceUnavailableError, match="the reason"):
        await llm.generate("x")
    with pytest.raises(ServiceUnavailableError, match="the reason"):
        await llm.stream("x")
