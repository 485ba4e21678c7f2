"""The contract on the vendors' real APIs and a local Ollama: `hatch run live:test`.

It costs a few cents where keys are set, and is skipped, visibly, where they are not.
"""

import asyncio
import os

import pytest
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import ModelContract

ENVIRONMENT = dict(os.environ)  # before the fixture that hides it from other tests


class Live(ModelContract):
    short = {"max_tokens": 2000}  # noqa: RUF012 - the contract declares it; models here reason

    @pytest.fixture
    def keywords(self, monkeypatch):
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        if self.provider is OllamaProvider:
            if not asyncio.run(OllamaProvider().check_connection()):
                pytest.skip("no Ollama with llama3.2 answers here")
        elif not any(map(os.environ.get, self.provider.api_key_env)):
            pytest.skip(f"{self.provider.api_key_env[0]} is not set")
        return {}


class TestOpenAI(Live):
    provider = OpenAIProvider


class TestChatCompletions(Live):
    provider = OpenAIProvider

    def make(self, keywords, **more):
        return super().make({"api": "chat"} | keywords, **more)


class TestClaude(Live):
    provider = ClaudeProvider


class TestGemini(Live):
    provider = GeminiProvider


class TestOllama(Live):
    provider = OllamaProvider
