import pytest
from bruno_llm_base import ConfigurationError
from bruno_llm_ollama import OllamaProvider


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("box", "http://box:11434"),
        ("box/", "http://box:11434"),
        ("box:8080", "http://box:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),  # noqa: S104 - read, not bound
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        ("[fe80::1]", "http://[fe80::1]:11434"),
        ("http://box", "http://box"),
        ("http://box:8080/", "http://box:8080"),
        ("https://box/ollama/", "https://box/ollama"),
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("ollama.com", "https://ollama.com"),
        (" box ", "http://box:11434"),
        ('"box:8080"', "http://box:8080"),
        ("' http://box '\n", "http://box"),
        ('""', "http://127.0.0.1:11434"),
        ("::1", "http://[::1]:11434"),
        ("::", "http://[::1]:11434"),
        ("fe80::1", "http://[fe80::1]:11434"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("http://[::1]", "http://[::1]"),
        ("https://::1/ollama", "https://[::1]/ollama"),
        ("HTTP://Box:8080", "http://Box:8080"),
        ("box:8080/ollama", "http://box:8080/ollama"),
        ("box:", "http://box:11434"),
        ("box:port", "http://box:11434"),
        ("box:65536", "http://box:11434"),
        ("box:-1", "http://box:11434"),
        ("https://box:port", "https://box"),
    ],
)
def test_every_form_of_ollama_host(monkeypatch, host, url):
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert OllamaProvider().get_model_info()["base_url"] == url


@pytest.mark.parametrize(
    "host", ["ftp://box", "a:1:2", "http://me:secret@box", "me:secret@box", "box:0"]
)
def test_what_is_not_an_address_is_refused_without_showing_it(monkeypatch, host):
    monkeypatch.setenv("OLLAMA_HOST", host)
    with pytest.raises(ConfigurationError, match="OLLAMA_HOST") as caught:
        OllamaProvider()
    assert "secret" not in str(caught.value)


def test_an_argument_wins(monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "box")
    llm = OllamaProvider(base_url="http://other:1")
    assert llm.get_model_info()["base_url"] == "http://other:1"
