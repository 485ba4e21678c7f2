"""Hundreds of calls at once, and a fifth of what the server says is a fault.

What is looked at is what happened: who asked how often, what came of it, what is left. How long it
took is not: what the server is silent about ends when the clock jumps.
"""

import asyncio
import random
import re
from collections import Counter
from functools import partial

import bruno_llm_testing
import pytest
from bruno_llm_base import LLMError, LLMFactory, LLMTimeoutError, Retry, Timeouts
from bruno_llm_testing import FakeAnswer, FakeError, Fault, RawReply

NAMES = {"openai": "OpenAI", "claude": "Claude", "gemini": "Gemini", "ollama": "Ollama"}
CALLS = 400
PLACES = 150  # fewer than there are by default, so that many calls wait
FAULTY, LEAVING = 0.2, 0.05
AN_HOUR = 3600.0
pytestmark = pytest.mark.usefixtures("unmeasured")
LIMITS = Timeouts(connect=None, first_token=None, between_tokens=AN_HOUR)


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

    What goes wrong depends on the call and the attempt only, so it is the same in every run. Of the
    leavers' calls it tells, and then says nothing more.
    """

    class Unsteady(fake):
        def __init__(self):
            super().__init__()
            self.asked = Counter()
            self.silent = set()
            self.leavers = {}

        def default(self, request):
            number = int(re.search(r"call number (\d+)", str(request.body))[1])
            self.asked[number] += 1
            answer = answer_to(number)
            if number in self.leavers:
                self.leavers[number]()
                return Fault(answer, after=number % 6, then="stall")
            dice = random.Random(f"{number} {self.asked[number]}")  # noqa: S311
            if dice.random() >= FAULTY:
                return answer
            fault = dice.choice(faults_of(answer, streamed=not number % 2))
            if isinstance(fault, Fault) and fault.then == "stall":
                self.silent.add(number)
            return fault

    return Unsteady


async def call(llm, number, spoken):
    """Return the answer's text or the error, and the attempts that it took."""
    prompt = f"call number {number}"
    try:
        if number % 2:
            response = await llm.request(prompt)
            return response.text, response.attempts
        stream = llm.stream(prompt)
        pieces = []
        async for piece in stream:
            pieces.append(piece)
            spoken.add(number)
        assert "".join(pieces) == stream.response.text
        return stream.response.text, stream.response.attempts
    except LLMError as error:
        return error, error.attempts


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def server(name):
    module = bruno_llm_testing
    with unsteady(getattr(module, f"Fake{NAMES[name]}"))() as server:
        yield server


@pytest.fixture
def llm(name, server, monkeypatch):
    monkeypatch.setattr("bruno_llm_base.transport.per_loop.most_connections", lambda: PLACES)
    retry = Retry(attempts=3, wait_initial=0.05, deadline=AN_HOUR)
    return LLMFactory.create(name, **server.connection(), retry=retry, timeouts=LIMITS)


async def check_that_nothing_is_left(llm, server, until):
    assert asyncio.all_tasks() == {asyncio.current_task()}
    line = llm._endpoint.transports.connections
    for _ in range(PLACES):
        assert not line.locked()
        await line.acquire()
    for _ in range(PLACES):
        line.release()
    await llm.aclose()
    await until(lambda: server.open_connections == 0)


async def test_every_call_ends_once_and_truthfully(name, server, llm, sockets, until, jump):
    before, spoken, loop = sockets(), set(), asyncio.get_running_loop()
    tasks = [asyncio.create_task(call(llm, number, spoken)) for number in range(CALLS)]
    dice = random.Random(name)  # noqa: S311
    leavers = {number for number in range(len(tasks)) if dice.random() < LEAVING}
    in_line = {number for number in leavers if number > len(tasks) / 2}
    for number in leavers - in_line:
        server.leavers[number] = partial(loop.call_soon_threadsafe, tasks[number].cancel)
    await asyncio.sleep(0)
    for number in in_line:
        tasks[number].cancel()

    unfinished = set(range(len(tasks)))
    for number, task in enumerate(tasks):
        task.add_done_callback(lambda _, number=number: unfinished.discard(number))
    async with jump(AN_HOUR, lambda: unfinished and unfinished == server.silent <= spoken):
        results = dict(enumerate(await asyncio.gather(*tasks, return_exceptions=True)))

    gone = {n for n, result in results.items() if isinstance(result, asyncio.CancelledError)}
    ends = {n: result for n, result in results.items() if n not in gone}
    assert gone == leavers
    errors = {n: end for n, (end, _) in ends.items() if isinstance(end, LLMError)}
    assert len(errors) < len(tasks) * FAULTY
    for number, (end, _) in ends.items():
        if number not in errors:
            assert end == answer_to(number).text
    for number, error in errors.items():
        assert type(error) is not LLMError  # which is what we call what we do not know
        said = error.partial.text if error.partial else ""
        assert answer_to(number).text.startswith(said) or FakeAnswer().text.startswith(said)
    assert {n for n, error in errors.items() if isinstance(error, LLMTimeoutError)} == server.silent

    for number, (_, attempts) in ends.items():
        assert server.asked[number] == len(attempts)
    assert not server.asked.keys() & in_line
    await check_that_nothing_is_left(llm, server, until)
    await until(lambda: sockets() <= before)


async def test_more_calls_than_places_wait_in_line(name, fake, monkeypatch, until, at_once):
    monkeypatch.setattr("bruno_llm_base.transport.per_loop.most_connections", lambda: 3)
    with fake() as server:
        server.say(Fault(FakeAnswer(), then="stall"), times=3)
        async with LLMFactory.create(name, **server.connection(), timeouts=LIMITS) as llm:
            tasks = [asyncio.create_task(llm.generate("hi")) for _ in range(5)]
            await until(lambda: len(server.received) == 3)
            await at_once(lambda: len(server.received) == server.open_connections == 3)
            tasks[0].cancel()
            assert await asyncio.gather(*tasks[3:]) == [FakeAnswer().text] * 2
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    assert len(server.received) == 5
