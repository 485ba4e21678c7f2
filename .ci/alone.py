"""Run by the Python of an environment in which one distribution was installed: does it work?"""

# ruff: noqa: INP001, S101, S603 - a script, and all it does is assert

import asyncio
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import distribution as distribution_of
from importlib.resources import files as files_of
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bruno_core.registry.llm_registry import LLMProviderRegistry
from bruno_llm_base import (
    BaseProvider,
    ConfigurationError,
    CostTracker,
    EmbeddingFactory,
    LLMFactory,
    ProviderNotFoundError,
    ToolCall,
    run_tools,
)

SDKS = {"claude": "anthropic", "gemini": "google.genai", "openai": "openai"}

KIT = """
import asyncio
import pytest
from bruno_llm_testing import FakeAnswer, MockLLM, ModelContract

def test_mock(mock_llm):
    assert asyncio.run(mock_llm.generate("hi")) == "Hello from the mock."

def test_fake(fake_claude, fake_gemini, fake_ollama, fake_openai):
    fake_openai.say(FakeAnswer(text="Hi."))

class Forgetful(MockLLM):
    def get_system_prompt(self):
        return "another"

class TestForgetful(ModelContract):
    provider = Forgetful

    @pytest.fixture
    def keywords(self):
        return {}
"""


@dataclass
class Doubled:
    """What an answer is to be."""

    numbers: list[int]


def main(distribution: str) -> None:
    """Check what *distribution* promises."""
    provider = distribution.removeprefix("bruno-llm").removeprefix("-")
    if provider == "base":
        check_base()
    elif provider == "cli":
        check_command([])
    elif provider == "testing":
        check_testing()
    elif provider == "otel":
        check_telemetry()
    elif provider == "prompts":
        check_prompts()
    elif provider == "postgres":
        check_ledger()
    elif provider == "redis":
        check_store()
    elif provider:
        check_provider(provider)
    else:
        check_umbrella()
        check_command(listed())


def check_umbrella() -> None:
    """Its providers are there, under its own name too, and nothing is left of an older version."""
    needed = " ".join(distribution_of("bruno-llm").requires or ())
    assert listed() == sorted(
        set(re.findall(r"bruno-llm-(\w+)", needed)) - {"base", "cli", "prompts"}
    )
    umbrella = import_module("bruno_llm")
    assert umbrella.LLMFactory is LLMFactory
    assert all(hasattr(umbrella, name) for name in umbrella.__all__)
    files = {str(file) for file in distribution_of("bruno-llm").files or ()}
    home = Path(str(files_of("bruno_llm")))
    found = {path.relative_to(home.parent).as_posix() for path in home.rglob("*.py")}
    assert found <= files, found - files


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
    assert find_spec("typer") is None
    assert find_spec("rich") is None


def check_command(packages: list[str]) -> None:
    """The command works, and finds the providers of *packages*; the page of costs needs none."""
    from bruno_llm_cli.report import to_html

    assert "<html" in to_html(CostTracker().report())
    done = command("providers", "--json")
    assert done.returncode == 0, done
    found = {row["distribution"] for row in json.loads(done.stdout)["providers"]}
    assert found == {f"bruno-llm-{name}" for name in packages}, found


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `bruno-llm` as it is installed here."""
    script = Path(sysconfig.get_path("scripts")) / "bruno-llm"
    return subprocess.run([script, *arguments], capture_output=True, text=True, check=False)


def check_telemetry() -> None:
    """It is taken as an observer, does nothing without an OpenTelemetry SDK, and brings none."""
    from bruno_llm_base.events import RequestStarted
    from bruno_llm_otel import Telemetry

    Telemetry()(RequestStarted(provider="p", model="m", operation="chat", id="1"))
    assert find_spec("opentelemetry.sdk") is None


def check_prompts() -> None:
    """A prompt of a file becomes messages; no provider and no SDK is needed for that."""
    from bruno_llm_prompts import Prompt

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "greeting.md")
        file.write_text("---\nsystem: Be brief.\n---\nGreet {{ who }}.\n")
        asked = [message.content for message in Prompt.load(file)(who="{{ all }}")]
    assert asked == ["Be brief.", "Greet {{ all }}."], asked
    assert sdks() == set(), sdks()


def check_store() -> None:
    """Its URLs are taken, and nothing connects before the first request."""
    from bruno_llm_base import RateLimit

    limit = RateLimit(requests_per_minute=5, store="valkey://:secret@127.0.0.1:1/0", name="prod")
    assert "redis://127.0.0.1:1/0" in repr(limit), limit
    assert "secret" not in repr(limit), limit


def check_ledger() -> None:
    """Its URLs are taken, and nothing connects before it is used; libpq comes along."""
    tracker = CostTracker("postgresql://ann:secret@127.0.0.1:1/costs")
    assert "secret" not in repr(tracker), tracker
    advice = ""
    try:
        tracker.total()
    except ConfigurationError as error:
        advice = str(error)
    assert "see that the server runs" in advice, advice


def check_testing() -> None:
    """The kit brings a mock and a pytest plugin, and no SDK; contracts show values in failures."""
    assert sdks() == set(), sdks()
    assert listed() == ["testing"], listed()
    asyncio.run(check_answers(LLMFactory.create("mock")))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_kit.py").write_text(KIT)
        command = [sys.executable, "-I", "-m", "pytest", "-p", "no:cacheprovider", folder]
        command += ["-k", "test_mock or test_fake or test_it_is_an_llm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert "assert 'another' is None" in done.stdout, done.stdout


def check_provider(name: str) -> None:
    """One provider is found in both ways and answers; of the SDKs there is but its own.

    Beside the testing kit, which has a server to talk to.
    """
    own = {SDKS[name]} if name in SDKS else set()
    assert sdks() == own, sdks()
    assert listed() == sorted([name, "testing"]), listed()
    registry = LLMProviderRegistry()
    registry.discover_plugins()
    assert {name, "mock"} <= set(registry.list_plugins()), registry.list_plugins()
    with patch.dict(os.environ, dict.fromkeys(registry.get(name).plugin_class.api_key_env, "key")):
        assert isinstance(registry.get_instance(name), BaseProvider)
    assert not own & set(sys.modules), "listing and building import no SDK"
    from bruno_llm_testing.fakes import fake_of

    with fake_of(name)() as fake:
        asyncio.run(check_answers(LLMFactory.create(name, **fake.connection())))
        asyncio.run(check_tools(LLMFactory.create(name, **fake.connection()), fake))
        embeddings = EmbeddingFactory.providers()
        assert not any(info.error for info in embeddings), embeddings
        if name in [info.name for info in embeddings]:
            asyncio.run(check_embeds(EmbeddingFactory.create(name, **fake.connection())))


async def check_answers(llm: Any) -> None:
    """Both doors give the same answer."""
    async with llm:
        whole = await llm.generate("Who is there?")
        parts = [text async for text in llm.stream("Who is there?")]
    assert whole, "no answer"
    assert "".join(parts) == whole, (parts, whole)


async def check_tools(llm: Any, fake: Any) -> None:
    """A tool is called, and the answer is of a type."""
    from bruno_llm_testing import FakeAnswer

    def double(number: int) -> int:
        """Double it."""
        return number * 2

    call = ToolCall(id="c1", name="double", arguments='{"number": 21}')
    fake.say(FakeAnswer(text="", tool_calls=(call,), finish_reason="tool_call"))
    fake.say(FakeAnswer(text='{"numbers": [42]}'))
    async with llm:
        answer = await run_tools(llm, "Double 21.", tools=[double], output=Doubled)
    assert "42" in [message.content for message in answer.messages], answer.messages
    assert answer.output == Doubled([42]), answer.output


async def check_embeds(embeddings: Any) -> None:
    """Texts get vectors, of the length that was promised."""
    async with embeddings:
        vectors = await embeddings.embed_texts(["Who is there?", "Nobody."])
    assert [len(vector) for vector in vectors] == [embeddings.get_dimension()] * 2


def listed() -> list[str]:
    """Return which packages bring the providers that the factory finds, none of them broken."""
    providers = LLMFactory.providers()
    assert not any(info.error for info in providers), providers
    return sorted({info.distribution.removeprefix("bruno-llm-") for info in providers})


def sdks() -> set[str]:
    """Return the vendors' SDKs that could be imported."""
    tops = {sdk for sdk in (*SDKS.values(), "ollama") if find_spec(sdk.partition(".")[0])}
    return {sdk for sdk in tops if find_spec(sdk)}


if __name__ == "__main__":
    main(sys.argv[1])
