from bruno_llm_base.testing import EmbeddingContract
from bruno_llm_openai import OpenAIEmbeddings
from bruno_llm_openai.testing import FakeOpenAI


class TestOpenAIEmbeddings(EmbeddingContract):
    provider = OpenAIEmbeddings
    fake = FakeOpenAI
