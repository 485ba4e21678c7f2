from bruno_llm_base.testing import ProviderContract
from bruno_llm_ollama import OllamaProvider
from bruno_llm_ollama.testing import FakeOllama


class TestOllama(ProviderContract):
    provider = OllamaProvider
    fake = FakeOllama
    counts_tokens = False
    filters_content = False
