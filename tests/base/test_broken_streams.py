"""Streams that go wrong below the fakes: raw bytes on a raw socket."""

import asyncio
import json

import pytest
from bruno_llm_base import (
    InvalidResponseError,
    LLMTimeoutError,
    QuotaExceededError,
    Retry,
    StreamError,
    Timeouts,
)
from bruno_llm_openai import OpenAIProvider

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(delta, finish=None, usage=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    document = {"choices": [choice], "usage": usage}
    return chunk(b"data: " + json.dumps(document).encode() + b"\n\n")


HELLO = event({"content": "Hello"})
PAUSE = None
"""Where the server waits until the client has read what came before."""


@pytest.fixture
async def serve():
    """Start a server that sends some bytes, and then waits, ends or aborts."""
    servers = []

    async def serve(*pieces, then="end"):
        async def answer(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD)
            for piece in pieces:
                if piece is PAUSE:
                    await asyncio.sleep(0.02)
                    continue
                writer.write(piece)
                await writer.drain()
            if then == "wait":
                await reader.read()
            if then == "abort":
                writer.transport.abort()
            writer.close()
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield serve
    for server in servers:
        server.close()
        await server.wait_closed()


async def read(url, **keywords):
    """Return the pieces that came, the error that ended them, and the answer."""
    pieces = []
    async with OpenAIProvider(base_url=url, retry=Retry(attempts=1), **keywords) as llm:
        stream = llm.stream("hi")
        try:
            async for piece in stream:
                pieces.append(piece)  # noqa: PERF401 - what came before the error counts
        except Exception as error:  # noqa: BLE001 - the tests look at it
            return pieces, error, None
        return pieces, None, stream.response


async def test_a_stall_is_a_timeout_that_keeps_what_came(serve):
    url = await serve(HELLO, then="wait")
    pieces, error, _ = await read(url, timeouts=Timeouts(between_tokens=0.3))
    assert type(error) is LLMTimeoutError
    assert "no further token within 0.3 s" in str(error)
    assert pieces == [error.partial.text] == ["Hello"]


async def test_comments_do_not_count_as_a_sign_of_life(serve):
    url = await serve(HELLO, *[chunk(b": ping\n\n")] * 50, then="wait")
    _, error, _ = await read(url, timeouts=Timeouts(between_tokens=0.3))
    assert type(error) is LLMTimeoutError


@pytest.mark.parametrize("then", ["abort", "end"])
async def test_a_cut_inside_the_body(serve, then):
    pieces, error, _ = await read(await serve(HELLO, then=then))
    assert type(error) is StreamError
    assert "broke off" in str(error)
    assert (pieces, error.partial.text) == (["Hello"], "Hello")


async def test_an_end_without_a_finish_reason(serve):
    pieces, error, _ = await read(await serve(HELLO, END))
    assert type(error) is StreamError
    assert "before the answer was complete" in str(error)
    assert pieces == ["Hello"]


@pytest.mark.parametrize("line", [b"{", b"[1]", b'"x"', b"\xff", b'{"choices": [7]}'])
async def test_a_malformed_event_comes_after_the_good_ones(serve, line):
    url = await serve(HELLO, chunk(b"data: " + line + b"\n\n"), END)
    pieces, error, _ = await read(url)
    assert type(error) is InvalidResponseError
    assert (pieces, error.partial.text) == (["Hello"], "Hello")


async def test_a_server_that_lingers_after_the_end_is_not_waited_for(serve):
    url = await serve(HELLO, event({}, "stop"), chunk(b"data: [DONE]\n\n"), then="wait")
    pieces, error, response = await read(url)
    assert (pieces, error, response.finish_reason) == (["Hello"], None, "stop")


async def test_a_server_without_usage_is_no_error(serve):
    _, error, response = await read(await serve(HELLO, event({}, "length"), END))
    assert (error, response.usage_estimated) == (None, True)
    assert response.usage.output_tokens > 0
    assert response.text == "Hello"


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (b"application/json", b'{"error": {"code": "insufficient_quota"}}', QuotaExceededError),
        (b"application/json", b'{"choices": []}', InvalidResponseError),
        (b"text/html", b"<html>Sign in</html>", InvalidResponseError),
    ],
)
async def test_an_answer_that_is_no_stream_is_told_and_not_asked_for_again(kind, body, expected):
    asked = 0

    async def answer(reader, writer):
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nconnection: close\r\n\r\n%b" % (kind, body)
        )
        await writer.drain()
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with OpenAIProvider(base_url=url, retry=Retry(wait_initial=0)) as llm:
            with pytest.raises(expected):
                await llm.stream("hi")
    assert asked == 1


def counted(output, **more):
    return {"prompt_tokens": 10, "completion_tokens": output} | more


async def test_counts_before_the_end_do_not_end_a_stream(serve):
    said = [event({"content": "Hello"}, usage=counted(1)), event({}, "stop")]
    _, error, response = await read(await serve(*said, event({}, usage=counted(5)), then="wait"))
    assert (error, response.usage.output_tokens) == (None, 5)


async def test_counts_after_the_end_replace_those_at_the_end(serve):
    last = event({}, usage=counted(5, prompt_tokens_details={"cached_tokens": 8}))
    url = await serve(HELLO, event({}, "stop", usage=counted(4)), PAUSE, last, then="wait")
    _, error, response = await read(url)
    assert error is None
    assert (response.usage.output_tokens, response.usage.cache_read_tokens) == (5, 8)


@pytest.mark.parametrize("line", [b"{", b'{"error": {"message": "late"}}'])
async def test_nothing_after_the_last_word_undoes_an_answer(serve, line):
    end = event({}, "stop", usage=counted(4)) + chunk(b"data: [DONE]\n\n")
    url = await serve(HELLO, end, PAUSE, chunk(b"data: " + line + b"\n\n"), END)
    pieces, error, response = await read(url)
    assert (pieces, error, response.usage.output_tokens) == (["Hello"], None, 4)


@pytest.mark.parametrize("pause", [[], [PAUSE]])
async def test_an_error_after_an_early_stop_is_told(serve, pause):
    end = event({}, "stop", usage=counted(4))
    late = chunk(b'data: {"error": {"message": "late", "type": "server_error"}}\n\n')
    pieces, error, _ = await read(await serve(HELLO, end, *pause, late, END))
    assert pieces == ["Hello"]
    assert "late" in str(error)
    assert error.partial.text == "Hello"
