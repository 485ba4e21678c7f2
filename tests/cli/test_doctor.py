"""Whether each provider works, and what is said where it does not."""

import json
from importlib import import_module

import pytest
from bruno_llm_testing import FakeError, FakeOllama, Fault

CANARY = "sk-canary-7391"
FOUR = ("claude", "gemini", "ollama", "openai")


@pytest.fixture(autouse=True, scope="module")
def _loaded():
    """A check has five seconds, and on a busy machine the SDKs take as long to load."""
    for sdk in ("aiohttp", "anthropic", "google.genai", "httpx", "openai"):
        import_module(sdk)


@pytest.fixture
def doctor(bruno_llm):
    """Return the exit code, and what was found of each provider."""

    def doctor(*arguments):
        done = bruno_llm("doctor", "--json", *arguments)
        document = json.loads(done.stdout)
        assert document["ok"] is (done.exit_code == 0)
        return done.exit_code, {row["provider"]: row for row in document["providers"]}

    return doctor


def test_all_that_work(doctor, openai, claude, gemini, ollama):
    ollama.loaded["llama3.2:latest"] = 32768
    code, found = doctor(*FOUR)
    assert code == 0
    assert {row["status"] for row in found.values()} == {"ok"}
    assert all(row["reachable"] and row["model_offered"] for row in found.values())
    assert {row["provider"]: row["key"] for row in found.values()} == {
        "claude": "ANTHROPIC_API_KEY",
        "gemini": "GEMINI_API_KEY",
        "ollama": None,
        "openai": "OPENAI_API_KEY",
    }
    assert found["ollama"]["window"] == 32768
    assert (found["ollama"]["input_price"], found["ollama"]["output_price"]) == ("0", "0")
    assert found["claude"]["window_source"] == "the server"
    assert float(found["claude"]["output_price"]) > float(found["claude"]["input_price"]) > 0
    assert all(not row["problem"] for row in found.values())
    assert set(found["claude"]) == {
        *("provider", "distribution", "version", "status", "problem", "advice", "key", "address"),
        *("reachable", "model", "model_offered", "window", "window_source"),
        *("input_price", "output_price", "price_source"),
    }


def test_a_table_for_people(bruno_llm, openai, claude, nobody):
    done = bruno_llm("doctor")
    assert done.exit_code == 0
    *sections, others = done.stdout.split("\n\n")
    parts = {part.partition(":")[0]: part for part in sections}
    assert list(parts) == ["claude", "openai"]
    assert parts["claude"].splitlines()[0].startswith("claude: ok (bruno-llm-claude ")
    for fact in ("ANTHROPIC_API_KEY", f"{claude.address} answers", "on offer", "1,000,000 tokens"):
        assert fact in parts["claude"]
    assert "per million tokens" in parts["claude"]
    *named, cure = others.splitlines()
    assert {"gemini", "ollama"} <= set("".join(named).removeprefix("not set up: ").split(", "))
    assert cure == "bruno-llm doctor NAME says what one of them needs"
    assert "test-key" not in done.output
    assert "\x1b[" not in done.output
    asked = bruno_llm("doctor", "ollama", "gemini").stdout
    assert f"{nobody} does not answer" in asked
    assert "set GEMINI_API_KEY" in asked


def test_a_general_key_is_for_no_provider_that_is_not_meant(doctor, bruno_llm, openai, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("BRUNO_LLM_OPENAI_PRICE_NAME")
    monkeypatch.setenv("BRUNO_LLM_API_KEY", "sk-canary")
    monkeypatch.setenv("BRUNO_LLM_BASE_URL", f"{openai.address}/v1")
    monkeypatch.delenv("OPENAI_BASE_URL")
    code, found = doctor()
    assert code == 1
    assert "OPENAI_API_KEY" in found["openai"]["problem"]
    assert {found[name]["status"] for name in FOUR} == {"not set up"}
    bruno_llm("models")
    assert openai.received == []


def test_what_answers_on_this_machine_is_found(doctor, monkeypatch):
    with FakeOllama() as server:
        monkeypatch.setattr("bruno_llm_ollama.OllamaProvider.default_base_url", server.address)
        assert doctor()[1]["ollama"]["status"] == "ok"


def test_a_key_that_is_missing_is_asked_for(doctor, gemini, monkeypatch):
    monkeypatch.delenv("GEMINI_API_KEY")
    code, found = doctor("gemini")
    assert (code, found["gemini"]["key"]) == (1, None)
    assert found["gemini"]["advice"] == ["set GEMINI_API_KEY or GOOGLE_API_KEY"]


def test_where_nothing_is_set_up_nothing_works(doctor, nobody):
    code, found = doctor()
    assert code == 1
    assert {row["status"] for row in found.values()} == {"not set up"}
    assert "set OPENAI_API_KEY" in found["openai"]["problem"]
    assert (found["openai"]["reachable"], found["ollama"]["reachable"]) == (None, False)


def test_what_nobody_set_up_fails_nothing_but_by_name(doctor, openai, nobody):
    code, found = doctor()
    assert (code, found["ollama"]["status"]) == (0, "not set up")
    code, found = doctor("ollama")
    assert (code, list(found), found["ollama"]["status"]) == (1, ["ollama"], "failed")
    assert "ollama serve" in found["ollama"]["problem"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OLLAMA_HOST", None),
        ("BRUNO_LLM_OLLAMA_MODEL", "llama3.2"),
        ("BRUNO_LLM_PROVIDER", "ollama"),
        ("OLLAMA_API_KEY", "k"),
        ("BRUNO_LLM_OLLAMA_TIMEOUT", "soon"),
    ],
)
def test_a_variable_sets_a_provider_up(doctor, nobody, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value or nobody)
    code, found = doctor()
    assert (code, found["ollama"]["status"]) == (1, "failed")


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "BRUNO_LLM_OPENAI_API_KEY"])
def test_a_wrong_key_is_named_by_its_place_and_never_shown(
    bruno_llm, openai, monkeypatch, variable
):
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv(variable, CANARY)
    for how in ((), ("--json",), ("-vv",)):
        done = bruno_llm("doctor", "openai", *how)
        assert done.exit_code == 1
        assert variable in done.stdout
        assert f"replace what is in {variable}" in done.stdout
        assert "canary" not in done.output


def test_a_generic_key_is_named_by_its_place(doctor, openai, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", "openai")
    monkeypatch.setenv("BRUNO_LLM_API_KEY", openai.api_key)
    code, found = doctor("openai")
    assert (code, found["openai"]["key"]) == (0, "BRUNO_LLM_API_KEY")


def test_a_model_that_is_not_on_offer_fails(doctor, openai, ollama, monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_OPENAI_MODEL", "gpt-4")
    monkeypatch.setenv("BRUNO_LLM_OLLAMA_MODEL", "gemma9")
    code, found = doctor("openai", "ollama")
    assert code == 1
    assert (found["openai"]["reachable"], found["openai"]["model_offered"]) == (True, False)
    assert "'gpt-4'" in found["openai"]["problem"]
    assert "closest on offer: gpt-5.4" in found["openai"]["advice"][0]
    assert "ollama pull gemma9" in found["ollama"]["problem"]
    assert found["ollama"]["model_offered"] is False


def test_a_dated_version_will_do(doctor, claude, monkeypatch):
    monkeypatch.setattr(type(claude), "models", ("claude-haiku-5-5-20261001", "claude-opus-5"))
    monkeypatch.setenv("BRUNO_LLM_CLAUDE_MODEL", "claude-haiku-5-5")
    assert doctor("claude")[1]["claude"]["model_offered"] is True
    monkeypatch.setenv("BRUNO_LLM_CLAUDE_MODEL", "claude")
    assert doctor("claude")[1]["claude"]["model_offered"] is False


def test_what_nobody_knows_is_advised_about(doctor, openai, monkeypatch):
    monkeypatch.setattr(type(openai), "models", ("my-own-model",))
    monkeypatch.setenv("BRUNO_LLM_OPENAI_MODEL", "my-own-model")
    code, found = doctor("openai")
    assert code == 0
    assert (found["openai"]["window"], found["openai"]["input_price"]) == (None, None)
    assert "context window unknown" in found["openai"]["advice"][0]
    assert "BRUNO_LLM_OPENAI_PRICE_NAME" in found["openai"]["advice"][1]
    assert "BRUNO_LLM_OPENAI_FREE=true" in found["openai"]["advice"][1]


def test_a_file_is_examined(bruno_llm, doctor, ollama, tmp_path):
    config = tmp_path / "llm.yaml"
    config.write_text(f"provider: ollama\nbase_url: {ollama.address}\napi_key: test-key\n")
    code, found = doctor("--config", config)
    assert (code, list(found), found["ollama"]["key"]) == (0, ["ollama"], "config")
    done = bruno_llm("doctor", "--config", tmp_path / "none.yaml")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "none.yaml cannot be read" in done.stderr


def test_a_provider_that_cannot_be_loaded_is_a_failure(doctor, openai, publish):
    publish("broken", "raise RuntimeError('half an installation')\n")
    code, found = doctor()
    assert (code, found["broken"]["status"], found["openai"]["status"]) == (1, "failed", "ok")
    assert "half an installation" in found["broken"]["problem"]


def test_a_class_of_somebody_else_may_raise_what_it_likes(doctor, openai, publish):
    publish(
        "odd",
        """
        from bruno_llm_openai import OpenAIProvider

        class Provider(OpenAIProvider):
            name = "odd"

            def __init__(self, **keywords):
                raise ValueError("sk-canary-7391")
        """,
    )
    _, found = doctor("odd", "openai")
    assert found["odd"]["problem"] == "it cannot be built: ValueError"
    assert found["openai"]["status"] == "ok"


def test_a_name_may_bring_a_model(doctor, openai):
    assert doctor("openai/gpt-4.1")[1]["openai"]["model"] == "gpt-4.1"
    code, found = doctor("openai:gpt-9")
    assert (code, found["openai"]["model_offered"]) == (1, False)


def test_a_vendor_is_known_by_name(doctor, openai, monkeypatch):
    assert "set GROQ_API_KEY" in doctor("groq")[1]["groq"]["problem"]
    monkeypatch.setenv("GROQ_BASE_URL", f"{openai.address}/v1")
    monkeypatch.setenv("GROQ_API_KEY", openai.api_key)
    code, found = doctor("groq/gpt-4.1")
    assert (code, found["groq"]["key"], found["groq"]["address"]) == (
        0,
        "GROQ_API_KEY",
        f"{openai.address}/v1",
    )
    assert doctor()[1]["groq"]["status"] == "failed", "its own default model is not offered here"


def test_a_server_without_a_model_of_its_own_choice_is_looked_at(doctor, openai, monkeypatch):
    monkeypatch.setenv("VLLM_BASE_URL", f"{openai.address}/v1")
    monkeypatch.setenv("VLLM_API_KEY", openai.api_key)
    for arguments in ((), ("vllm",)):
        vllm = doctor(*arguments)[1]["vllm"]
        assert (vllm["status"], vllm["reachable"], vllm["model"]) == ("ok", True, None)
        assert vllm["advice"] == [f"name a model, such as vllm/{openai.models[0]}"]
    assert doctor("vllm/gpt-9")[1]["vllm"]["model_offered"] is False


def test_a_vendor_without_a_list_is_asked_what_it_refuses(bruno_llm, doctor, openai, monkeypatch):
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", openai.api_key)
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", f"{openai.address}/v1")
    code, found = doctor("cloudflare/gpt-5.4")
    assert (code, found["cloudflare"]["reachable"]) == (0, True)
    assert [(each.path, each.body["messages"]) for each in openai.received] == [
        ("/v1/chat/completions", [])
    ]
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "wrong")
    code, found = doctor("cloudflare/gpt-5.4")
    assert (code, found["cloudflare"]["status"]) == (1, "failed")
    done = bruno_llm("models", "cloudflare")
    assert done.exit_code == 1
    assert "no list of" in done.stderr


def test_a_vendor_of_a_file_is_examined(doctor, openai, monkeypatch, tmp_path):
    monkeypatch.setenv("ACME_KEY", openai.api_key)
    config = tmp_path / "acme.toml"
    row = f'base_url = "{openai.address}/v1"\nkey = "ACME_KEY"\n'
    config.write_text(f'provider = "acme/gpt-4.1"\n[vendors.acme]\n{row}')
    code, found = doctor("--config", config)
    assert (code, found["acme"]["key"]) == (0, "ACME_KEY")
    assert found["acme"]["distribution"] == "bruno-llm-openai"


def test_who_is_not_installed_is_no_patient(bruno_llm):
    done = bruno_llm("doctor", "nobody")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "nobody" in done.stderr


def test_all_are_asked_at_once(doctor, openai, claude, gemini, ollama):
    for server in (openai, claude, gemini, ollama):
        server.say(Fault(before_header=2), to="models")
    assert doctor(*FOUR)[0] == 0
    arrivals = [server.received[0].arrived_at for server in (openai, claude, gemini, ollama)]
    answered = min(arrivals) + 2
    assert sum(arrived < answered for arrived in arrivals) >= 2


def test_a_server_that_answers_with_an_error_is_reachable(doctor, openai):
    openai.say(FakeError(kind="server_error"), to="models")
    code, found = doctor("openai")
    assert (code, found["openai"]["reachable"], found["openai"]["status"]) == (1, True, "failed")


def test_a_model_with_any_tag_is_on_offer(doctor, ollama, monkeypatch):
    assert "qwen3:8b" in FakeOllama.models
    monkeypatch.setenv("BRUNO_LLM_OLLAMA_MODEL", "QWEN3:8B")
    assert doctor("ollama")[1]["ollama"]["model_offered"] is True


def test_names_of_others_cannot_steer_the_terminal(capsys):
    from bruno_llm_cli.doctor import Checkup, show

    show([Checkup(provider="a\x1b[31m", distribution="b\x07", version="1\x1b", advice=["c\x1b"])])
    said = capsys.readouterr().out
    assert not {"\x1b", "\x07"} & set(said)
    assert "b\ufffd 1\ufffd" in said
