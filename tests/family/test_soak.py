"""Thousands of calls at once, and a fifth of what the server says is a fault."""

import asyncio
import importlib
import random
import re
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from bruno_llm_base import LLMError, LLMFactory, LLMTimeoutError, Retry, Timeouts
from bruno_llm_base.testing import FakeAnswer, FakeError, Fault, RawReply
from bruno_llm_base.transport import MAX_CONNECTIONS

NAMES = {"openai": "OpenAI", "claude": "Claude", "gemini": "Gemini", "ollama": "Ollama"}
CALLS = {"openai": 1_000, "claude": 1_000, "gemini": 1_000, "ollama": 5_000}
FAULTY, LEAVING = 0.2, 0.05


def timeouts_for(calls):
    """Return limits that only a fault exceeds, however busy this process is.

    The last calls wait for a connection, and the server is a thread of ours: for the first text
    there is time, and between two texts the more, the more calls there are.
    """
    return Timeouts(first_token=120, between_tokens=3 + calls / 500)


def answer_to(number):
    return FakeAnswer(text=f"The answer to {number} is: Grüße, 世界! 👋🏽")


def faults_of(answer, *, streamed):
    """Return all that may go wrong on the way of *answer*."""
    kinds = ("rate_limit", "overloaded", "server_error", "quota", "invalid_request")
    stalls = [Fault(answer, after=5, then="stall"), Fault(answer, after=5, then="stall", pings=1)]
    return [
        *(FakeError(kind=kind) for kind in kinds),
        FakeError(kind="overloaded", in_stream=True),
        RawReply(status=502, headers={"content-type": "text/html"}, body=b"<h1>Bad Gateway</h1>"),
        RawReply(status=500),
        *(Fault(answer, then=how) for how in ("reset", "close", "garble")),
        *(
            Fault(answer, after=after, then=how)
            for how in ("reset", "close", "end", "garble")
            for after in (0, 2, 5)
        ),
        *(stalls if streamed else ()),
        Fault(answer, before_header=0.3),
        Fault(answer, before_first_event=0.3, pings=0.1),
        Fault(answer, between_events=0.05),
        Fault(answer, split=100),
    ]


def unsteady(fake):
    """Return a fake that answers each call with its number, and fails as often as it should.

    What goes wrong depends on the call and the attempt only, so it is the same in every run.
    """

    class Unsteady(fake):
        def __init__(self):
            super().__init__()
            self.asked = Counter()
            self.silent = set()
            self.peak = 0

        def default(self, request):
            self.peak = max(self.peak, self.open_connections)
            number = int(re.search(r"call number (\d+)", str(request.body))[1])
            self.asked[number] += 1
            dice = random.Random(f"{number} {self.asked[number]}")  # noqa: S311
            answer = answer_to(number)
            if dice.random() >= FAULTY:
                return answer
            fault = dice.choice(faults_of(answer, streamed=not number % 2))
            if isinstance(fault, Fault) and fault.then == "stall":
                self.silent.add(number)
            return fault

    return Unsteady


def sockets():
    """Return how many sockets this process has open."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the folder itself
            found += descriptor.readlink().name.startswith("socket:")
    return found


async def call(llm, number):
    """Return the answer's text or the error, and the attempts that it took."""
    prompt = f"call number {number}"
    try:
        if number % 2:
            response = await llm.request(prompt)
            return response.text, response.attempts
        stream = llm.stream(prompt)
        pieces = [piece async for piece in stream]
        assert "".join(pieces) == stream.response.text
        return stream.response.text, stream.response.attempts
    except LLMError as error:
        return error, error.attempts


async def until(condition):
    """Wait for the server's thread, some seconds at most."""
    give_up = time.monotonic() + 5
    while not condition() and time.monotonic() < give_up:  # noqa: ASYNC110 - another thread's state
        await asyncio.sleep(0.01)
    assert condition()


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def server(name):
    module = importlib.import_module(f"bruno_llm_{name}.testing")
    with unsteady(getattr(module, f"Fake{NAMES[name]}"))() as server:
        yield server


@pytest.fixture
def llm(name, server):
    return LLMFactory.create(
        name,
        **server.connection(),
        retry=Retry(attempts=3, wait_initial=0.05),
        timeouts=timeouts_for(CALLS[name]),
    )


async def check_that_nothing_is_left(llm, server, sockets_before):
    assert asyncio.all_tasks() == {asyncio.current_task()}
    async with asyncio.timeout(1):
        permits = [await llm._connections.acquire(0) for _ in range(MAX_CONNECTIONS)]
    for permit in permits:
        permit.cancel()
    await llm.aclose()
    await until(lambda: server.open_connections == 0)
    assert sockets() == sockets_before


async def test_every_call_ends_once_and_truthfully(name, server, llm):
    before = sockets()
    tasks = [asyncio.create_task(call(llm, number)) for number in range(CALLS[name])]
    dice = random.Random(name)  # noqa: S311
    leavers = {number for number in range(len(tasks)) if dice.random() < LEAVING}
    for number in leavers:
        asyncio.get_running_loop().call_later(
            dice.uniform(0, len(tasks) / 1_000), tasks[number].cancel
        )
    results = dict(enumerate(await asyncio.gather(*tasks, return_exceptions=True)))

    gone = {n for n, result in results.items() if isinstance(result, asyncio.CancelledError)}
    ends = {n: result for n, result in results.items() if n not in gone}
    assert gone <= leavers
    assert len(gone) > len(leavers) / 4
    errors = {n: end for n, (end, _) in ends.items() if isinstance(end, LLMError)}
    assert len(errors) < len(tasks) * FAULTY
    for number, (end, _) in ends.items():
        if number not in errors:
            assert end == answer_to(number).text
    for number, error in errors.items():
        assert type(error) is not LLMError  # which is what we call what we do not know
        said = error.partial.text if error.partial else ""
        assert answer_to(number).text.startswith(said) or FakeAnswer().text.startswith(said)
    late = {n for n, error in errors.items() if isinstance(error, LLMTimeoutError)}
    assert late == server.silent - gone

    for number, (_, attempts) in ends.items():
        assert server.asked[number] == len(attempts)
    # to the server, a connection that was left looks open for a moment longer
    assert MAX_CONNECTIONS / 2 < server.peak <= MAX_CONNECTIONS * 1.05
    await check_that_nothing_is_left(llm, server, before)
