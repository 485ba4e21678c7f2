from bruno_llm_base.testing import EmbeddingContract
from bruno_llm_ollama import OllamaEmbeddings
from bruno_llm_ollama.testing import FakeOllama


class TestOllamaEmbeddings(EmbeddingContract):
    provider = OllamaEmbeddings
    fake = FakeOllama
