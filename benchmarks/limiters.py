"""Our rate limit beside those of PyPI: `python3 run.py hatch run bench:limiters`.

Prints a markdown table. Needs bruno-llm-base, aiolimiter, limits, pyrate-limiter and throttled-py.
Figures are CPU time of one process, so read them side by side; the bars are those of ours.
"""

import asyncio
import selectors
import sys
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TypeVar

from bruno_llm_base import RateLimit

T = TypeVar("T")
Enter = Callable[[], Awaitable[object]]
WAITERS, RATE, FREE = 1000, 200, 20_000
BARS = (2.0, 20.0)  # microseconds per free and per contended acquire


@dataclass(frozen=True)
class Limiter:
    """A way to limit a rate.

    Attributes:
        name: What it is called.
        build: Makes a limiter of so many calls in one window.
        loop: The event loop it runs in.
        window: The length of the window, in seconds of that loop.
    """

    name: str
    build: Callable[[int], Enter]
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop
    window: float = 1.0


class _HurryingSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / 60 if timeout else timeout)


class _HurryingLoop(asyncio.SelectorEventLoop):
    """Ours counts in minutes: here one takes a second, as for the others."""

    def __init__(self) -> None:
        super().__init__(_HurryingSelector())

    def time(self) -> float:
        return time.monotonic() * 60


def _ours(**others: int) -> Callable[[int], Enter]:
    def build(rate: int) -> Enter:
        limit = RateLimit(requests_per_minute=rate, clock=lambda: time.monotonic() * 60, **others)

        async def enter() -> None:
            (await limit.acquire(10)).settle(10)

        return enter

    return build


def _aiolimiter(rate: int) -> Enter:
    from aiolimiter import AsyncLimiter

    return AsyncLimiter(rate, 1).acquire


def _limits(rate: int) -> Enter:
    from limits import RateLimitItemPerSecond
    from limits.aio.storage import MemoryStorage
    from limits.aio.strategies import MovingWindowRateLimiter

    limiter, item = MovingWindowRateLimiter(MemoryStorage()), RateLimitItemPerSecond(rate)

    async def enter() -> None:
        while not await limiter.hit(item, "key"):
            stats = await limiter.get_window_stats(item, "key")
            await asyncio.sleep(max(0.001, stats.reset_time - time.time()))

    return enter


def _pyrate(rate: int) -> Enter:
    from pyrate_limiter import Duration, Limiter, Rate

    return Limiter(Rate(rate, Duration.SECOND)).try_acquire_async


def _throttled(algorithm: str) -> Callable[[int], Enter]:
    def build(rate: int) -> Enter:
        from throttled.asyncio import MemoryStore, Throttled, per_sec

        quota = per_sec(rate, burst=rate)
        return Throttled("key", timeout=60, using=algorithm, quota=quota, store=MemoryStore()).limit

    return build


LIMITERS = [
    Limiter("**ours**, requests", _ours(), _HurryingLoop, 60.0),
    Limiter("**ours**, requests and tokens", _ours(tokens_per_minute=10**9), _HurryingLoop, 60.0),
    Limiter("aiolimiter", _aiolimiter),
    Limiter("limits, moving window", _limits),
    Limiter("pyrate-limiter", _pyrate),
    Limiter("throttled-py, token bucket", _throttled("token_bucket")),
    Limiter("throttled-py, GCRA", _throttled("gcra")),
]


def free_acquire(limiter: Limiter) -> float:
    """Return the microseconds of CPU for one acquire that need not wait, settled."""

    async def run() -> float:
        enter = limiter.build(10**6)
        await enter()
        start = time.process_time()
        for _ in range(FREE):
            await enter()
        return (time.process_time() - start) / FREE * 1e6

    return min(_run(limiter, run) for _ in range(10))


def contended_acquire(limiter: Limiter) -> tuple[float, float, int]:
    """Let many wait at once.

    Returns:
        The microseconds of CPU for each, how full the fullest window was, and how many places the
        one that lost or won the most places moved.
    """

    async def run() -> tuple[float, list[float], list[int]]:
        enter, times, order = limiter.build(RATE), [], []
        clock = asyncio.get_running_loop().time

        async def wait(number: int) -> None:
            await enter()
            times.append(clock())
            order.append(number)

        start = time.process_time()
        await asyncio.gather(*(wait(number) for number in range(WAITERS)))
        return (time.process_time() - start) / WAITERS * 1e6, times, order

    cost, times, order = _run(limiter, run)
    # A loop wakes those whose turn it is a little late: half a hundredth of a window is not counted.
    span = limiter.window * 0.995
    times.sort()
    fullest = max(bisect_left(times, at + span) - index for index, at in enumerate(times))
    moved = max(abs(place - number) for place, number in enumerate(order))
    return cost, fullest / RATE, moved


def _run(limiter: Limiter, work: Callable[[], Coroutine[None, None, T]]) -> T:
    with asyncio.Runner(loop_factory=limiter.loop) as runner:
        return runner.run(work())


def main() -> int:
    """Print the table; return whether ours misses a bar."""
    print(f"{WAITERS} waiters on {RATE} per window\n")
    print("| limiter | us per free acquire | fullest window / limit | FIFO | us per contended |")
    print("|---|--:|--:|---|--:|")
    missed = False
    for limiter in LIMITERS:
        free = free_acquire(limiter)
        rounds = [contended_acquire(limiter) for _ in range(3)]
        contended = min(cost for cost, _, _ in rounds)
        fullest = max(full for _, full, _ in rounds)
        moved = max(places for _, _, places in rounds)
        fifo = "yes" if not moved else f"no (moved up to {moved} places)"
        print(f"| {limiter.name} | {free:.1f} | {fullest:.2f} | {fifo} | {contended:.0f} |")
        if limiter is LIMITERS[0]:
            missed = free > BARS[0] or contended > BARS[1] or fullest > 1 or moved > 0
    print(f"\nbars for ours: {BARS[0]} us free, {BARS[1]} us contended, 1.00, yes:", end=" ")
    print("missed" if missed else "held")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
