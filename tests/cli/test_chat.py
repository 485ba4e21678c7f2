"""A conversation, piped and at a real terminal."""

import json
import os
import pty
import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress

import pytest
from bruno_llm_testing import FakeAnswer, FakeError, Fault

TERMINAL = """
import os, sys
terminal = os.open(sys.argv[1], os.O_RDWR)  # it becomes the session's own, so that Ctrl-C is heard
for number in (0, 1, 2):
    os.dup2(terminal, number)
main = "from bruno_llm_cli import main; main()"
os.execv(sys.executable, [sys.executable, "-W", "ignore", "-c", main, *sys.argv[2:]])
"""


def said(server):
    return [[message["content"] for message in body["messages"]] for body in server.bodies]


def test_each_question_brings_what_was_said_before(bruno_llm, openai):
    openai.say(FakeAnswer(text="One."), FakeAnswer(text="Two."))
    done = bruno_llm("chat", "gpt-5.4", "-p", "openai", text="first\n\nsecond\n")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "One.\nTwo.\n", "")
    assert said(openai) == [["first"], ["first", "One.", "second"]]
    assert {body["model"] for body in openai.bodies} == {"gpt-5.4"}


def test_a_model_may_come_with_its_provider(bruno_llm, openai):
    for how in (("openai/gpt-5.4",), ("-p", "openai:gpt-5.4")):
        assert bruno_llm("chat", *how, text="hi\n").exit_code == 0
    assert [body["model"] for body in openai.bodies] == ["gpt-5.4"] * 2


def test_one_connection_serves_all_answers(bruno_llm, openai):
    bruno_llm("chat", "-p", "openai", text="a\nb\nc\n")
    assert len(openai.bodies) == 3
    assert openai.accepted_connections == 1


def test_commands(bruno_llm, openai):
    lines = (
        *("one", "/clear", "two", "/system Be brief.", "three", "/model gpt-5.4", "four"),
        *("/system", "/model", "five", "/help", "/dance", " /etc is a path", "/exit", "six"),
    )
    done = bruno_llm("chat", "-p", "openai", text="\n".join(lines))
    assert done.exit_code == 0, done.stderr
    bodies = openai.bodies
    asked = [body["messages"][-1]["content"] for body in bodies]
    assert asked == ["one", "two", "three", "four", "five", "/etc is a path"]
    assert [len(body["messages"]) for body in bodies] == [1, 1, 4, 6, 7, 9]
    assert bodies[2]["messages"][0]["content"] == "Be brief."
    assert [body["model"] for body in bodies[2:5]] == ["gpt-6.1-terra", "gpt-5.4", "gpt-6.1-terra"]
    assert done.stdout == "Hello from the fake server.\n" * 6
    assert "Ctrl-C stops an answer" in done.stderr
    assert "no command is called /dance" in done.stderr


def test_what_is_nearly_a_command_is_told(bruno_llm, openai):
    done = bruno_llm("chat", "-p", "openai", text="/modle gpt-5.4\n/xyz\n/end\n")
    assert "no command is called /modle: did you mean /model?" in done.stderr
    assert "no command is called /xyz: see /help" in done.stderr
    assert not openai.received


def test_a_question_of_several_lines(bruno_llm, openai):
    text = "/multi\nfirst\n\n/clear\n /end \nsecond\n/multi\nnot ended\n"
    assert bruno_llm("chat", "-p", "openai", text=text).exit_code == 0
    assert [messages[-1] for messages in said(openai)] == ["first\n\n/clear", "second"]


def test_another_providers_model(bruno_llm, openai, claude, ollama):
    openai.say(FakeAnswer(text="One."))
    lines = (
        *("/system Be brief.", "one", "/model claude/claude-opus-5-5", "two"),
        *("/model claude-haiku-5-5", "three", "/model ollama", "/model openai/", "four", "/model"),
        *("five", "/model claude", "six", "/model nosuch:qwen3:8b"),
    )
    done = bruno_llm("chat", "openai/gpt-5.4", text="\n".join(lines))
    assert done.exit_code == 0, done.stderr
    two, three, six = claude.bodies
    assert [each["model"] for each in (two, three)] == ["claude-opus-5-5", "claude-haiku-5-5"]
    assert [each["content"][0]["text"] for each in two["messages"]] == ["one", "One.", "two"]
    assert "Be brief." in str(two["system"])
    assert len(ollama.bodies[0]["messages"]) == 8
    assert openai.bodies[-1]["messages"][-1]["content"] == "five"
    assert len(six["messages"]) == 11
    for told in ("asking claude, claude-opus-5-5", "asking openai, gpt-5.4"):
        assert f"bruno-llm: {told}\n" in done.stderr


def test_what_it_has_cost(bruno_llm, openai, claude):
    lines = ("/cost", "one", "/cost", "/model claude/claude-opus-5-5", "two", "/cost")
    done = bruno_llm("chat", "openai/gpt-5.4", text="\n".join(lines))
    none, one, _, both = done.stderr.splitlines()
    assert none == "bruno-llm: the model has not answered yet"
    assert one.startswith("bruno-llm: 1 answer: 11 tokens in, 7 out, $0.00")
    assert both.startswith("bruno-llm: 2 answers: 22 tokens in, 14 out, $0.00")


def test_a_conversation_is_saved(bruno_llm, openai, tmp_path):
    openai.say(FakeAnswer(text="Grüße!"))
    markdown, document = tmp_path / "talk.md", tmp_path / "talk.json"
    lines = ("one", f"/save {markdown}", f"/save {document}", f"/save {markdown}", "/save")
    done = bruno_llm("chat", "-p", "openai", text="\n".join((*lines, f"/save {tmp_path}/x/y")))
    assert markdown.read_text(encoding="utf-8") == "## user\n\none\n\n## assistant\n\nGrüße!\n"
    assert json.loads(document.read_text(encoding="utf-8")) == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "Grüße!"},
    ]
    for told in (
        "2 messages are in",
        "talk.md is there already",
        "give a file",
        "cannot be written",
    ):
        assert told in done.stderr


def test_a_question_that_failed_is_forgotten(bruno_llm, openai):
    openai.say(FakeError(kind="server_error", in_stream=True), FakeAnswer(text="Better."))
    done = bruno_llm("chat", "-p", "openai", text="first\nagain\n")
    assert done.exit_code == 1  # nobody is there to see it
    assert said(openai) == [["first"], ["again"]]
    assert "the question is forgotten" in done.stderr
    assert done.stdout.endswith("\nBetter.\n")


class Terminal:
    """A terminal with the command in it."""

    def __init__(self, *arguments):
        self._ours, theirs = pty.openpty()
        self._seen = ""
        command = [sys.executable, "-c", TERMINAL, os.ttyname(theirs), *arguments]
        self._process = subprocess.Popen(command, start_new_session=True)
        self._theirs = theirs  # kept open, so that reading never fails

    def press(self, key, text):
        """Press *key* until *text* is there: readline loses a signal that comes as it begins to wait."""
        while text not in self._seen:
            self.type(key)
            with suppress(AssertionError):
                self.expect(text, seconds=5, keep=True)
        self.expect(text)

    def expect(self, text, seconds=120, *, keep=False):
        """Read until *text* is there, and return what came before it."""
        deadline = time.monotonic() + seconds
        os.set_blocking(self._ours, False)
        while text not in self._seen:
            assert time.monotonic() < deadline, self._seen
            try:
                self._seen += os.read(self._ours, 4096).decode()
            except BlockingIOError:
                time.sleep(0.01)
        before, _, after = self._seen.partition(text)
        self._seen = self._seen if keep else after
        return before

    def type(self, text):
        os.write(self._ours, text.encode())

    def leave(self):
        return self._process.wait(120)

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def open_terminal():
    with ExitStack() as opened:
        yield lambda *arguments: opened.enter_context(closing(Terminal(*arguments)))


def test_ctrl_c_stops_an_answer_and_keeps_the_session(bruno_llm, ollama, open_terminal):
    bruno_llm("logs", "on")
    slow = Fault(FakeAnswer(text="It was a dark and stormy night."), after=4, then="stall")
    ollama.say(slow, FakeAnswer(text="Never mind."))
    terminal = open_terminal("chat", "-p", "ollama")
    terminal.expect("Ctrl-D leaves")
    terminal.expect("> ")
    terminal.type("tell me\n")
    terminal.expect("It was a dark")
    assert not ollama.received[-1].left.is_set()
    terminal.type("\x03")
    terminal.expect("stopped")
    assert ollama.received[-1].left.wait(120), "the connection stays open while the user thinks"
    terminal.expect("> ")
    terminal.type("go on\n")
    terminal.expect("Never mind.")
    terminal.expect("> ")
    terminal.press("\x03", "(Ctrl-D leaves)")  # at the prompt it stops nothing
    terminal.expect("> ")
    terminal.type("\x04")
    assert terminal.leave() == 0
    assert said(ollama) == [["tell me"], ["tell me", "It was a dark", "go on"]]
    first, second = json.loads(bruno_llm("logs", "--json").stdout)["responses"]
    assert (first["response"], first["finish_reason"]) == ("It was a dark", None)
    assert (second["response"], second["provider"]) == ("Never mind.", "ollama")


def test_a_question_stopped_before_any_answer_is_forgotten(ollama, open_terminal):
    ollama.say(Fault(then="stall"))
    terminal = open_terminal("chat", "-p", "ollama")
    terminal.expect("> ")
    terminal.type("first\n")
    give_up = time.monotonic() + 120
    while not ollama.bodies and time.monotonic() < give_up:
        time.sleep(0.01)
    assert ollama.bodies
    terminal.type("\x03")
    terminal.expect("the question is forgotten")
    terminal.expect("> ")
    terminal.type("second\n")
    terminal.expect("Hello from the fake server.")
    terminal.expect("> ")
    terminal.type("/exit\n")
    assert terminal.leave() == 0
    assert said(ollama)[-1] == ["second"]


def test_an_answer_cannot_steer_the_terminal(ollama, open_terminal):
    ollama.say(FakeAnswer(text="see \x1b]0;owned\x07 this"))
    terminal = open_terminal("ask", "--provider", "ollama", "hi")
    shown = terminal.expect(" this")
    assert "\x1b]0;owned" not in shown
    assert "owned" in shown
    assert terminal.leave() == 0


def test_a_pasted_block_is_one_question(ollama, open_terminal):
    terminal = open_terminal("chat", "-p", "ollama")
    terminal.expect("> ")
    terminal.type("\x1b[200~what is\n/this\n  line\x1b[201~\r")
    terminal.expect("Hello from the fake server.")
    terminal.expect("> ")
    terminal.type("\x04")
    assert terminal.leave() == 0
    assert said(ollama) == [["what is\n/this\n  line"]]


def test_questions_of_earlier_sessions_are_called_back_from_the_log(ollama, open_terminal, home):
    for step in ("off", "on"):
        terminal = open_terminal("logs", step)
        assert terminal.leave() == 0
        for number in range(2):
            terminal = open_terminal("chat", "-p", "ollama")
            terminal.expect("> ")
            terminal.type("\x1b[A\x1b[A" if number else f"question while {step}")
            terminal.type("\r")
            if (step, number) != ("off", 1):
                terminal.expect("Hello from the fake server.")
            terminal.expect("> ")
            terminal.type("\x04")
            assert terminal.leave() == 0
    asked = [messages[-1] for messages in said(ollama)]
    assert asked == ["question while off", "question while on", "question while on"]
    assert sorted(file.name for file in home.iterdir()) == ["config.toml", "logs.db"]


def test_ctrl_c_leaves_a_block_and_not_the_session(ollama, open_terminal):
    terminal = open_terminal("chat", "-p", "ollama")
    terminal.expect("> ")
    terminal.type("/multi\n")
    terminal.expect(". ")
    terminal.type("first\n")
    terminal.expect(". ")
    terminal.press("\x03", "(Ctrl-D leaves)")
    terminal.expect("> ")
    terminal.type("second\n")
    terminal.expect("Hello from the fake server.")
    terminal.expect("> ")
    terminal.type("\x04")
    assert terminal.leave() == 0
    assert said(ollama) == [["second"]]


def test_all_answers_as_json(bruno_llm, openai):
    openai.say(
        FakeAnswer(text="One."), FakeError(kind="invalid_request"), FakeAnswer(text="Three.")
    )
    done = bruno_llm("chat", "openai/gpt-5.4", "--json", text="first\nsecond\nthird\n")
    answers = json.loads(done.stdout)["answers"]
    assert [answer["text"] for answer in answers] == ["One.", "Three."]
    assert (done.exit_code, answers[0]["model"]) == (1, "gpt-5.4")


@pytest.mark.parametrize("word", ["exit", "quit", "/exit", " quit "])
def test_a_word_leaves_it(bruno_llm, openai, word):
    assert bruno_llm("chat", "openai", text=f"{word}\nhi\n").exit_code == 0
    assert openai.bodies == []
