"""A ledger's file that others hold on to stops no event loop, loses nothing and books nothing twice."""

import asyncio
import contextlib
import logging
import sqlite3
import subprocess
import sys
import threading

import pytest
from bruno_llm_base import (
    Budget,
    ConfigurationError,
    CostTracker,
    LLMTimeoutError,
    Price,
    Usage,
)
from bruno_llm_ollama import OllamaProvider
from bruno_llm_testing import FakeAnswer, FakeOllama, Fault

PRICE = Price(input=1_000_000, output=2_000_000, source="this test")  # 1 and 2 USD a token
SHORT = FakeAnswer(text="one two three", usage=Usage(input_tokens=3, output_tokens=2))
"""7 USD at that price."""


def tracker(path):
    return CostTracker(path, prices={"ollama/llama3.2": PRICE})


@pytest.fixture
def server():
    with FakeOllama() as server:
        server.say(SHORT, times=200)
        yield server


@pytest.fixture
def costs(tmp_path):
    return tracker(tmp_path / "costs.db")


@contextlib.contextmanager
def locked(costs):
    """Write to the file, and take long."""
    other = sqlite3.connect(costs.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr("bruno_llm_base.sqlite_file._PATIENCE", 600.0)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("bruno_llm_base.sqlite_file._PATIENCE", 0.01)


async def test_while_a_request_waits_for_its_ledger_all_others_go_on(patient, server, costs):
    budget = Budget(100_000)
    async with (
        OllamaProvider(**server.connection(), cost=costs, budget=budget, max_tokens=2) as waiting,
        OllamaProvider(**server.connection()) as free,
    ):
        with locked(tracker(costs.path)):
            requests = [asyncio.create_task(waiting.generate("hi")) for _ in range(20)]
            for _ in range(3):
                assert await free.generate("hi") == "one two three"
                assert "".join([piece async for piece in free.stream("hi")]) == "one two three"
            assert not any(request.done() for request in requests)
        assert await asyncio.gather(*requests) == ["one two three"] * 20
    assert (costs.total().requests, costs.total().cost) == (20, 140)
    assert budget.left() == 100_000 - 140


async def test_a_ledger_that_stays_locked_refuses_all_who_wait_and_is_named(
    impatient, server, costs
):
    budget = Budget(100_000)
    async with OllamaProvider(
        **server.connection(), cost=costs, budget=budget, max_tokens=2
    ) as llm:
        with locked(costs):
            errors = await asyncio.gather(
                *(llm.generate("hi") for _ in range(50)), return_exceptions=True
            )
        assert {type(error) for error in errors} == {ConfigurationError}
        assert len({id(error) for error in errors}) == 50  # each has facts of its own
        assert all(str(costs.path) in str(error) and "locked" in str(error) for error in errors)
        assert not server.bodies
        assert budget.left() == 100_000
        assert await llm.generate("hi")
    assert costs.total().requests == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_is_delivered_though_it_cannot_be_booked_yet(
    impatient, server, costs, caplog, streamed
):
    async with OllamaProvider(**server.connection(), cost=costs) as llm:
        with locked(costs), caplog.at_level(logging.ERROR, "bruno_llm"):
            if streamed:
                text = "".join([piece async for piece in llm.stream("hi")])
            else:
                text = await llm.generate("hi")
        assert text == "one two three"
        assert "kept" in caplog.text
        assert str(costs.path) in caplog.text
    assert (costs.total().requests, costs.total().cost) == (1, 7)


async def test_waiting_for_a_ledger_counts_for_the_time_limit_of_a_call(patient, server, costs):
    budget = Budget(100_000)
    async with OllamaProvider(
        **server.connection(), cost=costs, budget=budget, max_tokens=2, timeout=0.2
    ) as llm:
        with locked(costs), pytest.raises(LLMTimeoutError, match=r"within 0\.2 s"):
            await llm.generate("hi")
    assert not server.bodies
    while budget.left() != 100_000:  # noqa: ASYNC110 - only the ledger knows when it is given back
        await asyncio.sleep(0.001)


async def test_an_answer_is_not_held_back_beyond_the_time_limit_of_a_call(
    patient, server, costs, monkeypatch
):
    loop = asyncio.get_running_loop()
    real_time = loop.time

    write_soon = costs.ledger.write_soon

    def run_out():  # the answer is there, and is being written
        monkeypatch.setattr(loop, "time", lambda: real_time() + 2000)
        return write_soon()

    monkeypatch.setattr(costs.ledger, "write_soon", run_out)
    async with OllamaProvider(**server.connection(), cost=costs, timeout=1000) as llm:
        with locked(costs):
            assert await llm.generate("hi") == "one two three"
    assert costs.total().requests == 1


async def test_who_is_cancelled_while_waiting_holds_nothing(patient, tmp_path):
    costs = CostTracker(tmp_path / "costs.db")
    budget = Budget(10)
    budget.use(costs)
    names = ("p", "m", "", "")

    async def hold(dollars):
        held, _ = await costs.ledger.hold(names, dollars * 10**12, [budget.claim(names)])
        assert held

    for turns in range(4):  # before, while and after the worker has it
        with locked(costs):
            waiting = asyncio.create_task(hold(4))
            for _ in range(turns):
                await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        while budget.left() != 10:  # noqa: ASYNC110 - only the ledger knows when it is given back
            await asyncio.sleep(0.001)
    await hold(10)


async def test_who_is_cancelled_while_it_is_booked_is_booked_once(patient, server, costs):
    async with OllamaProvider(**server.connection(), cost=costs) as llm:
        for turns in range(1, 8):
            stream = llm.stream("hi")
            await anext(aiter(stream))
            with locked(costs):
                closing = asyncio.create_task(stream.aclose())
                for _ in range(turns):
                    await asyncio.sleep(0)
                closing.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await closing
            assert costs.total().requests == turns


def test_what_is_left_open_when_the_loop_ends_is_booked(server, costs):
    budget = Budget(100_000)
    llm = OllamaProvider(**server.connection(), cost=costs, budget=budget, max_tokens=2)
    left = []

    async def begin():
        stream = llm.stream("hi")
        left.append(stream)
        await anext(aiter(stream))
        asyncio.create_task(llm.generate("hi"))  # noqa: RUF006 - the loop cancels it
        await asyncio.sleep(0)

    asyncio.run(begin())
    assert costs.total().requests == 1
    assert budget.left() == 100_000 - budget.spent()


def test_threads_with_loops_of_their_own_share_a_ledger(server, costs):
    budget = Budget(100_000)
    llm = OllamaProvider(**server.connection(), cost=costs, budget=budget, max_tokens=2)

    async def ask():
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(llm.aclose)
            await asyncio.gather(*(llm.generate("hi") for _ in range(5)))

    threads = [threading.Thread(target=lambda: asyncio.run(ask())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (costs.total().requests, costs.total().cost) == (40, 280)
    assert budget.left() == 100_000 - 280


SCRIPT = """
import asyncio, sys
from bruno_llm_base import Budget, CostTracker, Price
from bruno_llm_ollama import OllamaProvider

costs = CostTracker(sys.argv[1], prices={"ollama/llama3.2": Price(input=1_000_000, output=2_000_000)})
llm = OllamaProvider(base_url=sys.argv[2], cost=costs, budget=Budget(100_000), max_tokens=2)

async def main():
    await llm.generate("hi")
    stream = llm.stream("hi")
    await anext(aiter(stream))
    return stream

stream = asyncio.run(main())
"""


def test_what_is_left_open_when_the_process_ends_is_booked(tmp_path):
    costs = tracker(tmp_path / "costs.db")
    with FakeOllama() as server:
        server.say(SHORT, Fault(SHORT, after=1, then="stall"))
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(costs.path), server.connection()["base_url"]],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    budget = Budget(100_000)
    budget.use(costs)
    assert costs.total().requests == 2
    assert budget.left() == 100_000 - budget.spent()
    assert list(tmp_path.iterdir()) == [costs.path]
