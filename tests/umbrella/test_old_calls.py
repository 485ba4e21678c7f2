"""0.2.0's calls, on the fakes."""

import importlib
import pickle
import warnings
from contextlib import contextmanager

import pytest
from bruno_llm import (
    AllProvidersFailedError,
    ClaudeProvider,
    ConfigurationError,
    LLMFactory,
    OpenAIEmbeddings,
    OpenAIProvider,
    ProviderNotFoundError,
)
from bruno_llm_testing import FakeOllama, FakeOpenAI

SAYS = "leaves in bruno-llm 0.5: use "
PORT_NOBODY = "http://127.0.0.1:9"


@contextmanager
def warned(*cures):
    """Check that there is one warning for each cure, at the line in here that causes it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert [str(warning.message).partition(SAYS)[2] for warning in caught] == list(cures)
    assert {warning.filename for warning in caught} <= {__file__}


def old(module, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(importlib.import_module(module), name)


@pytest.fixture
def openai():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def ollama():
    with FakeOllama() as server:
        yield server


async def test_the_first_example_of_the_old_readme_runs(ollama):
    with warned("LLMFactory.create(name, ...)"):
        llm = LLMFactory.create(provider="ollama", config=ollama.connection())
    assert await llm.check_connection()
    assert await llm.generate("What is Python?", max_tokens=100) == "Hello from the fake server."
    assert [piece async for piece in llm.stream("What is Python?")]
    with warned("aclose(), or `async with`"):
        await llm.close()


async def test_generate_takes_a_prompt_without_a_warning(openai):
    async with LLMFactory.create("openai", **openai.connection()) as llm:
        with warned():
            assert await llm.generate(prompt="Hello", max_tokens=5, temperature=0.3)


def test_what_the_factory_builds_is_of_the_old_classes_and_of_the_new():
    llm = LLMFactory.create("openai", api_key="k")
    assert isinstance(llm, old("bruno_llm.providers.openai", "OpenAIProvider"))
    assert isinstance(llm, OpenAIProvider)
    assert repr(llm) == repr(OpenAIProvider(api_key="k"))
    assert type(LLMFactory.create("anthropic", api_key="k")) is ClaudeProvider


def test_new_keywords_need_no_warning():
    with warned():
        LLMFactory.create("openai", {"model": "gpt-6-luna"}, api_key="k", max_retries=1, top_p=0.5)
        LLMFactory.create("ollama", {"base_url": "http://h:1"}, timeout=3, stop=["x"])


async def test_old_keywords_of_ollama_are_sent_in_todays_words(ollama):
    given = {"top_k": 7, "num_predict": 11, "temperature": 0.5, "top_p": 0.9, "stop": ["x"]}
    with warned("max_tokens", "options={'top_k': ...}"):
        llm = LLMFactory.create("ollama", ollama.connection() | given)
    async with llm:
        await llm.generate("hi")
    assert ollama.bodies[0]["options"] == {
        "top_k": 7,
        "num_predict": 11,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["x"],
    }


async def test_old_keywords_of_openai_are_sent_in_todays_words(openai):
    kind = old("bruno_llm.providers.openai", "OpenAIProvider")
    cures = [
        "cost=bruno_llm_base.CostTracker()",
        "options={'frequency_penalty': ...}",
        "options={'presence_penalty': ...}",
    ]
    with warned(*cures):
        llm = kind(
            openai.api_key,
            "gpt-4.1",
            base_url=openai.connection()["base_url"],
            track_cost=True,
            frequency_penalty=0.5,
            presence_penalty=-0.5,
            options={"user": "u"},
        )
    async with llm:
        await llm.generate("hi", max_tokens=5)
    body = openai.bodies[0]
    assert (body["model"], body["user"], body["max_tokens"]) == ("gpt-4.1", "u", 5)
    assert (body["frequency_penalty"], body["presence_penalty"]) == (0.5, -0.5)


async def test_a_new_keyword_wins_over_an_old_one(ollama):
    kind = old("bruno_llm.providers.ollama", "OllamaProvider")
    with warned("max_tokens", "options={'top_k': ...}"):
        llm = kind(
            num_predict=1, max_tokens=2, top_k=3, options={"top_k": 4}, **ollama.connection()
        )
    async with llm:
        await llm.generate("hi")
    assert ollama.bodies[0]["options"] == {"num_predict": 2, "top_k": 4}


def test_the_first_argument_is_what_it_was():
    ollama = old("bruno_llm.providers.ollama", "OllamaProvider")("http://other:1", "mistral", 5.0)
    assert ollama.get_model_info()["base_url"] == "http://other:1"
    assert ollama.model == "mistral"
    assert ollama.timeouts.call == 5.0
    openai = old("bruno_llm.providers.openai", "OpenAIProvider")("sk-secret-123", "gpt-6-luna")
    assert openai.access.key == "sk-secret-123"
    assert "secret" not in repr(openai)


@pytest.mark.parametrize("vendor", ["openai", "ollama"])
def test_a_config_is_spread_into_a_provider(vendor):
    module = f"bruno_llm.providers.{vendor}"
    name = {"openai": "OpenAI", "ollama": "Ollama"}[vendor]
    config = old(module, f"{name}Config")(model="m", timeout=5, **_key(vendor))
    with warned():
        llm = old(module, f"{name}Provider")(**config.model_dump())
    assert (llm.model, llm.timeouts.call) == ("m", 5)
    embedding = old(module, f"{name}EmbeddingConfig")(model="e", batch_size=3, **_key(vendor))
    embedder = old(module, f"{name}EmbeddingProvider")(**embedding.model_dump())
    assert (embedder.get_model_name(), embedder.get_max_batch_size()) == ("e", 3)
    assert "secret" not in repr(config) + repr(embedding)


def _key(vendor):
    return {"api_key": "sk-secret-123"} if vendor == "openai" else {}


@pytest.mark.parametrize("name", ["OpenAIProvider", "OpenAIEmbeddingProvider"])
def test_an_organization_says_where_it_belongs(name):
    kind = old("bruno_llm.providers.openai", name)
    with pytest.raises(ConfigurationError, match="set OPENAI_ORG_ID, or give client="):
        kind("k", organization="org")


async def test_an_organization_of_the_environment_is_sent(openai, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    async with LLMFactory.create("openai", **openai.connection()) as llm:
        await llm.generate("hi")
    assert openai.received[-1].headers["openai-organization"] == "org-1"


@pytest.mark.parametrize(
    ("attribute", "cure"), [("cost_tracker", "CostTracker()"), ("config", "get_model_info()")]
)
def test_an_attribute_that_is_gone_says_what_to_use(attribute, cure):
    llm = LLMFactory.create("ollama")
    with pytest.raises(AttributeError, match=f"{attribute} is gone: ") as caught:
        getattr(llm, attribute)
    assert cure in str(caught.value)
    assert not hasattr(llm, attribute)


def test_what_the_factory_builds_goes_to_workers(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    for name in ("openai", "ollama"):
        llm = LLMFactory.create(name, model="m", timeout=4, options={"top_k": 3})
        copy = pickle.loads(pickle.dumps(llm))
        assert type(copy) is type(llm)
        assert copy.get_model_info() == llm.get_model_info()
        assert copy.timeouts == llm.timeouts


def test_an_unknown_keyword_is_refused_with_advice():
    with pytest.raises(ConfigurationError, match="did you mean 'temperature'"):
        LLMFactory.create("ollama", {"temprature": 1})


def test_a_factory_without_a_name_says_so():
    with pytest.raises(ConfigurationError, match="provider is None: give a name"):
        LLMFactory.create()
    with pytest.raises(ProviderNotFoundError, match="no provider is called 'parrot'"):
        LLMFactory.create("parrot")


async def test_the_environment_is_read_as_it_was(ollama, monkeypatch):
    said = {"TOP_K": "5", "NUM_PREDICT": "9", "TIMEOUT": "2.5", "UNKNOWN": "x"}
    said["BASE_URL"] = ollama.connection()["base_url"]
    for field, value in said.items():
        monkeypatch.setenv(f"MY_APP_OLLAMA_{field}", value)
    monkeypatch.setenv("MY_APP_OLLAMA_STOP", "")
    cures = ["LLMFactory.from_env()", "max_tokens", "options={'top_k': ...}"]
    with warned(*cures):
        llm = LLMFactory.create_from_env("ollama", prefix="MY_APP")
    assert llm.timeouts.call == 2.5
    async with llm:
        await llm.generate("hi")
    assert ollama.bodies[0]["options"] == {"top_k": 5, "num_predict": 9}


def test_the_usual_prefix_serves_old_and_new_alike(monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_OPENAI_API_KEY", "k")
    monkeypatch.setenv("BRUNO_LLM_OPENAI_MODEL", "gpt-6-luna")
    monkeypatch.setenv("BRUNO_LLM_OPENAI_MAX_RETRIES", "4")
    monkeypatch.setenv("BRUNO_LLM_OPENAI_EMBEDDING_MODEL", "other")
    with warned("LLMFactory.from_env()"):
        llm = LLMFactory.create_from_env("openai")
    assert repr(llm) == repr(LLMFactory.from_env("openai"))
    assert llm.model == "gpt-6-luna"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("BRUNO_LLM_OLLAMA_TIMEOUT", "soon", "BRUNO_LLM_OLLAMA_TIMEOUT is 'soon': give a number"),
        ("OTHER", "x", "no environment variable begins with BRUNO_LLM_OLLAMA_"),
    ],
)
def test_a_wrong_environment_is_told(monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    with warned("LLMFactory.from_env()"), pytest.raises(ConfigurationError, match=message):
        LLMFactory.create_from_env("ollama")


async def test_the_first_healthy_provider_is_taken(ollama):
    configs = [{"api_key": "k", "base_url": PORT_NOBODY}, ollama.connection()]
    with warned("LLMFactory.select(), or .fallback()"):
        llm = await LLMFactory.create_with_fallback(["openai", "ollama"], configs)
    async with llm:
        assert llm.get_model_info()["provider"] == "ollama"


async def test_no_healthy_provider_is_an_error():
    with (
        warned("LLMFactory.select(), or .fallback()"),
        pytest.raises(AllProvidersFailedError, match="ollama"),
    ):
        await LLMFactory.create_with_fallback(["ollama"], [{"base_url": PORT_NOBODY}])
    with (
        warned("LLMFactory.select(), or .fallback()"),
        pytest.raises(ConfigurationError, match="configs are 1, providers 2: give one for each"),
    ):
        await LLMFactory.create_with_fallback(["ollama", "openai"], [{}])
    with (
        warned("LLMFactory.select(), or .fallback()"),
        pytest.raises(ConfigurationError, match="members is empty"),
    ):
        await LLMFactory.create_with_fallback([])


async def test_without_configs_the_environment_decides(ollama, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", ollama.connection()["base_url"])
    with warned("LLMFactory.select(), or .fallback()"):
        llm = await LLMFactory.create_with_fallback(["ollama"])
    async with llm:
        assert await llm.generate("hi")


def test_the_providers_are_listed():
    with warned("LLMFactory.providers()"):
        listed = LLMFactory.list_providers()
    assert listed == sorted(listed)
    assert {"claude", "gemini", "ollama", "openai"} <= set(listed)  # others may be installed
    with warned("LLMFactory.providers()", "LLMFactory.providers()"):
        assert LLMFactory.is_registered("OpenAI")
        assert not LLMFactory.is_registered("parrot")


def test_registering_says_what_to_do_instead():
    with pytest.raises(ConfigurationError, match=r"'mine' as an entry point in the group 'bruno\."):
        LLMFactory.register("mine", OpenAIProvider)
    with pytest.raises(ConfigurationError, match=r"in the group 'bruno\.embedding_providers'"):
        old("bruno_llm.embedding_factory", "EmbeddingFactory").register("mine", OpenAIEmbeddings)


def test_one_factory_for_both(openai):
    unified = old("bruno_llm.factory", "UnifiedProviderFactory")
    with warned():
        assert unified.create_llm("openai", {"api_key": "k"}).model
        assert unified.create_embedding("openai", api_key="k").get_dimension() == 1536
        listed = unified.list_all_providers()
    assert {"claude", "gemini", "ollama", "openai"} <= set(listed["llm"])
    assert {"gemini", "ollama", "openai"} <= set(listed["embedding"])
    assert "claude" not in listed["embedding"]


@pytest.fixture
def embeddings():
    return old("bruno_llm.embedding_factory", "EmbeddingFactory")


async def test_the_old_example_of_embeddings_runs(embeddings, openai):
    with warned():
        embedder = embeddings.create("openai", openai.connection())
        vectors = await embedder.embed_texts(["one", "two"])
        assert await embedder.embed_batch(["one", "two"]) == vectors
        assert embedder.calculate_similarity(vectors[0], vectors[0]) == pytest.approx(1)
    with warned("aclose(), or `async with`"):
        await embedder.close()


def test_old_vectors_stay_comparable(embeddings):
    assert embeddings.create("openai", api_key="k").get_model_name() == "text-embedding-ada-002"
    assert embeddings.create("ollama").get_model_name() == "nomic-embed-text"


def test_other_providers_of_embeddings_are_built_too(embeddings):
    assert embeddings.create("gemini", api_key="k").get_dimension() > 0
    given = {"provider": "ollama", "model": "m"}
    assert embeddings.from_config(given).get_model_name() == "m"
    assert embeddings.is_registered("ollama")
    assert not embeddings.is_registered("huggingface")
    with pytest.raises(ProviderNotFoundError):
        embeddings.create("huggingface")


def test_the_environment_of_embeddings_is_read_as_it_was(embeddings, monkeypatch):
    for variable, value in {
        "OPENAI_API_KEY": "k",
        "BRUNO_LLM_OPENAI_EMBEDDING_MODEL": "text-embedding-3-large",
        "OPENAI_EMBEDDING_MODEL": "loses",
        "OPENAI_EMBEDDING_DIMENSIONS": "256",
        "EMBEDDING_BATCH_SIZE": "7",
        "EMBEDDING_TIMEOUT": "2.5",
        "OLLAMA_BASE_URL": "http://other:1",
        "GEMINI_API_KEY": "k",
    }.items():
        monkeypatch.setenv(variable, value)
    embedder = embeddings.create_from_env("openai")
    assert embedder.get_model_name() == "text-embedding-3-large"
    assert (embedder.get_dimension(), embedder.get_max_batch_size()) == (256, 7)
    assert embedder.timeouts.call == 2.5
    assert "http://other:1" in repr(embeddings.create_from_env("ollama"))
    assert embeddings.create_from_env("gemini").get_max_batch_size()
    monkeypatch.setenv("EMBEDDING_TIMEOUT", "soon")
    with pytest.raises(ConfigurationError, match="EMBEDDING_TIMEOUT is 'soon': give a number"):
        embeddings.create_from_env("openai")
