from bruno_llm_base.testing import EmbeddingContract
from bruno_llm_gemini import GeminiEmbeddings
from bruno_llm_gemini.testing import FakeGemini


class TestGeminiEmbeddings(EmbeddingContract):
    provider = GeminiEmbeddings
    fake = FakeGemini
