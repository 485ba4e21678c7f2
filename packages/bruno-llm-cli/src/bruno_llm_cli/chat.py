"""A conversation at the terminal."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from bruno_core.models import Message, MessageRole
from bruno_llm_base.exceptions import LLMError
from bruno_llm_base.options import close_matches
from bruno_llm_base.parts import Text
from bruno_llm_base.response import ModelResponse, Usage
from bruno_llm_base.wrappers import FullLLM

from bruno_llm_cli.ask import described, told_spent, warn_if_cut
from bruno_llm_cli.choice import named_by
from bruno_llm_cli.conversation import Conversation
from bruno_llm_cli.input import read_lines
from bruno_llm_cli.output import plain, say, show_document, write
from bruno_llm_cli.own_log import open_log

_LEAVING = ("exit", "quit", "/exit", "/quit")
_HELP = {
    "/multi": "ask several lines, up to /end; or paste them",
    "/model NAME": "ask another, as claude/...; alone: the first",
    "/system TEXT": "begin with that; alone: with nothing",
    "/clear": "forget what was said: a new conversation",
    "/cost": "tell the tokens and dollars of the answers",
    "/save FILE": "write the conversation: .json, or else Markdown",
    "/help": "show this",
    "/exit": "leave, as exit and Ctrl-D do",
}
_NAMES = (*(usage.split()[0] for usage in _HELP), "/quit")
_REMEMBERED = 500  # questions of the log that can be called back


def chat(conversation: Conversation, *, as_json: bool = False) -> bool:
    """Talk until the user leaves, and return whether every question was answered.

    All answers are printed at the end where that is to be *as_json*.
    """
    with asyncio.Runner() as runner:
        session = _Session(conversation, runner, silent=as_json)
        try:
            for text in _texts(conversation, session.who):
                name = text.partition(" ")[0].rstrip()
                if text.strip() in _LEAVING:
                    break
                if not text.startswith("/") or "\n" in text.strip():
                    if text.strip():
                        session.say(text)
                else:
                    session.command(name, text.partition(" ")[2].strip())
        finally:
            session.close()
    if as_json:
        show_document({"answers": list(map(described, session.answers))})
    return not session.failed


class _Session:
    """What was said, and who is asked.

    One loop runs all answers, so the connection is kept; between them it stands still.
    """

    def __init__(self, conversation: Conversation, runner: asyncio.Runner, *, silent: bool) -> None:
        self._talk = conversation
        self._write: Callable[[str], None] = (lambda _: None) if silent else write
        self._runner = runner
        self._first = self._llm = conversation.options.llm()
        self._others: dict[str, FullLLM] = {}
        self._model: str | None = None
        self._pieces: list[str] = []
        self.answers: list[ModelResponse] = []
        self._stopped = 0
        self.failed = False

    @property
    def who(self) -> str:
        """Who is asked, and what was said before, in words."""
        asked = f"{self._llm.name}, {self._model or self._llm.model}"
        said = len(self._talk.said)
        return f"{asked}, going on with {self._talk.name!r} ({said} messages)" if said else asked

    def close(self) -> None:
        """Close all connections."""
        for llm in (self._first, *self._others.values()):
            self._runner.run(llm.aclose())

    def say(self, text: str) -> None:
        """Print the answer to *text*.

        Of an answer that the user stops, what has come is kept, as it was read. A question without
        any answer is forgotten, so that it can be asked again.
        """
        question = Message(role=MessageRole.USER, content=text)
        self._pieces = []
        try:
            response = self._runner.run(self._answer(question))
        except KeyboardInterrupt:
            so_far = "".join(self._pieces)
            self._write("\n")
            say("stopped" if so_far.strip() else "stopped; the question is forgotten")
            self._stopped += 1
            if so_far.strip():
                self._keep(question, ModelResponse(parts=(Text(so_far),)))
        except LLMError as error:
            self.failed = True
            if self._pieces:
                self._write("\n")
            say(f"{error}; the question is forgotten")
        else:
            self.answers.append(response)
            self._keep(question, response)

    def _keep(self, question: Message, response: ModelResponse) -> None:
        self._talk.said += [question, response.to_message()]
        self._talk.record([question], response, self._llm, self._asking)

    @property
    def _asking(self) -> dict[str, str]:
        return {} if self._model is None else {"model": self._model}

    async def _answer(self, question: Message) -> ModelResponse:
        stream = self._llm.stream([*self._talk.said, question], **self._asking)
        async with stream:
            async for text in stream:
                self._pieces.append(text)
                self._write(text)
        self._write("\n")
        warn_if_cut(stream.response)
        return stream.response

    def command(self, name: str, rest: str) -> None:
        """Do what a line that begins with "/" says."""
        match name:
            case "/clear":
                self._talk.forget()
                say("what was said is forgotten")
            case "/system":
                self._llm.set_system_prompt(rest)
                say("the conversation begins with that" if rest else "it begins with nothing now")
            case "/model":
                self._choose(rest)
            case "/cost":
                say(self._spent())
            case "/save":
                self._save(rest)
            case "/help":
                wide = max(map(len, _HELP))
                lines = [f"{usage:{wide}}  {meaning}\n" for usage, meaning in _HELP.items()]
                stop = (
                    "Ctrl-C stops an answer; what has come of it stays part of the conversation.\n"
                )
                write("".join([*lines, stop]), sys.stderr)
            case _:
                close = close_matches(name, _NAMES)
                cure = f"did you mean {close[0]}? Or" if close else "see /help, or"
                say(f"no command is called {name}: {cure} begin with a space to send it")

    def _choose(self, name: str) -> None:
        """Ask another model from now on, perhaps of another provider; the first one without a *name*."""
        system = self._llm.get_system_prompt()
        try:
            llm, model = self._named(name) if name else (self._first, None)
        except LLMError as error:
            say(f"{error.description}; {self._llm.name} is still asked")
            return
        self._llm, self._model = llm, model
        llm.set_system_prompt(system or "")
        say(f"asking {llm.name}, {model or llm.model}")

    def _named(self, name: str) -> tuple[FullLLM, str | None]:
        """Return who is asked for *name*, and the model if it is only another one of the same provider."""
        if (found := named_by(name, self._llm.name)) is None:
            return self._llm, name
        if name not in self._others:
            provider, model = found
            options = replace(self._talk.options, provider=provider, model=model, config=None)
            self._others[name] = options.llm()
        return self._others[name], None

    def _spent(self) -> str:
        """Return what the answers of this session took, in words."""
        answers = self.answers
        if not answers:
            return "the model has not answered yet"
        costs = [each.cost.total for each in answers if each.cost is not None]
        usage = sum((each.usage for each in answers), Usage())
        known = len(costs) == len(answers)
        count = f"{len(answers)} answer{'s'[: len(answers) != 1]}"
        told = f"{count}: {told_spent(usage, sum(costs, Decimal()) if known else None)}"
        return (
            f"{told}; and what came of {self._stopped} that you stopped" if self._stopped else told
        )

    def _save(self, name: str) -> None:
        """Write the conversation into the file *name*."""
        if not name:
            say("give a file: /save talk.md")
            return
        file = Path(name).expanduser()
        said = [(each.role.value, each.content) for each in self._talk.said]
        if file.suffix.lower() == ".json":
            messages = [{"role": role, "content": content} for role, content in said]
            text = json.dumps(messages, indent=2, ensure_ascii=False) + "\n"
        else:
            text = "\n".join(f"## {role}\n\n{content}\n" for role, content in said)
        try:
            with file.open("x", encoding="utf-8") as saved:
                saved.write(text)
        except FileExistsError:
            say(f"{file} is there already: give another name")
        except OSError as error:
            say(f"{file} cannot be written: {error.strerror}")
        else:
            say(f"{len(said)} messages are in {file}")


def _texts(conversation: Conversation, who: str) -> Iterator[str]:
    """Yield what the user enters: lines, pasted blocks, and what stands between /multi and /end."""
    read = _at_terminal(conversation, who) if sys.stdin.isatty() else _piped()
    while True:
        try:
            text = read("> ")
            if text.strip() == "/multi":
                text = "\n".join(_until_end(read))
            yield text
        except KeyboardInterrupt:
            write("\n(Ctrl-D leaves)\n", sys.stderr)
        except EOFError:
            return


def _until_end(read: Callable[[str], str]) -> Iterator[str]:
    while (line := read(". ")).strip() != "/end":
        yield line


def _piped() -> Callable[[str], str]:
    lines = read_lines()

    def read(_: str) -> str:
        if (line := next(lines, None)) is None:
            raise EOFError
        return line

    return read


def _at_terminal(conversation: Conversation, who: str) -> Callable[[str], str]:
    """Return what reads a line after a prompt; of a log, the last questions can be called back."""
    with suppress(ImportError):  # there is none on Windows
        import readline

        # without it, each line of a pasted block would be a question; Python switches it off
        readline.parse_and_bind("set enable-bracketed-paste on")
        if conversation.is_logged:
            with suppress(LLMError):  # what is wrong is told when something is to be written
                for each in reversed(open_log(there=True).search(limit=_REMEMBERED)):
                    readline.add_history(each.prompt)
    write(f"{plain(who)}. Ctrl-C stops an answer, Ctrl-D leaves, /help shows more.\n", sys.stderr)
    shows_prompt = sys.stdout.isatty()  # it belongs to no answer

    def read(prompt: str) -> str:
        try:
            return input(prompt if shows_prompt else "")
        except EOFError:
            write("\n", sys.stderr)
            raise

    return read
