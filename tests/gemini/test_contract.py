from bruno_llm_base.testing import ProviderContract
from bruno_llm_gemini import GeminiProvider
from bruno_llm_gemini.testing import FakeGemini


class TestGemini(ProviderContract):
    provider = GeminiProvider
    fake = FakeGemini
