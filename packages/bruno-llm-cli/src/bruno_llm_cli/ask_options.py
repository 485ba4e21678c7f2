"""The options of `ask` alone: what goes with a question, and how the answer is shown."""

from pathlib import Path
from typing import Annotated

from typer import BadParameter, Option

from bruno_llm_cli.completion import complete_template
from bruno_llm_cli.usage import some_text

Files = Annotated[
    list[Path] | None,
    Option(
        "--file",
        "-f",
        metavar="FILE",
        help="A file whose text goes before the question; repeatable.",
    ),
]
Attachments = Annotated[
    list[str] | None,
    Option(
        "--attachment",
        "-a",
        metavar="FILE|URL|-",
        help="A picture, sound or document: a file, an address, or - for stdin; repeatable.",
        callback=some_text,
    ),
]
Template = Annotated[
    str | None,
    Option(
        "--template",
        "-t",
        help="A template that the question is put into; see `templates`.",
        autocompletion=complete_template,
    ),
]
Params = Annotated[
    list[str] | None,
    Option("--param", "-p", metavar="KEY=VALUE", help="A value for the template; repeatable."),
]
Schema = Annotated[
    str | None,
    Option(help="What the answer is: 'name, age int', JSON schema, or a file that holds one."),
]
Schemas = Annotated[
    str | None, Option("--schema-multi", help="The same, of a list of such answers.")
]
Tools = Annotated[
    list[str] | None,
    Option(metavar="MODULE:FUNCTION", help="What the model may call; repeatable."),
]
Extract = Annotated[
    bool, Option("--extract", "-x", help="Print the first fenced block of code only.")
]
TellUsage = Annotated[bool, Option("--usage", "-u", help="Tell tokens and dollars, on stderr.")]
NoStream = Annotated[bool, Option("--no-stream", help="Print the answer when it is complete.")]
NOTHING_TO_EXTRACT = "--extract prints a part of a text: leave it out, or --json and --schema"


def refuse_values_without(template: str | None, values: list[str] | None) -> None:
    """Refuse *values* for a template where there is none.

    Raises:
        BadParameter: There is none.
    """
    if values and template is None:
        raise BadParameter(
            f"-p {values[0]} gives a template a value: give --template too; who is asked, with"
            " -m or --provider"
        )
