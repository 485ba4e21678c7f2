"""Providers of embeddings by name, from entry points."""

import sys
import textwrap

import pytest
from bruno_core.interfaces import EmbeddingInterface
from bruno_llm_base import ConfigurationError, EmbeddingFactory, LLMFactory, ProviderNotFoundError
from bruno_llm_gemini import GeminiEmbeddings
from bruno_llm_ollama import OllamaEmbeddings
from bruno_llm_openai import OpenAIEmbeddings

ALL = {"gemini": GeminiEmbeddings, "ollama": OllamaEmbeddings, "openai": OpenAIEmbeddings}


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("GEMINI_API_KEY", "k")


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Install a distribution of one module, which provides embeddings."""
    monkeypatch.syspath_prepend(tmp_path)

    def publish(name, source):
        (tmp_path / f"{name}_plug.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{name}_plug-1.2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}-plug\nVersion: 1.2.3\n")
        entry = f"[bruno.embedding_providers]\n{name} = {name}_plug:Provider\n"
        (info / "entry_points.txt").write_text(entry)
        monkeypatch.delitem(sys.modules, f"{name}_plug", raising=False)

    return publish


def test_ours_are_found_by_entry_point():
    found = {info.name: info for info in EmbeddingFactory.providers()}
    for name, kind in ALL.items():
        info = found[name]
        assert (info.distribution, info.error) == (f"bruno-llm-{name}", None)
        assert info.capabilities == {"embeddings"}
        embeddings = EmbeddingFactory.create(name, dimensions=8)
        assert type(embeddings) is kind
        assert isinstance(embeddings, EmbeddingInterface)
        assert embeddings.get_dimension() == 8
    assert type(EmbeddingFactory.create("google")) is GeminiEmbeddings


def test_chat_providers_are_none_of_embeddings_and_the_other_way_round():
    assert {*ALL, "claude"} <= {info.name for info in LLMFactory.providers()}
    assert not any("embeddings" in info.capabilities for info in LLMFactory.providers())


@pytest.mark.parametrize("name", ["claude", "anthropic", " Claude "])
def test_anthropic_has_none_and_the_error_says_what_to_use(name):
    with pytest.raises(ProviderNotFoundError) as caught:
        EmbeddingFactory.create(name)
    assert "Anthropic offers no embeddings: use those of another provider" in str(caught.value)
    assert all(f"'{name}'" in str(caught.value) for name in ALL)


def test_one_that_is_not_installed_names_the_cure(monkeypatch):
    monkeypatch.setattr("bruno_llm_base.discovery._points", lambda _: [])
    with pytest.raises(ProviderNotFoundError, match="pip install bruno-llm-ollama"):
        EmbeddingFactory.create("ollama")
    with pytest.raises(ProviderNotFoundError, match="did you mean 'openai'"):
        EmbeddingFactory.create("opanai")


def test_a_third_partys_is_found_and_a_wrong_one_is_told(publish):
    publish("wrong", "class Provider: ...")
    publish("partly", "from bruno_core.interfaces import EmbeddingInterface as Provider")
    publish("broken", "import no_such_module")
    publish("parrot", "from bruno_llm_ollama import OllamaEmbeddings as Provider")
    assert EmbeddingFactory.create("parrot").get_dimension() == 768
    for name, complaint in (
        ("wrong", "does not implement bruno_core.interfaces.EmbeddingInterface"),
        ("partly", "lacks .*embed_text"),
        ("broken", "cannot be loaded: No module named 'no_such_module'"),
    ):
        with pytest.raises(ConfigurationError, match=complaint):
            EmbeddingFactory.create(name)
        info = next(info for info in EmbeddingFactory.providers() if info.name == name)
        assert info.error is not None


def test_a_configuration_names_its_provider(tmp_path):
    given = {"provider": "ollama", "model": "bge-m3", "batch_size": 3}
    for config in (given, {"llm": {"provider": "claude"}, "embeddings": given}):
        embeddings = EmbeddingFactory.from_config(config, model="all-minilm")
        assert (embeddings.get_model_name(), embeddings.get_max_batch_size()) == ("all-minilm", 3)
    path = tmp_path / "bruno.toml"
    path.write_text('[embeddings]\nprovider = "ollama"\nmodel = "bge-m3"\n')
    assert EmbeddingFactory.from_file(path).get_model_name() == "bge-m3"
    with pytest.raises(ConfigurationError, match="is for 'ollama', not for 'openai'"):
        EmbeddingFactory.create("openai", given)
    with pytest.raises(ConfigurationError, match="no provider is named"):
        EmbeddingFactory.from_config({"model": "m"})
    with pytest.raises(ConfigurationError, match="config is a str: give a mapping"):
        EmbeddingFactory.from_config("ollama")
    with pytest.raises(ConfigurationError, match=r"give a text or a pathlib\.Path"):
        EmbeddingFactory.from_file(5)
    with pytest.raises(ConfigurationError, match="takes no 'temperature'"):
        EmbeddingFactory.create("ollama", temperature=0.5)


def test_the_environment_describes_embeddings_apart_from_chat(monkeypatch):
    for name, value in {
        "BRUNO_LLM_PROVIDER": "claude",
        "BRUNO_LLM_MODEL": "a-model-of-chat",
        "BRUNO_LLM_EMBEDDING_PROVIDER": "google",
        "BRUNO_LLM_EMBEDDING_MODEL": "gemini-embedding-2",
        "BRUNO_LLM_EMBEDDING_DIMENSIONS": "256",
        "BRUNO_LLM_OLLAMA_EMBEDDING_MODEL": "bge-m3",
        "BRUNO_LLM_OLLAMA_MODEL": "llama3.2",
    }.items():
        monkeypatch.setenv(name, value)
    gemini = EmbeddingFactory.from_env()
    assert (gemini.get_model_name(), gemini.get_dimension()) == ("gemini-embedding-2", 256)
    ollama = EmbeddingFactory.from_env("ollama")
    assert (ollama.get_model_name(), ollama.get_dimension()) == ("bge-m3", 1024)
    assert LLMFactory.from_env("ollama").model == "llama3.2"
    assert EmbeddingFactory.from_env("openai").get_model_name() == "text-embedding-3-small"
    monkeypatch.setenv("BRUNO_LLM_EMBEDDING_DIMENSIONS", "many")
    with pytest.raises(ConfigurationError, match="BRUNO_LLM_EMBEDDING_DIMENSIONS is 'many'"):
        EmbeddingFactory.from_env()
    monkeypatch.delenv("BRUNO_LLM_EMBEDDING_DIMENSIONS")
    monkeypatch.delenv("BRUNO_LLM_EMBEDDING_PROVIDER")
    with pytest.raises(ConfigurationError, match="set BRUNO_LLM_EMBEDDING_PROVIDER"):
        EmbeddingFactory.from_env()
