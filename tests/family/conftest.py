"""Each provider, and its fake."""

import asyncio
import importlib
import json
import os
import re
import socket
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import bruno_llm_testing
import pytest
from bruno_llm_base import Retry

NAMES = {"openai": "OpenAI", "claude": "Claude", "gemini": "Gemini", "ollama": "Ollama"}


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def kind(name):
    """The provider's class."""
    return getattr(importlib.import_module(f"bruno_llm_{name}"), f"{NAMES[name]}Provider")


@pytest.fixture
def fake(name):
    """The class of its fake."""
    return getattr(bruno_llm_testing, f"Fake{NAMES[name]}")


@pytest.fixture
def server(fake):
    with fake() as server:
        yield server


@pytest.fixture
def sockets(server):
    """Return a function that counts the sockets of this process, but for those that lead elsewhere."""
    port = urlsplit(server.address).port

    def is_ours(descriptor):
        with suppress(OSError):  # it has been closed meanwhile
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                with socket.socket(fileno=os.dup(descriptor)) as end:
                    return end.family == socket.AF_INET and leads_here(end)
        return False

    def leads_here(end):
        try:
            return port in (end.getpeername()[1], end.getsockname()[1])
        except OSError:  # it is not connected any more
            return True

    return lambda: sum(is_ours(int(each.name)) for each in Path("/proc/self/fd").iterdir())


STREAMS = {"ollama": "application/x-ndjson"}


class RawServer:
    """A server of the provider's protocol that says what the test says, each to one request.

    The last reply is repeated. It is no fake: what a document means is for the test to know.

    Attributes:
        asked: How often it was asked for an answer.
        bodies: What it was sent.
    """

    def __init__(self, name):
        self.name = name
        self.asked = 0
        self.bodies = []
        self.serving = set()
        self._replies = []

    def say(self, *replies):
        """Say *replies* next: a document, or a list of the documents of a stream."""
        for reply in replies:
            streamed = isinstance(reply, list)
            kind = STREAMS.get(self.name, "text/event-stream") if streamed else "application/json"
            body = list(map(self.framed, reply)) if streamed else json.dumps(reply).encode()
            self._replies.append((200, {"content-type": kind}, body))

    def send(self, status, body, **headers):
        """Say *status* and *body*, bytes or several packets of them, from now on."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self._replies = [(status, headers, body)]

    def connection(self):
        path = "/v1" if self.name == "openai" else ""
        return {"base_url": f"http://127.0.0.1:{self.port}{path}", "api_key": "a-key-for-tests"}

    def framed(self, document):
        line = json.dumps(document).encode() if not isinstance(document, bytes) else document
        return line + b"\n" if self.name == "ollama" else b"data: " + line + b"\n\n"

    async def serve(self, reader, writer):
        self.serving.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):  # the client has left
            await self._answer(reader, writer)
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])

    async def _answer(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        self.bodies.append(json.loads(body) if body else None)
        self.asked += head.startswith(b"post")
        reply = self._replies[0] if len(self._replies) == 1 else self._replies.pop(0)
        status, headers, packets = reply
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {status} X\r\nconnection: close\r\n{lines}\r\n".encode())
        for packet in [packets] if isinstance(packets, bytes) else packets:
            writer.write(packet)
            await writer.drain()
            await asyncio.sleep(0.001 if len(packets) > 1 else 0)


@pytest.fixture
async def raw(name):
    raw = RawServer(name)
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    yield raw
    server.close()
    if raw.serving:
        await asyncio.wait(raw.serving)


@pytest.fixture
async def client(kind, raw):
    """The provider, talking to `raw`, once."""
    async with kind(retry=Retry(attempts=1), **raw.connection()) as llm:
        yield llm
