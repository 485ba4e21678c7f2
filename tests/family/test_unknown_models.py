"""The models on offer, which the error for an unknown one names: asked for rarely, by one for all."""

import asyncio

import pytest
from bruno_llm_base import LLMError, ModelNotFoundError
from bruno_llm_base.events import RequestStarted
from bruno_llm_testing import FakeError, Fault, MockLLM, RawReply


@pytest.fixture
def listed(server):
    """Return how often the list was asked for."""
    return lambda: sum("generate" not in r.path and r.method == "GET" for r in server.received)


@pytest.fixture
async def llm(kind, server):
    server.say(FakeError(kind="model_not_found"), times=20)
    async with kind(**server.connection(), max_retries=0) as llm:
        yield llm


async def until_asked(listed):
    while not listed():  # noqa: ASYNC110 - another thread's state
        await asyncio.sleep(0.001)


async def failure(llm):
    with pytest.raises(ModelNotFoundError) as caught:
        await llm.generate("hi")
    return caught.value.description


async def test_one_failure_after_the_other_asks_once(llm, listed):
    asked = []
    for _ in range(3):
        assert "closest on offer" in await failure(llm)
        asked.append(listed())
    assert asked[0] == asked[-1] > 0


async def test_failures_at_once_ask_once(llm, server, listed):
    await failure(llm)
    once = listed()
    async with type(llm)(**server.connection(), max_retries=0) as other:
        messages = await asyncio.gather(*(failure(other) for _ in range(10)))
    assert all("closest on offer" in message for message in messages)
    assert listed() == 2 * once, "each provider asks for itself"


async def test_a_list_that_does_not_come_is_not_asked_for_again(llm, server, listed):
    server.say(RawReply(status=500), RawReply(status=500), to="models")
    assert "closest on offer" not in await failure(llm)
    assert "closest on offer" not in await failure(llm)
    assert listed() == 1


@pytest.mark.parametrize("leaver", [0, 1])
async def test_who_leaves_takes_nothing_from_the_others(llm, server, listed, leaver):
    server.say(Fault(before_header=0.1), to="models")
    tasks = [asyncio.create_task(failure(llm)) for _ in range(3)]
    await until_asked(listed)
    tasks.pop(leaver).cancel()
    messages = await asyncio.gather(*tasks)
    assert all("closest on offer" in message for message in messages)


async def test_what_nobody_waits_for_is_given_up_and_asked_for_again(llm, server, listed):
    server.say(Fault(then="stall"), to="models")
    task = asyncio.create_task(failure(llm))
    await until_asked(listed)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "closest on offer" in await failure(llm)


def test_after_a_minute_the_list_is_asked_for_again(leap):
    heard = []
    llm = MockLLM(ModelNotFoundError("no such model"), observers=[heard.append])

    def lists():
        return sum(isinstance(e, RequestStarted) and e.operation == "models" for e in heard)

    async def ask():
        counts = []
        for wait in (0, 30, 29, 2):
            await asyncio.sleep(wait)
            with pytest.raises(LLMError, match="closest on offer: mock"):
                await llm.generate("hi")
            counts.append(lists())
        return counts

    assert leap(ask()) == [1, 1, 1, 2]
