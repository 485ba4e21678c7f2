import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import ClassVar

import httpx
import pytest
from bruno_llm_base import (
    ConfigurationError,
    LLMError,
    LLMTimeoutError,
    ServiceUnavailableError,
)
from bruno_llm_base.transport import PerLoop, SdkTransport, transport_error
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeOpenAI


def named(name, cause=None):
    error = type(name, (Exception,), {})()
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            # what httpx-aiohttp and openai make of a refused connection
            named("APITimeoutError", named("ConnectTimeout", named("ClientConnectorError"))),
            ServiceUnavailableError,
            "cannot be reached",
        ),
        (named("APITimeoutError", named("ConnectTimeout")), LLMTimeoutError, "no connection"),
        (
            named("ConnectTimeout", named("ServerDisconnectedError")),
            ServiceUnavailableError,
            "broke",
        ),
        (named("ReadError"), ServiceUnavailableError, "broke off"),
        (
            named("X", named("ClientConnectorCertificateError")),
            ServiceUnavailableError,
            "certificate",
        ),
        (named("X", named("SSLError")), ServiceUnavailableError, "has an http:// address"),
        (named("X", named("gaierror")), ServiceUnavailableError, "its name is not known"),
        (httpx.LocalProtocolError(""), LLMError, "unexpected LocalProtocolError"),
    ],
)
def test_the_innermost_known_cause_decides(error, kind, words):
    ours = transport_error(error)
    assert type(ours) is kind
    assert words in str(ours)
    cause, innermost = ours.__cause__, error
    while innermost.__cause__ is not None:
        innermost = innermost.__cause__
    assert cause is innermost


def test_a_cycle_of_causes_ends():
    error = httpx.LocalProtocolError("")
    error.__cause__ = httpx.CookieConflict("")
    error.__cause__.__cause__ = error
    assert "unexpected LocalProtocolError" in str(transport_error(error))


def test_what_is_no_failure_of_the_network_is_raised_as_it_is():
    mistake = named("Strange")
    error = httpx.ConnectError("")
    error.__cause__ = named("Wrapper", mistake)
    with pytest.raises(type(mistake)):
        transport_error(named("Outer", mistake))
    assert type(transport_error(error)) is ServiceUnavailableError


def test_an_error_of_ours_comes_out_of_its_wrappers():
    inner = ConfigurationError("not this way")
    ours = transport_error(named("APIConnectionError", named("ConnectError", inner)))
    assert type(ours) is ConfigurationError
    assert str(ours) == "not this way"


class Counted:
    opened = closed = 0

    def __init__(self):
        type(self).opened += 1

    async def aclose(self):
        type(self).closed += 1


@pytest.fixture
def counted():
    Counted.opened = Counted.closed = 0
    return PerLoop(needs="json")


def test_each_loop_has_a_transport_that_closes_with_it(counted):
    async def use():
        first = await counted.get(Counted)
        assert await counted.get(Counted) is first

    for turn in range(1, 4):
        asyncio.run(use())
        assert (Counted.opened, Counted.closed, len(counted._by_loop)) == (turn, turn, 0)


def test_threads_with_loops_of_their_own(counted):
    threads = [threading.Thread(target=lambda: asyncio.run(counted.get(Counted))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (Counted.opened, Counted.closed) == (4, 4)


def test_closing_is_not_the_end(counted):
    async def use():
        await counted.get(Counted)
        await counted.aclose()
        await counted.aclose()
        await counted.get(Counted)

    asyncio.run(use())
    assert (Counted.opened, Counted.closed) == (2, 2)


def test_a_dropped_owner_still_closes():
    Counted.opened = Counted.closed = 0

    async def use():
        await PerLoop(needs="json").get(Counted)
        gc.collect()

    asyncio.run(use())
    assert (Counted.opened, Counted.closed) == (1, 1)


def test_a_loop_that_died_badly_is_forgotten(counted):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(counted.get(Counted))
    loop.close()
    asyncio.run(counted.get(Counted))
    assert loop not in counted._by_loop
    gc.collect()


def test_an_sdk_that_is_broken_is_told():
    async def use():
        with pytest.raises(ConfigurationError, match="no_such_sdk cannot be imported"):
            await PerLoop(needs="no_such_sdk").get(Counted)

    asyncio.run(use())


def test_many_first_requests_share_one_client():
    with FakeOpenAI() as server:
        opened = []

        class Watched(OpenAIProvider):
            @staticmethod
            def open_transport(access, timeouts):
                opened.append(1)
                return OpenAIProvider.open_transport(access, timeouts)

        llm = Watched(**server.connection())

        async def ask():
            answers = await asyncio.gather(*(llm.generate("hi") for _ in range(50)))
            await llm.aclose()
            return answers

        assert len(asyncio.run(ask())) == 50
        assert len(opened) == 1


def test_nothing_is_said_at_the_end_of_a_program_that_closes_nothing():
    program = """
import asyncio
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeOpenAI

with FakeOpenAI() as server:
    llm = OpenAIProvider(**server.connection())
    for _ in range(3):
        asyncio.run(llm.generate("hi"))
    async def leave():
        async for _ in llm.stream("hi"):
            break
    asyncio.run(leave())
"""
    done = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env=dict(os.environ),
    )
    assert done.stderr == ""


class _EventStream:
    """What anthropic's SDK gives for Bedrock: a binary stream that it decodes itself."""

    class response:  # noqa: N801 - an instance's attribute, in short
        status_code = 200
        headers: ClassVar = {"content-type": "application/vnd.amazon.eventstream"}

    closed = False

    async def __aiter__(self):
        for number in range(3):
            yield {"number": number}

    async def close(self):
        self.closed = True


class _Client:
    def __init__(self):
        self.stream = _EventStream()

    def with_options(self, *, max_retries):
        assert max_retries == 0
        return self

    async def post(self, path, **options):
        return self.stream


async def test_a_stream_that_only_the_sdk_can_read():
    client = _Client()
    sdk = SimpleNamespace(AsyncStream=list, APIError=LookupError, APIStatusError=KeyError)
    transport = SdkTransport(sdk, client)
    reply = await transport.send("POST", "/v1/messages", {})
    batches = [batch async for batch in reply]
    assert [json.loads(line) for batch in batches for line in batch] == [
        {"number": 0},
        {"number": 1},
        {"number": 2},
    ]
    reply = await transport.send("POST", "/v1/messages", {})
    assert (await reply.read()).splitlines()[::2] == [
        b'data:{"number": 0}',
        b'data:{"number": 1}',
        b'data:{"number": 2}',
    ]
    await reply.aclose()
    assert client.stream.closed
    await transport.aclose()
