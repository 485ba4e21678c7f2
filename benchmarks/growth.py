"""What is left after many requests: sockets, tasks, memory; and whether long streams stay cheap.

python -m benchmarks.growth openai http://127.0.0.1:1234 10000 1000 200000
"""

import asyncio
import gc
import json
import os
import sys
import time
import tracemalloc
import warnings
from pathlib import Path

from benchmarks.clients import Client, open_client
from benchmarks.measures import read

__all__ = ["grow"]

_AT_ONCE = 20


async def grow(
    vendor: str, address: str, requests: int, left: int, chunks: int
) -> dict[str, object]:
    """Return the figures before and after *requests* answers and *left* abandoned streams."""
    client = open_client("ours", vendor, address)
    flat = [await _per_chunk(client, 1000), await _per_chunk(client, chunks)]
    await _ask(client, 500)
    await _leave(client, 100)
    tracemalloc.start()
    before = await _settled()
    await _ask(client, requests)
    await _leave(client, left)
    after = await _settled()
    return {"before": before, "after": after, "chunk_us": flat}


async def _ask(client: Client, times: int) -> None:
    for _ in range(times // _AT_ONCE):
        await asyncio.gather(*(client.whole("bench-whole-50") for _ in range(_AT_ONCE)))


async def _leave(client: Client, times: int) -> None:
    """Leave streams in the middle: one by `break`, the next one by cancelling its task."""
    for _ in range(times // 2):
        async for _piece in client.stream("bench-paced-200"):
            break
        begun = asyncio.Event()
        task = asyncio.create_task(_tell_when_begun(client, begun))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])


async def _tell_when_begun(client: Client, begun: asyncio.Event) -> None:
    async for _piece in client.stream("bench-paced-200"):
        begun.set()


async def _per_chunk(client: Client, chunks: int) -> float:
    """Return the CPU microseconds per chunk: the least of several, since a long one runs once."""
    costs = []
    for _ in range(max(2, 20_000 // chunks)):
        begun = time.process_time()
        await read(client, "burst", chunks)
        costs.append((time.process_time() - begun) / chunks * 1e6)
    return min(costs)


async def _settled() -> dict[str, int]:
    await asyncio.sleep(0.1)  # closed connections are taken down by the loop
    gc.collect()
    return _held() | {"tasks": len(asyncio.all_tasks())}


def _held() -> dict[str, int]:
    """Return what this process holds (https://docs.kernel.org/filesystems/proc.html)."""
    links = [entry.readlink().name for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "sockets": sum(link.startswith("socket:") for link in links),
        "traced_kib": tracemalloc.get_traced_memory()[0] // 1024,
        "rss_kib": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    vendor, address, *numbers = sys.argv[1:]
    print(json.dumps(asyncio.run(grow(vendor, address, *map(int, numbers)))))
