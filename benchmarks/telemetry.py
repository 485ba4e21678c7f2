"""What `Telemetry` adds to a request and to a stream, as CPU time of this process.

    python -m benchmarks.telemetry

The server is OpenAI's fake, in a process of its own. The cases take turns, so that whatever else the
machine does meets all of them; each counts with its best round.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from bruno_llm_openai import OpenAIProvider
from bruno_llm_otel import Telemetry
from bruno_llm_testing import FakeAnswer, FakeOpenAI
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

CASES, ROUNDS, REQUESTS, CHUNKS = 4, 15, 40, 200


def serve(parent: Connection) -> None:
    """Serve until the parent says something."""
    with FakeOpenAI() as server:
        for _ in range(2 * CASES * ROUNDS * (REQUESTS + 1)):
            server.say(FakeAnswer(text="word " * CHUNKS))
        parent.send(server.connection())
        parent.recv()


async def request(llm: OpenAIProvider) -> None:
    """Ask once."""
    await llm.request("hi")


async def stream(llm: OpenAIProvider) -> None:
    """Ask once, and read a stream."""
    async for _ in llm.stream("hi"):
        pass


async def compare(connection: dict[str, Any]) -> None:
    """Print what a request and a stream take with and without."""
    tracers = TracerProvider(shutdown_on_exit=False)
    meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    cases = {
        "without": (),
        "no SDK set up": (Telemetry(),),
        "spans and metrics": (Telemetry(tracers, meters),),
        "content too": (Telemetry(tracers, meters, content=True),),
    }
    llms = {name: OpenAIProvider(**connection, observers=own) for name, own in cases.items()}
    for ask in (request, stream):
        best = dict.fromkeys(llms, float("inf"))
        for _ in range(ROUNDS):
            for name, llm in llms.items():
                best[name] = min(best[name], await taken(ask, llm))
        for name, seconds in best.items():
            ratio = seconds / best["without"]
            print(f"{ask.__name__:8} {name:18} {seconds * 1e6:7.0f} us  {ratio:.3f}")
    for llm in llms.values():
        await llm.aclose()


async def taken(ask: Callable[[OpenAIProvider], Awaitable[None]], llm: OpenAIProvider) -> float:
    """Return the CPU seconds of one request."""
    await ask(llm)
    begun = time.process_time()
    for _ in range(REQUESTS):
        await ask(llm)
    return (time.process_time() - begun) / REQUESTS


def main() -> None:
    """Start the server and compare."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,))
    server.start()
    try:
        asyncio.run(compare(ours.recv()))
    finally:
        ours.send(None)
        server.join()


if __name__ == "__main__":
    main()
