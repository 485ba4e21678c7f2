"""Functions of the user's that the model may call, and what is told of the calls."""

import json
import sys
from pathlib import Path
from pkgutil import resolve_name

from bruno_llm_base.events import Event, ToolFinished, ToolStarted
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.parts import Json
from bruno_llm_base.tools import Tool, read_tool
from typer import BadParameter

from bruno_llm_cli.output import say

_MOST_SHOWN = 200  # characters


def load_tool(name: str) -> Tool | Json:
    """Return the tool that is called so, as "module:function" or "folder/file.py:function".

    Modules of the working directory are found as well.

    Raises:
        BadParameter: The name has another form.
        ConfigurationError: It cannot be imported, or is not a tool.
    """
    module, sign, function = name.rpartition(":")
    if not sign or not module or not function:
        raise BadParameter(f"--tool {name}: give MODULE:FUNCTION, such as tools:weather")
    folder = str(Path.cwd())
    if module.endswith(".py"):
        folder, module = str(Path(module).parent.resolve()), Path(module).stem
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = resolve_name(f"{module}:{function}")
    except ModuleNotFoundError as error:
        cure = "" if error.name != module else f"; looked for {module}.py in {folder}, too"
        raise ConfigurationError(f"--tool {name} cannot be imported: {error}{cure}") from error
    except Exception as error:  # a user's module may raise anything
        raise ConfigurationError(
            f"--tool {name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return read_tool(found, f"--tool {name}")


def tell_calls(event: Event) -> None:
    """Tell on stderr what is called, and what it returns: an observer."""
    if isinstance(event, ToolStarted):
        say(f"{event.call.name}({_short(_arguments(event.call.arguments))})")
    elif isinstance(event, ToolFinished) and event.result is not None:
        verb = "fails" if event.result.is_error else "returns"
        say(f"{event.call.name} {verb}: {_short(event.result.content)}")


def _arguments(text: str) -> str:
    """Return arguments, which are JSON *text*, as a program would write them."""
    try:
        return ", ".join(f"{name}={value!r}" for name, value in json.loads(text or "{}").items())
    except (ValueError, AttributeError):  # the model is told of that
        return text


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_SHOWN else f"{line[: _MOST_SHOWN - 3]}..."
