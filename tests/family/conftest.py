"""Each provider, and its fake."""

import asyncio
import importlib
import re
from contextlib import suppress

import certifi
import pytest

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
    return getattr(importlib.import_module(f"bruno_llm_{name}.testing"), f"Fake{NAMES[name]}")


@pytest.fixture
def server(name):
    fake = getattr(importlib.import_module(f"bruno_llm_{name}.testing"), f"Fake{NAMES[name]}")
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


class Raw:
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
async def raw(name):
    raw = Raw(name)
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield raw
    server.close()
    if raw.serving:
        await asyncio.wait(raw.serving)
