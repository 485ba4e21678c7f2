"""However a caller leaves, the server sees it at once, on every provider."""

import asyncio
from contextlib import suppress

import pytest
from bruno_llm_base import LLMFactory, RateLimit
from bruno_llm_testing import FakeAnswer, Fault

ENDLESS = FakeAnswer(text="word " * 1000)
BEFORE_THE_HEADER = Fault(then="stall")
BEFORE_THE_FIRST_TEXT = Fault(ENDLESS, after=0, then="stall")
IN_MID_STREAM = Fault(ENDLESS, between_events=0.02)
IN_A_STALL = Fault(ENDLESS, after=6, then="stall")
IN_PINGS = Fault(ENDLESS, after=6, then="stall", pings=0.005)


pytestmark = pytest.mark.usefixtures("unmeasured")


class ConsumerError(Exception):
    pass


@pytest.fixture
async def llm(name, server):
    """A provider that stands still if whoever leaves takes the place along."""
    limit = RateLimit(max_concurrent=1, max_wait=60)
    async with LLMFactory.create(name, **server.connection(), rate_limit=limit) as llm:
        await llm.generate("warm up: import the SDK, open the connection")
        yield llm


@pytest.fixture
def check_that_it_is_seen(server, at_once, until):
    """Check that the server sees the client of the latest request leave, in this loop's next turns."""

    async def check():
        received = server.received[-1]
        await at_once(received.left.is_set)
        await until(lambda: server.open_connections == 0)

    return check


# -- in the task that reads -------------------------------------------------------------------------


async def breaks_off(llm):
    async for _ in llm.stream("hi"):
        break


async def fails_itself(llm):
    with suppress(ConsumerError):
        async for _ in llm.stream("hi"):
            raise ConsumerError


async def fails_in_a_context(llm):
    with suppress(ConsumerError):
        async with llm.stream("hi") as stream:
            async for _ in stream:
                raise ConsumerError


async def enters_and_goes(llm):
    async with llm.stream("hi"):
        pass


async def closes(llm):
    stream = llm.stream("hi")
    await anext(stream)
    await stream.aclose()


async def closes_unread(llm):
    stream = await llm.stream("hi")
    await stream.aclose()


async def forgets(llm):
    stream = await llm.stream("hi")
    await anext(stream)
    del stream


@pytest.mark.parametrize("fault", [IN_MID_STREAM, IN_A_STALL, IN_PINGS])
@pytest.mark.parametrize(
    "leave",
    [
        breaks_off,
        fails_itself,
        fails_in_a_context,
        enters_and_goes,
        closes,
        closes_unread,
        forgets,
    ],
)
async def test_leaving_a_stream(llm, server, leave, fault, check_that_it_is_seen):
    for _ in range(3):
        server.say(fault)
        await leave(llm)
        await check_that_it_is_seen()
    assert await llm.generate("still there?") == FakeAnswer().text


# -- from outside -----------------------------------------------------------------------------------


async def reads(llm):
    async for _ in llm.stream("hi"):
        pass


async def enters(llm):
    async with llm.stream("hi") as stream:
        async for _ in stream:
            pass


async def lingers(llm):
    async for _ in llm.stream("hi"):
        await asyncio.sleep(999)


async def awaits(llm):
    stream = await llm.stream("hi")
    async for _ in stream:
        pass


async def asks(llm):
    await llm.generate("hi")


@pytest.mark.parametrize(
    "fault", [BEFORE_THE_HEADER, BEFORE_THE_FIRST_TEXT, IN_MID_STREAM, IN_A_STALL, IN_PINGS]
)
@pytest.mark.parametrize("work", [reads, enters, awaits, lingers, asks])
async def test_cancelling_the_task(llm, server, work, fault, until, check_that_it_is_seen):
    if work is asks and fault is IN_MID_STREAM:
        fault = Fault(ENDLESS, between_events=999)  # a document has two parts
    for number in range(2, 5):
        server.say(fault)
        task = asyncio.create_task(work(llm))
        await until(lambda number=number: len(server.received) == number)
        await asyncio.sleep(0.02)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await check_that_it_is_seen()
    assert await llm.generate("still there?") == FakeAnswer().text


async def test_a_time_limit_of_the_callers_own(llm, server, jump, check_that_it_is_seen):
    async def reads_for_900_seconds(pieces):
        async with jump(1000, lambda: pieces), asyncio.timeout(900):
            async for piece in llm.stream("hi"):
                pieces.append(piece)

    for _ in range(3):
        server.say(IN_A_STALL)
        with pytest.raises(TimeoutError) as caught:
            await reads_for_900_seconds([])
        assert type(caught.value) is TimeoutError
        await check_that_it_is_seen()


async def test_one_of_many_leaves(name, server, until, at_once, check_that_it_is_seen):
    server.say(IN_MID_STREAM, times=20)
    async with LLMFactory.create(name, **server.connection()) as llm:
        tasks = [asyncio.create_task(reads(llm)) for _ in range(20)]
        await until(lambda: len(server.received) == 20)
        tasks[7].cancel()
        await at_once(lambda: any(received.left.is_set() for received in server.received))
        assert [received.left.is_set() for received in server.received].count(True) == 1
        assert [task.done() for task in tasks].count(True) == 1
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await check_that_it_is_seen()
