"""The published bruno-memory, unchanged, on our providers."""

import subprocess
import sys

import bruno_llm_testing
import pytest
from bruno_core.models import Message
from bruno_llm import EmbeddingFactory, LLMFactory, OpenAIEmbeddings
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer
from bruno_memory.exceptions import CompressionError
from bruno_memory.managers import AdaptiveCompressor, EmbeddingManager, SummarizationStrategy
from real_model import MODEL, RealModel

FAKES = {"openai": "OpenAI", "claude": "Claude", "gemini": "Gemini", "ollama": "Ollama"}
REFUSE_TEMPERATURE = {"openai", "claude"}  # their models of today


class Backend:
    """As much of a memory as compression needs; bruno-memory's own take other arguments."""

    def __init__(self, messages):
        self.messages = messages

    async def retrieve_messages(self, conversation_id):
        return list(self.messages)

    async def clear_history(self, conversation_id):
        self.messages.clear()

    async def store_message(self, message, conversation_id):
        self.messages.append(message)


@pytest.fixture(params=FAKES)
def name(request):
    return request.param


@pytest.fixture
def server(name):
    with getattr(bruno_llm_testing, f"Fake{FAKES[name]}")() as server:
        yield server


@pytest.fixture
async def llm(name, server):
    async with LLMFactory.create(name, **server.connection()) as llm:
        yield llm


@pytest.fixture(scope="module")
def model():
    with RealModel(api_key="local") as model:
        yield model


def conversation(length):
    lines = ["I moved to Lisbon.", "How nice!", "My cat is called Ada.", "A good name."]
    roles = ["user", "assistant"]
    return [Message(role=roles[i % 2], content=lines[i % 4]) for i in range(length)]


async def test_a_conversation_is_summarized(llm, name, server):
    server.say(FakeAnswer(text="  They moved to Lisbon with Ada.\n"))
    messages = conversation(30)
    compressed, facts = await SummarizationStrategy(llm).compress(messages, target_size=10)
    assert compressed[0].role == "system"
    assert compressed[0].content.endswith("\nThey moved to Lisbon with Ada.")
    assert compressed[1:] == messages[20:]
    assert facts["compressed"]
    (body,) = server.bodies
    assert "USER: I moved to Lisbon." in str(body)
    assert "500" in str(body)
    assert ("temperature" in str(body)) == (name not in REFUSE_TEMPERATURE)


async def test_what_was_compressed_goes_on_as_a_conversation(llm, server):
    backend = Backend(conversation(60))
    compressor = AdaptiveCompressor(backend, llm_provider=llm)
    result = await compressor.compress_conversation("c")
    assert result["strategy_used"] == "summarization"
    assert len(backend.messages) == 21
    await llm.generate(backend.messages)
    assert "[Summary of previous conversation]\\nHello" in str(server.bodies[-1])


async def test_why_there_is_no_summary_is_told(llm, server):
    llm = LLMFactory.create(llm.name, **server.connection() | {"api_key": "wrong"})
    async with llm:
        with pytest.raises(CompressionError, match="key") as caught:
            await SummarizationStrategy(llm).compress(conversation(30))
    assert type(caught.value.__cause__).__name__ == "AuthenticationError"


async def test_a_real_model_summarizes(model):
    async with OpenAIProvider(MODEL, base_url=f"{model.url}/v1", api_key="local") as llm:
        backend = Backend(conversation(40))
        compressor = AdaptiveCompressor(backend, llm_provider=llm, auto_compress_threshold=30)
        assert await compressor.auto_compress("c")
    title, _, summary = backend.messages[0].content.partition("\n")
    assert title == "[Summary of previous conversation]"
    assert len(summary) > 20


def test_importing_it_says_nothing_of_ours():
    program = "import warnings; warnings.simplefilter('always'); import bruno_memory"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "bruno-llm" not in done.stderr


@pytest.fixture(params=["openai", "ollama"])
def embedder(request):
    with getattr(bruno_llm_testing, f"Fake{FAKES[request.param]}")() as server:
        yield EmbeddingFactory.create(request.param, **server.connection()), server


async def test_texts_are_embedded_in_batches(embedder):
    provider, server = embedder
    async with provider:
        manager = EmbeddingManager(provider, batch_size=2)
        vectors = await manager.embed_batch(["one", "two", "three", "", "five"])
        assert await manager.embed_text("three") is vectors[2]  # remembered
        found = await manager.find_similar("one", [("one", 1), ("two", 2)], top_k=1)
    size = provider.get_dimension()
    assert [len(vector) for vector in vectors] == [size, size, size, 0, size]
    assert found == [(1, pytest.approx(1))]
    sent = [request.body["input"] for request in server.received]
    assert sent == [["one", "two"], ["three", "five"]]


async def test_a_real_model_finds_what_is_alike():
    with RealModel(api_key="local", mode="embeddings") as model:
        await check_likeness(OpenAIEmbeddings(MODEL, base_url=f"{model.url}/v1", api_key="local"))


async def check_likeness(provider):
    async with provider:
        manager = EmbeddingManager(provider, batch_size=2)
        candidates = [("The cat sleeps on the sofa.", "cat"), ("Interest rates rose.", "money")]
        found = await manager.find_similar(
            "The cat sleeps on the sofa.", candidates, similarity_threshold=0.0
        )
        assert found[0] == ("cat", pytest.approx(1.0, abs=1e-3))
        assert found[1][1] < found[0][1]
        memory = await manager.embed_memory("My cat is called Ada.", "fact")
        assert len(memory) == provider.get_dimension()
    assert manager.get_cache_stats()["active"] == 3
