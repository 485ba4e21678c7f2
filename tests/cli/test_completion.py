"""Completion, by bash itself and the script that the command gives it; no server is asked."""

import json
import re
import shutil
import string
import subprocess
import sys

import pytest
from bruno_llm_cli.app import app
from typer.testing import CliRunner

NO_DETECTION = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # of the shell, by its process
MAIN = "from bruno_llm_cli import main; main()"
BASH = shutil.which("bash")


@pytest.fixture
def complete(process, tmp_path):
    """Return what bash completes a line to, by the function that it calls at the TAB key."""
    script = process("--show-completion", "bash", env=NO_DETECTION).stdout.decode()
    command = tmp_path / "bruno-llm"
    command.write_text(f"#!{sys.executable} -Wignore\nfrom bruno_llm_cli import main\nmain()\n")
    command.chmod(0o755)

    def complete(*words):
        quoted = " ".join(f"'{word}'" for word in words)
        program = (
            f"{script}\nCOMP_WORDS=(bruno-llm {quoted}); COMP_CWORD={len(words)}\n"
            f"_bruno_llm_completion '{command}' && printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        )
        done = subprocess.run(
            [BASH, "--norc"], input=program, capture_output=True, text=True, check=False
        )
        assert done.stderr == ""
        return done.stdout.split()

    return complete


def test_commands_and_options_are_completed(complete):
    assert complete("do") == ["doctor"]
    assert complete("ask", "--max") == ["--max-tokens"]
    assert complete("-m", "claude/claude-sonnet-5-5", "--no-st") == ["--no-stream"]  # it is `ask`


def test_providers_and_their_models_are_completed(complete, openai):
    assert complete("doctor", "o") == ["ollama", "openai", "openrouter"]
    assert complete("ask", "--provider", "cl") == ["claude", "cloudflare"]
    assert "openai/gpt-5.4-mini" in complete("ask", "-m", "opena")
    assert complete("compare", "hi", "-m", "openai/gpt-5.4-m") == ["openai/gpt-5.4-mini"]
    assert complete("ask", "--provider", "claude", "-m", "claude-sonnet-5-") == [
        "claude-sonnet-5-5"
    ]
    small = complete("embed", "notes", "-m", "openai/text-embedding-3-s")
    assert small == ["openai/text-embedding-3-small"]
    assert not openai.received


def test_collections_and_templates_are_completed(complete, bruno_llm, openai, tmp_path):
    assert complete("similar", "n") == complete("ask", "-t", "s") == []
    bruno_llm("embed", "notes", "-m", "openai", "cats")
    folder = tmp_path / "home" / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.md").write_text("Sum up: {{ text }}")
    assert complete("similar", "n") == ["notes"]
    assert complete("ask", "-t", "s") == ["summary"]


def test_conversations_are_completed_with_their_first_words(complete, bruno_llm, openai, process):
    assert complete("-c", "--conversation", "") == []
    bruno_llm("logs", "on")
    bruno_llm("Why is the sky blue?")
    bruno_llm("What is a river?")
    document = json.loads(bruno_llm("logs", "--json").stdout)
    sky, river = (each["conversation_id"] for each in document["responses"])
    bruno_llm("--conversation", sky, "And at night?")  # now it is the latest
    assert sorted(complete("ask", "--conversation", "")) == sorted([sky, river])
    assert complete("logs", "--conversation", river[:9]) == [river]
    fish = {"_BRUNO_LLM_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    line = {"_TYPER_COMPLETE_ARGS": "bruno-llm chat --conversation "}
    shown = process(env={**fish, **line}, main=f"import sys; sys.argv[0] = 'bruno-llm'; {MAIN}")
    told = [line.split("\t") for line in shown.stdout.decode().splitlines()]
    assert told == [[sky, "Why is the sky blue?"], [river, "What is a river?"]]


def completed(shell, line):
    """Return what this process gives the script of a shell at the TAB key."""
    env = {
        "_BRUNO_LLM_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": f"bruno-llm {line}",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = CliRunner().invoke(app, [], env=env, prog_name="bruno-llm")
    assert isinstance(done.exception, SystemExit | None), (shell, line, done.exception)
    assert done.stderr == "", (shell, line)
    return done.stdout


SIGNS = string.punctuation + "\t\n\r\x00\x1b\x9b\u2028\u202e\U0001f600"
EVIL = (
    r"\$(touch pwned) \`touch pwned`",
    "s[/a][bold] :::x",
    *(f"Is {SIGNS[i : i + 7]} harmless?" for i in range(0, len(SIGNS), 7)),
)
WORD = r"[\w./@-]+"
HELP = r"[\w .,?!/-]{0,60}"
OFFERED = {
    "zsh": rf"_files|_arguments '\*: :\(\((\"{WORD}\"(:\"{HELP}\")?\n?)+\)\)'",
    "fish": rf"({WORD}(\t{HELP})?\n?)*",
    "powershell": rf"({WORD}:::{HELP}\n?)*",
}


def test_nothing_from_outside_reaches_a_shell_but_words(bruno_llm, openai, home):
    bruno_llm("logs", "on")
    (home / "templates").mkdir()
    for text in (*EVIL, "plain"):
        bruno_llm("ask", "--", f"{text} {'so ' * 40}")
        bruno_llm("embed", "-m", "openai", "--", text, "cats")
        name = re.sub(r"[/\0]", "", text)
        (home / "templates" / f"{name}.md").write_text("{{ text }}")
    for shell, offered in OFFERED.items():
        for line in ("--conversation ", "similar ", "collections --delete ", "ask -t "):
            given = completed(shell, line).rstrip("\n")
            assert re.fullmatch(offered, given), (shell, given)
            assert "plain" in given


def test_no_completion_tells_an_error(monkeypatch, tmp_path):
    nothing = tmp_path / "nothing"
    nothing.write_text("")
    for place in (tmp_path / "home", nothing):
        monkeypatch.setenv("BRUNO_LLM_HOME", str(place))
        for line in (
            "--conversation ",
            "similar ",
            f"similar -d {tmp_path} ",
            "ask -t ",
            "modls ",
            "modls --ver",
            "--version ",
            "ask --provider nosuch -m ",
            "ask --max-tokens x -m openai/gp",
        ):
            for shell in ("zsh", "fish"):
                assert "Error" not in completed(shell, line)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script(process, shell):
    done = process("--show-completion", shell, env=NO_DETECTION)
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"_BRUNO_LLM_COMPLETE=complete_{shell}".encode() in done.stdout
