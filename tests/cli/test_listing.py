"""What is installed, and what it offers."""

import json
from io import StringIO

import pytest
from bruno_llm_base.discovery import installed
from bruno_llm_cli.models import show_providers
from bruno_llm_testing import FakeError, FakeOpenAI, RawReply
from rich.console import Console

BROKEN = "import something_that_nobody_has\n"


def test_providers_are_listed_for_people(bruno_llm):
    done = bruno_llm("providers")
    assert done.exit_code == 0
    for name in ("claude", "gemini", "ollama", "openai"):
        assert f"bruno-llm-{name}" in done.stdout
    assert "\x1b[" not in done.stdout


@pytest.mark.parametrize("width", [60, 120])
def test_the_list_of_providers_fits_a_terminal(monkeypatch, width):
    out = StringIO()
    terminal = Console(width=width, file=out)
    monkeypatch.setattr("bruno_llm_cli.output.console", lambda: terminal)
    infos = installed()
    show_providers(infos, as_json=False)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= 40
    words = {word.strip(",") for line in lines for word in line.split()}
    assert {info.name for info in infos} <= words, "no name is broken"


def test_providers_are_listed_for_programs(bruno_llm):
    document = json.loads(bruno_llm("providers", "--json").stdout)
    found = {row["provider"]: row for row in document["providers"]}
    assert set(found["ollama"]) == {
        *("provider", "distribution", "version", "capabilities", "error")
    }
    assert "pull" in found["ollama"]["capabilities"]
    assert "pull" not in found["openai"]["capabilities"]


def test_a_provider_that_cannot_be_loaded_breaks_nothing_else(bruno_llm, publish, openai):
    publish("broken", BROKEN)
    document = json.loads(bruno_llm("providers", "--json").stdout)
    (broken,) = (row for row in document["providers"] if row["provider"] == "broken")
    assert (broken["distribution"], broken["version"]) == ("third-party-broken", "1.2.3")
    assert "something_that_nobody_has" in broken["error"]
    assert {"claude", "gemini", "ollama", "openai"} <= {
        row["provider"] for row in document["providers"] if row["error"] is None
    }
    assert "something_that_nobody_has" in bruno_llm("providers").stdout
    assert bruno_llm("ask", "--provider", "openai", "hi").exit_code == 0
    done = bruno_llm("ask", "--provider", "broken", "hi")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "cannot be loaded" in done.stderr


def test_the_models_of_one_provider(bruno_llm, openai):
    done = bruno_llm("models", "openai", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert [row["model"] for row in document["models"]] == sorted(FakeOpenAI.models)
    assert {row["provider"] for row in document["models"]} == {"openai"}
    windows = {row["model"]: row["context_window"] for row in document["models"]}
    assert windows["gpt-4.1"] >= 1_000_000
    assert document["errors"] == []
    assert "gpt-4.1" in bruno_llm("models", "openai").stdout
    assert json.loads(bruno_llm("models", "openai/gpt-4.1", "--json").stdout) == document


def test_the_models_of_a_server_without_a_model_of_its_own_choice(bruno_llm, openai, monkeypatch):
    monkeypatch.setenv("VLLM_BASE_URL", f"{openai.address}/v1")
    monkeypatch.setenv("VLLM_API_KEY", openai.api_key)
    document = json.loads(bruno_llm("models", "vllm", "--json").stdout)
    assert [row["model"] for row in document["models"]] == sorted(FakeOpenAI.models)


def test_the_models_of_all_providers(bruno_llm, openai, claude, nobody):
    done = bruno_llm("models", "--json")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert {row["provider"] for row in document["models"]} == {"openai", "claude"}
    errors = {row["provider"]: row["error"] for row in document["errors"]}
    assert "GEMINI_API_KEY" in errors["gemini"]
    assert nobody in errors["ollama"]
    done = bruno_llm("models")
    assert done.exit_code == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("bruno-llm: not set up: ")
    assert {"gemini", "ollama"} <= set(line.split(": ")[2].partition(";")[0].split(", "))


def test_one_that_is_set_up_and_fails_says_why(bruno_llm, openai, claude, nobody):
    openai.say(FakeError(kind="authentication"), to="models")
    said = bruno_llm("models").stderr.splitlines()
    assert said[0].startswith("bruno-llm: openai: ")
    assert said[1].startswith("bruno-llm: not set up: ")


def test_a_class_of_somebody_else_breaks_no_list(bruno_llm, openai, publish):
    publish(
        "odd",
        """
        from bruno_llm_openai import OpenAIProvider

        class Provider(OpenAIProvider):
            def __init__(self, **keywords):
                raise ValueError("sk-canary-7391")
        """,
    )
    document = json.loads(bruno_llm("models", "--json").stdout)
    errors = {row["provider"]: row["error"] for row in document["errors"]}
    assert errors["odd"] == "it cannot be built: ValueError"
    assert {row["provider"] for row in document["models"]} >= {"openai"}


BARE = """
    from bruno_core.interfaces import LLMInterface

    class Provider(LLMInterface):
        async def generate(self, messages, **options): ...
        async def stream(self, messages, **options): ...
        async def check_connection(self): return True
        async def list_models(self): raise ValueError("sk-canary-7391")
        def get_token_count(self, text): return 1
        def get_model_info(self): return {"model": "bare"}
        def set_system_prompt(self, prompt): ...
        def get_system_prompt(self): ...
"""


def test_a_list_of_somebody_else_that_fails_breaks_no_other(bruno_llm, openai, publish):
    publish("bare", BARE)
    document = json.loads(bruno_llm("models", "--json").stdout)
    errors = {row["provider"]: row["error"] for row in document["errors"]}
    assert errors["bare"] == "its models cannot be listed: ValueError"
    assert {row["provider"] for row in document["models"]} >= {"openai"}


def test_a_module_that_exits_breaks_nothing_else(bruno_llm, publish):
    publish("leaver", "import sys; sys.exit('no licence')")
    done = bruno_llm("providers", "--json")
    (row,) = (row for row in json.loads(done.stdout)["providers"] if row["provider"] == "leaver")
    assert (done.exit_code, "cannot be loaded: no licence" in row["error"]) == (0, True)


def test_two_of_one_name_are_shown_as_such(bruno_llm, openai, publish):
    publish("openai", BARE)
    providers = json.loads(bruno_llm("providers", "--json").stdout)["providers"]
    twins = [row["error"] for row in providers if row["provider"] == "openai"]
    assert len(twins) == 2
    assert all("bruno-llm-openai, third-party-openai; uninstall" in error for error in twins)
    found = json.loads(bruno_llm("doctor", "--json").stdout)["providers"]
    checked = [(row["status"], row["problem"]) for row in found if row["provider"] == "openai"]
    assert checked == [("failed", twin) for twin in twins]


def test_a_mock_is_asked_by_name_only(bruno_llm, openai, publish, monkeypatch):
    publish("mock2", "from bruno_llm_testing import MockLLM as Provider")
    for command in ("models", "doctor"):
        assert "mock" not in bruno_llm(command, "--json").stdout
    assert '"mock-model"' in bruno_llm("models", "mock2", "--json").stdout
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert bruno_llm("doctor").exit_code == 1, "a mock that works says nothing about providers"


def test_no_models_are_a_failure(bruno_llm, openai):
    openai.say(FakeError(kind="authentication"), times=2, to="models")
    done = bruno_llm("models", "openai")
    assert done.exit_code == 1
    assert "openai: " in done.stderr
    assert bruno_llm("models", "opneai").exit_code == 1
    assert "did you mean 'openai'" in bruno_llm("models", "opneai").stderr


@pytest.mark.parametrize("name", ["[bold]red[/bold]", "a\x1b]0;owned\x07"])
def test_names_from_a_server_are_shown_as_they_are(bruno_llm, openai, name):
    listed = json.dumps({"object": "list", "data": [{"id": name, "object": "model"}]})
    openai.say(RawReply(body=listed.encode()), to="models")
    shown = bruno_llm("models", "openai").stdout
    assert name.replace("\x1b", "\ufffd").replace("\x07", "\ufffd") in shown
