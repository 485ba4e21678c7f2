from bruno_llm_gemini import GeminiEmbeddings
from bruno_llm_testing import EmbeddingContract, FakeGemini


class TestGeminiEmbeddings(EmbeddingContract):
    provider = GeminiEmbeddings
    fake = FakeGemini
