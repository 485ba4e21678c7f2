"""Gemini's embeddings: what goes over the wire, by our own transport and through a client."""

from collections.abc import AsyncIterator

import pytest
from bruno_llm_base import (
    Json,
    ModelNotFoundError,
    RateLimitError,
    Retry,
    ServiceUnavailableError,
    Usage,
)
from bruno_llm_base.events import Event, RequestFinished
from bruno_llm_gemini import GeminiEmbeddings
from bruno_llm_gemini.typed import _embedding
from bruno_llm_testing import FakeAnswer, FakeError, FakeGemini, vector_of
from google import genai

# google-genai subclasses aiohttp's session, which aiohttp has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

OPTIONS = {"taskType": "RETRIEVAL_DOCUMENT", "title": "Letters"}


def asked(server: FakeGemini) -> list[Json]:
    return [r.body for r in server.received if server.operation(r) == "embeddings"]


@pytest.fixture
async def client(server: FakeGemini) -> AsyncIterator[genai.Client]:
    options = genai.types.HttpOptions(base_url=server.address)
    client = genai.Client(api_key=server.api_key, http_options=options)
    yield client
    await client.aio.aclose()
    client.close()


async def test_each_text_is_a_request_of_a_batch(server: FakeGemini) -> None:
    async with GeminiEmbeddings(**server.connection(), dimensions=8, options=OPTIONS) as embeddings:
        vectors = await embeddings.embed_texts(["first", "second"])
    assert vectors == [vector_of("first", 8), vector_of("second", 8)]
    (body,) = asked(server)
    assert body == {
        "requests": [
            {
                "model": "models/gemini-embedding-2",
                "content": {"parts": [{"text": text}]},
                "outputDimensionality": 8,
                **OPTIONS,
            }
            for text in ("first", "second")
        ]
    }


@pytest.mark.parametrize("model", ["gemini-embedding-001", "models/gemini-embedding-2"])
async def test_a_client_sends_the_same(
    server: FakeGemini, client: genai.Client, model: str
) -> None:
    keywords: Json = {"model": model, "dimensions": 8, "options": OPTIONS}
    texts = ["first", "second", "third"]
    async with GeminiEmbeddings(**server.connection(), **keywords) as own:
        expected = await own.embed_texts(texts)
    theirs = GeminiEmbeddings(client=client, **keywords)
    assert await theirs.embed_texts(texts) == expected
    assert await theirs.embed_text("second") == expected[1]
    first, second, third = asked(server)
    # the SDK adds a role
    strip = [
        {name: value for name, value in one.items() if name != "content"}
        for one in second["requests"]
    ]
    assert strip == [
        {name: value for name, value in one.items() if name != "content"}
        for one in first["requests"]
    ]
    said = [[one["content"]["parts"] for one in body["requests"]] for body in (first, second)]
    assert said[0] == said[1]
    assert len(third["requests"]) == 1


def test_vertex_is_told_to_cut_nothing() -> None:
    body = {"model": "m", "requests": [{"model": "models/m", "content": {"parts": []}, "a": 1}]}
    assert _embedding(body, vertex=True)["config"]["autoTruncate"] is False
    assert "autoTruncate" not in _embedding(body, vertex=False)["config"]


async def test_a_client_raises_what_we_raise(server: FakeGemini, client: genai.Client) -> None:
    embeddings = GeminiEmbeddings(client=client, retry=Retry(attempts=2, wait_initial=0))
    server.say(FakeError(kind="overloaded"), FakeError(kind="overloaded"), to="embeddings")
    with pytest.raises(ServiceUnavailableError) as caught:
        await embeddings.embed_text("a")
    assert len(caught.value.attempts) == len(asked(server)) == 2, "the SDK sends nothing again"
    server.say(FakeError(kind="rate_limit", retry_after=999), to="embeddings")
    with pytest.raises(RateLimitError) as limited:
        await embeddings.embed_text("a")
    assert limited.value.retry_after == 999


async def test_models_are_those_that_embed(server: FakeGemini) -> None:
    async with GeminiEmbeddings(**server.connection()) as embeddings:
        assert await embeddings.list_models() == list(FakeGemini.embedding_models)
    async with GeminiEmbeddings("gemini-embeding-001", **server.connection()) as embeddings:
        with pytest.raises(ModelNotFoundError, match="closest on offer: gemini-embedding-001"):
            await embeddings.embed_text("a")


async def test_tokens_that_the_older_model_does_not_count_are_estimated(
    server: FakeGemini,
) -> None:
    heard: list[Event] = []
    server.say(FakeAnswer(usage=Usage()), to="embeddings")
    async with GeminiEmbeddings(**server.connection(), observers=[heard.append]) as embeddings:
        await embeddings.embed_text("one two three four five")
    (done,) = [event for event in heard if isinstance(event, RequestFinished)]
    assert done.response.usage == Usage(input_tokens=5, output_tokens=0)
    assert done.response.usage_estimated
