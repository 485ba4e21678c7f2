"""The trick that the transport rests on: google-genai composes requests and sends none."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import httpx2
import pytest
from bruno_llm_base import LLMTimeoutError, Retry, StreamError, Timeouts
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.parts import Json
from bruno_llm_gemini import GeminiProvider, transport
from bruno_llm_gemini.transport import ComposedTransport
from bruno_llm_testing import FakeAnswer, FakeError, FakeGemini, Fault, Received
from pydantic import ConfigDict, create_model

ANY_TYPES = ConfigDict(arbitrary_types_allowed=True)
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


def open_to(server: FakeGemini) -> ComposedTransport:
    return ComposedTransport(
        api_key=server.api_key, base_url=server.address, api_version=None, connect=1.0
    )


@pytest.mark.parametrize("path", [transport.CHAT, transport.STREAM, transport.MODELS])
async def test_the_sdk_composes_each_request_once_and_sends_none(
    server: FakeGemini, path: str
) -> None:
    opened = open_to(server)
    body = None if path == transport.MODELS else BODY
    composed = await opened._compose(path, BODY["model"] if body else None)
    assert server.received == []
    assert str(composed.url).startswith(server.address)
    method = "POST" if body else "GET"
    for _ in range(2):
        reply = await opened.send(method, path, body)
        assert (reply.status_code, bool(await reply.read())) == (200, True)
    assert opened._composed.get((path, body and body["model"])) is composed
    await opened.aclose()


def test_the_http_library_is_known_in_whatever_way_the_sdk_names_it() -> None:
    old, new = httpx.AsyncClient, httpx2.AsyncClient
    taken: list[tuple[Any, Any]] = [
        (old | new | None, httpx2),
        (None | new | old, httpx2),
        (new, httpx2),
        (new | None, httpx2),
        (old | None, httpx),
    ]
    for kind, library in taken:
        options = create_model("HttpOptions", httpx_async_client=(kind, None), __config__=ANY_TYPES)
        assert transport._http_library(options) is library


async def test_models_without_number_do_not_fill_the_memory(
    server: FakeGemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_MOST_COMPOSED", 2)
    opened = open_to(server)
    for number in range(5):
        await (await opened.send("POST", transport.CHAT, BODY | {"model": f"m{number}"})).read()
        assert len(opened._composed) <= 2
    assert [received.path.split("/")[-1] for received in server.received[-2:]] == [
        "m3:generateContent",
        "m4:generateContent",
    ]
    await opened.aclose()


@pytest.mark.parametrize("path", [transport.CHAT, transport.STREAM])
async def test_the_body_arrives_as_it_is(server: FakeGemini, path: str) -> None:
    opened = open_to(server)
    reply = await opened.send("POST", path, BODY)
    await reply.read()
    assert server.bodies == [{name: BODY[name] for name in BODY if name != "model"}]
    received = server.received[0]
    assert received.path.endswith(f"/models/gemini-3.8-flash:{path}")
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


async def test_the_server_sees_that_we_leave(
    server: FakeGemini, at_once: Callable[[Callable[[], bool]], Awaitable[None]]
) -> None:
    async with GeminiProvider(**server.connection()) as llm:
        for _ in range(3):
            server.say(LONG)
            async for _ in llm.stream("x"):
                break
            await at_once(server.received[-1].left.is_set)


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
        with pytest.raises(LLMTimeoutError, match="no connection"):
            await llm.generate("x")
        await llm.aclose()
        for one in waiting:
            one.close()


async def test_a_socks_proxy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="ALL_PROXY names a SOCKS proxy"):
        await GeminiProvider(api_key="x").generate("x")


async def test_a_cut_stream_is_an_error(server: FakeGemini) -> None:
    server.say(Fault(after=2, then="close"))
    async with GeminiProvider(**server.connection(), retry=Retry(attempts=1)) as llm:
        with pytest.raises(StreamError):
            _ = [piece async for piece in llm.stream("x")]
