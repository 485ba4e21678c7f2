"""The command as a program: its start, its streams, its end."""

import signal
import subprocess
import sys
from importlib.metadata import distribution, entry_points, version

import pytest
from bruno_llm_cli.app import app
from bruno_llm_testing import Fault
from typer.main import get_command
from typer.testing import CliRunner

MAIN = "from bruno_llm_cli import main; main()"


def test_the_command_is_a_distribution_of_its_own_that_the_umbrella_brings():
    (script,) = entry_points(group="console_scripts", name="bruno-llm")
    assert (script.value, script.dist.name) == ("bruno_llm_cli:main", "bruno-llm-cli")
    assert "bruno-llm-cli<0.4,>=0.3" in (distribution("bruno-llm").requires or ())
    slim = {"bruno-llm-base", "bruno-llm-openai", "bruno-llm-claude", "bruno-llm-gemini"}
    for name in slim:
        needed = " ".join(distribution(name).requires or ())
        assert not {word for word in ("typer", "rich", "jinja2", "bruno-llm-cli") if word in needed}


def test_version_and_help(bruno_llm):
    assert bruno_llm("--version").stdout == f"bruno-llm {version('bruno-llm-cli')}\n"
    for arguments in (("--help",), ("ask", "--help"), ("-h",)):
        done = bruno_llm(*arguments)
        assert (done.exit_code, done.stderr) == (0, "")
        assert "Usage: bruno-llm" in done.stdout


def pages(command=None, words=()):
    command = command or get_command(app)
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from pages(inner, (*words, name))


@pytest.mark.parametrize("words", list(pages()), ids=" ".join)
def test_no_help_page_is_cut_in_a_narrow_terminal(words):
    arguments = [*words, "--help"]
    done = CliRunner().invoke(app, arguments, prog_name="bruno-llm", terminal_width=60)
    lines = done.stdout.splitlines()
    assert lines[0].startswith(" ".join(("Usage: bruno-llm", *words)))
    assert not [line for line in lines if len(line) > 60 or "\N{HORIZONTAL ELLIPSIS}" in line]
    assert not [line for line in lines if line.startswith("  ") and line.endswith("...")]


def test_help_loads_no_provider_and_no_sdk(process):
    watch = """import atexit, sys
begun = set(sys.modules)  # coverage has loaded what it needs
atexit.register(lambda: print(*(sys.modules.keys() - begun), file=sys.stderr))
"""
    loaded = process("--help", main=watch + MAIN).stderr.decode().split()
    packages = {name.partition(".")[0] for name in loaded if name.startswith("bruno_llm_")}
    late = {"openai", "anthropic", "google.genai", "httpx", "aiohttp", "genai_prices"}
    assert packages == {"bruno_llm_base", "bruno_llm_cli"}
    assert not late & set(loaded)


def test_bruno_core_logs_on_stderr_and_only_if_it_is_asked_to(process, openai):
    talk = "import structlog; structlog.get_logger().info('from somewhere'); "
    sources = "import bruno_llm_cli.ask as a; ask = a.ask\n"
    wrapped = f"{sources}async def loud(*x, **y):\n    {talk}\n    return await ask(*x, **y)\na.ask = loud\n{MAIN}"
    done = process("ask", "--provider", "openai", "hi", main=wrapped, stdin=subprocess.DEVNULL)
    assert (done.stdout, done.stderr) == (b"Hello from the fake server.\n", b"")
    done = process(
        "ask", "-v", "--provider", "openai", "hi", main=wrapped, stdin=subprocess.DEVNULL
    )
    assert done.stdout == b"Hello from the fake server.\n"
    assert b"from somewhere" in done.stderr


def test_ctrl_c_ends_a_question_quietly(openai):
    openai.say(Fault(after=2, then="stall"))
    command = [sys.executable, "-W", "ignore", "-c", MAIN, "ask", "--provider", "openai", "hi"]
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
        if name == "bruno_llm_cli.app":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from bruno_llm_cli import main
main()
"""
    done = process("providers", main=main)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_importing_it_loads_no_typer(process):
    done = process(main="import bruno_llm_cli, sys; print(*sys.modules)")
    assert "typer" not in done.stdout.decode().split()


def test_a_question_loads_what_it_needs(process, openai):
    watch = """import atexit, sys
begun = set(sys.modules)  # coverage has loaded what it needs
atexit.register(lambda: print(*(sys.modules.keys() - begun), file=sys.stderr))
"""
    words = ("-m", "openai/gpt-5.4", "Who is there?")
    done = process(*words, main=watch + MAIN, stdin=subprocess.DEVNULL)
    assert done.stdout == b"Hello from the fake server.\n"
    loaded = set(done.stderr.decode().split())
    packages = {name.partition(".")[0] for name in loaded if name.startswith("bruno_llm_")}
    assert packages == {"bruno_llm_base", "bruno_llm_cli", "bruno_llm_openai"}
    late = {"jinja2", "pygal", "tomllib", "sqlite3", "bruno_llm_prompts"}
    late |= {
        f"bruno_llm_base.{name}" for name in ("tool_loop", "wrappers.fallback", "batch.vendor")
    }
    assert not late & loaded
