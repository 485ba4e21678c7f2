"""Templates: files of prompts in the user's folder, for `ask`, `map` and `batch`."""

import json
import os
from pathlib import Path

import pytest

SUMMARY = """\
---
version: 2
system: You are {{ tone }}.
untrusted: [input]
defaults: {tone: brief}
options: {model: gpt-4.1, max_tokens: 50, user: ann}
---
Summarize for {{ audience }}:
{{ input }}
"""


@pytest.fixture
def template():
    """Write a template into the user's folder."""
    folder = Path(os.environ["BRUNO_LLM_HOME"]) / "templates"

    def write(text, name="summary.md"):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_template_takes_the_question_and_its_values(bruno_llm, openai, template):
    template(SUMMARY)
    done = bruno_llm(
        "ask", "-t", "summary", "-p", "audience=a=b {{ c }}", "in one line", text="A tale."
    )
    assert (done.exit_code, done.stderr) == (0, "")
    (body,) = openai.bodies
    assert [message["content"] for message in body["messages"]] == [
        "You are brief.",
        "Summarize for a=b {{ c }}:\nA tale.\n\nin one line",
    ]
    assert (body["model"], body["max_tokens"], body["user"]) == ("gpt-4.1", 50, "ann")


def test_the_command_line_wins_over_the_template(bruno_llm, openai, template):
    template(SUMMARY)
    own = ("-m", "gpt-5.4", "--max-tokens", 7, "-o", "user=bob", "-s", "Be kind.")
    bruno_llm("-t", "summary", "-p", "audience=us", "-p", "tone=loud", *own, "x", text="")
    (body,) = openai.bodies
    assert (body["model"], body["user"], 7 in body.values()) == ("gpt-5.4", "bob", True)
    assert body["messages"][0]["content"] == "Be kind.\n\nYou are loud."


def test_a_template_names_its_provider(bruno_llm, openai, claude, template):
    template("---\noptions: {model: claude/claude-opus-5-5}\n---\nhi")
    assert bruno_llm("-t", "summary").exit_code == 0
    assert bruno_llm("-t", "summary", "--provider", "openai").exit_code == 0
    assert [body["model"] for body in claude.bodies] == ["claude-opus-5-5"]
    assert len(openai.bodies) == 1


def test_a_template_without_input_waits_for_nothing(bruno_llm, openai, template):
    template("Tell a joke about {{ what }}.", "joke.md")
    assert bruno_llm("-t", "joke", "-p", "what=cats").exit_code == 0
    assert openai.bodies[0]["messages"][0]["content"] == "Tell a joke about cats."
    done = bruno_llm("-t", "joke", "-p", "what=cats", "and dogs")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "the template joke takes no text: write {{ input }} where it is to stand" in done.stderr


def test_a_file_is_a_template_too(bruno_llm, openai, tmp_path):
    path = tmp_path / "own.md"
    path.write_bytes("Grüße: {{ input }}".encode("utf-16"))
    assert bruno_llm("-t", path, "x", text="").exit_code == 0
    assert openai.bodies[0]["messages"][0]["content"] == "Grüße: x"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["-t", "sumary", "x"], 1, "templates has no template 'sumary': did you mean 'summary'?"),
        (["-t", "summary", "x"], 2, "summary needs more values: give -p audience=..."),
        (["-t", "summary", "-p", "audiense=1", "x"], 2, "did you mean 'audience'?"),
        (["-t", "summary", "-p", "audience", "x"], 2, "give KEY=VALUE"),
        (["-t", "summary", "-p", "audience=us"], 2, "the text is empty"),
        (["-p", "audience=us", "x"], 2, "give --template too"),
        (["-t", "broken"], 1, "broken.md, line 2: unexpected end of template"),
        (["-t", "./none.md"], 1, "none.md cannot be read"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_sent(bruno_llm, openai, template, words, code, told):
    template(SUMMARY)
    template("a\n{{ b", "broken.md")
    done = bruno_llm("ask", *words, text="")
    assert (done.exit_code, done.stdout) == (code, "")
    assert told in " ".join(done.stderr.split())
    assert not openai.received


def test_without_any_template_the_folder_is_told(bruno_llm):
    home = os.environ["BRUNO_LLM_HOME"]
    done = bruno_llm("templates")
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"write one, such as {home}/templates/summary.md" in done.stderr
    assert bruno_llm("templates", "path").stdout == f"{home}/templates\n"
    assert json.loads(bruno_llm("templates", "path", "--json").stdout) == {
        "path": f"{home}/templates"
    }
    assert json.loads(bruno_llm("templates", "--json").stdout)["templates"] == []
    assert bruno_llm("ask", "-t", "a").stderr.endswith("has no template 'a'\n")


def test_templates_are_listed_with_what_is_wrong(bruno_llm, template):
    path = template(SUMMARY)
    template("{{ b", "broken.md")
    lines = bruno_llm("templates").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["broken", "summary"]
    assert "unexpected end of template" in lines[2]
    assert "audience, input, tone" in lines[3]
    broken, summary = json.loads(bruno_llm("templates", "--json").stdout)["templates"]
    assert "line 1: unexpected end of template" in broken["problem"]
    assert summary == {
        "name": "summary",
        "path": str(path),
        "version": "2",
        "variables": ["audience", "input", "tone"],
        "problem": None,
    }


def test_a_template_is_shown_as_it_stands(bruno_llm, template):
    path = template(SUMMARY)
    assert bruno_llm("templates", "show", "summary").stdout == SUMMARY
    told = json.loads(bruno_llm("templates", "show", "summary", "--json").stdout)
    assert told == {
        "path": str(path),
        "name": "summary",
        "version": "2",
        "system": "You are {{ tone }}.",
        "text": "Summarize for {{ audience }}:\n{{ input }}\n",
        "defaults": {"tone": "brief"},
        "options": {"model": "gpt-4.1", "max_tokens": 50, "user": "ann"},
        "variables": ["audience", "input", "tone"],
        "untrusted": ["input"],
    }
    done = bruno_llm("templates", "show", "sumary")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "did you mean 'summary'?" in done.stderr


def test_rows_take_a_template(bruno_llm, openai, template, tmp_path):
    template(
        "---\nsystem: Be brief.\noptions: {model: gpt-4.1, temperature: 0.5}\n---\nGood or bad? {{ text }}",
        "verdict.md",
    )
    rows, into = tmp_path / "rows.csv", tmp_path / "out.jsonl"
    rows.write_text("id,text\n1,{{ a }}\n2,b\n")
    for _ in range(2):
        done = bruno_llm("map", rows, "-t", "verdict", "-o", into, "--key", "id")
        assert done.exit_code == 0, done.stderr
    assert sorted(body["messages"][1]["content"] for body in openai.bodies) == [
        "Good or bad? b",
        "Good or bad? {{ a }}",
    ]
    assert {body["temperature"] for body in openai.bodies} == {0.5}
    done = bruno_llm("batch", "submit", rows, "-t", "verdict", "--key", "id")
    assert (done.exit_code, done.stdout.startswith("openai:")) == (0, True)
    for both in ((), ("-p", "{text}", "-t", "verdict")):
        for command in (("map", rows, "-o", into), ("batch", "submit", rows)):
            done = bruno_llm(*command, *both)
            assert (done.exit_code, done.stdout) == (2, "")
            assert "--template" in done.stderr


def test_jinja_is_loaded_for_templates_only(process, openai):
    code = "import sys; from bruno_llm_cli import app; assert not {'jinja2', 'yaml'} & {*sys.modules} - set(old)"
    done = process(main=f"import bruno_llm_base, sys; old = [*sys.modules]; {code}")
    assert done.returncode == 0, done.stderr
