"""A client of one's own is of the right kind, and an address is read for what is meant."""

import anthropic
import httpx
import httpx2
import openai
import pytest
from bruno_llm_base import ConfigurationError, LLMFactory
from bruno_llm_testing import FakeAnswer
from google import genai

KEY = {"api_key": "a-test-key"}
OWN = {
    "openai": "https://api.openai.com/v1",
    "claude": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
    "ollama": "http://127.0.0.1:11434",
}
VARIABLES = {
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_KEY"),
    "claude": ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
    "gemini": ("GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY"),
    "ollama": ("OLLAMA_HOST", "OLLAMA_API_KEY"),
}
ENDPOINTS = {
    "openai": ["/chat/completions", "/v1", "/v1/v1/", "/embeddings/", "/models"],
    "claude": ["/v1", "/v1/", "/v1/v1", "/v1/messages"],
    "gemini": ["/v1beta", "/v1beta/", "/v1beta/models", "/v1", "/v1/v1", "/v1/models"],
    "ollama": ["/api", "/api/", "/api/chat", "/v1", "/api/api", "/v1/chat/completions"],
}


@pytest.fixture
async def clients():
    """Yield clients by the name of the provider that takes them, and some that none takes."""
    plain, plain2, sync = httpx.AsyncClient(), httpx2.AsyncClient(), httpx.Client()
    gemini = genai.Client(vertexai=False, **KEY)
    good = {
        "openai": [
            openai.AsyncOpenAI(**KEY),
            openai.AsyncAzureOpenAI(
                **KEY, azure_endpoint="https://x.example", api_version="2026-01-01"
            ),
        ],
        "claude": [anthropic.AsyncAnthropic(**KEY)],
        "gemini": [gemini],
        "ollama": [plain, plain2],
    }
    bad = [sync, openai.OpenAI(**KEY), anthropic.Anthropic(**KEY), gemini.aio, KEY, "http://x", 5]
    yield good, [*bad, openai.AsyncOpenAI, httpx.AsyncClient, genai.Client, object()]
    await plain.aclose()
    await plain2.aclose()
    for client in (*good["openai"], *good["claude"], *bad[:3]):
        if (closing := client.close()) is not None:
            await closing
    await gemini.aio.aclose()
    gemini.close()


async def test_a_client_of_the_right_kind_is_taken(name, clients):
    for client in clients[0][name]:
        assert LLMFactory.create(name, client=client).access.client is client


async def test_a_client_of_another_kind_is_refused_with_what_to_give(kind, name, clients):
    good, bad = clients
    others = [client for other, each in good.items() if other != name for client in each]
    for client in [*others, *bad]:
        with pytest.raises(ConfigurationError, match=r"client is .*: give an async.* made by") as e:
            kind(client=client)
        assert "a-test-key" not in str(e.value)


async def test_an_address_with_the_endpoint_is_read_right(name, server):
    where = server.connection()
    for tail in ENDPOINTS[name]:
        async with LLMFactory.create(name, **where | {"base_url": where["base_url"] + tail}) as llm:
            assert await llm.generate("hi") == FakeAnswer().text
            assert llm.get_model_info()["base_url"] == where["base_url"]


def test_a_path_of_ones_own_is_kept(name):
    llm = LLMFactory.create(name, base_url="https://models.example/team/llm", **KEY)
    assert llm.get_model_info()["base_url"] == "https://models.example/team/llm"


def spellings(own):
    scheme, _, rest = own.partition("://")
    host, slash, path = rest.partition("/")
    port = "" if ":" in host else ":443"
    variants = [f"{own}/", f"{scheme}://{host.upper()}{slash}{path}", f"'{own}'\n"]
    return [own, *variants, f"{scheme}://{host}{port}{slash}{path}", f"{scheme}://{host}"]


@pytest.mark.parametrize("given", ["argument", "variable"])
def test_the_vendors_own_address_is_the_vendors_own(monkeypatch, name, kind, given):
    for address in spellings(OWN[name]):
        where = {"base_url": address} if given == "argument" else {}
        if given == "variable":
            monkeypatch.setenv(VARIABLES[name][0], address)
        llm = kind(**where, **KEY)
        assert llm.access.base_url is None, address
        assert llm.get_model_info()["base_url"] == OWN[name]
        if kind.needs_key:
            with pytest.raises(ConfigurationError, match="needs an API key"):
                kind(**where)


def test_another_address_is_not_the_vendors_own(name, kind):
    for address in (OWN[name].replace("127.0.0.1:11434", "box") + ".example", OWN[name] + "/x"):
        assert kind(base_url=address).access.base_url == address


@pytest.mark.parametrize("key", ['"a-test-key"', "' a-test-key'", " a-test-key\r\n"])
def test_a_key_is_read_without_what_is_around_it(monkeypatch, name, kind, key):
    monkeypatch.setenv(VARIABLES[name][1], key)
    assert kind().access.key == "a-test-key"
    assert kind(api_key=key).access.key == "a-test-key"


@pytest.mark.parametrize("name", ["gemini"])
@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_geminis_version_in_an_address_is_asked(kind, server, version):
    where = server.connection()
    address = f"{where['base_url']}/{version}"
    async with kind(**where | {"base_url": address}) as llm:
        await llm.generate("hi")
    asked = [received.path.split("/")[1:3] for received in server.received]
    assert asked == [[version, "models"]]


def test_googles_address_for_openais_protocol_is_refused():
    address = "https://generativelanguage.googleapis.com/v1beta/openai/"
    with pytest.raises(ConfigurationError, match="give it to OpenAIProvider"):
        LLMFactory.create("gemini", base_url=address, **KEY)
