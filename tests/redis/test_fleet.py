"""Several processes keep to one limit, by a real server."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bruno_llm_base.limits import RateLimit
from bruno_llm_redis import limit_store

_HOLDER = """
import asyncio, sys
from bruno_llm_base.limits import RateLimit
from bruno_llm_redis import limit_store

async def main():
    limit = RateLimit(max_concurrent=3, store=limit_store(sys.argv[1], "held", "refuse", lease=1.0))
    held = [await limit.acquire(0) for _ in range(3)]
    print("ready", flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


def start(*arguments):
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *arguments], stdin=pipe, stdout=pipe, text=True)


@pytest.mark.parametrize(("requests", "tokens"), [(60, 10**6), (10**6, 1200)])
def test_eight_processes_never_exceed_the_limit_and_share_it(server, requests, tokens):
    script = Path(__file__).with_name("sender.py")
    command = str(script), server.url, str(requests), str(tokens), "5"
    processes = [start(*command) for _ in range(8)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [
        [tuple(map(int, line.split())) for line in process.communicate()[0].splitlines()]
        for process in processes
    ]
    assert [process.returncode for process in processes] == [0] * 8

    places = sorted(place for of_one in taken for place in of_one)
    for first, _ in places:
        minute = [tokens for bucket, tokens in places if first <= bucket < first + 1024]
        assert len(minute) <= requests
        assert sum(minute) <= tokens
    begin = max(of_one[0][0] for of_one in taken)  # all of them were there
    end = min(of_one[-1][0] for of_one in taken)
    assert end > begin
    shares = [sum(begin <= bucket <= end for bucket, _ in of_one) for of_one in taken]
    assert max(shares) <= 2 * min(shares) + 2, shares


async def test_the_places_of_a_killed_process_are_free_again_after_its_lease(server):
    holder = start("-c", _HOLDER, server.url)
    try:
        assert await asyncio.to_thread(holder.stdout.readline) == "ready\n"
        store = limit_store(server.url, "held", "refuse", lease=1.0)
        limit = RateLimit(max_concurrent=3, store=store)
        assert (await store.take([0], limit))[0] == []
        await asyncio.sleep(1.5)  # longer than its lease, which it renews
        assert (await store.take([0], limit))[0] == []
        os.kill(holder.pid, signal.SIGKILL)
        for _ in range(3):
            await asyncio.wait_for(limit.acquire(0), 60)
    finally:
        holder.kill()
        holder.communicate()
