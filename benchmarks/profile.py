"""Where the time of a streamed chunk goes, by sampling: the interpreter is asked every millisecond.

python -m benchmarks.profile openai http://127.0.0.1:1234 200000
"""

import asyncio
import json
import signal
import sys
import time
import warnings
from collections import Counter
from types import FrameType

from benchmarks.clients import open_client
from benchmarks.measures import read

__all__ = ["CONCERNS", "profile"]

_BY_FILE = (
    ("bruno_llm_base/transport/framing", "cutting the bytes into documents"),
    ("bruno_llm_base/exchange.py:_object", "JSON (jiter)"),
    ("bruno_llm_base/response.py:checked", "reading and checking a document"),
    ("bruno_llm_base/response.py:Answer", "collecting the answer"),
    ("bruno_llm_base", "our request path"),
    ("bruno_llm_", "reading and checking a document"),
    ("aiohttp", "aiohttp, httpx, the SDK"),
    ("httpx", "aiohttp, httpx, the SDK"),
    ("openai", "aiohttp, httpx, the SDK"),
    ("anthropic", "aiohttp, httpx, the SDK"),
    ("asyncio", "the event loop"),
    ("selectors", "the event loop"),
    ("benchmarks", "the program that reads"),
)
CONCERNS = tuple(dict.fromkeys(concern for _, concern in _BY_FILE))


async def profile(vendor: str, address: str, chunks: int) -> dict[str, float]:
    """Return the CPU microseconds per chunk by concern, for chunks sent at once."""
    client = open_client("ours", vendor, address)
    await read(client, "burst", 1000)
    samples: Counter[str] = Counter()
    signal.signal(signal.SIGPROF, lambda _, frame: samples.update([_concern(frame)]))
    begun = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    for _ in range(chunks // 1000):
        await read(client, "burst", 1000)
    signal.setitimer(signal.ITIMER_PROF, 0)
    per_sample = (time.process_time() - begun) / chunks * 1e6 / samples.total()
    return {concern: samples[concern] * per_sample for concern in CONCERNS}


def _concern(frame: FrameType | None) -> str:
    """Return what the innermost frame that we know is there for; helpers count as their callers."""
    while frame is not None:
        file = frame.f_code.co_filename.rpartition("/site-packages/")[2].rpartition("/src/")[2]
        place = f"{file.removeprefix(sys.prefix)}:{frame.f_code.co_qualname}"
        for prefix, concern in _BY_FILE:
            if prefix in place:
                return concern
        frame = frame.f_back
    return CONCERNS[-1]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(asyncio.run(profile(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
