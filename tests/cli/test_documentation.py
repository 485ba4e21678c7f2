"""What docs/cli.md says is so."""

import re
import shlex
from pathlib import Path

import pytest
from bruno_llm_base.options import PORTABLE
from bruno_llm_cli.app import app
from typer.main import get_command

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS = get_command(app).commands
GROUP, COSTS = COMMANDS.pop("batch"), COMMANDS.pop("costs").commands
LOGS = COMMANDS.pop("logs").commands
COMMANDS |= {"costs": COSTS["report"], "logs": LOGS["list"]}


def options(command):
    names = {name for parameter in command.params for name in parameter.opts}
    return {name for name in names if name.startswith("-")}


def examples():
    for line in re.findall(r"^\$ (.*bruno-llm .*)$", PAGE, re.MULTILINE):
        words = shlex.split(line.partition("#")[0])
        if "pip" not in words:
            place = words.index("bruno-llm")
            end = words.index("|", place) if "|" in words[place:] else len(words)
            words = words[place + 1 : end]
            yield words if words[0] in {*COMMANDS, GROUP.name} else ["ask", *words]


@pytest.mark.parametrize("words", list(examples()), ids=" ".join)
def test_the_examples_can_be_entered(words):
    command = GROUP.commands[words[1]] if words[0] == GROUP.name else COMMANDS[words[0]]
    for group, commands in (("costs", COSTS), ("logs", LOGS)):
        if words[0] == group and words[1] in commands:
            command = commands[words[1]]
    used = {word for word in words if word.startswith("-")} - {"-"}
    assert used <= options(command)


def test_every_command_prints_json():
    named = COMMANDS | {f"batch {n}": c for n, c in GROUP.commands.items()} | COSTS | LOGS
    assert [name for name, command in named.items() if "--json" not in options(command)] == []


def test_all_commands_and_options_are_there():
    shared = {f"--{name.replace('_', '-')}" for name in PORTABLE}  # docs/configuration.md has them
    for name, command in (COMMANDS | GROUP.commands).items():
        assert f"`{name}" in PAGE
        missing = {option for option in options(command) - shared if option not in PAGE}
        assert not missing, name
