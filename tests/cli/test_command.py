"""The command as a program: its start, its streams, its end."""

import signal
import subprocess
import sys
from importlib.metadata import distribution, entry_points, version

import pytest
from bruno_llm_testing import Fault

MAIN = "from bruno_llm_base.cli import main; main()"


def test_the_base_alone_owns_the_command():
    (script,) = entry_points(group="console_scripts", name="bruno-llm")
    assert (script.value, script.dist.name) == ("bruno_llm_base.cli:main", "bruno-llm-base")
    assert "bruno-llm-base[cli]<0.4,>=0.3" in (distribution("bruno-llm").requires or ())


def test_version_and_help(bruno_llm):
    assert bruno_llm("--version").stdout == f"bruno-llm-base {version('bruno-llm-base')}\n"
    for arguments in (("--help",), ("ask", "--help"), ("-h",)):
        done = bruno_llm(*arguments)
        assert (done.exit_code, done.stderr) == (0, "")
        assert "Usage: bruno-llm" in done.stdout
    assert bruno_llm("dance").exit_code == 2


@pytest.mark.parametrize("name", ["typer", "rich"])
def test_without_the_extra_it_is_said_what_to_install(process, name):
    hidden = (
        "import importlib.util as u\n"
        f"find = u.find_spec; u.find_spec = lambda n: None if n == {name!r} else find(n)\n"
    )
    done = process("providers", main=hidden + MAIN)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().splitlines() == [
        "bruno-llm needs two more packages: pip install 'bruno-llm-base[cli]'"
    ]


def test_help_loads_no_provider_and_no_sdk(process):
    watch = "import atexit, sys\natexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    loaded = process("--help", main=watch + MAIN).stderr.decode().split()
    providers = {name for name in loaded if name.startswith("bruno_llm_") and "base" not in name}
    late = {"openai", "anthropic", "google.genai", "httpx", "aiohttp", "genai_prices"}
    assert not providers
    assert not late & set(loaded)


def test_bruno_core_logs_nothing_on_stdout(process, openai):
    talk = "import structlog; structlog.get_logger().info('from somewhere'); "
    sources = "import bruno_llm_base.cli.asking as a; ask = a.as_stream\n"
    wrapped = (
        f"{sources}async def loud(*x):\n    {talk}\n    await ask(*x)\na.as_stream = loud\n{MAIN}"
    )
    done = process("ask", "-p", "openai", "hi", main=wrapped, stdin=subprocess.DEVNULL)
    assert done.stdout == b"Hello from the fake server.\n"
    assert b"from somewhere" in done.stderr


def test_ctrl_c_ends_a_question_quietly(openai):
    openai.say(Fault(after=2, then="stall"))
    command = [sys.executable, "-W", "ignore", "-c", MAIN, "ask", "-p", "openai", "hi"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.read(5) == b"Hello"
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
        assert process.stderr.read() == b""
    assert openai.received[-1].left.wait(120)


def test_ctrl_c_while_it_loads_is_quiet(process):
    main = """
import sys
class Interrupted:
    def find_spec(self, name, *rest):
        if name == "bruno_llm_base.cli.app":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from bruno_llm_base.cli import main
main()
"""
    done = process("providers", main=main)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_importing_it_loads_no_typer(process):
    done = process(main="import bruno_llm_base.cli, sys; print(*sys.modules)")
    assert "typer" not in done.stdout.decode().split()
