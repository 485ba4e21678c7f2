"""Run by the Python of an environment in which one distribution was installed: does it work?"""

# ruff: noqa: INP001, S101 - a script, and all it does is assert

import asyncio
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

from bruno_core.registry.llm_registry import LLMProviderRegistry
from bruno_llm_base import BaseProvider, EmbeddingFactory, LLMFactory, ProviderNotFoundError

SDKS = {"claude": "anthropic", "gemini": "google.genai", "ollama": "ollama", "openai": "openai"}
FAKES = {
    "claude": "FakeClaude",
    "gemini": "FakeGemini",
    "ollama": "FakeOllama",
    "openai": "FakeOpenAI",
}


def main(distribution: str) -> None:
    """Check what *distribution* promises."""
    provider = distribution.removeprefix("bruno-llm").removeprefix("-")
    if provider == "base":
        check_base()
    elif provider:
        check_provider(provider)
    else:
        assert listed() == sorted(SDKS), listed()


def check_base() -> None:
    """The base brings no provider, and says how to get one."""
    assert sdks() == set(), sdks()
    assert listed() == [], listed()
    advice = ""
    try:
        LLMFactory.create("claude")
    except ProviderNotFoundError as error:
        advice = str(error)
    assert "pip install bruno-llm-claude" in advice, advice


def check_provider(name: str) -> None:
    """One provider is found in both ways and answers; of the SDKs there is but its own."""
    assert sdks() == {SDKS[name]} - {"ollama"}, sdks()  # ours talks to Ollama without its client
    assert listed() == [name], listed()
    registry = LLMProviderRegistry()
    registry.discover_plugins()
    assert registry.list_plugins() == [name], registry.list_plugins()
    with patch.dict(os.environ, dict.fromkeys(registry.get(name).plugin_class.api_key_env, "key")):
        assert isinstance(registry.get_instance(name), BaseProvider)
    assert SDKS[name] not in sys.modules, "listing and building import no SDK"
    with getattr(import_module(f"bruno_llm_{name}.testing"), FAKES[name])() as fake:
        asyncio.run(check_answers(LLMFactory.create(name, **fake.connection())))
        for info in EmbeddingFactory.providers():
            assert info.error is None, info
            asyncio.run(check_embeds(EmbeddingFactory.create(name, **fake.connection())))


async def check_answers(llm: Any) -> None:
    """Both doors give the same answer."""
    async with llm:
        whole = await llm.generate("Who is there?")
        parts = [text async for text in llm.stream("Who is there?")]
    assert whole, "no answer"
    assert "".join(parts) == whole, (parts, whole)


async def check_embeds(embeddings: Any) -> None:
    """Texts get vectors, of the length that was promised."""
    async with embeddings:
        vectors = await embeddings.embed_texts(["Who is there?", "Nobody."])
    assert [len(vector) for vector in vectors] == [embeddings.get_dimension()] * 2


def listed() -> list[str]:
    """Return the names of the providers that the factory finds, none of them broken."""
    providers = LLMFactory.providers()
    assert not any(info.error for info in providers), providers
    return [info.name for info in providers]


def sdks() -> set[str]:
    """Return the vendors' SDKs that could be imported."""
    tops = {sdk for sdk in SDKS.values() if find_spec(sdk.partition(".")[0])}
    return {sdk for sdk in tops if find_spec(sdk)}


if __name__ == "__main__":
    main(sys.argv[1])
