"""A limit that several processes share, with a store behind a network."""

import asyncio

import pytest
from bruno_llm_base import ConfigurationError, RateLimitError
from bruno_llm_base.limits import LimitState, RateLimit
from bruno_llm_base.limits.windows import Counts
from bruno_llm_base.response import Outcome


def now():
    return asyncio.get_running_loop().time()


class Server:
    """Counts for all; each question takes a hundredth of a second on its way there and back."""

    def __init__(self):
        self.counts = None
        self.asked = 0
        self.asking = 0
        self.left = 0

    def __str__(self):
        return "Server()"

    async def take(self, tokens, limits):
        self.asked += 1
        self.asking += 1
        tickets, wait = [], 0.0
        await asyncio.sleep(0.01)
        self.counts = self.counts or Counts(limits)
        for estimate in tokens:
            entries = self.counts.take(estimate, now())
            if entries is None:
                wait = min(self.counts.wait(estimate, now()), 0.25) or 0.25
                break
            tickets.append(Ticket(self.counts, entries, estimate))
        await asyncio.sleep(0.01)
        self.asking -= 1
        return tickets, wait

    def lower(self, state):
        self.counts.lower(state, now())

    def pause(self, seconds):
        pass

    def leave(self):
        self.left += 1


class Ticket:
    def __init__(self, counts, entries, tokens):
        self.counts, self.entries, self.tokens = counts, entries, tokens

    def settle(self, tokens=None):
        self.counts.settle(self.entries, self.tokens, 1, tokens or 0, now())

    def cancel(self):
        self.counts.settle(self.entries, self.tokens, 0, 0, now())


class Tried:
    """An attempt that has ended."""

    response = None

    def __init__(self, outcome=Outcome.REFUSED, says=None):
        self.outcome, self.limits_of_server = outcome, says


@pytest.fixture
def server():
    return Server()


def processes(server, count=3, **limits):
    """Return a limit for each of *count* processes."""
    return [RateLimit(store=server, clock=now, **limits) for _ in range(count)]


def test_all_processes_together_keep_to_the_limit_each_in_its_order(leap, server):
    async def test():
        limits, sent = processes(server, requests_per_minute=5), []

        async def one(process, number):
            async with limits[process].slot(Tried(), 0):
                sent.append((now(), process, number))

        await asyncio.gather(*(one(p, n) for n in range(6) for p in range(3)))
        times = [time for time, _, _ in sent]
        for start in times:
            assert sum(start <= time < start + 59.9 for time in times) <= 5
        assert times[-1] < 181
        for process in range(3):
            assert [n for _, p, n in sent if p == process] == [*range(6)]

    leap(test())


def test_a_process_asks_one_question_at_a_time(leap, server):
    async def test():
        (limit,) = processes(server, 1, max_concurrent=2)
        most = 0

        async def one():
            nonlocal most
            async with limit.slot(Tried(), 0):
                most = max(most, server.asking)
                await asyncio.sleep(1)

        await asyncio.gather(*(one() for _ in range(8)))
        assert most <= 1
        assert now() < 6

    leap(test())


def test_tokens_are_settled_and_servers_heard_across_processes(leap, server):
    async def test():
        one, other = processes(server, 2, tokens_per_minute=100)
        permit = await one.acquire(90)
        waiting = asyncio.create_task(other.acquire(50))
        await asyncio.sleep(1)
        assert not waiting.done()
        permit.settle(40)
        await waiting
        assert now() < 2
        async with one.slot(Tried(says=LimitState(tokens_remaining=0, tokens_reset=30.0)), 5):
            pass
        await other.acquire(5)
        assert now() > 30

    leap(test())


def test_who_is_cancelled_takes_nothing_and_lets_the_next_ask(leap, server):
    async def test():
        (limit,) = processes(server, 1, max_concurrent=1)
        tasks = [asyncio.create_task(limit.acquire(0)) for _ in range(3)]
        await asyncio.sleep(0.015)  # the first one's place is taken, and its answer on the way
        tasks[0].cancel()
        tasks[1].cancel()
        await tasks[2]
        assert now() < 0.1
        assert server.left == 0  # all that still waited has its place

    leap(test())


def test_a_wait_that_is_too_long_is_an_error_with_its_length(leap, server):
    async def test():
        (limit,) = processes(server, 1, max_concurrent=1, max_wait=1)
        permit = await limit.acquire(0)
        with pytest.raises(RateLimitError, match="max_wait is 1 s") as caught:
            await limit.acquire(0)
        assert 0.7 < now() < 1.1
        assert caught.value.retry_after == 0.25
        permit.settle()
        await limit.acquire(0)

    leap(test())


def test_a_store_is_shown_and_checked(server):
    limit = RateLimit(requests_per_minute=5, store=server)
    assert repr(limit) == "RateLimit(requests_per_minute=5, store=Server())"
    with pytest.raises(
        ConfigurationError, match=r"RateLimit\.store is 5: give a URL or a LimitStore"
    ):
        RateLimit(store=5)
