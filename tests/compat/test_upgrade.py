"""What `pip install --upgrade bruno-llm` leaves of 0.2.0: nothing but its imports."""

import importlib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from bruno_llm import LLMFactory
from bruno_llm_testing import FakeOpenAI

OURS = {
    "bruno_llm": "bruno-llm",
    "bruno_llm_base": "bruno-llm-base",
    "bruno_llm_claude": "bruno-llm-claude",
    "bruno_llm_gemini": "bruno-llm-gemini",
    "bruno_llm_ollama": "bruno-llm-ollama",
    "bruno_llm_openai": "bruno-llm-openai",
}


def test_the_installed_packages_are_tested_not_the_checkout():
    assert "site-packages" in importlib.import_module("bruno_llm").__file__


@pytest.mark.parametrize("package", OURS)
def test_each_package_is_one_distributions_and_complete(package):
    owner = OURS[package]
    assert set(packages_distributions()[package]) == {owner}
    listed = {
        Path(str(file.locate())).resolve()
        for file in distribution(owner).files
        if file.parts[0] == package and file.suffix != ".pyc"
    }
    folder = Path(importlib.import_module(package).__file__).resolve().parent
    there = {file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"}
    assert there == listed


def test_the_four_providers_are_there():
    providers = LLMFactory.providers()
    assert {info.name for info in providers} >= {"claude", "gemini", "mock", "ollama", "openai"}
    assert not any(info.error for info in providers)
    assert distribution("bruno-llm").version != "0.2.0"


async def test_a_new_program_runs_without_a_warning():
    with FakeOpenAI() as server:
        async with LLMFactory.create("openai", **server.connection()) as llm:
            assert await llm.generate("Hello")
