"""The trick that the transport rests on: google-genai over an HTTP client that keeps the answer."""

import asyncio
import socket
import time

import httpx2
import pytest
from bruno_llm_base import LLMTimeoutError, Retry, StreamError, Timeouts
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.testing import FakeAnswer, FakeError, Received
from bruno_llm_base.transport.reply import HttpResponse
from bruno_llm_base.types import Json
from bruno_llm_gemini import GeminiProvider, transport
from bruno_llm_gemini.testing import FakeGemini
from bruno_llm_gemini.transport import CapturingTransport
from google import genai

BODY: Json = {
    "model": "gemini-3.8-flash",
    "contents": [{"role": "user", "parts": [{"text": "x"}]}],
    "generationConfig": {"thinkingConfig": {"includeThoughts": True}, "topK": 3},
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}],
}
LONG = FakeAnswer(text="word " * 20_000)


class Echo(FakeGemini):
    """Answers with what it was asked."""

    def default(self, request: Received) -> FakeAnswer:
        return FakeAnswer(text=f"{request.body['contents'][-1]['parts'][0]['text']} " * 20)


def open_to(server: FakeGemini) -> CapturingTransport:
    return CapturingTransport(
        api_key=server.api_key, base_url=server.address, api_version=None, connect=1.0
    )


async def test_the_sdk_gets_nothing_and_we_get_the_bytes(server: FakeGemini) -> None:
    http = transport._capturing_client(1.0, httpx2.create_ssl_context())
    options = genai.types.HttpOptions(base_url=server.address, httpx_async_client=http)
    client = genai.Client(vertexai=False, api_key=server.api_key, http_options=options)
    box: list[HttpResponse] = []
    token = transport._BOX.set(box)
    answer = await client.aio.models.generate_content(model=BODY["model"], contents="x")
    stream = await client.aio.models.generate_content_stream(model=BODY["model"], contents="x")
    assert [chunk async for chunk in stream] == []
    models = await client.aio.models.list()
    transport._BOX.reset(token)
    assert (answer.candidates, answer.text, list(models.page)) == (None, None, [])
    whole, streamed, listed = [await response.aread() for response in box]
    assert b"Hello from the fake server." in whole
    assert streamed.count(b"data: ") == 6
    assert b"models/gemini-3.8-flash" in listed
    typed = await client.aio.models.generate_content(model=BODY["model"], contents="x")
    assert typed.text == "Hello from the fake server."
    await http.aclose()
    client.close()


@pytest.mark.parametrize("path", [transport.CHAT, transport.STREAM])
async def test_the_body_arrives_as_it_is(server: FakeGemini, path: str) -> None:
    opened = open_to(server)
    reply = await opened.send("POST", path, BODY)
    await reply.read()
    assert server.bodies == [{name: BODY[name] for name in BODY if name != "model"}]
    received = server.received[0]
    assert received.path == f"/v1/models/gemini-3.8-flash:{path}"
    assert received.headers["x-goog-api-key"] == server.api_key
    assert "key" not in received.query
    await opened.aclose()


@pytest.mark.parametrize("path", [transport.CHAT, transport.STREAM])
async def test_a_refusal_is_a_reply(server: FakeGemini, path: str) -> None:
    server.say(FakeError(kind="overloaded", headers={"retry-after": "7"}))
    opened = open_to(server)
    reply = await opened.send("POST", path, BODY)
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "7")
    assert b"UNAVAILABLE" in await reply.read()
    await opened.aclose()
    assert len(server.received) == 1


async def test_streams_at_once_never_mix() -> None:
    with Echo() as server:
        async with GeminiProvider(**server.connection()) as llm:

            async def ask(name: str) -> str:
                return "".join([piece async for piece in llm.stream(name)])

            names = [f"name-{number}" for number in range(50)]
            answers = await asyncio.gather(*[ask(name) for name in names])
    assert answers == [f"{name} " * 20 for name in names]


async def test_the_server_sees_that_we_leave(server: FakeGemini) -> None:
    async with GeminiProvider(**server.connection()) as llm:
        for _ in range(3):
            server.say(LONG)
            async for _ in llm.stream("x"):
                break
            began = time.monotonic()
            assert await asyncio.to_thread(server.received[-1].left.wait, 2.0)
            assert time.monotonic() - began < 0.1


async def test_an_answer_is_closed_if_the_sdk_fails_after_it(server: FakeGemini) -> None:
    class Failing(CapturingTransport):
        async def _ask(self, path: str, body: Json) -> None:
            await super()._ask(path, body)
            raise RuntimeError("after the answer")

    server.say(LONG)
    opened = Failing(api_key=server.api_key, base_url=server.address, api_version=None, connect=1.0)
    with pytest.raises(RuntimeError, match="after the answer"):
        await opened.send("POST", transport.STREAM, BODY)
    assert await asyncio.to_thread(server.received[-1].left.wait, 2.0)
    await opened.aclose()


async def test_reaching_the_server_has_a_limit() -> None:
    with socket.socket() as full:  # nobody accepts, so its queue fills up
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(address)
        llm = GeminiProvider(
            base_url=f"http://127.0.0.1:{address[1]}",
            timeouts=Timeouts(connect=0.2),
            retry=Retry(attempts=1),
        )
        began = time.monotonic()
        with pytest.raises(LLMTimeoutError, match="no connection"):
            await llm.generate("x")
        assert time.monotonic() - began < 2
        await llm.aclose()
        for one in waiting:
            one.close()


async def test_a_socks_proxy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="ALL_PROXY names a SOCKS proxy"):
        await GeminiProvider(api_key="x").generate("x")


async def test_a_cut_stream_is_an_error(server: FakeGemini) -> None:
    server.say(FakeAnswer(cut_after=2))
    async with GeminiProvider(**server.connection(), retry=Retry(attempts=1)) as llm:
        with pytest.raises(StreamError):
            _ = [piece async for piece in llm.stream("x")]
