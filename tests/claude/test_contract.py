from bruno_llm_base.testing import ProviderContract
from bruno_llm_claude import ClaudeProvider
from bruno_llm_claude.testing import FakeClaude


class TestClaude(ProviderContract):
    provider = ClaudeProvider
    fake = FakeClaude
