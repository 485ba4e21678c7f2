"""Where aiohttp is not to be had, httpx carries the requests: slower, and otherwise the same."""

import json
import subprocess
import sys

from bruno_llm_testing import FakeAnswer, FakeOllama, Fault

PROGRAM = """
import asyncio, json, sys, warnings
sys.modules.update(dict.fromkeys(sys.argv[3:]))  # as if not installed
from bruno_llm_base import LLMError, LLMFactory

async def tried(work):
    try:
        return await work
    except LLMError as error:
        return type(error).__name__

async def read(stream):
    return "".join([piece async for piece in stream])

async def main(name, **connection):
    async with LLMFactory.create(name, **connection, max_retries=0) as llm:
        said = [
            await tried(llm.generate("hello")),
            await tried(read(llm.stream("hello"))),
            await tried(read(llm.stream("hello"))),
        ]
    connection["base_url"] = "http://127.0.0.1:1/v1"  # where nobody listens
    async with LLMFactory.create(name, **connection, max_retries=0) as llm:
        said.append(await tried(llm.generate("hello")))
    print(json.dumps(said))

asyncio.run(main(sys.argv[1], **json.loads(sys.argv[2])))
"""


def check(name, server, *absent):
    server.say(FakeAnswer(text="one"), FakeAnswer(text="two"), Fault(after=2, then="close"))
    where = json.dumps(server.connection())
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, name, where, *absent],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == ["one", "two", "StreamError", "ServiceUnavailableError"]


def test_httpx_serves_as_well(name, server):
    check(name, server, "aiohttp", "httpx_aiohttp")


def test_a_provider_over_httpx_need_not_bring_what_joins_it_to_aiohttp():
    with FakeOllama() as server:
        check("ollama", server, "httpx_aiohttp")
