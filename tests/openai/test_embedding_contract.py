from bruno_llm_openai import OpenAIEmbeddings
from bruno_llm_testing import EmbeddingContract, FakeOpenAI


class TestOpenAIEmbeddings(EmbeddingContract):
    provider = OpenAIEmbeddings
    fake = FakeOpenAI
