"""Vectors are asked for once."""

import pickle

import pytest
from bruno_core.interfaces import EmbeddingInterface
from bruno_core.models import Message, MessageRole
from bruno_llm_base import (
    CachedEmbeddings,
    ConfigurationError,
    CostTracker,
    InvalidRequestError,
    RateLimit,
)
from bruno_llm_base.wrappers.cache_store import MemoryStore
from bruno_llm_base.wrappers.cached_embeddings import _decoded, _encoded
from bruno_llm_openai import OpenAIEmbeddings
from bruno_llm_testing import FakeOpenAI
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def server():
    with FakeOpenAI() as server:
        yield server


def sent(server):
    return [text for asked in server.received for text in asked.body["input"]]


async def test_only_what_is_new_is_sent_and_the_order_is_kept(server, tmp_path):
    texts = [f"text {number}" for number in range(30)]
    tracker = CostTracker()
    keywords = server.connection() | {"cost": tracker}
    async with OpenAIEmbeddings(**server.connection()) as plain:
        expected = await plain.embed_texts([*texts, texts[3]])
    server.received.clear()
    async with CachedEmbeddings(OpenAIEmbeddings(**keywords), store=tmp_path / "v.db") as cached:
        assert await cached.embed_texts(texts[:25]) == expected[:25]
        assert await cached.embed_texts([*reversed(texts), texts[3]]) == [
            *reversed(expected[:30]),
            expected[3],
        ]
        assert sorted(sent(server)) == sorted(texts)
    async with CachedEmbeddings(OpenAIEmbeddings(**keywords), store=tmp_path / "v.db") as again:
        assert await again.embed_text("text 7") == expected[7]
        message = Message(role=MessageRole.USER, content="text 8")
        assert await again.embed_message(message) == expected[8]
        assert await again.embed_batch(texts) == expected[:30]
    assert len(server.received) == tracker.total().requests == 2


async def test_a_hit_takes_no_place_and_is_told(server):
    heard = []
    limit = RateLimit(requests_per_minute=1, max_wait=0)
    embeddings = OpenAIEmbeddings(**server.connection(), rate_limit=limit, observers=[heard.append])
    async with CachedEmbeddings(embeddings) as cached:
        first = await cached.embed_text("a")
        first.append(1.0)
        assert await cached.embed_text("a") == first[:-1]
    told = [(event.words, event.operation) for event in heard if event.words.endswith("cache")]
    assert told == [("answered from the cache", "embeddings")]


async def test_other_settings_have_other_vectors(server):
    store = MemoryStore()
    one = OpenAIEmbeddings(**server.connection())
    small = OpenAIEmbeddings(**server.connection(), dimensions=8)
    other = OpenAIEmbeddings("text-embedding-3-large", **server.connection())
    for embeddings in (one, small, other, one):
        await CachedEmbeddings(embeddings, store=store).embed_text("a")
    await CachedEmbeddings(one, store=store, namespace="b").embed_text("a")
    assert sent(server) == ["a"] * 4
    for embeddings in (one, small, other):
        await embeddings.aclose()


async def test_what_is_too_old_is_asked_again(server, monkeypatch):
    async with CachedEmbeddings(OpenAIEmbeddings(**server.connection()), max_age=60) as cached:
        await cached.embed_text("a")
        now = "bruno_llm_base.wrappers.cached_embeddings.time.time"
        monkeypatch.setattr(now, lambda: 4_000_000_000.0)
        await cached.embed_text("a")
    assert sent(server) == ["a", "a"]


class Broken(MemoryStore):
    async def get(self, key):
        raise OSError("no disk")

    async def put(self, key, value):
        raise OSError("no disk")


async def test_a_store_that_fails_costs_no_vector(server, caplog):
    async with CachedEmbeddings(OpenAIEmbeddings(**server.connection()), store=Broken()) as cached:
        assert await cached.embed_texts(["a", "b"]) == await cached.embed_texts(["a", "b"])
    assert [record.message.count("no disk") for record in caplog.records].count(1) == 1


@pytest.mark.parametrize("texts", ["a", 7, ["a", ""], ["a", None]])
async def test_what_has_no_vector_is_refused_as_without_a_cache(server, texts):
    async with CachedEmbeddings(OpenAIEmbeddings(**server.connection())) as cached:
        with pytest.raises(InvalidRequestError):
            await cached.embed_texts(texts)
    assert server.received == []


class Counted(EmbeddingInterface):
    asked = 0

    async def embed_text(self, text):
        return (await self.embed_texts([text]))[0]

    async def embed_texts(self, texts):
        self.asked += len(texts)
        return [[float(len(text)), 1.0] for text in texts]

    async def embed_message(self, message):
        return await self.embed_text(message.content)

    def get_dimension(self):
        return 2

    def get_model_name(self):
        return "counted"

    def calculate_similarity(self, embedding1, embedding2):
        return 1.0

    async def check_connection(self):
        return True

    def supports_batch(self):
        return True

    def get_max_batch_size(self):
        return None


async def test_embeddings_of_other_authors_are_cached_too():
    inner = Counted()
    async with CachedEmbeddings(inner) as cached:
        assert await cached.embed_texts(["a", "bb", "a"]) == [[1.0, 1.0], [2.0, 1.0], [1.0, 1.0]]
        assert await cached.embed_text("bb") == [2.0, 1.0]
        assert inner.asked == 2
        assert (cached.get_dimension(), cached.get_model_name()) == (2, "counted")
        assert cached.calculate_similarity([1.0], [1.0]) == 1.0
        assert await cached.check_connection()
        assert cached.supports_batch()
        assert cached.get_max_batch_size() is None
        assert "Counted" in repr(cached)


class Unsized(Counted):
    def get_dimension(self):
        raise ConfigurationError("embed a text first")


async def test_vectors_that_were_kept_tell_how_long_they_are():
    store = MemoryStore()
    for _ in range(2):
        cached = CachedEmbeddings(Unsized(), store=store)
        with pytest.raises(ConfigurationError, match="embed a text first"):
            cached.get_dimension()
        await cached.embed_text("a")
        assert cached.get_dimension() == 2


def test_it_is_pickled_and_used_without_await(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", server.connection()["api_key"])
    embeddings = OpenAIEmbeddings(base_url=server.connection()["base_url"])
    cached = pickle.loads(pickle.dumps(CachedEmbeddings(embeddings, store=tmp_path / "v.db")))
    with cached.sync as same:
        assert same.embed_text("a") == same.embed_texts(["a"])[0]
    assert sent(server) == ["a"]


@pytest.mark.parametrize(
    "settings",
    [
        {"max_age": -1},
        {"namespace": ""},
        {"store": 7},
        {"store": "mysql://h/d"},
        {"store": "redis:/u:hunter2@h/0"},
    ],
)
def test_bad_settings_are_told(settings):
    with pytest.raises(ConfigurationError) as caught:
        CachedEmbeddings(Counted(), **settings)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="give an EmbeddingInterface"):
        CachedEmbeddings("openai")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_a_vector_is_read_as_it_was_kept(vector):
    assert _decoded(_encoded(vector))[1] == vector


@given(st.binary() | st.sampled_from([b'{"schema": 1, "time": 1, "vector": "AAA="}', b"[]", b"1"]))
def test_what_cannot_be_read_is_a_miss(value):
    assert _decoded(value) is None
