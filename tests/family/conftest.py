"""Each provider, and its fake."""

import asyncio
import importlib
import json
import re
from contextlib import suppress

import bruno_llm_testing
import certifi
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


@pytest.fixture(scope="session")
def one_certificate(tmp_path_factory):
    end = "-----END CERTIFICATE-----"
    path = tmp_path_factory.mktemp("tls") / "one.pem"
    path.write_text(certifi.contents().partition(end)[0] + end)
    return path


@pytest.fixture
def few_certificates(monkeypatch, one_certificate):
    """Let clients load one certificate: to load all takes longer than most tests."""
    monkeypatch.setenv("SSL_CERT_FILE", str(one_certificate))


STREAMS = {"ollama": "application/x-ndjson"}


class RawServer:
    """Answers requests with the documents that it is told, in the vendor's framing, one reply each.

    The last reply is repeated. It is no fake: what a document means is for the test to know.
    """

    def __init__(self, name):
        self.name = name
        self.bodies = []
        self._replies = []

    def say(self, *replies):
        """Say *replies* next: a document, or a list of the documents of a stream."""
        self._replies += replies

    def connection(self):
        path = "/v1" if self.name == "openai" else ""
        return {"base_url": f"http://127.0.0.1:{self.port}{path}", "api_key": "a-test-key"}

    def framed(self, document):
        line = json.dumps(document).encode() if not isinstance(document, bytes) else document
        return line + b"\n" if self.name == "ollama" else b"data: " + line + b"\n\n"

    async def answer(self, reader, writer):
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has left
        finally:
            writer.close()
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])

    async def _answer(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
        body = await reader.readexactly(int(fields.get(b"content-length", 0)))
        self.bodies.append(json.loads(body) if body else None)
        reply = self._replies[0] if len(self._replies) == 1 else self._replies.pop(0)
        streamed = isinstance(reply, list)
        kind = STREAMS.get(self.name, "text/event-stream") if streamed else "application/json"
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n".encode()
        )
        for piece in map(self.framed, reply) if streamed else [json.dumps(reply).encode()]:
            writer.write(piece)
            await writer.drain()


@pytest.fixture
async def raw(name):
    """A server of the provider's protocol that says what the test says."""
    raw = RawServer(name)
    server = await asyncio.start_server(raw.answer, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    async with server:
        yield raw


@pytest.fixture
async def client(kind, raw):
    """The provider, talking to `raw`, once."""
    async with kind(retry=Retry(attempts=1), **raw.connection()) as llm:
        yield llm


class Wire:
    """A server that says exactly the bytes it is told, to one request after another.

    Attributes:
        address: Where it is.
        asked: How often it was asked for an answer.
        listed: How often it was asked for its models.
    """

    def __init__(self, name):
        self.name = name
        self.asked = self.listed = 0
        self.serving = set()
        self._replies = [(200, {}, [b""])]

    def say(self, status, body, **headers):
        """Answer with *status* and *body*, bytes or several packets of them, from now on."""
        self.say_each((status, body, headers))

    def say_each(self, *replies):
        """Answer with one of *replies* after the other, and then with the last."""
        self._replies = [
            (status, headers, [body] if isinstance(body, bytes) else body)
            for status, body, headers in replies
        ]

    def connection(self):
        version = "/v1" if self.name == "openai" else ""
        return {"base_url": self.address + version, "api_key": "a-key-for-tests"}

    async def serve(self, reader, writer):
        self.serving.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])

    async def _answer(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if found := re.search(rb"content-length: (\d+)", head):
            await reader.readexactly(int(found[1]))
        if head.startswith(b"get"):
            self.listed += 1
        else:
            self.asked += 1
        status, headers, packets = self._replies[min(max(self.asked, 1), len(self._replies)) - 1]
        lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
        writer.write(f"HTTP/1.1 {status} X\r\nconnection: close\r\n{''.join(lines)}\r\n".encode())
        for packet in packets:
            writer.write(packet)
            await writer.drain()
            await asyncio.sleep(0.001 if len(packets) > 1 else 0)


@pytest.fixture
async def wire(name):
    wire = Wire(name)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield wire
    server.close()
    if wire.serving:
        await asyncio.wait(wire.serving)
