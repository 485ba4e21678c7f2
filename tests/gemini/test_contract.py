from bruno_llm_gemini import GeminiProvider
from bruno_llm_testing import FakeGemini, ProviderContract


class TestGemini(ProviderContract):
    provider = GeminiProvider
    fake = FakeGemini
    media_types = frozenset({"image/png", "audio/wav", "application/pdf"})
