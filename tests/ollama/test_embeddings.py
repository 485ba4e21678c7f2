"""Ollama's embeddings: what goes over the wire, and how the answers are read."""

import json

import pytest
from bruno_llm_base import (
    ConfigurationError,
    ContextLengthExceededError,
    ModelNotFoundError,
    Retry,
)
from bruno_llm_ollama import OllamaEmbeddings
from bruno_llm_testing import FakeOllama, RawReply, vector_of


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


@pytest.fixture
async def embeddings(server):
    async with OllamaEmbeddings(**server.connection(), retry=Retry(attempts=1)) as embeddings:
        yield embeddings


def test_nothing_is_cut_unless_the_user_says_so():
    assert OllamaEmbeddings()._request(["a", "b"], None).body == {
        "model": "nomic-embed-text",
        "input": ["a", "b"],
        "truncate": False,
    }
    cut = OllamaEmbeddings(dimensions=64, options={"truncate": True, "keep_alive": "1h"})
    body = cut._request(["a"], None).body
    assert (body["truncate"], body["keep_alive"], body["dimensions"]) == (True, "1h", 64)


@pytest.mark.parametrize(
    ("model", "dimension"),
    [
        ("nomic-embed-text", 768),
        ("nomic-embed-text:latest", 768),
        ("Nomic-Embed-Text", 768),
        ("qwen3-embedding:0.6b", 1024),
        ("snowflake-arctic-embed:22m", 384),
        ("qwen3-embedding:12b", None),
        ("someone/nomic-embed-text", None),
        ("nobodys-own", None),
    ],
)
def test_dimensions_are_those_of_the_size_that_is_named(model, dimension):
    embeddings = OllamaEmbeddings(model)
    if dimension is None:
        with pytest.raises(ConfigurationError, match="give dimensions"):
            embeddings.get_dimension()
    else:
        assert embeddings.get_dimension() == dimension


async def test_numbers_are_read_as_they_are_sent(embeddings):
    assert await embeddings.embed_text("hello") == vector_of("hello", 768)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "the input length exceeds the context length"),
        (400, "input exceeds maximum context length and cannot be truncated further"),
        (500, "input (9001 tokens) is too large to process. increase the physical batch size"),
    ],
)
async def test_a_text_that_is_too_long_is_told(server, embeddings, status, said):
    body = json.dumps({"error": said}).encode()
    server.say(RawReply(status=status, body=body), to="embeddings")
    with pytest.raises(ContextLengthExceededError, match="cut the text into shorter ones"):
        await embeddings.embed_text("long")


async def test_a_model_that_is_missing_names_the_cure(server):
    async with OllamaEmbeddings("bge-m3", **server.connection()) as embeddings:
        with pytest.raises(ModelNotFoundError, match="ollama pull bge-m3"):
            await embeddings.embed_text("a")
        assert not await embeddings.check_connection()
        assert "ollama pull bge-m3" in (await embeddings.diagnose()).reason
