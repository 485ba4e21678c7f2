"""What the tests of the testing kit share."""

import importlib

import bruno_llm_testing
import pytest

NAMES = {"openai": "OpenAI", "claude": "Claude", "gemini": "Gemini", "ollama": "Ollama"}


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def kind(name):
    """The provider's class."""
    return getattr(importlib.import_module(f"bruno_llm_{name}"), f"{NAMES[name]}Provider")


@pytest.fixture
def server(name):
    fake = getattr(bruno_llm_testing, f"Fake{NAMES[name]}")
    with fake() as server:
        yield server
