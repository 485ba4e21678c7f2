"""Models are fetched, and how far that is can be seen."""

import json

from bruno_llm_testing import FakeError


def test_a_model_is_fetched(bruno_llm, ollama):
    done = bruno_llm("pull", "smollm2:135m")
    assert (done.exit_code, done.stdout) == (0, "")
    steps = done.stderr.splitlines()
    assert steps[0] == "bruno-llm: pulling manifest"
    assert steps[-1] == "bruno-llm: smollm2:135m is there"
    assert len(steps) == len(set(steps))
    assert "smollm2:135m" in bruno_llm("models", "ollama").stdout


def test_it_is_told_as_json(bruno_llm, ollama):
    document = json.loads(bruno_llm("pull", "smollm2:135m", "--json").stdout)
    assert document == {"provider": "ollama", "model": "smollm2:135m"}


def test_there_is_a_bar_at_a_terminal(bruno_llm, ollama, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = bruno_llm("pull", "smollm2:135m")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "2.0/2.0 GB" in done.stderr


def test_what_cannot_be_fetched(bruno_llm, ollama):
    done = bruno_llm("pull", "nobody/nothing")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "ollama.com/library" in done.stderr
    ollama.say(FakeError(kind="server_error", in_stream=True))
    assert bruno_llm("pull", "smollm2:135m").exit_code == 1


def test_the_provider_that_can_is_found(bruno_llm, ollama, monkeypatch):
    for named in ("openai", "'openai/gpt-6-sol'", "ollama/qwen3:8b"):
        monkeypatch.setenv("BRUNO_LLM_PROVIDER", named)
        assert bruno_llm("pull", "smollm2:135m").exit_code == 0
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    done = bruno_llm("pull", "-p", "openai", "gpt-6-sol")
    assert done.exit_code == 1
    assert "openai cannot pull models: ollama can" in done.stderr


def test_without_a_server_it_is_said_how_to_start_one(bruno_llm, nobody):
    done = bruno_llm("pull", "smollm2:135m")
    assert done.exit_code == 1
    assert "ollama serve" in done.stderr
