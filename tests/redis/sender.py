"""Run as a process of a fleet: takes places until it is told to end, and prints each of them.

What it prints is the server's own time, in 1/1024 of a minute, so that no busy machine falsifies it.
"""

import asyncio
import sys

from bruno_llm_base.limits import RateLimit
from bruno_llm_redis import limit_store


async def main(url, requests, tokens, minutes):
    store = limit_store(url, "fleet", "refuse", minute=1.0)
    limit = RateLimit(requests_per_minute=requests, tokens_per_minute=tokens, store=store)
    taken = []
    await asyncio.to_thread(sys.stdin.readline)

    async def send(number):
        while len(taken) < 2 or taken[-1][0] < taken[0][0] + minutes * 1024:
            estimate = 10 + number * 7
            permit = await limit.acquire(estimate)
            taken.append((int(permit._buckets["rpm"]), estimate))
            permit.settle(estimate)

    await asyncio.gather(*(send(number) for number in range(4)))
    sys.stdout.writelines(f"{bucket} {tokens}\n" for bucket, tokens in taken)


asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
