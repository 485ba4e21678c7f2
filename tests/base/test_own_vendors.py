"""Vendors of the user's own, in a file of configuration: a few lines, and no code."""

import json

import pytest
from bruno_llm_base import (
    ConfigurationError,
    EmbeddingFactory,
    LLMFactory,
    ProviderNotFoundError,
)
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeOpenAI

ROW = {"base_url": "https://llm.acme.example/v1", "key": "ACME_KEY", "model": "acme-1"}
TOML = """
[llm]
provider = "acme"
max_tokens = 9

[embeddings]
provider = "Acme/text-embedding-3-small"
dimensions = 8

[vendors.acme]
base_url = "{0}"
key = "ACME_KEY"
model = "gpt-4.1"
think_tags = true
"""
YAML = """
llm: {{provider: acme, max_tokens: 9}}
embeddings: {{provider: Acme/text-embedding-3-small, dimensions: 8}}
vendors:
  acme:
    base_url: {0}
    key: ACME_KEY
    model: gpt-4.1
    think_tags: true
"""


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("ACME_KEY", FakeOpenAI.api_key)


def with_row(**fields):
    return {"provider": "acme", "vendors": {"acme": ROW | fields}}


@pytest.mark.parametrize("suffix", ["toml", "yaml", "json"])
async def test_a_file_is_all_that_it_takes(tmp_path, suffix):
    path = tmp_path / f"bruno.{suffix}"
    with FakeOpenAI() as server:
        row = ROW | {"base_url": f"{server.address}/v1", "model": "gpt-4.1", "think_tags": True}
        whole = {
            "llm": {"provider": "acme", "max_tokens": 9},
            "embeddings": {"provider": "Acme/text-embedding-3-small", "dimensions": 8},
            "vendors": {"acme": row},
        }
        text = {"toml": TOML, "yaml": YAML}.get(suffix, "")
        path.write_text(text.format(row["base_url"]) or json.dumps(whole))
        async with LLMFactory.from_file(path) as llm:
            server.say(FakeAnswer(text="<think>Hm.</think>Hello"))
            answer = await llm.request("hi")
        assert (answer.provider, answer.model) == ("acme", "gpt-4.1")
        assert (answer.text, answer.reasoning) == ("Hello", "Hm.")
        assert server.received[0].path == "/v1/chat/completions"
        assert server.bodies[0]["max_tokens"] == 9
        async with EmbeddingFactory.from_file(path) as embeddings:
            assert len(await embeddings.embed_text("hi")) == 8
        assert server.received[-1].path == "/v1/embeddings"
    assert isinstance(llm, OpenAIProvider)
    assert isinstance(embeddings, OpenAIEmbeddings)
    assert (embeddings.name, embeddings.get_model_name()) == ("acme", "text-embedding-3-small")
    assert embeddings.access.key_source == "ACME_KEY"


async def test_a_mapping_may_have_them_too():
    for build in (
        lambda: LLMFactory.from_config(with_row()),
        lambda: LLMFactory.from_config({"llm": {"provider": "acme"}, "vendors": {"acme": ROW}}),
        lambda: LLMFactory.create("acme/acme-1", {"vendors": {"ACME": ROW, "other": {}}}),
        lambda: LLMFactory.fallback([with_row()]).members[0],
    ):
        llm = build()
        assert (llm.name, llm.model, llm.access.url) == ("acme", "acme-1", ROW["base_url"])
    other = LLMFactory.create("openai", {"vendors": {"acme": ROW}}, "m", api_key="k")
    assert (type(other), other.model) == (OpenAIProvider, "m")


@pytest.mark.parametrize(
    ("vendors", "complaint"),
    [
        ([ROW], r"vendors is a list: give a table for each vendor, as in \[vendors\.acme\]"),
        ({"acme": "sk-canary"}, "vendors.acme is a str: give a table with base_url and key"),
        ({"acme": {}}, "vendors.acme.base_url is missing"),
        (
            {"acme": ROW | {"key": "sk-canary"}},
            "vendors.acme.key is not the name of an environment",
        ),
        ({"acme": ROW | {"think_tag": True}}, r"takes no 'think_tag': did you mean 'think_tags'\?"),
        ({"acme": ROW, "groq": ROW}, "vendors.groq: a provider is called 'groq' already"),
        ({"acme": ROW, "Anthropic": ROW}, "vendors.Anthropic: a provider is called 'Anthropic'"),
        ({"acme/eu": ROW}, "vendors.acme/eu: a name is letters, digits, '-' and '_'"),
        ({5: ROW}, "vendors.5: a name is letters"),
        (
            {"acme": ROW | {"protocol": "ollama"}},
            "vendors.acme.protocol is 'ollama', which no other",
        ),
        ({"acme": ROW | {"protocol": "gopher"}}, "vendors.acme.protocol: no provider is called"),
        ({"acme": ROW | {"protocol": 5}}, "vendors.acme.protocol: provider is 5"),
        ({"acne": ROW}, r"no provider is called 'acme': did you mean 'acne'\?"),
    ],
)
@pytest.mark.parametrize("factory", [LLMFactory, EmbeddingFactory])
def test_what_is_wrong_is_named_by_its_field(factory, vendors, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        factory.from_config({"provider": "acme", "vendors": vendors})
    assert "canary" not in str(caught.value)


def test_without_the_protocols_package_the_error_names_it(monkeypatch):
    monkeypatch.setattr("bruno_llm_base.discovery._points", lambda _: [])
    with pytest.raises(
        ProviderNotFoundError, match=r"vendors\.acme\.protocol: .* pip install bruno-llm-openai"
    ):
        LLMFactory.from_config(with_row())


def test_a_key_that_is_not_set_is_asked_for_by_the_rows_variable(monkeypatch):
    monkeypatch.delenv("ACME_KEY")
    with pytest.raises(ConfigurationError, match="acme needs an API key: set ACME_KEY"):
        LLMFactory.from_config(with_row())
    without = {name: value for name, value in ROW.items() if name != "key"}
    llm = LLMFactory.from_config({"provider": "acme", "vendors": {"acme": without}})
    assert llm.access.key is None
