"""Each provider, and its fake."""

import importlib

import certifi
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
def fake(name):
    """The class of its fake."""
    return getattr(importlib.import_module(f"bruno_llm_{name}.testing"), f"Fake{NAMES[name]}")


@pytest.fixture
def server(name):
    fake = getattr(importlib.import_module(f"bruno_llm_{name}.testing"), f"Fake{NAMES[name]}")
    with fake() as server:
        yield server


@pytest.fixture(scope="session")
def one_certificate(tmp_path_factory):
    end = "-----END CERTIFICATE-----"
    path = tmp_path_factory.mktemp("tls") / "one.pem"
    path.write_text(certifi.contents().partition(end)[0] + end)
    return path


@pytest.fixture
def few_certificates(monkeypatch, one_certificate):
    """Let clients load one certificate: to load all takes longer than most tests."""
    monkeypatch.setenv("SSL_CERT_FILE", str(one_certificate))
