"""What bruno-memory 0.1.5 and bruno-abilities 1.0.0 import and call, as published."""

import importlib.metadata
import subprocess
import sys

import bruno_llm
import bruno_llm_base
from bruno_llm import LLMFactory
from bruno_llm.base import BaseEmbeddingProvider, BaseProvider
from bruno_llm.embedding_factory import EmbeddingFactory
from bruno_llm_testing import FakeOllama, FakeOpenAI


def test_the_names_are_todays_classes():
    assert BaseEmbeddingProvider is bruno_llm_base.BaseEmbeddings
    assert BaseProvider is bruno_llm_base.BaseProvider
    assert EmbeddingFactory is bruno_llm_base.EmbeddingFactory
    assert bruno_llm.__version__ == importlib.metadata.version("bruno-llm")


async def test_a_prompt_is_a_question():
    with FakeOpenAI() as server:
        async with LLMFactory.create("openai", server.connection()) as llm:
            assert await llm.generate(prompt="Sum up.", max_tokens=500, temperature=0.3)


async def test_embeddings_in_one_batch():
    with FakeOllama() as server:
        where = server.connection() | {"model": "nomic-embed-text"}
        async with EmbeddingFactory.create("ollama", where) as embeddings:
            vectors = await embeddings.embed_batch(["a", "b"])
            assert vectors[0] == await embeddings.embed_text("a")


def test_all_names_can_be_imported():
    program = "import bruno_llm\nfor name in bruno_llm.__all__:\n    getattr(bruno_llm, name)"
    subprocess.run([sys.executable, "-c", program], check=True)
