from bruno_llm_ollama import OllamaEmbeddings
from bruno_llm_testing import EmbeddingContract, FakeOllama


class TestOllamaEmbeddings(EmbeddingContract):
    provider = OllamaEmbeddings
    fake = FakeOllama
