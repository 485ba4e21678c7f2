"""Answers in a real server, which several processes share."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from bruno_llm_base import ConfigurationError
from bruno_llm_redis import cache_store
from bruno_llm_testing import FakeAnswer, Fault
from redis.exceptions import ReadOnlyError, ResponseError

_ASKER = """
import asyncio, sys
from bruno_llm_base import CachedLLM
from bruno_llm_openai import OpenAIProvider
from bruno_llm_redis import cache_store

async def main(url, address, lead):
    llm = OpenAIProvider("gpt-4.1", api="chat", base_url=address, api_key="test-key")
    async with CachedLLM(llm, store=cache_store(url, lead=float(lead))) as cached:
        print(await cached.generate("hi"))

asyncio.run(main(*sys.argv[1:]))
"""


def ask(server, fake_openai, lead):
    """Start a process that asks, through the cache at *server*."""
    address = fake_openai.connection()["base_url"]
    arguments = [sys.executable, "-c", _ASKER, server.url, address, str(lead)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


@pytest.fixture
async def stores(server):
    """Return two, as two processes have them."""
    stores = [cache_store(server.url) for _ in range(2)]
    yield stores
    for store in stores:
        await store.aclose()


async def test_what_one_puts_the_other_gets_as_it_was(stores, server):
    one, other = stores
    assert await other.get("question") is None
    value = bytes(range(256)) * 1000
    await one.put("question", value)
    assert await other.get("question") == value
    assert await other.get("another") is None
    assert b"bruno-llm:cache:{question}" in server.ask("KEYS *")
    await one.aclose()
    assert await one.get("question") == value
    assert int(server.ask("TTL bruno-llm:cache:{question}").strip().lstrip(b":")) > 80 * 86400


async def test_one_at_a_time_has_the_lead(stores):
    one, other = stores
    assert await one.lead("question")
    assert not await other.lead("question")
    assert await one.lead("question")
    assert await other.lead("another")
    await other.release("question")  # not its own
    assert not await other.lead("question")
    await one.release("question")
    assert await other.lead("question")
    await one.put("question", b"answer")  # it was late
    assert not await one.lead("question")
    await other.put("question", b"answer")
    assert await one.lead("question")


async def test_of_several_processes_one_asks_and_the_others_get_its_answer(server, fake_openai):
    fake_openai.say(Fault(FakeAnswer(text="once"), before_header=0.5))
    processes = [ask(server, fake_openai, 60) for _ in range(3)]
    said = [await asyncio.to_thread(process.communicate) for process in processes]
    assert [answer for answer, _ in said] == ["once\n"] * 3
    assert len(fake_openai.bodies) == 1


async def test_when_the_process_that_asks_is_killed_another_does(server, fake_openai, eventually):
    fake_openai.say(Fault(then="stall"), FakeAnswer(text="once"))
    killed = ask(server, fake_openai, 2)
    try:
        await eventually(lambda: len(fake_openai.bodies) == 1)
        processes = [ask(server, fake_openai, 60) for _ in range(2)]
        os.kill(killed.pid, signal.SIGKILL)
        said = [await asyncio.to_thread(process.communicate) for process in processes]
    finally:
        killed.kill()
        killed.communicate()
    assert [answer for answer, _ in said] == ["once\n"] * 2
    assert len(fake_openai.bodies) == 2


async def test_a_server_that_is_away_is_said_so_and_left_alone_for_a_while(server, stores):
    server.stop()
    for words in ("does not answer", "did not answer lately"):
        with pytest.raises(ConnectionError, match=f"127.0.0.1:{server.port}/0 {words}"):
            await stores[0].get("question")


async def test_a_login_that_is_refused_is_told_with_its_cure(server):
    server.ask("ACL SETUSER reader on >hush ~other:* +@all")
    for login in ("reader:hush", "reader:wrong1"):
        store = cache_store(server.url.replace("//", f"//{login}@"))
        with pytest.raises(ConnectionError, match=r"refuses us \(.*\): give a login") as caught:
            await store.get("question")
        assert "hush" not in str(caught.value)
        assert "wrong1" not in str(caught.value)
        await store.aclose()


async def test_a_server_that_takes_nothing_still_answers(start_server, free_port):
    full = cache_store(start_server("--maxmemory", "1mb").url)
    with pytest.raises(ResponseError, match="maxmemory"):
        await full.put("question", b"x" * 2**20)
    assert await full.get("question") is None
    await full.aclose()
    replica = cache_store(start_server("--replicaof", "127.0.0.1", str(free_port())).url)
    with pytest.raises(ReadOnlyError):
        await replica.put("question", b"answer")
    assert await replica.get("question") is None
    await replica.aclose()


def test_a_malformed_url_is_named_without_its_password():
    with pytest.raises(ConfigurationError, match="store is not the URL of a server") as caught:
        cache_store("redis://:secret@host/prod")
    assert "secret" not in str(caught.value)
