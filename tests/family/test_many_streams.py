"""Thousands of streams at once, and a process that may not have so many connections."""

import asyncio
import json
import resource
import subprocess
import sys

import pytest
from bruno_llm_testing import FakeAnswer, Fault

STREAMS, HELD = 1000, 250


@pytest.fixture
def many_descriptors():
    """Let this process, which is client and server, have as many open files as it may."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("many_descriptors")
async def test_streams_are_all_open_at_once_and_nothing_of_them_stays_open(
    kind, server, sockets, until
):
    held = Fault(FakeAnswer(text="one two three"), after=2, then="stall")
    server.say(FakeAnswer(), *[held] * HELD)
    async with kind(**server.connection(), max_retries=0) as llm:
        await llm.generate("hello")
        before, tasks = sockets(), asyncio.all_tasks()
        streams = await asyncio.gather(*(llm.stream("hello") for _ in range(HELD)))
        assert sockets() >= before + 2 * (HELD - 1)  # at both ends
        await asyncio.gather(*(stream.aclose() for stream in streams))
        assert asyncio.all_tasks() <= tasks
        await until(lambda: sockets() <= before)


@pytest.mark.usefixtures("many_descriptors")
async def test_a_thousand_streams_at_once_all_end_well(kind, server, sockets, until):
    server.say(*[FakeAnswer(text="one two three")] * STREAMS)
    before = sockets()
    async with kind(**server.connection(), max_retries=0) as llm:
        streams = [llm.stream("hello") for _ in range(STREAMS)]
        assert await asyncio.gather(*map(read, streams)) == ["one two three"] * STREAMS
        assert all(stream.response.finish_reason == "stop" for stream in streams)
    await until(lambda: sockets() <= before)


async def read(stream):
    return "".join([piece async for piece in stream])


FEW = """
import asyncio, json, resource, sys, warnings
warnings.simplefilter("ignore")  # bruno-core's own
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
from bruno_llm_base import LLMError, LLMFactory

async def tried(llm):
    try:
        return await llm.generate("hello")
    except LLMError as error:
        return [type(error).__name__, str(error), error.attempts[0].error]

async def main(name, **connection):
    async with LLMFactory.create(name, **connection, max_retries=0) as llm:
        more_than_there_are_descriptors = await asyncio.gather(*(tried(llm) for _ in range(200)))
        await llm.aclose()
        await tried(llm)
        held = []
        try:
            while True:
                held.append(open("/dev/null"))
        except OSError:
            none_is_left = await asyncio.gather(*(tried(llm) for _ in range(2)))
        while held:
            held.pop().close()
        freed = await tried(llm)
    print(json.dumps([more_than_there_are_descriptors, none_is_left, freed]))

asyncio.run(main(sys.argv[1], **json.loads(sys.argv[2])))
"""


def test_requests_wait_for_descriptors_and_an_error_names_the_limit(name, server):
    server.say(*[FakeAnswer(text="hi")] * 210)
    program = [sys.executable, "-c", FEW, name, json.dumps(server.connection())]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    assert done.stderr == ""
    waited, (answer, error), freed = json.loads(done.stdout)
    assert waited == ["hi"] * 200
    assert answer == freed == "hi"  # by the connection that is there
    kind, message, attempt = error
    assert kind == attempt == "ConfigurationError"
    assert "all 128 file descriptors" in message
    assert "raise `ulimit -n`" in message
