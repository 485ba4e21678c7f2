"""What a client sees of each fault, on a bare socket."""

import asyncio
import json
import math
import time
import tracemalloc

import pytest
from bruno_llm_base import ConfigurationError
from bruno_llm_testing import (
    FakeAnswer,
    FakeClaude,
    FakeError,
    FakeGemini,
    FakeOllama,
    FakeOpenAI,
    Fault,
    RawReply,
)

SAID = [{"role": "user", "content": "hi"}]
CONTENTS = {"contents": [{"parts": [{"text": "hi"}]}]}
ANSWER = FakeAnswer(text="Grüße, 世界! 👋🏽 Bye.")
HTML = RawReply(
    status=502,
    headers={"Content-Type": "text/html", "Retry-After": "7"},
    body=b"<h1>Bad Gateway</h1>",
)


@pytest.fixture(params=[FakeOpenAI, FakeOllama])
def server(request):
    with request.param() as server:
        yield server


@pytest.fixture(params=[True, False], ids=["streamed", "whole"])
def streamed(request):
    return request.param


class Client:
    """One connection, and what comes on it."""

    def __init__(self, server, reader, writer):
        self.server, self.reader, self.writer = server, reader, writer

    async def ask(self, *, streamed):
        """Send a question."""
        model = self.server.models[0]
        path, body = {
            "FakeClaude": ("/v1/messages", {"messages": SAID, "max_tokens": 9}),
            "FakeGemini": (f"/v1/models/{model}:streamGenerateContent?alt=sse", CONTENTS),
            "FakeOllama": ("/api/chat", {"messages": SAID}),
        }.get(type(self.server).__name__, ("/v1/chat/completions", {"messages": SAID}))
        data = json.dumps(body | {"model": model, "stream": streamed}).encode()
        key = self.server.api_key
        head = (
            f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n"
            f"authorization: Bearer {key}\r\nx-goog-api-key: {key}\r\n"
            "anthropic-version: 2026-10-21\r\n\r\n"
        )
        self.writer.write(head.encode() + data)

    async def header(self):
        """Return the status and the headers."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = dict(line.lower().split(": ", 1) for line in lines[1:-1])
        return int(lines[0].split()[1]), headers

    async def chunk(self):
        """Return the next chunk of a body without a stated length; the last one is empty."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def chunks(self, number=math.inf):
        """Return the next chunks, all of them by default."""
        found = []
        while len(found) < number and (chunk := await self.chunk()):
            found.append(chunk)
        return found

    async def body(self, headers):
        """Return a body, in whichever way its length is told."""
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        return b"".join(await self.chunks())

    async def nothing(self, seconds=0.05):
        """Check that nothing comes for a while, not even an end."""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.reader.read(1), seconds)

    async def end(self):
        """Return how the connection ends, with nothing more on it."""
        try:
            assert await self.reader.read() == b""
        except ConnectionResetError:
            return "reset"
        return "close"

    async def leave(self):
        self.writer.close()
        await asyncio.wait([asyncio.ensure_future(self.writer.wait_closed())])


@pytest.fixture
async def connect(server):
    clients = []

    async def connect(to=server):
        port = int(to.address.rpartition(":")[2])
        clients.append(Client(to, *await asyncio.open_connection("127.0.0.1", port)))
        return clients[-1]

    yield connect
    for client in clients:
        await client.leave()


@pytest.fixture
async def client(connect):
    return await connect()


def events(server, answer=ANSWER, *, streamed=True):
    """Return what the vendor would send if nothing went wrong."""
    model = server.models[0]
    request = type("Request", (), {"body": {"model": model, "messages": SAID}, "path": ""})()
    if streamed:
        return server.render_stream(answer, request)
    data = json.dumps(server.render_answer(answer, request)).encode()
    half = (len(data) + 1) // 2
    return [data[:half], data[half:]]


async def until(condition):
    """Wait for the server's thread, two minutes at most."""
    give_up = time.monotonic() + 120
    while not condition() and time.monotonic() < give_up:  # noqa: ASYNC110 - another thread's state
        await asyncio.sleep(0.001)
    assert condition()


# -- what is said ---------------------------------------------------------------------------------


async def test_without_a_fault_all_of_it_comes(server, client, streamed):
    server.say(ANSWER, Fault(ANSWER), times=2)
    for _ in range(4):
        await client.ask(streamed=streamed)
        status, headers = await client.header()
        assert status == 200
        body = await client.body(headers)
        assert body == b"".join(events(server, streamed=streamed))
        assert ("content-length" in headers) == (not streamed)
    assert (server.accepted_connections, server.open_connections) == (1, 1)


@pytest.mark.parametrize(
    "reply",
    [
        HTML,
        RawReply(status=500),
        RawReply(status=503, headers={"content-type": "text/plain"}, body=b"\xff\x00\n"),
        RawReply(status=307, headers={"location": "http://127.0.0.1:9/elsewhere"}),
        RawReply(body=b"x", headers={"content-type": "text/html"}),
    ],
)
async def test_a_raw_reply_is_sent_as_it_is(server, client, streamed, reply):
    server.say(reply)
    await client.ask(streamed=streamed)
    status, headers = await client.header()
    assert (status, await client.body(headers)) == (reply.status, reply.body)
    for name, value in reply.headers.items():
        assert headers[name.lower()] == value.lower()


async def test_a_raw_reply_is_labelled_as_an_answer_unless_it_says_otherwise(
    server, client, streamed
):
    server.say(RawReply(body=b"[]"))
    await client.ask(streamed=streamed)
    label = (await client.header())[1]["content-type"]
    assert label == (server.content_type if streamed else "application/json; charset=utf-8")


async def test_a_script_may_be_said_several_times(server, client, streamed):
    server.say(HTML, FakeError(kind="rate_limit", headers={"retry-after": "2"}), times=2)
    statuses = []
    for _ in range(5):
        await client.ask(streamed=streamed)
        status, headers = await client.header()
        await client.body(headers)
        statuses.append((status, headers.get("retry-after")))
    assert statuses == [(502, "7"), (429, "2"), (502, "7"), (429, "2"), (200, None)]


async def test_the_list_of_models_has_a_script_of_its_own(server, client):
    path = {FakeOpenAI: "/v1/models", FakeOllama: "/api/tags"}[type(server)]
    server.say(HTML, Fault(then="close"), to="models")
    get = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.api_key}\r\n\r\n"
    await client.ask(streamed=False)
    status, headers = await client.header()
    assert status == 200
    await client.body(headers)
    client.writer.write(get.encode())
    status, headers = await client.header()
    assert (status, await client.body(headers)) == (502, HTML.body)
    client.writer.write(get.encode())
    assert await client.end() == "close"


async def test_a_huge_body_is_never_in_memory(server, client, streamed):
    server.say(RawReply(body=b"x" * 1_000_000, repeat=50))
    tracemalloc.start()
    await client.ask(streamed=streamed)
    assert (await client.header())[0] == 200
    size = 0
    while chunk := await client.chunk():
        assert chunk.strip(b"x") == b""
        size += len(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 50_000_000
    assert peak < 10_000_000


# -- when it comes --------------------------------------------------------------------------------


async def test_a_late_header(server, client, streamed):
    server.say(Fault(ANSWER, before_header=0.05))
    asked = time.monotonic()
    await client.ask(streamed=streamed)
    _, headers = await client.header()
    assert asked < server.received[0].arrived_at <= time.monotonic() - 0.05
    assert await client.body(headers) == b"".join(events(server, streamed=streamed))


async def test_a_late_first_event(server, client, streamed):
    server.say(Fault(ANSWER, before_first_event=0.08))
    await client.ask(streamed=streamed)
    _, headers = await client.header()
    assert await client.body(headers) == b"".join(events(server, streamed=streamed))
    assert server.received[0].arrived_at <= time.monotonic() - 0.08


async def test_slow_events(server, client):
    server.say(Fault(ANSWER, between_events=0.01))
    await client.ask(streamed=True)
    await client.header()
    found = await client.chunks()
    assert found == events(server)
    assert time.monotonic() - server.received[0].arrived_at >= 0.01 * (len(found) - 1)


@pytest.mark.parametrize("size", [1, 3, 50])
async def test_split_packets(server, client, streamed, size):
    server.say(Fault(ANSWER, split=size))
    await client.ask(streamed=streamed)
    _, headers = await client.header()
    # what is whole may be read together: how often is the machine's business
    found = await client.chunks() if streamed else [await client.body(headers)]
    assert b"".join(found) == b"".join(events(server, streamed=streamed))
    if streamed:
        assert max(map(len, found)) <= size


@pytest.mark.parametrize(
    ("fake", "ping"),
    [
        (FakeOpenAI, b": ping\n\n"),
        (FakeClaude, b'event: ping\ndata: {"type": "ping"}\n\n'),
        (FakeGemini, b":\r\n\r\n"),
        (FakeOllama, b"\n"),
    ],
)
async def test_pings_come_while_nothing_else_does(connect, fake, ping):
    with fake() as server:
        server.say(Fault(before_first_event=0.035, pings=0.01, after=1, then="stall"))
        client = await connect(server)
        await client.ask(streamed=True)
        await client.header()
        found = await client.chunks(8)
    place = next(place for place, chunk in enumerate(found) if chunk != ping)
    assert 1 <= place <= 3
    assert [chunk for chunk in found if chunk != ping] == [found[place]]


async def test_a_document_has_no_pings(server, client):
    server.say(Fault(before_first_event=0.03, pings=0.01))
    await client.ask(streamed=False)
    _, headers = await client.header()
    assert json.loads(await client.body(headers))


# -- what stops it --------------------------------------------------------------------------------


async def test_no_answer_at_all(server, client, streamed):
    server.say(Fault(then="stall"))
    await client.ask(streamed=streamed)
    await client.nothing()
    assert not server.received[0].left.is_set()
    assert server.received[0].left_at is None


@pytest.mark.parametrize("after", [0, 2])
async def test_a_stall(server, client, streamed, after):
    server.say(Fault(ANSWER, after=after, then="stall"))
    await client.ask(streamed=streamed)
    status, headers = await client.header()
    assert status == 200
    expected = events(server, streamed=streamed)
    if streamed:
        assert await client.chunks(after) == expected[:after]
    else:
        assert int(headers["content-length"]) == sum(map(len, expected))
        sent = expected[0] if after else b""
        assert await client.reader.readexactly(len(sent)) == sent
    await client.nothing()


async def test_a_server_that_lingers_after_the_last_event(server, client):
    server.say(Fault(ANSWER, after=999, then="stall"))
    await client.ask(streamed=True)
    await client.header()
    assert await client.chunks(len(events(server))) == events(server)
    await client.nothing()


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_an_end_before_the_header(server, client, streamed, how):
    server.say(Fault(then=how))
    await client.ask(streamed=streamed)
    assert await client.end() == how
    await until(lambda: not server.open_connections)
    assert not server.received[0].left.is_set()


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("after", [0, 2])
async def test_an_end_in_the_body(server, client, streamed, how, after):
    server.say(Fault(ANSWER, after=after, then=how))
    await client.ask(streamed=streamed)
    await client.header()
    expected = events(server, streamed=streamed)
    if streamed:
        assert await client.chunks(after) == expected[:after]
    else:
        sent = expected[0] if after else b""
        assert await client.reader.readexactly(len(sent)) == sent
    assert await client.end() == how
    await until(lambda: not server.open_connections)
    assert not server.received[0].left.is_set()


async def test_a_body_that_ends_too_early(server, client, streamed):
    server.say(Fault(ANSWER, after=2, then="end"))
    await client.ask(streamed=streamed)
    status, headers = await client.header()
    body = await client.body(headers)
    sent = events(server, streamed=streamed)[: 2 if streamed else 1]
    assert (status, body) == (200, b"".join(sent))
    await client.ask(streamed=streamed)  # to HTTP, nothing is wrong
    assert (await client.header())[0] == 200
    assert server.accepted_connections == 1


async def test_an_answer_that_is_not_http(server, client, streamed):
    server.say(Fault(then="garble"))
    await client.ask(streamed=streamed)
    said = await client.reader.read()
    assert said
    assert not said.startswith(b"HTTP")


async def test_an_event_that_is_not_json(server, client):
    server.say(Fault(ANSWER, after=2, then="garble"))
    await client.ask(streamed=True)
    await client.header()
    found, expected = await client.chunks(), events(server)
    garbage = found.pop(2)
    assert found == expected
    assert garbage.endswith(expected[0][-1:])
    with pytest.raises(ValueError, match="Invalid control character"):
        json.loads(garbage.rpartition(b"data: ")[2])


@pytest.mark.parametrize("after", [0, 2])
async def test_a_document_that_is_not_json(server, client, after):
    server.say(Fault(ANSWER, after=after, then="garble"))
    await client.ask(streamed=False)
    _, headers = await client.header()
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid"):
        json.loads(await client.body(headers))


async def test_an_error_inside_a_stream(server, client):
    server.say(Fault(FakeError(kind="overloaded", in_stream=True), split=9))
    await client.ask(streamed=True)
    assert (await client.header())[0] == 200
    body = b"".join(await client.chunks())
    begun = b"".join(events(server, FakeAnswer())[:3])
    assert body.startswith(begun)
    assert "error" in json.loads(body[len(begun) :].removeprefix(b"data: "))


async def test_a_fault_of_an_error(server, client, streamed):
    server.say(Fault(FakeError(kind="overloaded", headers={"x-a": "b"}), after=1, then="close"))
    await client.ask(streamed=streamed)
    status, headers = await client.header()
    assert (status, headers["x-a"]) == (503, "b")
    assert 0 < len(await client.reader.read()) < int(headers["content-length"])


# -- who leaves -----------------------------------------------------------------------------------

SILENT = [
    Fault(before_header=999),
    Fault(before_first_event=999),
    Fault(then="stall"),
    Fault(after=1, then="stall"),
    Fault(after=1, then="stall", pings=0.005),
]


@pytest.mark.parametrize("fault", SILENT)
async def test_the_server_sees_at_once_that_a_client_leaves(server, connect, streamed, fault):
    server.say(fault, times=20)
    clients = [await connect() for _ in range(20)]
    for client in clients:
        await client.ask(streamed=streamed)
    await until(lambda: len(server.received) == 20)
    assert (server.accepted_connections, server.open_connections) == (20, 20)
    left = time.monotonic()
    for client in clients:
        client.writer.close()
    for received in server.received:
        assert await asyncio.to_thread(received.left.wait, 120)
        assert received.arrived_at < left <= received.left_at
    await until(lambda: not server.open_connections)
    assert server.accepted_connections == 20


async def test_the_server_sees_that_a_client_leaves_a_huge_body(server, client, streamed):
    server.say(RawReply(body=b"x" * 1_000_000, repeat=1000))
    await client.ask(streamed=streamed)
    await client.header()
    await client.leave()
    assert await asyncio.to_thread(server.received[0].left.wait, 120)


async def test_a_client_that_has_all_of_it_has_not_left(server, client, streamed):
    await client.ask(streamed=streamed)
    _, headers = await client.header()
    await client.body(headers)
    await client.leave()
    await until(lambda: not server.open_connections)
    assert not server.received[0].left.is_set()


@pytest.mark.parametrize("fault", SILENT)
def test_a_fault_does_not_delay_the_end_of_the_server(fault):
    async def ask():
        port = int(server.address.rpartition(":")[2])
        for _ in range(20):
            client = Client(server, *await asyncio.open_connection("127.0.0.1", port))
            await client.ask(streamed=True)
            clients.append(client)
        await until(lambda: len(server.received) == 20)
        await asyncio.to_thread(server.__exit__, None, None, None)
        for client in clients:
            await client.reader.read()
            await client.leave()

    server, clients = FakeOpenAI(), []
    server.say(fault, times=20)
    server.__enter__()
    asyncio.run(ask())
    assert not server.open_connections
    assert not [received for received in server.received if received.left.is_set()]


# -- what makes no sense --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"after": 1}, "Fault.after is 1: say what happens `then`"),
        ({"then": "end"}, "Fault.then is 'end': say `after` how many events"),
        ({"then": "explode"}, "Fault.then is 'explode': give one of stall, reset"),
        ({"after": -1, "then": "stall"}, "Fault.after is -1: give 0 or more"),
        ({"before_header": -0.1}, "Fault.before_header is -0.1: give 0 or more"),
        ({"between_events": math.nan}, "Fault.between_events is nan: give 0 or more"),
        ({"pings": 0}, "Fault.pings is 0: give seconds above 0"),
        ({"split": 0}, "Fault.split is 0: give 1 or more"),
        ({"reply": Fault()}, "give a FakeAnswer, FakeError or RawReply"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(values, complaint):
    with pytest.raises(ConfigurationError) as caught:
        Fault(**values)
    assert complaint in str(caught.value)


def test_only_what_can_be_said_is_taken(server):
    with pytest.raises(ConfigurationError, match=r"say\(\) was given 'hello': give a FakeAnswer"):
        server.say("hello")


def test_a_raw_reply_that_makes_no_sense_is_refused():
    with pytest.raises(ConfigurationError, match=r"RawReply.repeat is 0: give 1 or more"):
        RawReply(repeat=0)


async def test_a_fake_may_say_faults_by_default(connect):
    class Failing(FakeOpenAI):
        def default(self, request):
            return Fault(then="close")

    with Failing() as server:
        client = await connect(server)
        await client.ask(streamed=True)
        assert await client.end() == "close"
