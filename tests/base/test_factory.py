"""Providers by name, from real entry points in a folder on the path."""

import asyncio
import json
import sys
import textwrap

import pytest
from bruno_core.models.config import BrunoConfig, LLMConfig, MemoryConfig
from bruno_llm_base import (
    AllProvidersFailedError,
    AuthenticationError,
    Breaker,
    ConfigurationError,
    EmbeddingFactory,
    FallbackLLM,
    LLMFactory,
    ProviderNotFoundError,
    ServiceUnavailableError,
)
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeOpenAI


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Install a distribution that consists of one module and one entry point."""
    monkeypatch.syspath_prepend(tmp_path)

    def publish(distribution, name, source, attribute="Provider"):
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{module}-1.2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {distribution}\nVersion: 1.2.3\n")
        (info / "entry_points.txt").write_text(
            f"[bruno.llm_providers]\n{name} = {module}:{attribute}\n"
        )
        monkeypatch.delitem(sys.modules, module, raising=False)

    return publish


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")


def info(name):
    return next(found for found in LLMFactory.providers() if found.name == name)


def test_a_provider_is_made_by_name():
    llm = LLMFactory.create("openai", {"model": "gpt-4.1", "temperature": 0.1}, temperature=0.2)
    assert isinstance(llm, OpenAIProvider)
    assert (llm.model, llm.get_model_info()["temperature"]) == ("gpt-4.1", 0.2)
    assert isinstance(LLMFactory.create(" OpenAI "), OpenAIProvider)
    assert LLMFactory.create("openai", {"model": "a"}, "b").model == "b"
    assert LLMFactory.create("openai", {"model": "a"}, model=None).model == "a"
    with pytest.raises(TypeError):
        LLMFactory.create("openai", {}, "b", "c")


def test_installed_providers_are_listed():
    found = info("openai")
    assert (found.distribution, found.version, found.error) == ("bruno-llm-openai", "0.3.0", None)
    assert {"chat", "streaming"} <= found.capabilities


@pytest.mark.parametrize("name", ["claude", "anthropic"])
def test_one_that_is_not_installed_names_the_cure(monkeypatch, name):
    monkeypatch.setattr("bruno_llm_base.discovery._points", lambda _: [])
    with pytest.raises(ProviderNotFoundError, match="pip install bruno-llm-claude"):
        LLMFactory.create(name)


def test_one_that_nobody_knows_is_guessed():
    with pytest.raises(ProviderNotFoundError, match=r"'opnai': did you mean 'openai'\?"):
        LLMFactory.create("opnai")
    with pytest.raises(ProviderNotFoundError, match=r"'zzz' \(installed: .*openai"):
        LLMFactory.create("zzz")
    with pytest.raises(ConfigurationError, match="provider is ''"):
        LLMFactory.create("")


def test_a_model_without_its_provider_is_told_what_to_write(monkeypatch):
    for factory, advised in [
        (
            LLMFactory,
            "openai/gpt-5.4 openai/o4-mini claude/claude-sonnet-5-5 gemini/gemini-3-flash",
        ),
        (LLMFactory, "ollama/llama3.2 ollama/qwen3 ollama/gpt-oss ollama/deepseek-r1"),
        (EmbeddingFactory, "openai/text-embedding-3-small ollama/nomic-embed-text"),
    ]:
        for both in advised.split():
            model = both.partition("/")[2]
            with pytest.raises(
                ProviderNotFoundError, match=f"^'{model}' is a model: .* as in '{both}'$"
            ):
                factory.create(model)
    with pytest.raises(ProviderNotFoundError, match=r"as in 'ollama/llama3\.2'"):
        LLMFactory.create("Llama3.2:1b")
    with pytest.raises(ProviderNotFoundError, match="no provider is called 'claude-sonnet-5-5'"):
        EmbeddingFactory.create("claude-sonnet-5-5")
    with pytest.raises(ProviderNotFoundError, match="did you mean 'openai'"):
        LLMFactory.create("o1penai")


def test_a_server_of_openais_protocol_needs_no_provider_of_its_own(monkeypatch):
    cure = r"for a server of OpenAI's protocol: create\(\"openai\", base_url=\.\.\.\)"
    with pytest.raises(ProviderNotFoundError, match=cure):
        LLMFactory.create("acme/model-1")
    with pytest.raises(ProviderNotFoundError, match=f"'https'.*{cure}"):
        LLMFactory.create("https://models.example/v1")
    monkeypatch.setattr("bruno_llm_base.discovery._points", lambda _: [])
    with pytest.raises(ProviderNotFoundError, match="pip install bruno-llm-openai brings it"):
        LLMFactory.create("acme")


WITH_MODELS = [
    ("openai/gpt-4.1", "openai", "gpt-4.1"),
    ("openai:gpt-4.1", "openai", "gpt-4.1"),
    (" OpenAI / Gpt-4.1 ", "openai", "Gpt-4.1"),
    ("anthropic/claude-x", "claude", "claude-x"),
    ("ollama/llama3:8b", "ollama", "llama3:8b"),
    ("ollama:llama3:8b", "ollama", "llama3:8b"),
    ("ollama:hf.co/someone/llama:Q4", "ollama", "hf.co/someone/llama:Q4"),
    ("openai/openai/gpt-oss", "openai", "openai/gpt-oss"),
    ("openai:ollama/x", "openai", "ollama/x"),
]


@pytest.mark.parametrize(("named", "provider", "model"), WITH_MODELS)
async def test_a_name_may_bring_its_model(monkeypatch, tmp_path, named, provider, model):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    path = tmp_path / "llm.yaml"
    path.write_text(f"llm:\n  provider: '{named}'\n")
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", named)
    built = [
        LLMFactory.create(named),
        LLMFactory.create(named, {"temperature": 0.5}),
        LLMFactory.create(named, {"provider": provider, "model": "another"}),
        LLMFactory.create(provider, {"provider": named}),
        LLMFactory.create(named, model=model),
        LLMFactory.from_config({"provider": named}),
        LLMFactory.from_config({"provider": named, "model": model}),
        LLMFactory.from_config(LLMConfig(provider=named, model=model)),
        LLMFactory.from_file(path),
        LLMFactory.from_env(named),
        LLMFactory.from_env(),
        LLMFactory.from_env(provider),
        *LLMFactory.fallback([named, {"provider": named}]).members,
    ]
    assert {(llm.name, llm.model) for llm in built} == {(provider, model)}
    assert LLMFactory.from_file(path, "b").model == LLMFactory.from_env(model="b").model == "b"


def test_embeddings_may_be_named_with_their_model(monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_EMBEDDING_PROVIDER", "ollama/bge-m3:latest")
    assert EmbeddingFactory.create("openai:text-embedding-3-large").get_dimension() == 3072
    assert EmbeddingFactory.from_env().get_model_name() == "bge-m3:latest"


@pytest.mark.parametrize("name", ["/gpt-4.1", "openai/", "openai: ", ":", " / "])
def test_half_a_name_is_refused(name):
    with pytest.raises(ConfigurationError, match="give its name, or that and a model"):
        LLMFactory.create(name)


def test_two_models_at_once_are_refused(monkeypatch):
    both = "provider is 'openai/a', but model is 'b': leave one of the two models out"
    for build in (
        lambda: LLMFactory.create("openai/a", model="b"),
        lambda: LLMFactory.create("openai/a", {}, "b"),
        lambda: LLMFactory.from_config({"provider": "openai/a", "model": "b"}),
        lambda: LLMFactory.from_env("openai/a", "b"),
    ):
        with pytest.raises(ConfigurationError, match=both):
            build()
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", "openai/a")
    for variable in ("BRUNO_LLM_MODEL", "BRUNO_LLM_OPENAI_MODEL"):
        monkeypatch.setenv(variable, "b")
        with pytest.raises(ConfigurationError, match="BRUNO_LLM_PROVIDER is 'openai/a', but"):
            LLMFactory.from_env()
        assert LLMFactory.from_env("ollama/c").model == "c"
        monkeypatch.delenv(variable)


def test_a_model_of_a_name_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", "openai")
    monkeypatch.setenv("BRUNO_LLM_MODEL", "generic")
    monkeypatch.setenv("BRUNO_LLM_OPENAI_MODEL", "specific")
    assert LLMFactory.from_env("openai/named").model == "named"


async def test_a_member_of_a_selection_may_be_named_with_its_model(publish):
    publish("parrot-llm", "parrot", PARROT)
    assert (await LLMFactory.select(["parrot/ill", "parrot:well"])).model == "well"


def test_a_provider_whose_name_has_a_separator_is_itself(publish):
    source = """
        from bruno_llm_openai import OpenAIProvider
        class Provider(OpenAIProvider):
            name = "{}"
    """
    publish("gateway", "openai/gateway", source.format("openai/gateway"))
    for name, model in (("openai/gateway", "m"), ("OpenAI/Gateway:m", "m")):
        llm = LLMFactory.create(name, {"model": model})
        assert (llm.name, llm.model) == ("openai/gateway", "m")
    assert LLMFactory.create("openai/gateway-2").name == "openai"


def test_two_distributions_of_one_name_are_an_error(publish):
    publish("rival", "openai", "class Provider: ...")
    with pytest.raises(ConfigurationError, match="bruno-llm-openai, rival; uninstall all but one"):
        LLMFactory.create("openai")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("class Provider: ...", "does not implement bruno_core.interfaces.LLMInterface"),
        ("def Provider(): ...", "does not implement bruno_core.interfaces.LLMInterface"),
        ("import no_such_sdk", "cannot be loaded: No module named 'no_such_sdk'; reinstall it"),
        ("", "cannot be loaded"),
        (
            """
            from bruno_core.interfaces import LLMInterface
            class Provider(LLMInterface):
                async def generate(self, messages, **options): ...
            """,
            "lacks check_connection, get_model_info,",
        ),
    ],
)
def test_a_broken_provider_breaks_nothing_else(publish, source, complaint):
    publish("parrot-llm", "parrot", source)
    with pytest.raises(ConfigurationError, match=complaint):
        LLMFactory.create("parrot")
    found = info("parrot")
    assert (found.distribution, found.version) == ("parrot-llm", "1.2.3")
    assert found.error
    assert info("openai").error is None


def test_a_third_party_provider_is_found(publish):
    publish(
        "parrot-llm",
        "parrot",
        """
        from bruno_llm_openai import OpenAIProvider
        class Provider(OpenAIProvider):
            name = "parrot"
            capabilities = frozenset({"chat"})
        """,
    )
    assert LLMFactory.create("parrot", api_key="k").name == "parrot"
    assert info("parrot").capabilities == {"chat"}


def test_only_what_was_set_in_bruno_cores_config_counts():
    config = LLMConfig(provider="openai", model="gpt-4.1", timeout=9)
    llm = LLMFactory.from_config(config)
    assert "temperature" not in llm.get_model_info()
    assert llm.timeouts.call == 9
    whole = BrunoConfig(llm=config, memory=MemoryConfig(backend="b", connection_string="c"))
    assert LLMFactory.from_config(whole).model == "gpt-4.1"
    assert LLMFactory.create("openai", config).model == "gpt-4.1"


def test_additional_params_go_where_they_belong():
    config = LLMConfig(
        provider="openai", model="m", additional_params={"top_p": 0.5, "reasoning_effort": "low"}
    )
    llm = LLMFactory.from_config(config)
    assert llm.get_model_info()["top_p"] == 0.5
    assert llm._settings["options"] == {"reasoning_effort": "low"}


def test_a_mapping_may_be_nested():
    for config in (
        {"provider": "openai", "model": "m"},
        {"llm": {"provider": "openai", "model": "m"}},
    ):
        assert LLMFactory.from_config(config).model == "m"
    with pytest.raises(ConfigurationError, match="no provider is named: set provider"):
        LLMFactory.from_config({"model": "m"})
    with pytest.raises(ConfigurationError, match="config is a int"):
        LLMFactory.from_config(3)
    with pytest.raises(ConfigurationError, match="'modle': did you mean 'model'"):
        LLMFactory.from_config({"provider": "openai", "modle": "m"})


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".yaml", "llm:\n  provider: openai\n  model: m\n"),
        (".yml", "provider: openai\nmodel: m\n"),
        (".json", '{"provider": "openai", "model": "m"}'),
        (".toml", '[llm]\nprovider = "openai"\nmodel = "m"\n'),
    ],
)
def test_files_of_three_formats(tmp_path, suffix, text):
    path = tmp_path / f"llm{suffix}"
    path.write_text(text)
    assert LLMFactory.from_file(path).model == "m"
    assert LLMFactory.from_file(str(path), model="n").model == "n"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("llm.ini", "", "is of no known format"),
        ("llm.yaml", "a: [sk-canary", "line 1 is not valid YAML"),
        ("llm.json", '{"api_key": sk-canary}', "line 1 is not valid JSON"),
        ("llm.toml", "api_key = sk-canary", "is not valid TOML"),
        ("llm.json", json.dumps(["sk-canary"]), "holds no mapping"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_without_its_contents(tmp_path, name, text, complaint):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        LLMFactory.from_file(path)
    assert "sk-canary" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        LLMFactory.from_file(tmp_path / "missing.yaml")


def test_the_environment_in_order_of_precedence(monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", "openai")
    monkeypatch.setenv("BRUNO_LLM_MODEL", "generic")
    assert LLMFactory.from_env().model == "generic"
    monkeypatch.setenv("BRUNO_LLM_OPENAI_MODEL", "specific")
    monkeypatch.setenv("BRUNO_LLM_OPENAI_API_KEY", "own")
    llm = LLMFactory.from_env()
    assert (llm.model, llm.access.key) == ("specific", "own")
    assert LLMFactory.from_env(model="argument").model == "argument"
    monkeypatch.setenv("BRUNO_LLM_OPENAI_TIMEOUT", "2.5")
    monkeypatch.setenv("BRUNO_LLM_OPENAI_MAX_RETRIES", "4")
    llm = LLMFactory.from_env("openai")
    assert (llm.timeouts.call, llm._endpoint.retry.attempts) == (2.5, 5)
    monkeypatch.setenv("BRUNO_LLM_OPENAI_TIMEOUT", "soon")
    with pytest.raises(ConfigurationError, match="BRUNO_LLM_OPENAI_TIMEOUT is 'soon'"):
        LLMFactory.from_env("openai")


def test_generic_variables_of_another_provider_do_not_count(monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", "ollama")
    monkeypatch.setenv("BRUNO_LLM_MODEL", "llama3.2")
    assert LLMFactory.from_env("openai").model == OpenAIProvider.default_model


def test_variables_are_read_without_the_quotes_of_a_file(monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", '"ollama"')
    monkeypatch.setenv("BRUNO_LLM_MODEL", " 'mistral'\n")
    monkeypatch.setenv("BRUNO_LLM_TEMPERATURE", '"0.5"')
    monkeypatch.setenv("BRUNO_LLM_BASE_URL", '""')
    monkeypatch.setenv("BRUNO_LLM_SYSTEM_PROMPT", '"Yes" or "no"')
    llm = LLMFactory.from_env()
    assert (llm.name, llm.model) == ("ollama", "mistral")
    assert llm.get_system_prompt() == '"Yes" or "no"'


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("MODLE", "BRUNO_LLM_MODEL"),
        ("MAX_TOKEN", "BRUNO_LLM_MAX_TOKENS"),
        ("OLLAMA_MODLE", "BRUNO_LLM_OLLAMA_MODEL"),
        ("OLLAMA_NUM_CTX", "BRUNO_LLM_ may precede OLLAMA_API_KEY"),
        ("EMBEDING_MODEL", "BRUNO_LLM_EMBEDDING_MODEL"),
        ("OLLAMA_EMBEDING_MODEL", "BRUNO_LLM_OLLAMA_EMBEDDING_MODEL"),
        ("OLLAMA_DIMENSIONS", "BRUNO_LLM_OLLAMA_EMBEDDING_DIMENSIONS"),
        ("BATCH_SIZE", "BRUNO_LLM_EMBEDDING_BATCH_SIZE"),
        ("OLLAMA_EMBEDDING_TEMPERATURE", "BRUNO_LLM_OLLAMA_TEMPERATURE"),
    ],
)
@pytest.mark.parametrize("factory", [LLMFactory, EmbeddingFactory])
def test_a_misspelt_variable_is_refused(monkeypatch, factory, misspelt, meant):
    monkeypatch.setenv(f"BRUNO_LLM_{misspelt}", "canary")
    with pytest.raises(ConfigurationError, match=meant) as caught:
        factory.from_env("ollama")
    assert f"BRUNO_LLM_{misspelt} is set" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "variable",
    [
        "GROQ_MODEL",
        "XAI_API_KEY",
        "MY_OWN_BASE_URL",
        "OLLAMA_FARM_MODEL",
        "LOG_LEVEL",
        "HOME",
    ],
)
def test_a_variable_of_other_parts_is_left_alone(monkeypatch, variable):
    monkeypatch.setenv(f"BRUNO_LLM_{variable}", "x")
    assert LLMFactory.from_env("ollama").name == "ollama"


def test_an_environment_that_names_nothing():
    with pytest.raises(ConfigurationError, match="set BRUNO_LLM_PROVIDER"):
        LLMFactory.from_env()


def test_a_configuration_of_another_provider_is_refused():
    config = LLMConfig(provider="anthropic", model="m", api_key="sk-canary")
    with pytest.raises(ConfigurationError, match="is for 'anthropic', not for 'openai'") as caught:
        LLMFactory.create("openai", config)
    assert "sk-canary" not in str(caught.value)
    assert LLMFactory.create("openai", {"provider": "OpenAI", "model": "m"}).model == "m"


def test_what_is_said_outright_wins_over_additional_params():
    extra = {"model": "extra", "seed": 1}
    config = LLMConfig(provider="openai", model="field", additional_params=extra)
    llm = LLMFactory.from_config(config)
    assert (llm.model, llm.get_model_info()["seed"]) == ("field", 1)
    assert LLMFactory.from_config(config, model="argument", seed=2).get_model_info()["seed"] == 2


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"provider": "openai", 5: 1}, "5 is not the name of a field"),
        ({"provider": "openai", "additional_params": ["x"]}, "additional_params is a list"),
        ({"provider": "openai", "options": "x"}, "options is a str"),
    ],
)
def test_a_configuration_of_the_wrong_shape_is_named(config, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        LLMFactory.from_config(config)


def test_a_file_nested_too_deeply_is_not_valid(tmp_path):
    path = tmp_path / "llm.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ConfigurationError, match="is not valid JSON"):
        LLMFactory.from_file(path)


def test_options_of_all_sources_join():
    config = {
        "additional_params": {"num_ctx": 1, "top_k": 1, "options": {"top_k": 2, "min_p": 2}},
        "options": {"min_p": 3, "num_keep": 3},
    }
    llm = LLMFactory.create("openai", config, options={"num_keep": 4})
    assert llm._settings["options"] == {"num_ctx": 1, "top_k": 2, "min_p": 3, "num_keep": 4}


GONE = {"provider": "openai", "base_url": "http://127.0.0.1:9", "max_retries": 0}


@pytest.fixture
def server():
    with FakeOpenAI() as server:
        yield server


async def test_a_fallback_is_made_of_names_configurations_and_instances(server):
    ready = OpenAIProvider("gpt-6-luna", **server.connection())
    members = ["openai", LLMConfig(provider="openai", model="m"), GONE, {"llm": GONE}, ready]
    breaker = Breaker(failures=3)
    async with LLMFactory.fallback(members, breaker=breaker, observers=[print]) as llm:
        assert isinstance(llm, FallbackLLM)
        assert llm.members[-1] is ready
        assert [member.model for member in llm.members[:2]] == [OpenAIProvider.default_model, "m"]
    async with LLMFactory.fallback([GONE, ready]) as llm:
        assert (await llm.request("hi")).model == "gpt-6-luna"


@pytest.mark.parametrize(
    ("member", "complaint"),
    [
        ("claud", r"members\[1\], 'claud': no provider is called 'claud': did you mean 'claude'"),
        ("claude", r"members\[1\], 'claude': claude needs an API key: set ANTHROPIC_API_KEY"),
        ({"provider": "openai", "modle": "m"}, r"members\[1\], 'openai': .*did you mean 'model'"),
        ({"model": "m"}, r"members\[1\], dict: no provider is named"),
        ({"llm": {"api_key": "sk-canary"}}, r"members\[1\], dict: no provider is named"),
        (3, r"members\[1\], int: config is a int"),
    ],
)
def test_a_member_that_cannot_be_built_is_named(member, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        LLMFactory.fallback(["openai", member])
    assert "sk-canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("members", "complaint"), [("openai", "members is a str"), ([], "members is empty")]
)
async def test_members_are_a_list(members, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        LLMFactory.fallback(members)
    with pytest.raises(ConfigurationError, match=complaint):
        await LLMFactory.select(members)


PARROT = """
import asyncio
from bruno_llm_base import Diagnosis
from bruno_llm_openai import OpenAIProvider

class Provider(OpenAIProvider):
    name = "parrot"
    closed = []
    started = []
    others = asyncio.Event()

    async def diagnose(self):
        self.started.append(self.model)
        if self.model == "slow":
            await self.others.wait()
        if self.model == "stuck":
            await asyncio.Event().wait()
        if self.model == "last":
            self.others.set()
        return Diagnosis(ok=self.model != "ill", reason="it is ill")

    async def aclose(self):
        self.closed.append(self.model)
"""


def parrot(model):
    return {"provider": "parrot", "model": model, "api_key": "k"}


async def test_the_order_of_preference_decides_not_the_speed(publish, caplog):
    publish("parrot-llm", "parrot", PARROT)
    models = ["ill", "slow", "stuck", "last"]
    members = ["nobody", "claude", *map(parrot, models)]
    llm = await LLMFactory.select(members, timeout=3)
    assert (llm.model, llm.timeouts.call) == ("slow", 3)
    assert llm.started == models
    assert sorted(llm.closed) == ["ill", "last", "stuck"]
    passed = [line for line in caplog.messages if line.startswith("provider passed over")]
    assert [line.split()[3] for line in passed] == [
        "provider='nobody'",
        "provider='claude'",
        "provider='parrot'",
    ]


async def test_a_ready_instance_is_nobody_elses_to_close(publish):
    publish("parrot-llm", "parrot", PARROT)
    ill, ready = (LLMFactory.create("parrot", parrot(model)) for model in ("ill", "ready"))
    assert await LLMFactory.select([ill, ready, parrot("other")]) is ready
    assert ready.closed == ["other"]


async def test_leaving_a_selection_closes_all(publish):
    publish("parrot-llm", "parrot", PARROT)
    task = asyncio.create_task(LLMFactory.select([parrot("stuck"), parrot("well")]))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kind = type(LLMFactory.create("parrot", parrot("x")))
    assert sorted(kind.closed) == ["stuck", "well"]


async def test_a_real_server_is_selected(server):
    wrong = server.connection() | {"provider": "openai", "api_key": "sk-canary"}
    good = server.connection() | {"provider": "openai", "model": "gpt-6-luna"}
    async with await LLMFactory.select([GONE, wrong, good]) as llm:
        assert await llm.generate("hi")
    with pytest.raises(AllProvidersFailedError) as caught:
        await LLMFactory.select([GONE, wrong, "claude"])
    kinds = [ServiceUnavailableError, AuthenticationError, ConfigurationError]
    assert [type(error) for error in caught.value.errors] == kinds
    for why in ("the address is http://127.0.0.1:9", "key was refused", "set ANTHROPIC_API_KEY"):
        assert why in str(caught.value)
    assert "sk-canary" not in str(caught.value)


async def test_nothing_to_select_from_is_a_matter_of_configuration():
    with pytest.raises(
        ConfigurationError, match=r"'nobody': no provider .*; 'claude': claude needs"
    ):
        await LLMFactory.select(["nobody", "claude"])


@pytest.mark.parametrize("name", ["api_key", "base_url", "client", "model", "options"])
async def test_what_is_one_providers_own_is_not_given_to_all(name):
    with pytest.raises(ConfigurationError, match=f"{name} is one provider's own") as caught:
        await LLMFactory.select(["openai", "claude"], **{name: "sk-canary"})
    assert "sk-canary" not in str(caught.value)
