"""`bruno-llm templates`, and what `ask -t` makes of one: files of prompts in a folder of the user's."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from bruno_core.models import Message
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.options import did_you_mean
from bruno_llm_base.parts import Json
from typer import Argument, BadParameter, Context, Option, Typer

from bruno_llm_cli import settings
from bruno_llm_cli.completion import complete_template
from bruno_llm_cli.options import ModelOptions
from bruno_llm_cli.output import say, show_document, show_table, write

if TYPE_CHECKING:
    from bruno_llm_prompts import Prompt

INPUT = "input"
"""The variable of what is piped and asked."""

_SUFFIX = ".md"
_AsJson = Annotated[bool, Option("--json", help="Print one JSON document, for programs.")]
_Name = Annotated[
    str,
    Argument(
        metavar="NAME",
        help="The template, or the path of its file.",
        autocompletion=complete_template,
    ),
]
RowPrompt = Annotated[
    str | None,
    Option("--prompt", "-p", help="The question, with the fields of a row as {field}."),
]
RowTemplate = Annotated[
    str | None,
    Option(
        "--template",
        "-t",
        help="A template in its place; see `templates`.",
        autocompletion=complete_template,
    ),
]
templates = Typer(help="List the templates of `ask -t`.")


@templates.callback(invoke_without_command=True)
def list_all(context: Context, *, as_json: _AsJson = False) -> None:
    """List the templates of `ask -t`."""
    if context.invoked_subcommand is not None:
        return
    found = list(_described())
    if as_json:
        show_document({"path": str(_folder()), "templates": found})
    elif found:
        rows = [[row["name"], row["problem"] or ", ".join(row["variables"])] for row in found]
        show_table(["template", "variables"], rows)
    else:
        say(f"there are no templates yet: write one, such as {_folder() / f'summary{_SUFFIX}'}")


@templates.command()
def show(name: _Name, *, as_json: _AsJson = False) -> None:
    """Print a template, as it stands in its file."""
    prompt = load(name)
    if as_json:
        names = ("name", "version", "system", "text", "defaults", "options")
        told = {each: getattr(prompt, each) for each in names}
        sets = {each: sorted(getattr(prompt, each)) for each in ("variables", "untrusted")}
        show_document({"path": str(_path(name)), **told, **sets})
        return
    from bruno_llm_prompts.files import read_text

    text = read_text(_path(name))
    write(text if text.endswith("\n") else f"{text}\n")


@templates.command()
def path(*, as_json: _AsJson = False) -> None:
    """Print the folder of the templates."""
    if as_json:
        show_document({"path": str(_folder())})
    else:
        write(f"{_folder()}\n")


def load(name: str) -> "Prompt":
    """Return a template, by its name or the path of its file.

    Raises:
        ConfigurationError: It does not exist, or something in it is wrong.
    """
    from bruno_llm_prompts import Prompt  # Jinja2 is slow to load

    file = _path(name)
    if file.parent == _folder() and not settings.is_there(file):
        near = did_you_mean(name, [each.stem for each in _files()])
        raise ConfigurationError(f"{_folder()} has no template {name!r}{near}")
    return Prompt.load(file)


def options_of(prompt: "Prompt", options: ModelOptions) -> tuple[ModelOptions, Json]:
    """Return *options* with the model of a template, and what the call takes from it.

    What the command line says wins.
    """
    call = dict(prompt.options)
    model = call.pop("model", None)
    if options.provider is None and options.model is None and options.config is None:
        options = replace(options, model=model)
    given = {name for name, value in options.portable.items() if value is not None}
    given |= {each.partition("=")[0] for each in options.option or []}
    return options, {name: value for name, value in call.items() if name not in given}


def question_of_rows(
    prompt: str | None, template: str | None, options: ModelOptions
) -> tuple["str | Prompt", ModelOptions, Json]:
    """Return what is asked of each row, and as `options_of` what a template says of the rest.

    Raises:
        BadParameter: The question is missing, or two are given.
        ConfigurationError: The template does not exist, or something in it is wrong.
    """
    if (prompt is None) == (template is None):
        raise BadParameter("give the question with --prompt, or a template with --template")
    if template is None:
        return prompt or "", options, {}
    made = load(template)
    return made, *options_of(made, options)


def messages_of(
    prompt: "Prompt",
    name: str,
    params: Sequence[str],
    read: Callable[[], str],
    *,
    has_text: bool,
) -> list[Message]:
    """Return what is asked by a template.

    Args:
        prompt: The template.
        name: What the user calls it.
        params: Its values, as KEY=VALUE.
        read: Returns what is piped and asked.
        has_text: Whether the command line holds a text.

    Raises:
        BadParameter: A value is not KEY=VALUE, missing or not known, or the template does not take a text.
    """
    values = dict(map(_param, params))
    if INPUT in prompt.variables - values.keys():
        values[INPUT] = read()
    elif has_text:
        raise BadParameter(
            f"the template {name} takes no text: write {{{{ {INPUT} }}}} where it is to stand"
        )
    if unknown := sorted(values.keys() - prompt.variables):
        near = did_you_mean(unknown[0], prompt.variables)
        raise BadParameter(f"the template {name} has no variable {unknown[0]!r}{near}")
    if missing := sorted(prompt.variables - prompt.defaults.keys() - values.keys()):
        wanted = " ".join(f"-p {each}=..." for each in missing)
        raise BadParameter(f"the template {name} needs more values: give {wanted}")
    return prompt(**values)


def _param(given: str) -> tuple[str, str]:
    name, sign, value = given.partition("=")
    if not name or not sign:
        raise BadParameter(f"-p {given}: give KEY=VALUE, such as audience=children")
    return name, value


def _folder() -> Path:
    return settings.folder() / "templates"


def _files() -> list[Path]:
    found = settings.is_there(_folder()) and _folder().glob(f"*{_SUFFIX}")
    return sorted(found or ())


def _path(name: str) -> Path:
    is_path = name.endswith(_SUFFIX) or os.sep in name or "/" in name
    return Path(name) if is_path else _folder() / f"{name}{_SUFFIX}"


def _described() -> Iterator[dict[str, Any]]:
    for file in _files():
        told: dict[str, Any] = {"name": file.stem, "path": str(file)}
        told |= {"version": None, "variables": [], "problem": None}
        try:
            prompt = load(file.stem)
            told |= {"version": prompt.version, "variables": sorted(prompt.variables)}
        except ConfigurationError as error:
            told["problem"] = error.description
        yield told
