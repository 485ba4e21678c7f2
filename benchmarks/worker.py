"""One client in a process of its own: it is told a measure, and answers what a unit of it cost.

python -m benchmarks.worker "ours" openai http://127.0.0.1:1234
"""

import asyncio
import gc
import json
import sys
import warnings

from benchmarks.clients import open_client
from benchmarks.measures import MEASURES

__all__ = ["work"]


async def work(name: str, vendor: str, address: str) -> None:
    """Answer each line of standard input until it ends."""
    client = open_client(name, vendor, address)
    measures = {measure.name: measure for measure in MEASURES}
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        gc.collect()
        cost = await measures[order["measure"]].run(client, order["scale"])
        print(json.dumps(cost), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1] in ("official", "ours on httpx"):
        sys.modules.update(dict.fromkeys(("aiohttp", "httpx_aiohttp")))  # as if not installed
    asyncio.run(work(*sys.argv[1:]))
