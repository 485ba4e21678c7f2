"""The examples, as a user starts them, against the fakes."""

import json
import os
import subprocess
import sys
from base64 import b64encode
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest
from bruno_llm_base import CostTracker, ToolCall
from bruno_llm_testing import FakeAnswer, FakeClaude, FakeError, FakeGemini, FakeOllama, FakeOpenAI

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
ADDRESSES = {
    "ANTHROPIC": (FakeClaude, "ANTHROPIC_BASE_URL"),
    "GEMINI": (FakeGemini, "GOOGLE_GEMINI_BASE_URL"),
    "OLLAMA": (FakeOllama, "OLLAMA_HOST"),
    "OPENAI": (FakeOpenAI, "OPENAI_BASE_URL"),
}


@pytest.fixture
def vendors():
    """The running fakes."""
    with ExitStack() as stack:
        yield {vendor: stack.enter_context(kind()) for vendor, (kind, _) in ADDRESSES.items()}


@pytest.fixture
def run(vendors, tmp_path):
    """Start an example, and return what it prints."""

    def run(name, *arguments, typed="", **variables):
        environment = dict(os.environ) | variables
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        for vendor, (_, variable) in ADDRESSES.items():
            environment[variable] = vendors[vendor].connection()["base_url"]
            environment[f"{vendor}_API_KEY"] = vendors[vendor].api_key
        environment["BRUNO_LLM_OPENAI_PRICE_NAME"] = "openai"  # the fake charges as it does
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments],
            cwd=tmp_path,
            env=environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Error" not in done.stderr, done.stderr
        return done.stdout

    return run


def test_every_example_is_tested_here():
    here = Path(__file__).read_text()
    examples = {path.stem for path in EXAMPLES.glob("*.py")} - {"mcp_notes"}  # of an extra
    assert [name for name in examples if f'run("{name}"' not in here] == []


def test_every_example_is_listed_and_short():
    page = (ROOT / "docs" / "examples.md").read_text()
    for path in EXAMPLES.iterdir():
        if path.suffix == ".py":
            assert f"| [`{path.name}`](#" in page
            assert f'--8<-- "examples/{path.name}"' in page
            assert len(path.read_text().splitlines()) < 100, path
        elif not path.name.startswith("_"):
            assert f"[`{path.name}/`](" in page


def test_media_are_sent(run, vendors, tmp_path):
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\3\0\0\0\2"
    (tmp_path / "cat.jpg").write_bytes(header + b"\x08\x02\0\0\0")
    server = vendors["GEMINI"]
    server.say(FakeAnswer(text="A cat."))
    out = run("media", "What is this?", "cat.jpg", BRUNO_LLM_PROVIDER="gemini")
    assert out.startswith("[about ")
    assert "A cat." in out
    assert b64encode(header).decode() in str(server.bodies[-1])
    out = run("media", "What is this?", "dog.jpg", BRUNO_LLM_PROVIDER="gemini")
    assert out == "[dog.jpg: 'dog.jpg' does not exist: give the path of a file]\n"


@pytest.mark.parametrize("name", ["ollama", "openai"])
def test_extract_reads_a_typed_list(run, vendors, name, tmp_path):
    (tmp_path / "letter.txt").write_text("Ada comes.")
    visits = [{"who": "Ada", "day": None, "certain": "yes"}]
    text = json.dumps({"result": visits} if name == "openai" else visits)
    server = vendors[name.upper()]
    server.say(FakeAnswer(text="Ada"), FakeAnswer(text=text))
    out = run("typed_output", "letter.txt", BRUNO_LLM_PROVIDER=name)
    assert "Ada: some day (yes)" in out
    assert "[36 tokens]" in out


def test_a_third_partys_provider_fits_a_screen():
    source = EXAMPLES / "bruno-llm-parrot" / "src" / "bruno_llm_parrot.py"
    assert len(source.read_text().splitlines()) < 80


def test_basic_asks_all_that_are_installed(run, vendors):
    vendors["GEMINI"].say(FakeError(kind="permission"))
    out = run("every_provider", "Who", "is", "there?")
    for name in ("claude", "ollama", "openai"):
        assert f"{name}: Hello from the fake server." in out
    assert "gemini: PermissionDeniedError" in out
    assert "11 tokens in, 7 out" in out
    assert "Who is there?" in str(vendors["OPENAI"].bodies)
    assert "[not set up, or not running: azure, cerebras, " in out


def test_streaming_keeps_the_conversation(run, vendors):
    server = vendors["ANTHROPIC"]
    server.say(FakeAnswer(text="I am Claude."), FakeAnswer(text="Quite."))
    out = run("terminal_chat", typed="Who are you?\nReally?\n\n", BRUNO_LLM_PROVIDER="claude")
    assert out.index("I am Claude.") < out.index("Quite.")
    said = [str(message["content"]) for message in server.bodies[1]["messages"]]
    assert ["Who" in said[0], "I am" in said[1], "Really" in said[2]] == [True] * 3


def test_streaming_goes_on_after_an_error(run, vendors):
    vendors["OLLAMA"].say(FakeError(kind="permission"))
    out = run("terminal_chat", typed="Who?\nWho?\n", BRUNO_LLM_PROVIDER="ollama")
    assert out.index("[PermissionDeniedError") < out.index("Hello from the fake server.")


def test_costs_are_told_by_task_and_person(run, tmp_path):
    for _ in range(2):
        out = run("costs", "costs.db", BRUNO_LLM_PROVIDER="openai")
        assert "greeting for ana: 0.0" in out
        assert "summary for ben: 0.0" in out
        assert "left today for ana: 0.49" in out
        assert "left today for ben: 0.49" in out
    assert CostTracker(tmp_path / "costs.db").total(tag="summary").requests == 4


def test_costs_are_not_spent_beyond_the_budget(run, vendors, tmp_path):
    spent = CostTracker(tmp_path / "costs.db")
    spent.record(provider="openai", model="gpt-6.1-terra", cost=Decimal("0.4999"), user="ana")
    spent.close()
    out = run("costs", "costs.db", BRUNO_LLM_PROVIDER="openai")
    assert "greeting for ana: not sent: " in out
    assert "left today for ana: 0.0001 USD" in out
    assert "greeting for ben: 0.0" in out
    assert len(vendors["OPENAI"].bodies) == 2


def test_fallback_asks_the_next_one(run, vendors):
    vendors["ANTHROPIC"].say(FakeError(kind="quota"))
    out = run("fallback", "parrots", "claude", "gemini")
    assert "[parrots is left out: no provider is called 'parrots'" in out
    assert "[claude was passed over: " in out
    assert "gemini: Hello from the fake server." in out


def test_a_custom_provider_is_a_name_and_some_defaults(run, vendors):
    address = vendors["OPENAI"].connection()["base_url"]
    key = vendors["OPENAI"].api_key
    out = run("custom_provider", LAB_BASE_URL=address, LAB_API_KEY=key)
    assert "lab, gpt-6.1-terra: Hello from the fake server." in out
    assert "the laboratory pays" in out


def test_voice_speaks_sentence_by_sentence(run, vendors):
    vendors["GEMINI"].say(FakeAnswer(text="It was late. Dr. Who came in! Nobody spoke."))
    out = run("speak_sentences", "Tell me.", BRUNO_LLM_PROVIDER="gemini")
    assert out.splitlines() == [
        "(3 words) It was late.",
        "(4 words) Dr. Who came in!",
        "(2 words) Nobody spoke.",
    ]


def test_the_assistant_remembers(run, vendors):
    server = vendors["OLLAMA"]
    server.say(FakeAnswer(text="I am Bruno."), FakeAnswer(text="Ana."))
    out = run("bruno_core_assistant", BRUNO_LLM_PROVIDER="ollama")
    assert "What is my name?\n  Ana." in out
    said = [message["content"] for message in server.bodies[1]["messages"]]
    assert said[0] == "You are a friendly assistant."
    assert said[1:] == ["My name is Ana. Who are you?", "I am Bruno.", "What is my name?"]


def calls(*named):
    """Return an answer that calls tools."""
    return FakeAnswer(
        text="",
        finish_reason="tool_call",
        tool_calls=tuple(
            ToolCall(id=f"call_{place}", name=name, arguments=json.dumps(arguments))
            for place, (name, arguments) in enumerate(named)
        ),
    )


@pytest.mark.parametrize("answer", ["y", "n"])
def test_tools_asks_before_it_writes(run, vendors, tmp_path, answer):
    (tmp_path / "notes.txt").write_text("Buy bread")
    server = vendors["ANTHROPIC"]
    server.say(calls(("list_files", {}), ("read_file", {"name": "notes.txt"})))
    server.say(calls(("write_file", {"name": "summary.txt", "text": "Bread"})))
    server.say(calls(("read_file", {"name": "../secret"})))
    out = run("tools", "Sum", "up", typed=f"{answer}\n", BRUNO_LLM_PROVIDER="claude")
    assert "[write summary.txt? y/n]" in out
    assert "[4 rounds, 72 tokens]" in out
    assert (tmp_path / "summary.txt").exists() == (answer == "y")
    results = [
        block.get("content")
        for message in server.bodies[-1]["messages"]
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    assert results[:2] == ['["notes.txt"]', "Buy bread"]
    assert "not in this folder" in results[3]


def test_abilities_are_chosen_by_the_model(run, vendors):
    server = vendors["OLLAMA"]
    add = [("shopping_list", {"action": "add", "article": name}) for name in ("bread", "milk")]
    server.say(calls(*add), FakeAnswer(text="Noted."))
    server.say(calls(("shopping_list", {"action": "show"})), FakeAnswer(text="Bread and milk."))
    out = run("bruno_core_abilities", BRUNO_LLM_PROVIDER="ollama")
    assert "What do I need?\n  Bread and milk.\n" in out
    sent = json.dumps(server.bodies[-1]).replace("\\", "").replace(" ", "")
    assert '{"articles":["bread","milk"]}' in sent
