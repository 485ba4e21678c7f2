"""A stream is read by what it says: not by its label, and not by what others send in its place."""

import json

import pytest
from bruno_llm_base import (
    ContextLengthExceededError,
    InvalidResponseError,
    LLMError,
    Retry,
    ServiceUnavailableError,
    StreamError,
)
from bruno_llm_testing import FakeAnswer, Received

EVENTS, LINES, JSON = "text/event-stream", "application/x-ndjson", "application/json"
ANSWER = FakeAnswer(text="one two three")
BOM = b"\xef\xbb\xbf"
SAID = "the reason of it all"


@pytest.fixture
def asked(fake):
    path = f"/v1beta/models/{fake.models[0]}:generateContent"
    body = {"model": fake.models[0], "messages": ["hi"], "stream_options": {"include_usage": True}}
    return Received(method="POST", path=path, query={"alt": "sse"}, headers={}, body=body)


@pytest.fixture
def events(fake, asked):
    """The events of a streamed answer."""
    return fake().render_stream(ANSWER, asked)


@pytest.fixture
def documents(events):
    """The documents in them."""
    lines = [line.strip() for event in events for line in event.splitlines()]
    found = [
        line.removeprefix(b"data:").strip() for line in lines if line.startswith((b"data:", b"{"))
    ]
    return [json.loads(document) for document in found if document != b"[DONE]"]


@pytest.fixture
def whole(fake, asked):
    """The document of a whole answer."""
    return fake().render_answer(ANSWER, asked)


@pytest.fixture
def read(kind, raw):
    """Return the pieces of a stream, and the answer or the error that ended it."""

    async def read(*, retry=None):
        pieces = []
        async with kind(**raw.connection(), retry=retry or Retry(attempts=1)) as llm:
            stream = llm.stream("hi")
            try:
                async for piece in stream:
                    pieces.append(piece)  # noqa: PERF401 - what came before an error counts
            except LLMError as error:
                return pieces, error
            return pieces, stream.response

    return read


def cut(body, size):
    return [body[place : place + size] for place in range(0, len(body), size)]


# -- labels -----------------------------------------------------------------------------------------


async def test_a_stream_under_any_label(raw, read, events):
    for label in (EVENTS, LINES, f"{JSON}; charset=utf-8", "text/html", "text/plain", "x/y"):
        raw.send(200, events, content_type=label)
        pieces, response = await read()
        assert "".join(pieces) == response.text == ANSWER.text, label
        assert len(pieces) > 1, label
        assert response.usage.output_tokens == ANSWER.usage.output_tokens, label
        assert response.finish_reason == "stop", label


async def test_a_stream_under_a_wrong_label_is_read_as_it_comes(kind, raw, events):
    raw.send(200, [*events[:-2], b"", *events[-2:]], content_type=JSON)
    async with kind(**raw.connection()) as llm, llm.stream("hi") as stream:
        pieces = [piece async for piece in stream]
    assert "".join(pieces) == ANSWER.text


async def test_a_stream_without_a_label(raw, read, events):
    raw.send(200, events)
    assert "".join((await read())[0]) == ANSWER.text


async def test_a_whole_answer_is_one_piece(raw, read, whole):
    compact, indented = json.dumps(whole).encode(), json.dumps(whole, indent=2).encode()
    for body in (compact, compact + b"\n", indented, BOM + compact, b"\n" + indented + b"\n\n"):
        for label in (JSON, EVENTS, LINES):
            raw.send(200, body, content_type=label)
            pieces, response = await read()
            assert pieces == [ANSWER.text], (label, body)
            assert response.finish_reason == "stop"
            assert response.usage.output_tokens == ANSWER.usage.output_tokens


async def test_a_list_of_events(raw, read, documents):
    for body in (json.dumps(documents), json.dumps(documents, indent=2)):
        for packets in ([body.encode()], cut(body.encode(), 100)):
            raw.send(200, packets, content_type=JSON)
            pieces, response = await read()
            assert "".join(pieces) == response.text == ANSWER.text


async def test_events_on_lines_of_their_own(raw, read, documents):
    raw.send(200, [json.dumps(row).encode() + b"\n" for row in documents], content_type=JSON)
    pieces, response = await read()
    assert "".join(pieces) == response.text == ANSWER.text


@pytest.mark.parametrize("label", [JSON, EVENTS])
async def test_what_is_no_answer_is_told_when_the_stream_is_opened(kind, raw, label):
    raw.send(200, json.dumps({"error": {"message": SAID}}).encode(), content_type=JSON)
    async with kind(**raw.connection(), max_retries=0) as llm:
        with pytest.raises(ServiceUnavailableError, match=SAID):
            await llm.stream("hi")


@pytest.mark.parametrize("name", ["openai", "claude", "gemini"])  # Ollama's may be cut short
async def test_a_document_that_is_no_answer_is_asked_for_once(raw, read):
    raw.send(200, b'{"unheard": "of"}', content_type=JSON)
    _, error = await read(retry=Retry(attempts=3, wait_initial=0))
    assert type(error) is InvalidResponseError
    assert raw.asked == 1


async def test_a_page_in_the_place_of_a_stream(raw, read):
    page = b"<!doctype html><html><title>Sign in</title><body>\n<p>Sign in</p>\n</body></html>"
    for label in ("text/html", EVENTS):
        raw.send(200, cut(page, 20), content_type=label)
        _, error = await read()
        assert type(error) is InvalidResponseError
        assert "a web page, not with JSON: 'Sign in'; check base_url" in error.message


async def test_a_bare_list_of_models(kind, raw, fake):
    name = fake.models[0]
    row = {"id": name, "name": name, "supportedGenerationMethods": ["generateContent"]}
    raw.send(200, json.dumps([row]).encode(), content_type=JSON)
    async with kind(**raw.connection()) as llm:
        assert await llm.list_models() == [name]


# -- events -----------------------------------------------------------------------------------------


def spelled(documents, name):
    """Yield a stream in every spelling that the standard allows, and some that it does not."""
    rows = [json.dumps(row).encode() for row in documents]
    if name == "ollama":
        yield b"".join(row + b"\n\n" for row in rows)
        yield b"".join(row + b"\r\n" for row in rows)
        yield b"\n".join(rows)
        yield BOM + b"\n".join(rows)
        return
    yield b"".join(b"data:" + row + b"\r\n\r\n" for row in rows)
    yield b"".join(b"data: " + row + b"\n" for row in rows)  # nothing parts them
    yield b"".join(b": ping\nid: 7\nretry: 10\nevent: x\ndata: " + row + b"\n\n" for row in rows)
    yield b"".join(b"data: " + row + b"\nevent: error-free\n\n" for row in rows)
    yield BOM + b"\n\n" + b"\n\n".join(b"data: " + row for row in rows)
    many = [json.dumps(row, indent=1).encode().splitlines() for row in documents]
    yield b"".join(b"".join(b"data: " + line + b"\n" for line in lines) + b"\n" for lines in many)
    yield b"".join(
        b"\n".join(lines) + b"\n\n" for lines in [[b"event: x", b"data: {}", b""], *many]
    )


async def test_every_spelling_of_events_in_any_packets(name, raw, read, documents):
    for place, body in enumerate(spelled(documents, name)):
        for packets in ([body], body.splitlines(keepends=True), [body[:1], body[1:2], body[2:]]):
            raw.send(200, packets, content_type=EVENTS)
            pieces, response = await read()
            assert "".join(pieces) == ANSWER.text, (place, response)


# -- errors among them ------------------------------------------------------------------------------

TOO_LONG = {
    "code": 400,
    "message": "request (19185 tokens) exceeds the available context size (16384 tokens)",
    "type": "exceed_context_size_error",
}


def failures(name):
    """Yield an error in the midst of a stream, in every spelling that servers have for one."""
    documents = (
        {"error": TOO_LONG},
        [{"error": TOO_LONG}],
        {"object": "error"} | TOO_LONG,
        {"type": "error"} | TOO_LONG,
        {"type": "error", "message": TOO_LONG["message"]},
        {"code": "InvalidParameter", "message": TOO_LONG["message"], "request_id": "r"},
        {"error": TOO_LONG["message"]},
        {"detail": TOO_LONG["message"]},
        {"error": {"message": "Provider error", "metadata": {"raw": json.dumps(TOO_LONG)}}},
    )
    rows = [json.dumps(document).encode() for document in documents]
    flat, words = json.dumps(TOO_LONG).encode(), TOO_LONG["message"].encode()
    if name == "ollama":
        yield from (row + b"\n" for row in rows)
        yield words + b"\n"
        return
    yield from (b"data: " + row + b"\n\n" for row in rows)
    yield b"error: " + flat + b"\n\ndata: [DONE]\n\n"
    yield b"event: error\ndata: " + flat + b"\n\n"
    yield b"event: error\r\ndata: " + words + b"\r\n\r\n"
    yield b"event:error\ndata:" + words + b"\n\n"
    yield json.dumps({"error": TOO_LONG}).encode()
    yield json.dumps({"error": TOO_LONG}, indent=2).encode() + b"\n"
    yield b"data: error: " + words + b"\n\n"
    yield b"Internal error: " + words + b"\n"


async def test_an_error_in_any_spelling_ends_a_stream(name, raw, read, events):
    begun = events[: next(i for i, event in enumerate(events) if b" two" in event)]
    for failure in failures(name):
        for packets in ([*begun, failure], [b"".join(begun) + failure], [*begun, *cut(failure, 9)]):
            raw.send(200, packets, content_type=EVENTS)
            pieces, error = await read()
            assert type(error) is ContextLengthExceededError, failure
            assert (error.limit, error.actual) == (16384, 19185), failure
            assert pieces == [error.partial.text] == ["one"], failure


async def test_an_error_in_any_spelling_in_the_place_of_a_stream(name, raw, read):
    again = Retry(attempts=3, wait_initial=0)
    for failure in failures(name):
        raw.send(200, failure, content_type=EVENTS)
        raw.asked = 0
        pieces, error = await read(retry=again)
        assert type(error) is ContextLengthExceededError, failure
        assert (pieces, raw.asked) == ([], 1), failure


async def test_what_went_wrong_behind_a_gateway_is_quoted(name, raw, read, events):
    begun = events[: next(i for i, event in enumerate(events) if b" two" in event)]
    words = "upstream error: read ECONNRESET"
    said = {
        "ollama": json.dumps({"error": words}).encode() + b"\n",
    }.get(name, b"event: error\ndata: " + words.encode() + b"\n\n")
    raw.send(200, [*begun, said], content_type=EVENTS)
    pieces, error = await read()
    assert isinstance(error, ServiceUnavailableError | StreamError)
    assert words in error.message
    assert pieces == [error.partial.text] == ["one"]


async def test_an_answer_that_speaks_of_errors_is_none(fake, asked, raw, read):
    text = 'error: {"error": "data: event: error"} [DONE] <html>'
    answer = FakeAnswer(text=text)
    raw.send(200, fake().render_stream(answer, asked), content_type=EVENTS)
    assert "".join((await read())[0]) == text
    raw.send(200, json.dumps(fake().render_answer(answer, asked)).encode(), content_type=JSON)
    assert (await read())[0] == [text]
