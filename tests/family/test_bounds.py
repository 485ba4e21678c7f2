"""However much a server sends, little of it is held: on all four, over the wire."""

import asyncio
import gzip
import json
import subprocess
import sys
import tracemalloc
import zlib

import pytest
from bruno_llm_base import InvalidResponseError, LLMFactory, RateLimitError, Retry
from bruno_llm_base import ServiceUnavailableError as Unavailable
from bruno_llm_testing import FakeAnswer, FakeOpenAI, RawReply, Received

MIB = 2**20
GIGABYTE = {"body": b"x" * 1_000_000, "repeat": 1000}

PLAIN = """
import asyncio, json, resource, sys
sys.modules.update(dict.fromkeys(["aiohttp", "httpx_aiohttp"]))  # as if not installed
from bruno_llm_base import LLMError, LLMFactory

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # in MB

async def main(name, **connection):
    said = []
    async with LLMFactory.create(name, **connection, max_retries=0) as llm:
        await llm.generate("hi")
        before = peak()
        for _ in range(3):
            try:
                await llm.generate("hi")
            except LLMError as error:
                said.append([type(error).__name__, error.status_code])
    print(json.dumps([peak() - before, *said]))

asyncio.run(main(sys.argv[1], **json.loads(sys.argv[2])))
"""


def bomb(layers):
    """Return 1 GB, compressed once or several times."""
    packer = zlib.compressobj(wbits=31)
    # after a full flush the stream begins anew, so one piece can stand for all
    first, other = [packer.compress(b"x" * MIB) + packer.flush(zlib.Z_FULL_FLUSH) for _ in "ab"]
    data = first + 999 * other
    for _ in range(layers - 1):
        data = gzip.compress(data)
    return {"headers": {"content-encoding": ", ".join(["gzip"] * layers)}, "body": data}


@pytest.fixture(params=["whole", "streamed"])
def ask(request):
    """Ask for an answer, and return its text."""

    async def whole(llm):
        return (await llm.request("hi")).text

    async def streamed(llm):
        return "".join([piece async for piece in llm.stream("hi")])

    return whole if request.param == "whole" else streamed


@pytest.fixture
async def llm(name, server):
    async with LLMFactory.create(name, **server.connection(), retry=Retry(attempts=1)) as llm:
        server.say(FakeAnswer())
        await llm.generate("hi")  # what it imports and compiles is none of the answer
        tracemalloc.start()
        yield llm
        tracemalloc.stop()


async def refused(ask, llm, kind, *, within):
    """Return the error that asking ends in; the memory of the server's thread counts as well."""
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    with pytest.raises(kind) as caught:
        await ask(llm)
    held, peak = tracemalloc.get_traced_memory()
    assert peak - before < within
    assert held - before < 40 * MIB, "the error keeps one network read at most"
    return caught.value


async def test_an_answer_of_a_gigabyte_without_a_line_break(llm, server, ask):
    server.say(RawReply(**GIGABYTE))
    await refused(ask, llm, InvalidResponseError, within=200 * MIB)
    assert await asyncio.to_thread(server.received[-1].left.wait, 2)


async def test_a_gigabyte_where_a_stream_was_asked_for(llm, server):
    server.say(RawReply(**GIGABYTE, headers={"content-type": "text/html"}))

    async def ask(llm):
        await llm.stream("hi")

    await refused(ask, llm, InvalidResponseError, within=200 * MIB)


async def test_a_refusal_of_a_gigabyte_is_what_its_status_and_headers_say(llm, server, ask):
    headers = {"retry-after": "7", "x-request-id": "req_1", "x-note": "Grüße"}
    server.say(
        RawReply(status=500, **GIGABYTE),
        RawReply(status=429, headers=headers, **GIGABYTE),
    )
    error = await refused(ask, llm, Unavailable, within=20 * MIB)
    assert error.status_code == 500
    error = await refused(ask, llm, RateLimitError, within=20 * MIB)
    assert (error.status_code, error.retry_after, error.request_id) == (429, 7, "req_1")
    for received in server.received[-2:]:
        assert await asyncio.to_thread(received.left.wait, 2)


@pytest.mark.parametrize("layers", [1, 2])
async def test_a_bomb_goes_off_within_bounds(llm, server, ask, layers):
    packed = bomb(layers)
    server.say(RawReply(**packed), RawReply(status=500, **packed))
    await refused(ask, llm, InvalidResponseError, within=300 * MIB)
    error = await refused(ask, llm, Unavailable, within=100 * MIB)
    assert error.status_code == 500


async def test_a_compressed_answer_is_read_as_any_other(llm, server, ask):
    asked = Received(
        method="POST", path="/v1/models/x:y", query={"alt": "sse"}, headers={}, body={}
    )
    asked.body.update(model=llm.model, messages=["hi"], stream_options={"include_usage": True})
    if ask.__name__ == "whole":
        body = json.dumps(server.render_answer(FakeAnswer(), asked)).encode()
    else:
        body = b"".join(server.render_stream(FakeAnswer(), asked))
    headers = {"content-encoding": "gzip"}
    server.say(RawReply(headers=headers, body=gzip.compress(body)))
    assert await ask(llm) == FakeAnswer().text


async def test_a_redirect_is_an_error_and_nothing_goes_elsewhere(llm, server, ask):
    with FakeOpenAI() as other:
        for status in (301, 302, 303, 307, 308):
            path = server.received[-1].path
            server.say(RawReply(status=status, headers={"location": other.address + path}))
            error = await refused(ask, llm, InvalidResponseError, within=20 * MIB)
            assert error.status_code == status
        assert other.accepted_connections == 0


def test_httpx_alone_is_bounded_as_well(name, server):
    server.say(FakeAnswer(), RawReply(**GIGABYTE), RawReply(status=500, **GIGABYTE))
    server.say(RawReply(status=307, headers={"location": "http://127.0.0.1:1/"}))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PLAIN, name, json.dumps(server.connection())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    megabytes, *said = json.loads(done.stdout)
    assert megabytes < 250
    assert said == [
        ["InvalidResponseError", None],
        ["ServiceUnavailableError", 500],
        ["InvalidResponseError", 307],
    ]
