"""Requests with megabytes of media: encoded in a thread, and weighed without them."""

import json
import threading
from base64 import b64decode

import pytest
from bruno_llm_base import Media
from bruno_llm_base.transport import response
from bruno_llm_base.transport.response import LargeBody, encoded
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeClaude, FakeGemini, FakeOpenAI
from hypothesis import given
from hypothesis import strategies as st

HEADER = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\3\0\0\0\2"  # of 3 x 2 pixels
PNG = HEADER + bytes(range(256)) * 300
texts = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.recursive(
    st.sampled_from([None, True, False, 1.5e300, -7]) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(texts, values, max_size=4))
def test_pieces_make_the_same_json(body):
    whole, size = response._encode(body), response._PIECE
    response._PIECE = 3
    try:
        assert "".join(response._pieces(body)) == whole
    finally:
        response._PIECE = size


def test_what_is_no_json_is_refused_in_pieces_too():
    with pytest.raises(ValueError, match="not JSON compliant"):
        list(response._pieces({"a": [float("nan")]}))


async def test_a_large_body_is_encoded_in_a_thread():
    threads = []

    class Seen(list):
        def __iter__(self):
            threads.append(threading.get_ident())
            return super().__iter__()

    text = "Größe" * 100_000
    body = LargeBody(contents=Seen([text, 1.5]))
    assert json.loads(await encoded(body)) == {"contents": [text, 1.5]}
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize(
    ("fake", "provider"),
    [(FakeOpenAI, OpenAIProvider), (FakeClaude, ClaudeProvider), (FakeGemini, GeminiProvider)],
)
async def test_media_arrive_whole(fake, provider):
    with fake() as server:
        async with provider(**server.connection()) as llm:
            for _ in range(2):
                await llm.generate("What is this?", attachments=[Media(data=PNG)])
            await llm.count_tokens("What is this?", attachments=[Media(data=PNG)])
        assert len(server.bodies) >= 2
        for body in server.bodies:
            (longest,) = (text for text in strings(body) if len(text) > 1_000)
            assert b64decode(longest.rpartition(",")[2]) == PNG
        sent = [request.headers for request in server.received if request.method == "POST"]
        assert {headers["content-type"] for headers in sent} == {"application/json"}


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


async def test_what_a_request_may_take_counts_texts_and_no_base64():
    """A document that is sent as text counts by its bytes, a picture by its vendor's word."""
    with FakeClaude() as server:
        llm = ClaudeProvider(**server.connection())
        sizes = {}
        for name, data in {"picture": PNG, "text": b"word " * 100_000}.items():
            asked = [{"role": "user", "content": [Media(data=data), "Look"]}]
            request = llm._request(asked, {}, stream=False)
            await request.load(request)
            sizes[name] = request.most_input
        assert sizes["picture"] < 10_000
        assert 500_000 < sizes["text"] < 1_000_000
