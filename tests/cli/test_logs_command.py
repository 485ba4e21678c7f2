"""`logs`, and conversations that go on: nothing is written unless it is switched on."""

import json
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest
from bruno_llm_base import ToolCall
from bruno_llm_testing import FakeAnswer

PICTURE = b"\x89PNG\r\n\x1a\n" + b"a picture"
HELLO = "Hello from the fake server.\n"


def said(server):
    return [[message["content"] for message in body["messages"]] for body in server.bodies]


def listed(bruno_llm, *words):
    return json.loads(bruno_llm("logs", *words, "--json").stdout)["responses"]


@pytest.fixture
def logged(bruno_llm):
    """The log is on."""
    done = bruno_llm("logs", "on")
    assert (done.exit_code, done.stdout) == (0, "")


def test_nothing_is_written_unless_it_is_switched_on(bruno_llm, openai, home):
    bruno_llm("What is secret?")
    bruno_llm("chat", text="What else is?\n")
    assert not home.exists()
    done = bruno_llm("logs")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "`bruno-llm logs on` records from then on" in done.stderr
    done = bruno_llm("-c", "And now?")
    assert (done.exit_code, "nothing is logged yet" in done.stderr) == (1, True)
    assert json.loads(bruno_llm("logs", "--json").stdout) == {"responses": []}
    bruno_llm("logs", "on")
    assert [file.name for file in home.iterdir()] == ["config.toml"]
    bruno_llm("What is not?")
    bruno_llm("--no-log", "What is, this time?")
    bruno_llm("chat", "--no-log", text="And this?\n")
    bruno_llm("logs", "off")
    bruno_llm("And this again?")
    assert [each["prompt"] for each in listed(bruno_llm)] == ["What is not?"]
    assert b"secret" not in b"".join(file.read_bytes() for file in home.iterdir())
    assert stat.S_IMODE((home / "logs.db").stat().st_mode) == 0o600


def test_all_of_a_question_is_recorded(bruno_llm, openai, logged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(PICTURE)
    (tmp_path / "sums.py").write_text(
        'def add(a: int, b: int) -> int:\n    "Add."\n    return a + b\n'
    )
    call = ToolCall(id="1", name="add", arguments='{"a": 1, "b": 2}')
    openai.say(FakeAnswer(text="", tool_calls=(call,)), FakeAnswer(text='{"sum": 3}'))
    options = ("-s", "Be exact.", "--temperature", "0.5", "-a", "a.png")
    done = bruno_llm(*options, "--tool", "sums.py:add", "--schema", "sum int", "What is the sum?")
    assert done.exit_code == 0, done.stderr
    (found,) = listed(bruno_llm)
    assert (found["prompt"], found["response"]) == ("What is the sum?", '{"sum": 3}')
    assert (found["provider"], found["model"]) == ("openai", "gpt-6.1-terra")
    assert (found["system"], found["options"]) == ("Be exact.", {"temperature": 0.5})
    assert found["schema"]["properties"]["sum"]["type"] == "integer"
    assert found["tools"] == ["add"]
    assert found["tool_calls"] == [{"name": "add", "arguments": '{"a": 1, "b": 2}'}]
    assert (found["input_tokens"], found["output_tokens"]) == (22, 14)
    assert found["cost"] > 0
    assert found["duration"] > 0
    assert len(found["attachments"]) == 1


def test_a_conversation_goes_on(bruno_llm, openai, claude, logged, tmp_path):
    (tmp_path / "a.png").write_bytes(PICTURE)
    asked = ("-m", "openai/gpt-5.4", "-s", "Be brief.", "-a", tmp_path / "a.png", "What is this?")
    assert bruno_llm(*asked).stdout == HELLO
    assert bruno_llm("-c", "And why?").stdout == HELLO
    assert bruno_llm("-m", "claude/claude-opus-5-5", "Elsewhere").stdout == HELLO
    first = listed(bruno_llm, "-n", "0")[0]["conversation_id"]
    done = bruno_llm("--conversation", first, "-s", "Be long.", "Really?")
    assert (done.stdout, done.stderr) == (HELLO, "")
    hello = HELLO.strip()
    system, picture, *rest = openai.bodies[-1]["messages"]
    assert system["content"] == "Be long."
    assert picture["content"] == openai.bodies[0]["messages"][1]["content"]
    assert [each["content"] for each in rest] == [hello, "And why?", hello, "Really?"]
    assert openai.bodies[1]["messages"][0]["content"] == "Be brief."
    assert {body["model"] for body in openai.bodies} == {"gpt-5.4"}
    assert len(listed(bruno_llm, "-c")) == len(listed(bruno_llm, "--conversation", first)) == 3
    bruno_llm("-c", "-m", "claude/claude-opus-5-5", "You?")
    assert claude.bodies[-1]["messages"][-1]["content"][0]["text"] == "You?"
    assert claude.bodies[-1]["system"]
    assert bruno_llm("-c", "You again?").exit_code == 0
    assert len(claude.bodies) == 3
    done = bruno_llm("--conversation", "other", "hi")
    assert (done.exit_code, "there is no 'other'" in done.stderr) == (1, True)
    bruno_llm("logs", "off")
    done = bruno_llm("-c", "Once more?")
    assert (done.exit_code, done.stdout) == (0, HELLO)
    assert "the log is off" in done.stderr


def test_what_tools_have_said_is_part_of_it(bruno_llm, openai, logged, tmp_path):
    (tmp_path / "ones.py").write_text('def one() -> int:\n    "One."\n    return 1\n')
    openai.say(FakeAnswer(text="", tool_calls=(ToolCall(id="1", name="one", arguments="{}"),)))
    bruno_llm("--tool", f"{tmp_path}/ones.py:one", "Which?")
    bruno_llm("-c", "Sure?")
    roles = [message["role"] for message in openai.bodies[-1]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_a_chat_is_recorded_and_goes_on(bruno_llm, openai, claude, logged):
    lines = ("one", "/model claude/claude-opus-5-5", "two", "/clear", "three")
    assert bruno_llm("chat", "openai/gpt-5.4", text="\n".join(lines)).exit_code == 0
    one, two, three = listed(bruno_llm)
    assert [each["prompt"] for each in (one, two, three)] == ["one", "two", "three"]
    assert (one["provider"], two["provider"], three["provider"]) == ("openai", "claude", "claude")
    assert one["conversation_id"] == two["conversation_id"] != three["conversation_id"]
    assert bruno_llm("chat", "-c", text="four\nfive\n").exit_code == 0
    asked = [each["content"][0]["text"] for each in claude.bodies[-1]["messages"]]
    assert asked == ["three", HELLO.strip(), "four", HELLO.strip(), "five"]
    assert len(listed(bruno_llm, "-c")) == 3


def test_words_are_found(bruno_llm, openai, logged):
    openai.say(
        FakeAnswer(text="At the café."), FakeAnswer(text="Nowhere."), FakeAnswer(text="日本")
    )
    for question in ("Where are you?", "Where is it?", "どこ?"):
        bruno_llm("-m", "openai/gpt-5.4", question)
    assert [each["prompt"] for each in listed(bruno_llm, "CAFE where")] == ["Where are you?"]
    assert [each["prompt"] for each in listed(bruno_llm, "where")] == [
        "Where are you?",
        "Where is it?",
    ]
    assert [each["prompt"] for each in listed(bruno_llm, "本")] == ["どこ?"]
    assert listed(bruno_llm, '" OR "') == []
    done = bruno_llm("logs", "whatever")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "nothing in the log is like that" in done.stderr
    for model in ("openai", "gpt-5.4", "openai/gpt-5.4"):
        assert len(listed(bruno_llm, "-m", model)) == 3
    assert listed(bruno_llm, "-m", "gpt") == []


def test_what_is_shown(bruno_llm, openai, logged, tmp_path):
    openai.say(FakeAnswer(text="One\nlong answer."), FakeAnswer(text="Two."))
    bruno_llm("-m", "openai/gpt-5.4", "-s", "Be brief.", "A question\nof two lines")
    bruno_llm("-m", "openai/gpt-5.4", "Another " * 60)
    first, _ = listed(bruno_llm)
    shown = bruno_llm("logs").stdout
    time = first["created"][:19].replace("T", " ")
    begin = (
        f"{time}  openai/gpt-5.4  {first['conversation_id']}\n\nsystem: Be brief.\n\n> A question\n"
    )
    assert shown.startswith(
        f"{begin}> of two lines\n\nOne\nlong answer.\n\n(11 tokens in, 7 out, $"
    )
    assert bruno_llm("logs", "-n", "1").stdout in shown
    assert bruno_llm("logs", "-r").stdout == "Two.\n"
    assert bruno_llm("logs", "-r", "-n", "2").stdout == "One\nlong answer.\nTwo.\n"
    lines = bruno_llm("logs", "-s").stdout.splitlines()
    assert len(lines) == 4
    assert lines[2].split()[2:4] == [first["conversation_id"], "openai/gpt-5.4"]
    assert lines[2].rstrip().endswith("A question of two lines")
    assert lines[3].rstrip().endswith("…")
    assert max(map(len, lines)) <= 200


def test_status_path_and_backup(bruno_llm, openai, home, tmp_path):
    file = str(home / "logs.db")
    assert bruno_llm("logs", "path").stdout == f"{file}\n"
    assert json.loads(bruno_llm("logs", "path", "--json").stdout) == {"path": file}
    empty = {"log": False, "path": file, "conversations": 0, "responses": 0, "bytes": 0}
    assert json.loads(bruno_llm("logs", "status", "--json").stdout) == empty
    assert json.loads(bruno_llm("logs", "on", "--json").stdout) == {"log": True, "path": file}
    bruno_llm("hi")
    status = json.loads(bruno_llm("logs", "status", "--json").stdout)
    assert status == empty | {
        "log": True,
        "conversations": 1,
        "responses": 1,
        "bytes": (home / "logs.db").stat().st_size,
    }
    assert bruno_llm("logs", "status").stdout.split()[:4] == ["log", "on", "file", file]
    copy = tmp_path / "copy.db"
    assert bruno_llm("logs", "backup", copy).exit_code == 0
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as opened:
        query = "SELECT prompt, response, cost > 0 FROM responses"
        assert opened.execute(query).fetchall() == [("hi", HELLO.strip(), 1)]
    done = bruno_llm("logs", "backup", copy)
    assert (done.exit_code, "is there already" in done.stderr) == (1, True)
    assert json.loads(bruno_llm("logs", "off", "--json").stdout) == {"log": False, "path": file}


def test_a_disk_that_is_full_or_locked_loses_no_answer(
    bruno_llm, openai, logged, home, monkeypatch
):
    monkeypatch.setattr("bruno_llm_base.sqlite_file._PATIENCE", 0.05)
    bruno_llm("first")
    with closing(sqlite3.connect(home / "logs.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = bruno_llm("second")
        chat = bruno_llm("chat", text="third\nfourth\n")
        other.execute("ROLLBACK")
    for each, answers in ((done, 1), (chat, 2)):
        assert (each.exit_code, each.stdout) == (0, HELLO * answers)
        assert each.stderr.count("the answer is not in the log") == answers
    assert [each["prompt"] for each in listed(bruno_llm)] == ["first"]
    (home / "logs.db").write_bytes(b"no database, but " * 100)
    done = bruno_llm("fifth")
    assert (done.exit_code, done.stdout) == (0, HELLO)
    assert "is not a database" in done.stderr


def test_a_full_disk(process, openai, logged, home):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192));"
    ignore = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    main = f"{limit}{ignore} from bruno_llm_cli import main; main()"
    done = process("hi", main=main)
    assert (done.returncode, done.stdout.decode()) == (0, HELLO)
    assert b"the answer is not in the log" in done.stderr


def test_two_processes_at_once(openai, logged, bruno_llm):
    main = "from bruno_llm_cli import main; main()"
    running = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", main, f"question {number}"])
        for number in range(3)
    ]
    assert [each.wait(300) for each in running] == [0, 0, 0]
    assert sorted(each["prompt"] for each in listed(bruno_llm)) == [
        f"question {number}" for number in range(3)
    ]
