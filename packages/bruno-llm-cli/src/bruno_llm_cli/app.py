"""The commands and their options; what they do is loaded when they are called."""

import asyncio
import logging
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from bruno_llm_base.discovery import installed
from bruno_llm_base.exceptions import LLMError
from bruno_llm_base.messages import Messages
from bruno_llm_base.options import close_matches
from typer import Argument, BadParameter, Exit, Option
from typer.core import TyperGroup

from bruno_llm_cli import streams
from bruno_llm_cli.ask_options import (
    NOTHING_TO_EXTRACT,
    Attachments,
    Extract,
    Files,
    NoStream,
    Params,
    Schema,
    Schemas,
    TellUsage,
    Template,
    Tools,
    refuse_values_without,
)
from bruno_llm_cli.batch import batches
from bruno_llm_cli.completion import (
    complete_collection,
    complete_embedding_model,
    complete_named_model,
    complete_provider,
)
from bruno_llm_cli.conversation import Continue, Named, NoLog, begin
from bruno_llm_cli.costs import costs
from bruno_llm_cli.logs import logs
from bruno_llm_cli.options import (
    AsJson,
    Config,
    Ledger,
    Model,
    ModelOptions,
    Provider,
    Verbose,
    build_llm,
    taking_model_options,
)
from bruno_llm_cli.output import log_to_stderr, say, set_verbosity, show_document, write
from bruno_llm_cli.prompt_templates import (
    RowPrompt,
    RowTemplate,
    load,
    messages_of,
    options_of,
    question_of_rows,
    templates,
)
from bruno_llm_cli.settings import folder
from bruno_llm_cli.usage import STDOUT, model_name, rows_file, some_text

_ORDER = (
    *("ask", "chat", "compare", "map", "batch", "embed", "similar", "collections", "templates"),
    *("logs", "use", "config", "providers", "models", "doctor", "pull", "count", "costs"),
)


class _Commands(TyperGroup):
    """Commands whose errors, if they are ours, are told in a sentence; what is none is a question."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order in which the help shows them: what asks goes first."""
        del ctx
        first = [name for name in _ORDER if name in self.commands]
        return [*first, *(name for name in self.commands if name not in first)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, `ask` before them where no command is."""
        if args in (["help"], ["version"]) and not streams.is_piped():
            args = [f"--{args[0]}"]
        first = args[0] if args else None
        own = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        shows_help = first is None and (ctx.resilient_parsing or sys.stdin.isatty())
        if first in self.commands or first in own or shows_help:
            return super().parse_args(ctx, args)
        if (
            ctx.resilient_parsing or streams.is_piped()
        ):  # a TAB key's, or a question of what is piped
            return super().parse_args(ctx, ["ask", *args])
        if first is not None and (meant := self._meant(first)):
            ctx.fail(
                f"no command is called {first!r}: did you mean {meant!r}? If it is a question,"
                f" enter bruno-llm ask {first}"
            )
        return super().parse_args(ctx, ["ask", *args])

    def _meant(self, word: str) -> str | None:
        """Return the command that is nearly called so, None for what reads as a question."""
        if word.split() != [word] or word.startswith("-"):
            return None
        close = close_matches(word, self.commands, cutoff=_CLOSE)
        return close[0] if close and close[0][0] == word[0] else None  # "what" is not "chat"

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with log_to_stderr():
            try:
                return super().invoke(ctx)
            except LLMError as error:
                say(str(error))
                raise Exit(1) from None


_CLOSE = 0.75  # of 1: "mop" is far enough from "map"

app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


CollectionName = Annotated[
    str,
    Argument(
        help="The name of the collection.", autocompletion=complete_collection, callback=some_text
    ),
]
Database = Annotated[
    Path | None,
    Option(
        "--database", "-d", help="The SQLite file; embeddings.db of the settings' folder if none."
    ),
]

app.add_typer(batches, name="batch")
app.add_typer(costs, name="costs")
app.add_typer(logs, name="logs")
app.add_typer(templates, name="templates")


def run() -> None:
    """Run the command of the process's arguments, and exit with its code."""
    streams.prepare()
    # bruno-core logs to stdout unless told otherwise, and that belongs to the answer
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr), wrapper_class=quiet
    )
    try:
        app(prog_name="bruno-llm")
    except streams.Unwritable as error:
        say(f"the answer cannot be written: {error}")
        sys.exit(1)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it
    if wanted:
        from importlib.metadata import version

        write(f"bruno-llm {version('bruno-llm-cli')}\n")
        raise Exit


@app.callback()
def bruno_llm(
    *,
    version: Annotated[
        bool, Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Ask language models, and find out what they are, what they can and what they cost.

    `bruno-llm "a question"` asks; `bruno-llm ask --help` shows its options.
    """


@app.command()
@taking_model_options
def chat(
    options: ModelOptions,
    named: Annotated[
        str | None,
        Argument(
            metavar="MODEL",
            help="The same as --model.",
            autocompletion=complete_named_model,
            callback=model_name,
        ),
    ] = None,
    *,
    go_on: Continue = False,
    conversation: Named = None,
    no_log: NoLog = False,
    as_json: AsJson = False,
) -> None:
    """Talk with a model. Ctrl-C stops an answer, Ctrl-D leaves.

    Where the questions come from a file or a pipe, the exit code is 1 if one of them failed.
    """
    from bruno_llm_cli.chat import chat as talk

    if named is not None and options.model is not None:
        raise BadParameter("the model is given twice: leave out --model")
    options = replace(options, model=named or options.model)
    began = begin(options, last=go_on, name=conversation, no_log=no_log)
    all_answered = talk(began, as_json=as_json)
    if not (all_answered or sys.stdin.isatty()):
        raise Exit(1)


@app.command()
@taking_model_options
def ask(
    options: ModelOptions,
    prompt: Annotated[
        list[str] | None, Argument(help="The question; stdin goes before it.")
    ] = None,
    *,
    file: Files = None,
    attachment: Attachments = None,
    template: Template = None,
    param: Params = None,
    schema: Schema = None,
    schema_multi: Schemas = None,
    tool: Tools = None,
    extract: Extract = False,
    usage: TellUsage = False,
    as_json: AsJson = False,
    no_stream: NoStream = False,
    go_on: Continue = False,
    conversation: Named = None,
    no_log: NoLog = False,
) -> None:
    """Ask one question.

    Nothing but the answer goes to stdout. The word `ask` may be left out.
    """
    from bruno_llm_cli.ask import ask as answer
    from bruno_llm_cli.input import read_attachment, read_labelled, read_text

    refuse_values_without(template, param)
    if extract and (as_json or schema is not None or schema_multi is not None):
        raise BadParameter(NOTHING_TO_EXTRACT)
    call: dict[str, Any] = {}
    if template is not None:
        made = load(template)
        options, call = options_of(made, options)
    talk = begin(options, last=go_on, name=conversation, no_log=no_log)
    if schema is not None or schema_multi is not None:
        from bruno_llm_cli.schema import read_schema

        call["output"] = read_schema(schema, several=schema_multi)
    if tool:
        from bruno_llm_cli.tools import load_tool, tell_calls

        call["tools"] = list(map(load_tool, tool))
    llm = talk.options.llm(observers=[tell_calls] if tool else None)
    material = [read_labelled(each, options.timeout) for each in file or []]
    if attachment:
        call["attachments"] = [read_attachment(each, options.timeout) for each in attachment]
    piped = "-" not in (attachment or [])
    read = partial(read_text, prompt or [], material, timeout=options.timeout, piped=piped)
    has_text = bool(prompt or file)
    question: Messages = (
        read()
        if template is None
        else messages_of(made, template, param or [], read, has_text=has_text)
    )
    how = {"as_json": as_json, "streamed": not no_stream, "extract": extract, "usage": usage}
    response = asyncio.run(answer(llm, talk.asking(question), call, **how))
    talk.record(question, response, llm, call)


@app.command()
@partial(taking_model_options, without=("provider", "model", "config"))
def compare(
    options: ModelOptions,
    prompt: Annotated[
        list[str] | None, Argument(help="The question; stdin goes before it.")
    ] = None,
    *,
    models: Annotated[
        list[str],
        Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="A model, as openai/gpt-5.4 or claude; repeatable.",
            callback=model_name,
            autocompletion=complete_named_model,
        ),
    ],
    prompts: Annotated[Path | None, Option(help="A file of more questions, one a line.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask several models the same at once.

    Shows the answers, and what each took: time, tokens and dollars. One that fails stops none of the
    others; the exit code is 1 then.
    """
    from bruno_llm_cli.compare import compare as ask_all
    from bruno_llm_cli.input import read_questions

    asked = read_questions(prompt or [], prompts, timeout=options.timeout)
    if not asyncio.run(ask_all(models, options, asked, as_json=as_json)):
        raise Exit(1)


@app.command("map")
@taking_model_options
def map_rows(
    options: ModelOptions,
    rows: Annotated[
        Path, Argument(help="A file of rows: .csv, .jsonl or .ndjson.", callback=rows_file)
    ],
    output: Annotated[
        Path,
        Option(
            "--output",
            "-o",
            help="The file of answers (JSON lines); goes on if it is there. For stdout, -: this cannot go on.",
        ),
    ],
    *,
    prompt: RowPrompt = None,
    template: RowTemplate = None,
    key: Annotated[str | None, Option(help="The field that names a row; its hash if none.")] = None,
    concurrency: Annotated[int, Option(min=1, help="How many rows are asked at once.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Ask the same of each row of a file.

    Run it again to go on, where the answers are in a file. The exit code is 1 if a row failed, or the budget is spent.
    """
    from bruno_llm_cli.map import Progress, map_file, read_rows

    into = None if output == STDOUT else output
    if into is None and as_json:
        raise BadParameter("--output - prints the answers: leave out --json, or name a file")
    progress = Progress(sum(1 for _ in read_rows(rows)))
    question, options, call = question_of_rows(prompt, template, options)
    llm = options.llm(observers=[progress])
    call |= {"into": into, "key": key, "concurrency": concurrency}
    all_answered = asyncio.run(map_file(llm, rows, question, progress, **call))
    if as_json:
        show_document(progress.counts())
    if not all_answered:
        raise Exit(1)


@app.command()
def use(
    model: Annotated[
        str | None,
        Argument(
            metavar="PROVIDER[/MODEL]",
            help="As claude, ollama/llama3.2.",
            callback=model_name,
            autocompletion=complete_named_model,
        ),
    ] = None,
    *,
    forget: Annotated[
        bool, Option("--forget", help="Forget what was chosen, in place of a choice.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Choose who is asked from now on."""
    from bruno_llm_cli.config import use as choose

    if forget == (model is not None):
        raise BadParameter("give a provider, perhaps with its model, or --forget")
    choose(model, as_json=as_json)


@app.command()
def config(*, as_json: AsJson = False) -> None:
    """Show who is asked, and where it is set."""
    from bruno_llm_cli.config import show

    show(as_json=as_json)


@app.command()
def embed(  # noqa: PLR0917 - typer passes them by name
    collection: CollectionName,
    text: Annotated[
        list[str] | None, Argument(help="The text; stdin goes before it, if no file is given.")
    ] = None,
    provider: Provider = None,
    model: Annotated[
        str | None,
        Option(
            "--model",
            "-m",
            help="The model, as openai/text-embedding-3-small.",
            callback=model_name,
            autocompletion=complete_embedding_model,
        ),
    ] = None,
    dimensions: Annotated[
        int | None, Option(min=1, help="How many numbers a vector has; the model's own if none.")
    ] = None,
    id_: Annotated[
        str | None, Option("--id", help="What the text is called; its hash if none.")
    ] = None,
    file: Annotated[
        list[Path] | None,
        Option("--file", "-f", metavar="FILE", help="A file whose text is embedded; repeatable."),
    ] = None,
    rows: Annotated[
        Path | None, Option(help="A file of rows: .csv, .jsonl or .ndjson.", callback=rows_file)
    ] = None,
    template: Annotated[
        str, Option(help="What is embedded of a row, with its fields as {field}.")
    ] = "{text}",
    key: Annotated[str | None, Option(help="The field that names a row; its hash if none.")] = None,
    database: Database = None,
    ledger: Ledger = None,
    *,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Put texts into a collection of vectors.

    `similar` searches it. A collection keeps the model of its first text. What it holds already is not sent again.
    """
    from bruno_llm_cli import embed as work
    from bruno_llm_cli.collection import CollectionsFile

    set_verbosity(verbose)
    tally = work.Tally()
    store = CollectionsFile.at(database or folder() / "embeddings.db", new=True)
    keywords: dict[str, Any] = {"observers": [tally]}
    if ledger is not None:
        from bruno_llm_base.cost.tracker import CostTracker

        keywords["cost"] = CostTracker(ledger)
    embeddings = work.embeddings_of(store.find(collection), provider, model, dimensions, **keywords)
    entries = work.entries_of(
        text or [], id_=id_, files=file or [], rows=rows, template=template, key=key
    )
    asyncio.run(work.embed(store, collection, embeddings, entries, tally, as_json=as_json))


@app.command()
def similar(
    collection: CollectionName,
    text: Annotated[list[str] | None, Argument(help="The text; stdin goes before it.")] = None,
    id_: Annotated[
        str | None, Option("--id", help="An entry of the collection, in place of a text.")
    ] = None,
    number: Annotated[int, Option("--number", "-n", min=1, help="How many are shown.")] = 10,
    database: Database = None,
    *,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Find the texts most like a given one.

    The score is the cosine of the angle between their vectors: 1 at most.
    """
    from bruno_llm_cli import embed as work
    from bruno_llm_cli.collection import CollectionsFile
    from bruno_llm_cli.input import read_text

    set_verbosity(verbose)
    if id_ is not None and text:
        raise BadParameter("--id stands for a text: give one of the two")
    wanted = None if id_ is not None else read_text(text or [])
    store = CollectionsFile.at(database or folder() / "embeddings.db", new=False)
    known = store.get(collection)
    found = asyncio.run(work.similar(store, known, wanted, id_ or "", number))
    work.show_matches(collection, found, as_json=as_json)


@app.command()
def collections(
    database: Database = None,
    *,
    delete: Annotated[
        str | None,
        Option(metavar="NAME", help="Delete this one.", autocompletion=complete_collection),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the collections of vectors."""
    from bruno_llm_cli import embed as work
    from bruno_llm_cli.collection import CollectionsFile

    store = CollectionsFile.at(database or folder() / "embeddings.db", new=False)
    if delete is not None:
        store.get(delete)
        store.delete(delete)
    work.show_collections(store.all(), as_json=as_json)


@app.command()
def providers(*, as_json: AsJson = False) -> None:
    """List the providers that are installed.

    And what each of them can do.
    """
    from bruno_llm_cli.models import show_providers

    show_providers(installed(), as_json=as_json)


@app.command()
def models(
    provider: Annotated[
        str | None,
        Argument(
            help="The provider; all if none.", autocompletion=complete_provider, callback=model_name
        ),
    ] = None,
    *,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """List the models on offer.

    Of all providers that are set up, unless one is named. The exit code is 1 if none could be listed.
    """
    from bruno_llm_cli.models import offers, show_offers

    set_verbosity(verbose)
    found = asyncio.run(offers(provider))
    show_offers(found, as_json=as_json)
    if all(offer.error is not None for offer in found):
        raise Exit(1)


@app.command()
def doctor(
    provider: Annotated[
        list[str] | None,
        Argument(
            help="The providers that have to work; all if none.",
            autocompletion=complete_provider,
            callback=model_name,
        ),
    ] = None,
    config: Config = None,
    *,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Find out whether the providers work.

    It costs nothing. The exit code is 0 if at least one works and none that is set up, named or broken fails; else 1.
    """
    from bruno_llm_cli.doctor import check_providers, show, works

    set_verbosity(verbose)
    found = asyncio.run(check_providers(provider or [], config))
    fine = works(found)
    if as_json:
        show_document({"ok": fine, "providers": [asdict(each) for each in found]})
    else:
        show(found)
    if not fine:
        raise Exit(1)


@app.command()
def count(
    text: Annotated[list[str] | None, Argument(help="The text; stdin goes before it.")] = None,
    provider: Provider = None,
    model: Model = None,
    config: Config = None,
    file: Annotated[Path | None, Option("--file", "-f", help="A file to count, not stdin.")] = None,
    *,
    exact: Annotated[
        bool, Option("--exact", help="Ask the vendor how much a request with it takes.")
    ] = False,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Count the tokens of a text."""
    from bruno_llm_cli.ask import count as count_tokens
    from bruno_llm_cli.input import read_file, read_text

    set_verbosity(verbose)
    material = [] if file is None else [read_file(file)]
    given = read_text(text or [], material, piped=file is None)
    keywords = {} if exact else {"api_key": "none"}  # nothing is sent, so it needs no key
    llm = build_llm(provider, model, config, **keywords)
    asyncio.run(count_tokens(llm, given, exact=exact, as_json=as_json))


@app.command()
def pull(
    model: Annotated[str, Argument(help="The model.", callback=some_text)],
    provider: Provider = None,
    *,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Let a server fetch a model (Ollama)."""
    from bruno_llm_cli.pull import pull as fetch
    from bruno_llm_cli.pull import puller

    set_verbosity(verbose)
    asyncio.run(fetch(puller(provider), model, as_json=as_json))
