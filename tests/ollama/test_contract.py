from bruno_llm_ollama import OllamaProvider
from bruno_llm_testing import FakeOllama, ProviderContract


class TestOllama(ProviderContract):
    provider = OllamaProvider
    fake = FakeOllama
    counts_tokens = False
    filters_content = False
    media_types = frozenset({"image/png", "audio/wav"})
    media_model = "gemma4:e4b"
