"""Run by the Python of an environment in which one distribution was installed: does it work?"""

# ruff: noqa: INP001, S101, S603 - a script, and all it does is assert

import asyncio
import json
import os
import subprocess
import sys
import sysconfig
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bruno_core.registry.llm_registry import LLMProviderRegistry
from bruno_llm_base import BaseProvider, LLMFactory, ProviderNotFoundError

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
        check_command()


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
    done = command("providers")
    assert done.returncode == 1, done
    assert "pip install 'bruno-llm-base[cli]'" in done.stderr, done


def check_command() -> None:
    """The umbrella brings all that the command needs."""
    done = command("providers", "--json")
    assert done.returncode == 0, done
    found = [row["provider"] for row in json.loads(done.stdout)["providers"]]
    assert found == sorted(SDKS), found


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `bruno-llm` as it is installed here."""
    script = Path(sysconfig.get_path("scripts")) / "bruno-llm"
    return subprocess.run([script, *arguments], capture_output=True, text=True, check=False)


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


async def check_answers(llm: Any) -> None:
    """Both doors give the same answer."""
    async with llm:
        whole = await llm.generate("Who is there?")
        parts = [text async for text in llm.stream("Who is there?")]
    assert whole, "no answer"
    assert "".join(parts) == whole, (parts, whole)


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
