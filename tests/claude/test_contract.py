from bruno_llm_claude import ClaudeProvider
from bruno_llm_testing import FakeClaude, ProviderContract


class TestClaude(ProviderContract):
    provider = ClaudeProvider
    fake = FakeClaude
    media_types = frozenset({"image/png", "application/pdf"})
