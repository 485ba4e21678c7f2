"""0.2.0's calls, on the fakes."""

import pickle

import pytest
from bruno_llm import AllProvidersFailedError, ConfigurationError, LLMFactory, ProviderNotFoundError
from bruno_llm_base.testing import FakeAnswer
from bruno_llm_ollama.testing import FakeOllama
from bruno_llm_openai.testing import FakeOpenAI

SAYS = "leaves in bruno-llm 0.5: use "


def old(module, name):
    with pytest.warns(DeprecationWarning, match=SAYS):
        return getattr(pytest.importorskip(module), name)


@pytest.fixture
def openai():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def ollama():
    with FakeOllama() as server:
        yield server


def one_warning(caught, *words):
    ours = [warning for warning in caught if SAYS in str(warning.message)]
    assert len(ours) == 1
    assert ours[0].filename == __file__
    assert all(word in str(ours[0].message) for word in words)
