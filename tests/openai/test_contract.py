from bruno_llm_base.testing import ProviderContract
from bruno_llm_openai import OpenAIProvider
from bruno_llm_openai.testing import FakeOpenAI


class TestOpenAI(ProviderContract):
    provider = OpenAIProvider
    fake = FakeOpenAI
    counts_tokens = False  # a server at an address of one's own is not asked
