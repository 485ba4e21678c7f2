"""The command, in this process and in others, and the servers that it talks to."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import textwrap

import pytest
from bruno_llm_cli.app import app
from bruno_llm_testing import FakeClaude, FakeGemini, FakeOllama, FakeOpenAI
from typer.testing import CliRunner

MAIN = "from bruno_llm_cli import main; main()"


@pytest.fixture
def bruno_llm():
    """Run the command in this process."""

    def run(*arguments, text=None, charset="utf-8"):
        words = list(map(str, arguments))
        done = CliRunner(charset).invoke(app, words, input=text, prog_name="bruno-llm")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return run


@pytest.fixture
def process():
    """Run the command in a process of its own."""

    def run(*arguments, main=MAIN, env=None, **options):
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", main, *map(str, arguments)],
            capture_output=True,
            check=False,
            env={**os.environ, **(env or {})},
            timeout=300,
            **options,
        )

    return run


@pytest.fixture
def at_a_terminal():
    """Run the command at a terminal of so many columns, and return the lines that it shows."""

    def run(*words, columns):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        command = [sys.executable, "-W", "ignore", "-c", MAIN, *map(str, words)]
        streams = {"stdin": subprocess.DEVNULL, "stdout": theirs, "stderr": theirs}
        env = {**os.environ}  # without the COLUMNS that readline sets where Python does not see it
        with subprocess.Popen(command, env=env, **streams) as process:
            os.close(theirs)
            shown = b""
            while piece := _read(ours):
                shown += piece
        os.close(ours)
        assert process.returncode in (0, 1)
        return re.sub(r"\x1b\[[\d;?]*\w", "", shown.decode()).replace("\r\n", "\n").splitlines()

    return run


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    """The machine's colours and width reach no test."""
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The command's files are in a folder of the test's own, which is not there yet."""
    monkeypatch.setenv("BRUNO_LLM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def openai(monkeypatch):
    with FakeOpenAI() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.address}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
        monkeypatch.setenv("BRUNO_LLM_OPENAI_PRICE_NAME", "openai")  # what it stands for
        yield server


@pytest.fixture
def claude(monkeypatch):
    with FakeClaude() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.address)
        monkeypatch.setenv("ANTHROPIC_API_KEY", server.api_key)
        monkeypatch.setenv("BRUNO_LLM_CLAUDE_PRICE_NAME", "anthropic")
        yield server


@pytest.fixture
def gemini(monkeypatch):
    with FakeGemini() as server:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.address)
        monkeypatch.setenv("GEMINI_API_KEY", server.api_key)
        yield server


@pytest.fixture
def ollama(monkeypatch):
    with FakeOllama() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.address)
        yield server


@pytest.fixture
def nobody(monkeypatch):
    """An Ollama that is not running."""
    with FakeOllama() as server:
        address = server.address
    monkeypatch.setattr("bruno_llm_ollama.OllamaProvider.default_base_url", address)
    return address


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Install a distribution that consists of one module and one entry point."""
    folder = tmp_path / "installed"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def publish(name, source, attribute="Provider"):
        module = f"third_party_{name}"
        (folder / f"{module}.py").write_text(textwrap.dedent(source))
        info = folder / f"{module}-1.2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: third-party-{name}\nVersion: 1.2.3\n")
        points = f"[bruno.llm_providers]\n{name} = {module}:{attribute}\n"
        (info / "entry_points.txt").write_text(points)
        monkeypatch.delitem(sys.modules, module, raising=False)
        return folder

    return publish
