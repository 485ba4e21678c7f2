"""Many streams at once, in a process of their own; their answers begin when all of them have asked.

python -m benchmarks.crowd ours openai http://127.0.0.1:1234 10000 200 1
"""

import asyncio
import gc
import json
import os
import resource
import sys
import time
import warnings
from collections import Counter

from benchmarks.clients import Client, open_client
from benchmarks.measures import read

__all__ = ["crowd"]

_PATIENCE = 150.0  # seconds for one round: who takes longer is left out


async def crowd(client: Client, at_once: int, chunks: int, rounds: int) -> dict[str, object]:
    """Return what a chunk costs at best, and what failed."""
    failures: Counter[str] = Counter()
    await _round(client, at_once, 5, failures)  # connects
    costs = []
    for _ in range(rounds):
        gc.collect()
        costs.append(await _round(client, at_once, chunks, failures) / (at_once * chunks))
    return {"chunk_us": min(costs) * 1e6, "failures": failures}


async def _round(client: Client, at_once: int, chunks: int, failures: Counter[str]) -> float:
    """Return the CPU seconds of this process, all threads."""

    async def one() -> None:
        try:
            await read(client, "flood", chunks, at_once)
        except Exception as error:  # noqa: BLE001 - it is counted
            failures[f"{type(error).__name__}: {error}"[:200]] += 1

    begun = time.process_time()
    async with asyncio.timeout(_PATIENCE):
        await asyncio.gather(*(one() for _ in range(at_once)))
    return time.process_time() - begun


async def _work(name: str, vendor: str, address: str, *numbers: int) -> None:
    client = open_client(name, vendor, address)
    result: dict[str, object] | None = None
    try:
        result = await crowd(client, *numbers)
        result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    except TimeoutError:
        pass
    print(json.dumps(result), flush=True)
    os._exit(0)  # thousands of streams that have not ended would take long to be cancelled


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1] == "official":
        sys.modules.update(dict.fromkeys(("aiohttp", "httpx_aiohttp")))  # as if not installed
    client, vendor, address, *numbers = sys.argv[1:]
    asyncio.run(_work(client, vendor, address, *map(int, numbers)))
