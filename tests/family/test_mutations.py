"""Real documents, wrong in one place, any bytes, any headers: text or an error of ours, on all four."""

import asyncio
import copy
import json
import math
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from itertools import islice

import httpx
import pytest
from bruno_core.models import Message
from bruno_llm_base import (
    InvalidRequestError,
    LLMError,
    LLMTimeoutError,
    ModelResponse,
    Retry,
    Timeouts,
    ToolCall,
    Usage,
)
from bruno_llm_base.error_mapping import server_wait
from bruno_llm_base.limits import read_limits
from bruno_llm_base.messages import Conversation
from bruno_llm_base.transport import Reply
from bruno_llm_testing import FakeAnswer, FakeError, Received
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("unmeasured")

GONE = object()
ODD = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        math.inf,
        math.nan,
        2**63,
        -(10**400),
        "",
        "x",
        "400",
        "AUDIO",
    ),
    *([], [None], [[]], [{}], ["x"], [5], {}, {"x": None}, {"error": 1}, {"type": []}, GONE),
]
EVERYTHING = FakeAnswer(
    text="one two",
    reasoning="three",
    tool_calls=(ToolCall(id="c1", name="f", arguments='{"a": 1}'),),
    finish_reason="tool_call",
    usage=Usage(input_tokens=42, output_tokens=20, cache_read_tokens=8, reasoning_tokens=5),
)
ERRORS = [
    FakeError(kind=kind, retry_after=1, param="temperature")
    for kind in ("authentication", "quota", "rate_limit", "overloaded", "model_not_found")
] + [FakeError(kind=kind, param="messages") for kind in ("context_length", "invalid_request")]
HOSTILE = settings(deadline=None, suppress_health_check=list(HealthCheck))


def places(document, path=()):
    """Yield the path of every node."""
    yield path
    rows = document.items() if isinstance(document, dict) else ()
    rows = enumerate(document[:2]) if isinstance(document, list) else rows
    for name, value in rows:
        yield from places(value, (*path, name))


def mutated(document, path, value):
    """Return a copy of *document* in which something else stands at *path*."""
    if not path:
        return {} if value is GONE else value
    whole = copy.deepcopy(document)
    inner = whole
    for name in path[:-1]:
        inner = inner[name]
    if value is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return whole


def mutations(document):
    return (mutated(document, path, value) for path in places(document) for value in ODD)


class Canned:
    """A transport, and the answer that comes by it."""

    def __init__(self, framing):
        self.framing = framing
        self.headers: Mapping[str, str] = httpx.Headers()
        self.status_code = 200
        self.chunks = [b""]

    def say(self, status, *chunks, headers=None):
        self.status_code, self.chunks = status, list(chunks)
        self.headers = httpx.Headers(headers or {})

    async def send(self, method, path, body=None):
        return Reply(self, self.framing)

    async def aiter_bytes(self):
        for chunk in self.chunks:
            yield chunk

    async def aclose(self):
        pass


@pytest.fixture(params=["openai", "responses", "claude", "gemini", "ollama"])
def api(request):
    """The API that is asked: OpenAI has two."""
    return request.param


@pytest.fixture
def chosen(api):
    """What is said of the API to the provider's constructor."""
    return {"openai": {"api": "chat"}, "responses": {"api": "responses"}}.get(api, {})


@pytest.fixture
def name(api):
    return "openai" if api == "responses" else api


@pytest.fixture
def canned(name):
    return Canned("ndjson" if name == "ollama" else "sse")


@pytest.fixture
def llm(kind, chosen, canned):
    class Offline(kind):
        @staticmethod
        def open_transport(access, timeouts):
            return canned

    return Offline(api_key="k", retry=Retry(attempts=1), **chosen)


@pytest.fixture
def asked(api, fake):
    model = fake.models[0]
    body = {"model": model, "messages": ["hi"], "stream_options": {"include_usage": True}}
    paths = {"gemini": f"/v1beta/models/{model}:generateContent", "responses": "/v1/responses"}
    path = paths.get(api, "/")
    return Received(method="POST", path=path, query={"alt": "sse"}, headers={}, body=body)


@pytest.fixture
def vendor(fake):
    return fake()  # never started: only to render


@pytest.fixture
def made(vendor, asked):
    return vendor, asked


def framed(name, document):
    line = json.dumps(document).encode()
    return line + b"\n" if name == "ollama" else b"data: " + line + b"\n\n"


async def outcome(call):
    """Return what *call* returns, or the error of ours that it raises."""
    try:
        return await call
    except LLMError as error:
        raised = error
    assert isinstance(f"{raised} {raised!r}", str)
    assert raised.retry_after is None or 0 <= raised.retry_after < math.inf
    return raised


async def ask(llm):
    """Return the errors of asking in both ways."""
    answers = [await outcome(call) for call in (llm.request("hi"), read(llm))]
    for answer in answers:
        assert isinstance(answer, ModelResponse | LLMError)
        if isinstance(answer, ModelResponse):
            send_back(llm, answer)
    return [answer for answer in answers if isinstance(answer, LLMError)]


async def read(llm):
    stream = llm.stream("hi")
    pieces = [piece async for piece in stream]
    assert all(type(piece) is str for piece in pieces)
    return stream.response


def send_back(llm, response):
    """Whatever a server said can be said again, or is refused by us."""
    assert type(response.text) is str
    conversation = [Message(role="user", content="hi"), response.to_message()]
    with suppress(InvalidRequestError):
        whole = Conversation.of(conversation)
        json.dumps(llm.adapter.build(whole, {"model": llm.model}, stream=False), allow_nan=False)


async def test_an_answer_that_is_wrong_in_one_place(llm, canned, vendor, asked):
    for document in mutations(vendor.render_answer(EVERYTHING, asked)):
        canned.say(200, json.dumps(document).encode())
        await ask(llm)


async def test_a_stream_that_is_wrong_in_one_place(name, llm, canned, vendor, asked):
    events = vendor.render_stream(EVERYTHING, asked)
    for place, event in enumerate(events):
        data = event.partition(b"data:")[2] or event
        if not data.strip().startswith(b"{"):
            continue
        for document in mutations(json.loads(data)):
            said = [*events[:place], framed(name, document), *events[place + 1 :]]
            canned.say(200, *said)
            assert isinstance(await outcome(read(llm)), ModelResponse | LLMError)


async def test_an_error_that_is_wrong_in_one_place(name, llm, canned, vendor, asked):
    for number, error in enumerate(ERRORS):
        status, document = vendor.render_error(error, asked)
        # they are alike: each meets some of the odd values, and together they meet all
        for wrong in islice(mutations(document), number % 3, None, 3):
            canned.say(status, json.dumps(wrong).encode())
            assert len(await ask(llm)) == 2
            canned.say(200, framed(name, wrong))
            await ask(llm)


async def test_a_list_of_models_that_is_wrong_in_one_place(llm, canned, vendor):
    for document in mutations(vendor.render_models()):
        canned.say(200, json.dumps(document).encode())
        names = await outcome(llm.list_models())
        assert isinstance(names, LLMError) or all(type(name) is str for name in names)
        assert isinstance(await llm.check_connection(), bool)


VALUES = st.recursive(
    st.sampled_from(ODD[:-1]) | st.text(max_size=5) | st.integers() | st.floats(),
    lambda v: st.lists(v, max_size=2) | st.dictionaries(st.text(max_size=4), v, max_size=2),
    max_leaves=5,
)


@settings(HOSTILE, max_examples=60)
@given(data=st.data())
def test_documents_that_are_wrong_in_several_places(name, llm, canned, made, data):
    vendor, asked = made
    document = vendor.render_answer(EVERYTHING, asked)
    for _ in range(data.draw(st.integers(1, 4))):
        paths = list(places(document))[1:]
        if paths:
            document = mutated(document, data.draw(st.sampled_from(paths)), data.draw(VALUES))
    text = json.dumps(document)
    canned.say(200, text.encode())
    asyncio.run(ask(llm))
    canned.say(200, framed(name, document), *vendor.render_stream(EVERYTHING, asked))
    asyncio.run(ask(llm))


async def test_a_count_that_is_none_counts_as_not_reported(llm, canned, vendor, asked):
    def odd(document, value):
        if isinstance(document, dict):
            return {name: odd(inner, value) for name, inner in document.items()}
        if isinstance(document, list):
            return [odd(inner, value) for inner in document]
        return value if type(document) is int and document > 1 else document

    answer = vendor.render_answer(EVERYTHING, asked)
    for value in (-5, 2**63, -(10**4000)):
        canned.say(200, json.dumps(odd(answer, value)).encode())
        response = await llm.request("hi")
        told = asdict(response.usage)
        estimated = [told.pop("input_tokens"), told.pop("output_tokens")]
        assert set(told.values()) <= {None, 0, 1}
        assert response.usage_estimated
        assert all(0 <= count < 100 for count in estimated)


# -- headers --------------------------------------------------------------------------------------

WAITS = [
    "",
    " ",
    "-1",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "1e308",
    "-0",
    "0x10",
    "1_0",
    "١٢",
    "9" * 5000,
]
WAITS += ["soon", "Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "1, 2", "7;8"]
WAITS += ["Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359", "Wed, 99 Foo 2015"]
WAITS += ["Thu, 1 Jan 1970 00:00:00 +9999999999", "0 Jan", ",", "::", "Wed", "\x00", "é", "\udcff"]
DATES = st.from_regex(
    r"[A-Z][a-z]{2},? [0-9]{1,5} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{0,9} ?[+-]?[0-9A-Z]{0,8}",
    fullmatch=True,
)


def one_example_each(values):
    def decorate(test):
        for value in values:
            test = example(value)(test)
        return test

    return decorate


@settings(HOSTILE, max_examples=300)
@given(st.text() | DATES | st.floats().map(str))
@one_example_each(WAITS)
def test_any_header_is_a_wait_or_none(value):
    for name in ("retry-after", "retry-after-ms"):
        wait = server_wait({name: value})
        assert wait is None or 0 <= wait < math.inf


@settings(HOSTILE, max_examples=200)
@given(st.text() | DATES | st.datetimes().map(str) | st.floats().map(str))
@one_example_each(
    [*WAITS, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1d1h", "5" * 400]
)
def test_any_rate_limit_header_is_a_figure_or_none(value):
    units = ("requests", "tokens", "input-tokens", "output-tokens")
    whats = ("limit", "remaining", "reset")
    said = {f"x-ratelimit-{what}-{unit}": value for what in whats for unit in units}
    said |= {f"anthropic-ratelimit-{unit}-{what}": value for what in whats for unit in units}
    for headers in (said, said | {"anthropic-ratelimit-requests-remaining": "5", "date": value}):
        for names in ("x-ratelimit-{what}-{unit}", "anthropic-ratelimit-{unit}-{what}"):
            state = read_limits(headers, names)
            for figure in () if state is None else (state.requests_limit, state.requests_reset):
                assert figure is None or 0 <= figure < math.inf


# -- over a socket --------------------------------------------------------------------------------


class Socket:
    """Says the same bytes to whoever asks, in pieces, and hangs up."""

    def __init__(self):
        self.address = ""
        self.heads = []
        self.pieces = []

    async def __call__(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()  # the client wanted none after all
            return
        self.heads.append(head)
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        for piece in self.pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        writer.close()


@pytest.fixture
async def socket():
    socket = Socket()
    async with await asyncio.start_server(socket, "127.0.0.1", 0) as server:
        socket.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield socket


async def test_a_cookie_that_no_header_can_hold_spoils_no_later_request(
    kind, chosen, socket, vendor, asked
):
    answer = json.dumps(vendor.render_answer(FakeAnswer(), asked)).encode()
    head = b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\n"
    once = Retry(attempts=1)
    async with kind(base_url=socket.address, api_key="k", retry=once, **chosen) as llm:
        for cookie in (b"\x01=1", b"a=\x01", b"a=\xff", b"a=\xf0\x9f\x92\xa9", b"sound=1; path=/"):
            socket.pieces = [head, b"set-cookie: %s\r\n\r\n" % cookie, answer]
            assert await llm.generate("hi") == FakeAnswer().text
        assert await llm.generate("hi") == FakeAnswer().text
    assert b"cookie: sound=1\r\n" in socket.heads[-1].lower()


async def test_the_latest_cookie_is_sent_whatever_was_asked_first(
    kind, chosen, socket, vendor, asked
):
    answer = json.dumps(vendor.render_answer(FakeAnswer(), asked)).encode()
    head = b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\n"
    async with kind(base_url=socket.address, api_key="k", retry=Retry(attempts=1), **chosen) as llm:
        socket.pieces = [head, b"set-cookie: at=0; path=/\r\n\r\n{}"]
        await llm.check_connection()
        for number in range(1, 4):
            socket.pieces = [head, b"set-cookie: at=%d; path=/\r\n\r\n" % number, answer]
            assert await llm.generate("hi") == FakeAnswer().text
    assert b"cookie: at=2\r\n" in socket.heads[-1].lower()


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "retry-after",
                "retry-after-ms",
                "x-request-id",
                "request-id",
                "date",
                "set-cookie",
                "content-encoding",
                "content-type",
                "content-length",
                "transfer-encoding",
                "x-odd",
                "x-ratelimit-reset-requests",
                "location",
                "connection",
                "www-authenticate",
                "",
            ]
        ).map(str.encode),
        st.sampled_from([value.encode(errors="surrogateescape") for value in WAITS])
        | st.sampled_from(
            [
                b"gzip",
                b"deflate",
                b"br",
                b"zstd",
                b"x",
                b"chunked",
                b"identity",
                b"3",
                b"0",
                b"text/event-stream",
                b"application/json; charset=\xff",
                b"text/html",
                b"a/b;;=",
                b"http://127.0.0.1:9/x",
                b"/x",
                b"//",
                b"http://[",
                b"close",
                b"\xff\xfe",
                b"\x01",
                b"x" * 9000,
                b"a\r\n folded",
                b"\xf0\x9f\x92\xa9",
                b"application/x-ndjson",
            ]
        )
        | st.binary(max_size=12),
    ),
    max_size=5,
)
STATUSES = st.sampled_from([*range(200, 600, 7), 200, 204, 301, 304, 307, 400, 401, 404, 429, 529])


@st.composite
def raw(draw, bodies):
    """Draw an HTTP answer, most often one that can be read, and cut it anywhere."""
    body = draw(st.sampled_from(bodies) | st.binary(max_size=60))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(body)))
        end = place + draw(st.integers(0, 20))
        body = body[:place] + draw(st.binary(max_size=6)) + body[end:]
    headers = draw(HEADERS)
    if draw(st.booleans()):
        headers.append((b"content-length", str(len(body)).encode()))
    label = draw(st.sampled_from([b"application/json", b"text/event-stream", b"text/html"]))
    head = b"HTTP/1.1 %d X\r\ncontent-type: %s\r\n" % (draw(STATUSES), label)
    whole = head + b"".join(b"%s: %s\r\n" % pair for pair in headers) + b"\r\n" + body
    if draw(st.integers(0, 9)) == 0:
        whole = draw(st.binary(max_size=40))
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]


def test_any_bytes_on_a_socket_are_text_or_an_error_of_ours(kind, name, vendor, asked):
    answer = json.dumps(vendor.render_answer(EVERYTHING, asked)).encode()
    stream = b"".join(vendor.render_stream(EVERYTHING, asked))
    error = json.dumps(vendor.render_error(ERRORS[2], asked)[1]).encode()
    models = json.dumps(vendor.render_models()).encode()
    socket = Socket()

    async def start():
        server = await asyncio.start_server(socket, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server, kind(
            base_url=address, api_key="k", retry=Retry(attempts=1), timeouts=Timeouts(total=300)
        )

    async def stop(server, llm):
        await llm.aclose()
        server.close()

    async def use(llm):
        errors = await ask(llm)
        assert not any(isinstance(error, LLMTimeoutError) for error in errors)
        assert not [error for error in errors if error.message.startswith("unexpected")]
        assert isinstance(await llm.check_connection(), bool)

    with asyncio.Runner() as runner, warnings.catch_warnings():
        server, llm = runner.run(start())

        @settings(HOSTILE, max_examples=80)
        @given(raw([answer, stream, error, models, b"", b"{}", b"data: {}\n\n", b"null"]))
        def try_one(pieces):
            socket.pieces = pieces
            runner.run(use(llm))

        try_one()
        runner.run(stop(server, llm))
