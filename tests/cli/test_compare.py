"""The command `compare`: one prompt, several models."""

import json

import pytest
from bruno_llm_testing import FakeAnswer, FakeError, Fault

MODELS = ("-m", "openai/gpt-5.4-mini", "-m", "claude/claude-sonnet-5-5", "-m", "ollama/llama3.2")


@pytest.fixture
def servers(openai, claude, ollama):
    openai.say(FakeAnswer(text="Paris."))
    claude.say(FakeAnswer(text="It is Paris."))
    ollama.say(FakeAnswer(text="paris"))
    return openai, claude, ollama


def answers(done):
    return json.loads(done.stdout)["answers"]


def test_all_answers_are_told_with_time_tokens_and_money(bruno_llm, servers):
    models = ("-m", "openai/gpt-5.4-mini", "-m", "claude", "-m", "ollama:llama3.2")
    done = bruno_llm("compare", "Capital of France?", *models)
    assert (done.exit_code, done.stderr) == (0, "")
    names = ["openai/gpt-5.4-mini", "claude/claude-sonnet-5-5", "ollama/llama3.2"]
    places = [done.stdout.index(f"{name}\n---") for name in names]
    assert places == sorted(places)
    assert "It is Paris." in done.stdout
    title, _, *rows = done.stdout.strip().splitlines()[-5:]
    assert title.split() == ["model", "first", "total", "in", "out", "cost"]
    assert [row.split()[0] for row in rows] == names
    assert [row.split()[-3:-1] for row in rows] == [["11", "7"]] * 3
    assert rows[-1].split()[-1] == "$0"


def test_a_wide_terminal_shows_the_answers_side_by_side(at_a_terminal, servers):
    shown = at_a_terminal("compare", "Capital of France?", *MODELS, columns=120)
    words = [line.split() for line in shown]
    assert ["Paris.", "It", "is", "Paris.", "paris"] in words


def test_a_narrow_terminal_shows_one_below_the_other_and_cuts_nothing(
    at_a_terminal, openai, claude
):
    openai.say(FakeAnswer(text="Paris is the capital of France, and has been so for a long time."))
    shown = at_a_terminal("compare", "Capital of France?", *MODELS[:4], columns=60)
    lines = [line.rstrip() for line in shown]
    below = lines[lines.index("openai/gpt-5.4-mini") :]
    assert max(map(len, below)) <= 60
    assert "for a long time." in " ".join(below)
    assert "claude/claude-sonnet-5-5" in below
    (title,) = [line for line in lines if line.startswith("model ")]
    assert title.split() == ["model", "first", "total", "in", "out", "cost"]


def test_programs_read_the_same(bruno_llm, servers):
    found = answers(bruno_llm("compare", "--json", "Capital of France?", *MODELS))
    assert [answer["text"] for answer in found] == ["Paris.", "It is Paris.", "paris"]
    for answer in found:
        assert answer["prompt"] == "Capital of France?"
        assert 0 < answer["first_piece"] <= answer["duration"]
        assert answer["usage"]["input_tokens"] == 11
        assert (answer["error"], answer["finish_reason"]) == (None, "stop")
    assert float(found[0]["cost"]) > 0


def test_they_are_asked_at_the_same_time(bruno_llm, publish):
    publish(
        "twin",
        """
        import asyncio
        from bruno_core.interfaces import LLMInterface

        both = asyncio.Barrier(2)

        class Provider(LLMInterface):
            def __init__(self, model):
                self.model = model
            async def stream(self, messages, temperature=None, max_tokens=None, **kwargs):
                await both.wait()
                yield f"{self.model} is here"
            def get_model_info(self):
                return {"provider": "twin", "model": self.model}
            async def generate(self, messages, temperature=None, max_tokens=None, **kwargs): ...
            def get_token_count(self, text): ...
            async def check_connection(self): ...
            async def list_models(self): ...
            def set_system_prompt(self, prompt): ...
            def get_system_prompt(self): ...
        """,
    )
    done = bruno_llm("compare", "hi", "-m", "twin/a", "-m", "twin/b")
    assert done.exit_code == 0
    assert done.stdout.index("a is here") < done.stdout.index("b is here")


def test_one_that_fails_stops_no_other(bruno_llm, openai, claude, monkeypatch):
    openai.say(FakeError(kind="invalid_request"))
    claude.say(FakeAnswer(text="Here."))
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    words = ("compare", "hi", *MODELS[:4], "-m", "gemini/gemini-3-pro", "-m", "nobodys/model")
    done = bruno_llm(*words)
    assert done.exit_code == 1
    assert "Here." in done.stdout
    assert done.stdout.count("[failed: ") == 3
    openai.say(FakeError(kind="invalid_request"))
    found = answers(bruno_llm(*words, "--json"))
    assert [answer["error"] is None for answer in found] == [False, True, False, False]
    assert "GEMINI_API_KEY" in found[2]["error"]


def test_what_had_come_before_a_failure_is_told(bruno_llm, openai, claude):
    openai.say(Fault(FakeAnswer(text="one two three four"), after=3, then="close"))
    broken, whole = answers(bruno_llm("compare", "hi", *MODELS[:4], "--json"))
    assert broken["text"].startswith("one")
    assert broken["error"]
    assert whole["error"] is None


def test_a_file_holds_more_questions(bruno_llm, openai, claude, tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text("one\n\ntwo\n", encoding="utf-8")
    words = ("compare", "--prompts", path, *MODELS[:4])
    found = answers(bruno_llm(*words, "--json"))
    assert [answer["prompt"] for answer in found] == ["one", "one", "two", "two"]
    done = bruno_llm(*words, "zero")
    assert [line for line in done.stdout.splitlines() if line.startswith("> ")] == [
        "> zero",
        "> one",
        "> two",
    ]
    assert done.stdout.strip().splitlines()[-2].split()[-3:-1] == ["33", "21"]


def test_costs_are_booked(bruno_llm, openai, claude, tmp_path):
    ledger = tmp_path / "costs.db"
    assert bruno_llm("compare", "hi", *MODELS[:4], "--ledger", ledger).exit_code == 0
    report = json.loads(bruno_llm("costs", ledger, "--format", "json").stdout)
    assert {row["provider"] for row in report["rows"]} == {"openai", "claude"}
