"""OpenAI's embeddings: what goes over the wire, and how the answers are read."""

import json

import pytest
from bruno_llm_base import (
    ContextLengthExceededError,
    InvalidRequestError,
    InvalidResponseError,
    Retry,
)
from bruno_llm_openai import OpenAIEmbeddings
from bruno_llm_testing import RawReply, vector_of

ONCE = Retry(attempts=1)


def asked(server):
    return [r.body for r in server.received if server.operation(r) == "embeddings"]


@pytest.fixture
async def embeddings(server):
    async with OpenAIEmbeddings(**server.connection(), retry=ONCE) as embeddings:
        yield embeddings


def test_openai_itself_is_asked_for_packed_numbers_and_its_own_dimensions(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    small = OpenAIEmbeddings(dimensions=256)._request(["a"], None).body
    assert small == {
        "model": "text-embedding-3-small",
        "input": ["a"],
        "encoding_format": "base64",
        "dimensions": 256,
    }
    assert "dimensions" not in OpenAIEmbeddings(dimensions=1536)._request(["a"], None).body
    later = OpenAIEmbeddings("text-embedding-9", dimensions=7)._request(["a"], None).body
    assert later["dimensions"] == 7
    plain = OpenAIEmbeddings(options={"encoding_format": "float"})._request(["a"], None).body
    assert plain["encoding_format"] == "float"


async def test_a_server_of_ones_own_is_asked_for_nothing_that_it_may_not_know(server):
    keywords = server.connection() | {"model": "bge-m3", "dimensions": 4}
    body = OpenAIEmbeddings(**keywords)._request(["a"], None).body
    assert body == {"model": "bge-m3", "input": ["a"]}
    told = OpenAIEmbeddings(**keywords, options={"dimensions": 4})._request(["a"], None).body
    assert told["dimensions"] == 4


async def test_packed_numbers_are_read_as_the_plain_ones(server):
    for packing in ("base64", "float"):
        async with OpenAIEmbeddings(
            **server.connection(), options={"encoding_format": packing}
        ) as embeddings:
            vector = await embeddings.embed_text("hello")
        assert vector == pytest.approx(vector_of("hello", 1536), abs=1e-6)
    assert [body["encoding_format"] for body in asked(server)] == ["base64", "float"]


async def test_vectors_are_put_in_the_order_of_their_index(server, embeddings):
    rows = [{"index": place, "embedding": [float(place)] * 1536} for place in (2, 0, 1)]
    server.say(RawReply(body=json.dumps({"data": rows}).encode()), to="embeddings")
    vectors = await embeddings.embed_texts(["a", "b", "c"])
    assert [vector[0] for vector in vectors] == [0, 1, 2]


async def test_servers_that_number_nothing_are_taken_at_their_order(server, embeddings):
    rows = [{"embedding": [float(place)] * 1536} for place in (5, 3)]
    server.say(RawReply(body=json.dumps({"data": rows}).encode()), to="embeddings")
    assert [vector[0] for vector in await embeddings.embed_texts(["a", "b"])] == [5, 3]


@pytest.mark.parametrize("packed", ["AAAA", "%%%%", "AAA", "AADAfwAAwH8="])
async def test_numbers_that_are_packed_wrong_are_refused(server, embeddings, packed):
    rows = [{"index": 0, "embedding": packed}]
    server.say(RawReply(body=json.dumps({"data": rows}).encode()), to="embeddings")
    with pytest.raises(InvalidResponseError):
        await embeddings.embed_text("a")


async def test_a_dimension_that_the_model_cannot_have_is_openais_to_refuse(server):
    async with OpenAIEmbeddings(
        "text-embedding-ada-002", **server.connection(), dimensions=8, retry=ONCE
    ) as embeddings:
        with pytest.raises(InvalidRequestError) as caught:
            await embeddings.embed_text("a")
    assert caught.value.param == "dimensions"
    assert len(asked(server)) == 1, "never dropped: the vectors would have another length"


TOO_LONG = [
    (
        "This model's maximum context length is 8192 tokens, however you requested 9001 tokens",
        (8192, 9001),
    ),
    ("Invalid 'input[0]': maximum context length is 8192 tokens.", (8192, None)),
    ("input (9001 tokens) is too large to process. increase the batch size", (None, None)),
]


@pytest.mark.parametrize(("message", "figures"), TOO_LONG)
async def test_a_text_that_is_too_long_is_told_without_any_code(
    server, embeddings, message, figures
):
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    for status in (400, 500):
        body = json.dumps({"error": error}).encode()
        server.say(RawReply(status=status, body=body), to="embeddings")
        with pytest.raises(ContextLengthExceededError, match="cut the text into") as caught:
            await embeddings.embed_text("long")
        assert (caught.value.limit, caught.value.actual) == figures
        assert not caught.value.retryable


@pytest.mark.parametrize("places", [(0, 2), (1, 1), ("0", "1"), (-1, 0), (1, None)])
async def test_vectors_of_other_texts_are_an_error(server, embeddings, places):
    rows = [{"index": place, "embedding": [1.0] * 1536} for place in places]
    server.say(RawReply(body=json.dumps({"data": rows}).encode()), to="embeddings")
    with pytest.raises(InvalidResponseError):
        await embeddings.embed_texts(["a", "b"])
