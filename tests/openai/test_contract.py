from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeOpenAI, ProviderContract


class TestOpenAI(ProviderContract):
    provider = OpenAIProvider
    fake = FakeOpenAI
    counts_tokens = False  # a server at an address of one's own is not asked
    media_types = frozenset({"image/png", "application/pdf"})


class TestResponses(TestOpenAI):
    def make(self, keywords, **more):
        return super().make({"api": "responses"} | keywords, **more)
