"""What is measured: each measure runs some work and says what one unit of it cost, in seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.clients import Client

__all__ = ["IMPORT", "IMPORT_BARS", "MEASURES", "Measure", "read"]

Work = Callable[[Client, float], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Measure:
    """Something to be measured.

    Attributes:
        name: What is measured.
        run: Does the work, as much of it as the given scale says (0 to warm up); returns seconds
            per unit.
        bars: The most that ours may cost, as a multiple of the official SDK's cost.
        share: The share of the rounds that it takes part in.
    """

    name: str
    run: Work
    bars: dict[str, float]
    share: float = 1.0


def _bars(openai: float, claude: float, ollama: float, gemini: float) -> dict[str, float]:
    return {"openai": openai, "claude": claude, "ollama": ollama, "gemini": gemini}


async def _whole(client: Client) -> None:
    text = await client.whole("bench-whole-50")
    _check(text, 50)


async def read(client: Client, manner: str, chunks: int, at_once: int = 1) -> None:
    """Read one streamed answer, of as many that begin *at_once*; check that nothing of it is missing."""
    model = f"bench-{manner}-{chunks}-of-{at_once}"
    pieces = [piece async for piece in client.stream(model)]
    if len(pieces) != chunks:
        raise ValueError(f"{len(pieces)} pieces of {chunks}")
    _check("".join(pieces), chunks)


def _check(text: str, chunks: int) -> None:
    if text != " ".join(["word"] * chunks):
        raise ValueError(f"{text[:50]!r}... is not what the server said")


async def _cpu(work: Callable[[], Awaitable[None]], times: int, units: int) -> float:
    """Return the CPU time of this process, all threads, per unit."""
    begun = time.process_time()
    for _ in range(times):
        await work()
    return (time.process_time() - begun) / (times * units)


def _times(scale: float, most: int) -> int:
    return max(1, round(scale * most))


async def _one_call(client: Client, scale: float) -> float:
    return await _cpu(lambda: _whole(client), _times(scale, 200), 1)


async def _calls_at_once(client: Client, scale: float) -> float:
    async def fifty() -> None:
        await asyncio.gather(*(_whole(client) for _ in range(50)))

    return await _cpu(fifty, _times(scale, 6), 50)


async def _burst(client: Client, scale: float) -> float:
    return await _cpu(lambda: read(client, "burst", 1000), _times(scale, 8), 1000)


async def _paced(client: Client, scale: float) -> float:
    return await _cpu(lambda: read(client, "paced", 200), _times(scale, 3), 200)


async def _streams_at_once(client: Client, scale: float) -> float:
    chunks = 200 if scale else 5  # an answer of usual length, so that the calls' cost is spread

    async def streams() -> None:
        await asyncio.gather(*(read(client, "flood", chunks) for _ in range(200)))

    return await _cpu(streams, 1, 200 * chunks)


async def _first_chunk(client: Client, scale: float) -> float:
    """Return the median wall time to the first piece, each stream read to its end."""
    times = []
    for _ in range(_times(scale, 100)):
        begun = time.perf_counter()
        first = None
        async for _piece in client.stream("bench-burst-5"):
            first = first or time.perf_counter()
        times.append((first or begun) - begun)
    return median(times)


MEASURES = (
    Measure("one call", _one_call, _bars(0.60, 0.80, 0.70, 0.80)),
    Measure("one call, 50 at once", _calls_at_once, _bars(0.45, 0.55, 0.35, 0.65)),
    Measure("a chunk, 1,000 sent at once", _burst, _bars(0.08, 0.22, 0.40, 0.08)),
    Measure("a chunk, one packet each", _paced, _bars(0.35, 0.50, 0.55, 0.35)),
    Measure("a chunk, 200 streams at once", _streams_at_once, _bars(0.10, 0.20, 0.30, 0.12), 1 / 3),
    Measure("time to the first chunk", _first_chunk, _bars(0.70, 0.85, 0.80, 0.85)),
)
IMPORT = "importing the provider's module"
IMPORT_BARS = _bars(0.40, 0.20, 0.80, 0.40)
