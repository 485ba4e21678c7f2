"""The standard streams: closed, full, left by their reader, in other encodings, without an end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bruno_llm_cli.app import app
from bruno_llm_testing import FakeAnswer
from typer.main import get_command

MAIN = "from bruno_llm_cli import main; main()"
COMMAND = [sys.executable, "-W", "ignore", "-c", MAIN]
PIPES = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
FULL = "bruno-llm: the answer cannot be written: No space left on device\n"

# One process loads the command, and each case runs in a child of it, which ends as any process does.
CASES = """
import json, os, sys
import bruno_llm_cli.app, bruno_llm_base.cost, bruno_llm_openai, genai_prices, openai, rich.table

def run(words, out, err):
    for number, path in enumerate((os.devnull, out, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
    sys.argv = ["bruno-llm", *words]
    bruno_llm_cli.main()

for case in map(json.loads, sys.argv[1:]):
    child = os.fork()
    if child == 0:
        run(*case)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def ends(tmp_path):
    """Run command lines, and return the exit code and all of stderr of each."""

    def run(lines, *, out="/dev/full", err=None, python=()):
        errs = [err or str(tmp_path / f"{number}.txt") for number, _ in enumerate(lines)]
        cases = [json.dumps([line.split(), out, e]) for line, e in zip(lines, errs, strict=True)]
        done = subprocess.run(
            [sys.executable, *python, "-W", "ignore", "-c", CASES, *cases],
            stdout=subprocess.PIPE,
            check=True,
            timeout=300,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )
        told = [Path(path).read_text() if err is None else "" for path in errs]
        ended = zip(map(int, done.stdout.split()), told, strict=True)
        return dict(zip(lines, ended, strict=True))

    return run


@pytest.fixture
def ledger(bruno_llm, openai, tmp_path):
    bruno_llm("ask", "--provider", "openai", "--ledger", tmp_path / "costs.db", "hi")
    return tmp_path / "costs.db"


def test_a_full_stdout_is_told_in_one_sentence_by_every_command(openai, ledger, ends):
    lines = [
        *("--version", "--help", "ask --help", "providers", "providers --json"),
        *(
            "ask --provider openai hi",
            "ask --provider openai --no-stream hi",
            "ask --provider openai --json hi",
        ),
        *("count -p claude hi", "models openai", "models openai --json", "doctor openai"),
        *("use openai --json", "config", "templates path", "compare -m openai hi"),
        *(
            "embed pets cat --provider openai --json",
            "similar pets cat",
            "collections",
            "logs status",
        ),
        *(f"costs {ledger}", f"costs {ledger} --format json", "batch --help"),
    ]
    silent = {"chat", "map", "pull"}  # here: without a question, and on stderr only
    assert {line.split()[0] for line in lines} >= set(get_command(app).commands) - silent
    assert ends(lines) == dict.fromkeys(lines, (1, FULL))


def test_so_it_is_without_a_buffer(openai, ends):
    lines = ["--help", "ask --provider openai hi", "providers"]
    assert ends(lines, python=("-u",)) == dict.fromkeys(lines, (1, FULL))


def test_what_stderr_cannot_take_is_lost_and_the_command_goes_on(openai, ends):
    openai.say(FakeAnswer(text="It was", finish_reason="length"))  # of which it warns
    codes = {
        "ask --provider openai hi": 0,
        "ask --provider nobody hi": 1,
        "modls": 2,
        "ask --no-such-option": 2,
    }
    found = ends(codes, out="/dev/null", err="/dev/full")
    assert {line: code for line, (code, _) in found.items()} == codes


@pytest.mark.parametrize(
    ("command", "code", "complaint"),
    [
        ("ask --provider openai hi <&-", 0, ""),
        ("chat -p openai <&-", 0, ""),
        (
            "ask --provider openai hi >&-",
            1,
            "bruno-llm: stdout is closed: an answer cannot be written\n",
        ),
        ("ask --provider nobody hi 2>&-", 1, ""),
    ],
)
def test_streams_that_are_closed(openai, command, code, complaint):
    script = f'"$0" -W ignore -c "$1" {command}'
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable, MAIN],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (code, complaint)


def test_a_reader_that_leaves_is_no_error(openai):
    openai.say(FakeAnswer(text="a long answer " * 20_000))
    with subprocess.Popen([*COMMAND, "ask", "--provider", "openai", "hi"], **PIPES) as process:
        process.stdin.close()
        assert process.stdout.read(6) == b"a long"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_reader_that_was_never_there_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen([*COMMAND, "providers"], **PIPES | {"stdout": writing}) as process:
        os.close(writing)
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_reader_that_is_slow_gets_all_though_the_pipe_waits_for_no_one(openai):
    long = "a long answer " * 20_000
    openai.say(FakeAnswer(text=long))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # as Node.js leaves it
    with (
        subprocess.Popen(
            [*COMMAND, "ask", "--provider", "openai", "--no-stream", "hi"],
            **PIPES | {"stdout": writing},
        ) as process,
        os.fdopen(reading) as answer,
    ):
        os.close(writing)
        process.stdin.close()
        assert answer.read() == f"{long}\n"
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_what_a_terminal_cannot_show_is_no_error(process, openai):
    openai.say(FakeAnswer(text="Grüße 👋"), times=2)
    env = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    options = {"env": env, "stdin": subprocess.DEVNULL}
    done = process("ask", "--provider", "openai", "hi", **options)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"Gr??e ?\n", b"")
    done = process("ask", "--provider", "openai", "--json", "hi", **options)
    assert json.loads(done.stdout)["text"] == "Grüße 👋"
    done = process("providers", **options)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


@pytest.mark.parametrize("command", ["ask", "chat"])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_what_is_piped_is_utf_8_whatever_the_locale_says(bruno_llm, openai, command, encoding):
    for text in ("Grüße\n", "Grüße\r\n", "\ufeffGrüße"):
        bruno_llm(command, "--provider", "openai", text=text.encode(), charset=encoding)
    assert [body["messages"] for body in openai.bodies] == [
        [{"role": "user", "content": "Grüße"}]
    ] * 3


def test_so_it_is_in_a_process(process, openai):
    env = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    assert process("chat", "-p", "openai", env=env, input="Grüße\n".encode()).returncode == 0
    assert openai.bodies[-1]["messages"][-1]["content"] == "Grüße"


def test_what_is_no_text_is_refused(bruno_llm, openai, tmp_path):
    file = tmp_path / "latin.txt"
    file.write_bytes(b"caf\xe9\n")
    for command in (
        "ask --provider openai",
        "ask --provider openai hi",
        "chat -p openai",
        "count -p openai",
    ):
        done = bruno_llm(*command.split(), text=b"caf\xe9\n")
        assert (done.exit_code, done.stdout) == (1, ""), command
        assert done.stderr == "bruno-llm: stdin is not text in UTF-8: convert it first\n"
    done = bruno_llm("count", "-p", "openai", "--file", file)
    assert done.stderr == f"bruno-llm: {file} is not text in UTF-8: convert it first\n"
    for command in ("ask", "count"):
        done = bruno_llm(command, "--provider", "openai", os.fsdecode(b"caf\xe9"))
        assert (done.exit_code, done.stdout) == (2, "")
        assert "the argument is not text" in done.stderr
    assert not openai.received


def test_a_conversation_goes_on_until_a_line_that_is_no_text(bruno_llm, openai):
    done = bruno_llm("chat", "-p", "openai", text=b"hi\ncaf\xe9\nbye\n")
    assert (done.exit_code, done.stdout) == (1, "Hello from the fake server.\n")
    assert "stdin is not text in UTF-8" in done.stderr
    assert len(openai.bodies) == 1


def test_a_conversation_answers_each_line_as_it_comes(openai):
    with subprocess.Popen([*COMMAND, "chat", "-p", "openai"], **PIPES) as process:
        for _ in range(2):
            process.stdin.write(b"hi\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"Hello from the fake server.\n"


@pytest.mark.parametrize("timeout", [("--timeout", "0.5"), ("--timeout", "4")])
def test_the_time_limit_ends_the_wait_for_the_end_of_stdin(openai, timeout):
    with subprocess.Popen(
        [*COMMAND, "ask", "--provider", "openai", *timeout, "hi"], **PIPES
    ) as process:
        told = process.stderr.read().decode()
        assert process.wait(300) == 1
    assert told.endswith(f"bruno-llm: stdin has not ended within {timeout[1]} s\n")
    assert ("waiting for stdin to end" in told) == (timeout[1] == "4")
    assert not openai.received


@pytest.mark.parametrize("command", ["ask --provider openai", "count -p claude"])
def test_a_wait_for_the_end_of_stdin_is_told_and_goes_on(openai, command):
    with subprocess.Popen([*COMMAND, *command.split(), "hi"], **PIPES) as process:
        process.stdin.write(b"some ")
        process.stdin.flush()
        assert b"waiting for stdin to end" in process.stderr.readline()
        process.stdin.write(b"text")
        process.stdin.close()
        assert process.stdout.read()
        assert process.wait(300) == 0
    said = [body["messages"][-1]["content"] for body in openai.bodies]
    assert said == (["some text\n\nhi"] if command.startswith("ask") else [])


def test_ctrl_c_ends_the_wait_for_stdin_quietly():
    with subprocess.Popen([*COMMAND, "count", "-p", "claude"], **PIPES) as process:
        assert b"waiting for stdin to end" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 130
        assert process.stderr.read() == b""
