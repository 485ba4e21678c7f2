"""`bruno-llm logs`: what was asked and answered, and whether it is recorded."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from bruno_llm_base.parts import Json
from bruno_llm_base.response import Usage
from typer import Argument, BadParameter, Exit, Option, Typer
from typer.core import TyperGroup

from bruno_llm_cli import settings
from bruno_llm_cli.completion import complete_conversation
from bruno_llm_cli.options import AsJson
from bruno_llm_cli.output import console, say, show_document, show_table, write
from bruno_llm_cli.own_log import log_path, open_log

if TYPE_CHECKING:
    from bruno_llm_cli.log import LoggedResponse

_FEW, _MANY = 3, 20  # answers that are listed in full, and in a line each
_ROOMY = 100  # columns
_DOCUMENTS = ("options", "schema", "tools", "tool_calls")


class _Logs(TyperGroup):
    """Lists, unless it is told to do something else: `logs "words"` is `logs list "words"`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


logs = Typer(
    cls=_Logs, help="List what was asked and answered.\n\nNothing is recorded until `logs on`."
)


@logs.command("list")
def list_responses(
    words: Annotated[
        list[str] | None, Argument(help="Only where all these words are, in question or answer.")
    ] = None,
    limit: Annotated[
        int | None, Option("--limit", "-n", min=0, help="How many; 0 for all.", show_default="3")
    ] = None,
    model: Annotated[
        str | None, Option("--model", "-m", help="Only of this model, provider or provider/model.")
    ] = None,
    conversation: Annotated[
        str | None,
        Option(
            "--conversation",
            metavar="ID",
            help="All of this conversation.",
            autocompletion=complete_conversation,
        ),
    ] = None,
    *,
    last: Annotated[
        bool, Option("--current", "-c", help="All of the conversation that was logged last.")
    ] = False,
    short: Annotated[bool, Option("--short", "-s", help="A line each; the last 20.")] = False,
    response: Annotated[
        bool, Option("--response", "-r", help="Print the last answer alone.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the latest, the newest last.

    `logs "words"` does so too. The exit code is 1 if there are none.
    """
    _check_usage(last and conversation is not None, short + response + as_json)
    if as_json and not settings.is_there(log_path()):
        show_document({"responses": []})  # and then the error
    log = open_log(there=True)
    if last:
        conversation = log.read_conversation().id
    if limit is None and conversation is None:
        limit = 1 if response else _MANY if short else _FEW
    found = log.search(
        " ".join(words or []), limit=limit or None, conversation=conversation, model=model
    )
    log.close()
    found.reverse()
    if as_json:
        show_document({"responses": list(map(_described, found))})
    elif not found:
        say("nothing in the log is like that")
    elif response:
        write("".join(f"{each.response}\n" for each in found))
    elif short:
        _show_lines(found)
    else:
        write("\n".join(map(_in_full, found)))
    if not found:
        raise Exit(1)


def _check_usage(two_conversations: bool, forms: int) -> None:  # noqa: FBT001
    if two_conversations:
        raise BadParameter("--current is the last conversation: leave out --conversation")
    if forms > 1:
        raise BadParameter("give one of --short, --response and --json")


@logs.command()
def on(*, as_json: AsJson = False) -> None:
    """Record questions and answers from now on."""
    _switch(on=True, as_json=as_json)


@logs.command()
def off(*, as_json: AsJson = False) -> None:
    """Record nothing from now on.

    What is recorded stays.
    """
    _switch(on=False, as_json=as_json)


@logs.command()
def path(*, as_json: AsJson = False) -> None:
    """Print the path of the file."""
    if as_json:
        show_document({"path": str(log_path())})
    else:
        write(f"{log_path()}\n")


@logs.command()
def status(*, as_json: AsJson = False) -> None:
    """Tell whether it is on, and how much is there."""
    is_on, file = settings.read().log, log_path()
    there = settings.is_there(file)
    conversations, responses = open_log().count() if there else (0, 0)
    size = file.stat().st_size if there else 0
    if as_json:
        facts = {"conversations": conversations, "responses": responses, "bytes": size}
        show_document({"log": is_on, "path": str(file), **facts})
        return
    write(f"log            {'on' if is_on else 'off'}\n")
    write(f"file           {file}{'' if there else ' (not there yet)'}\n")
    write(f"conversations  {conversations:,}\n")
    write(f"answers        {responses:,}\n")
    write(f"size           {size:,} bytes\n")


@logs.command()
def backup(
    file: Annotated[Path, Argument(help="The new file.")], *, as_json: AsJson = False
) -> None:
    """Copy the log into a new file.

    Also while it is written.
    """
    open_log(there=True).backup(file)
    if as_json:
        show_document({"path": str(file), "bytes": file.stat().st_size})
    else:
        say(f"copied to {file}, {file.stat().st_size:,} bytes")


def _switch(*, on: bool, as_json: bool) -> None:
    settings.change(log=on)
    if as_json:
        show_document({"log": on, "path": str(log_path())})
    elif on:
        say(f"what `ask` and `chat` send and get is recorded in {log_path()}")
    else:
        say("nothing is recorded from now on; what there is stays")


def _described(found: "LoggedResponse") -> Json:
    document = asdict(found)
    for name in _DOCUMENTS:
        document[name] = document[name] and json.loads(document[name])
    return document


def _in_full(found: "LoggedResponse") -> str:
    question = "\n".join(f"> {line}".rstrip() for line in found.prompt.splitlines())
    parts = [f"{_when(found)}  {_asked(found)}  {found.conversation_id}"]
    if found.system:
        parts.append(f"system: {found.system}")
    parts.append(question)
    if found.attachments:
        parts.append(f"({len(found.attachments)} attached)")
    calls = json.loads(found.tool_calls or "[]")
    parts += [f"{call['name']}({call['arguments']})" for call in calls]
    parts += [found.response.strip(), f"({_figures(found)})"]
    return "\n\n".join(filter(None, parts)) + "\n"


def _show_lines(responses: "Sequence[LoggedResponse]") -> None:
    """Print a line for each, in which the question is cut so that it fits; dollars if there is room."""
    titles = ["time (UTC)", "conversation", "model", "cost"]
    rows: list[tuple[str, ...]] = [
        (_when(each)[:-3], each.conversation_id, _asked(each), _money(each.cost))
        for each in responses
    ]
    if console().width < _ROOMY:
        titles, rows = titles[:-1], [row[:-1] for row in rows]
    taken = sum(max(map(len, column)) + 2 for column in zip(titles, *rows, strict=True))
    room = max(console().width - taken, len("question"))
    questions = [" ".join(each.prompt.split()) for each in responses]
    cut = [text if len(text) <= room else f"{text[: room - 1]}…" for text in questions]
    lines = [(*row, text) for row, text in zip(rows, cut, strict=True)]
    show_table((*titles, "question"), lines, right=("cost",))


def _when(found: "LoggedResponse") -> str:
    return found.created[:19].replace("T", " ")


def _asked(found: "LoggedResponse") -> str:
    return f"{found.provider}/{found.model}"


def _money(cost: float | None) -> str:
    from bruno_llm_base.cost.report import dollars  # it would be loaded at every start

    return "-" if cost is None else dollars(Decimal(str(cost)))


def _figures(found: "LoggedResponse") -> str:
    from bruno_llm_cli.ask import told_spent  # it would be loaded at every start

    usage = Usage(
        input_tokens=found.input_tokens,
        output_tokens=found.output_tokens,
        cache_read_tokens=found.cached_tokens,
        reasoning_tokens=found.reasoning_tokens,
    )
    cost = None if found.cost is None else Decimal(str(found.cost))
    time = "" if found.duration is None else f", {found.duration:.1f} s"
    return f"{told_spent(usage, cost)}{time}"
