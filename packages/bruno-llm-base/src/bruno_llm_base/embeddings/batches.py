"""Many texts in requests that a vendor takes, several of them at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

__all__ = ["Limit", "in_order", "split"]

_T = TypeVar("_T")
_R = TypeVar("_R")

Limit = tuple[Callable[[str], int], int]
"""What is counted of each text, and how much of it one request may have."""


def split(texts: Sequence[str], limits: Sequence[Limit]) -> list[list[str]]:
    """Return *texts* in batches, in order, each as long as the *limits* let it be.

    A text that alone is more than they allow is a batch by itself: the server decides.
    """
    batches: list[list[str]] = []
    sums = [0] * len(limits)
    for text in texts:
        sizes = [measure(text) for measure, _ in limits]
        after = [total + more for total, more in zip(sums, sizes, strict=True)]
        fits = all(total <= most for total, (_, most) in zip(after, limits, strict=True))
        if batches and fits:
            batches[-1].append(text)
            sums = after
        else:
            batches.append([text])
            sums = sizes
    return batches


async def in_order(
    batches: Sequence[_T], send: Callable[[_T], Awaitable[list[_R]]], *, at_once: int
) -> list[_R]:
    """Return what *send* makes of all *batches*, in their order; the first error stops the others.

    Args:
        batches: What to send.
        send: Sends one of them.
        at_once: How many are under way at any time.
    """
    results: list[list[_R]] = [[] for _ in batches]
    waiting = iter(enumerate(batches))

    worker: asyncio.Task[None] | None

    async def work() -> None:
        for place, batch in waiting:
            results[place] = await send(batch)

    workers = [asyncio.create_task(work()) for _ in range(min(at_once, len(batches)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        # a worker holds its error, whose traceback holds this frame: together, a cycle
        workers.clear()
        worker = None
    return [result for batch in results for result in batch]
