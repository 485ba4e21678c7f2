"""Answers in a real server, which several processes share."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from bruno_llm_base import ConfigurationError
from bruno_llm_redis import cache_store
from redis.exceptions import ReadOnlyError, ResponseError

_LEADER = """
import asyncio, sys
from bruno_llm_redis import cache_store

async def main():
    print(await cache_store(sys.argv[1], lead=2.0).lead("question"), flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


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
    assert 80 * 86400 < int(server.ask("TTL bruno-llm:cache:{question}").strip().lstrip(b":"))


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


async def test_the_lead_of_a_killed_process_ends(server, stores):
    leader = subprocess.Popen(
        [sys.executable, "-c", _LEADER, server.url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert await asyncio.to_thread(leader.stdout.readline) == "True\n"
        assert not await stores[0].lead("question")
        os.kill(leader.pid, signal.SIGKILL)
        while not await stores[0].lead("question"):
            await asyncio.sleep(0.05)
    finally:
        leader.kill()
        leader.communicate()


async def test_a_server_that_is_away_is_said_so_and_left_alone_for_a_while(server, stores):
    server.stop()
    for words in ("does not answer", "did not answer lately"):
        with pytest.raises(ConnectionError, match=f"127.0.0.1:{server.port}/0 {words}"):
            await stores[0].get("question")


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
    with pytest.raises(ConfigurationError, match="store is no URL of a server") as caught:
        cache_store("redis://:secret@host/prod")
    assert "secret" not in str(caught.value)
