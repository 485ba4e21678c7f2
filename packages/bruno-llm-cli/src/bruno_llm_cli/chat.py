"""A conversation at the terminal."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import suppress

from bruno_core.models import Message, MessageRole
from bruno_llm_base.exceptions import LLMError
from bruno_llm_base.wrappers import FullLLM

from bruno_llm_cli.ask import warn_if_cut
from bruno_llm_cli.input import read_lines
from bruno_llm_cli.output import plain, say, write

_HELP = """\
/clear          forget what was said
/system TEXT    begin the conversation with another text; without one, with none
/model NAME     ask another model of the same provider
/help           show this
/exit           leave, as Ctrl-D does
Ctrl-C stops an answer; what has come of it stays part of the conversation."""


def chat(llm: FullLLM) -> bool:
    """Talk with *llm* until the user leaves, and return whether every question was answered."""
    with asyncio.Runner() as runner:
        session = _Session(llm, runner)
        try:
            for line in _lines(f"{llm.name}, {llm.model}"):
                if line.startswith("/"):
                    if line.split()[0] in ("/exit", "/quit"):
                        break
                    session.command(line)
                elif line.strip():
                    session.say(line)
        finally:
            runner.run(llm.aclose())
    return not session.failed


class _Session:
    """What was said, and who is asked.

    One loop runs all answers, so the connection is kept; between them it stands still.
    """

    def __init__(self, llm: FullLLM, runner: asyncio.Runner) -> None:
        self._llm = llm
        self._runner = runner
        self._said: list[Message] = []
        self._model: str | None = None
        self._pieces: list[str] = []
        self.failed = False

    def say(self, line: str) -> None:
        """Print the answer to *line*.

        Of an answer that the user stops, what has come is kept, as it was read. A question without
        any answer is forgotten, so that it can be asked again.
        """
        question = Message(role=MessageRole.USER, content=line)
        self._pieces = []
        try:
            answer = self._runner.run(self._answer(question))
        except KeyboardInterrupt:
            so_far = "".join(self._pieces)
            write("\n")
            say("stopped" if so_far.strip() else "stopped; the question is forgotten")
            if so_far.strip():
                answer = Message(role=MessageRole.ASSISTANT, content=so_far)
                self._said += [question, answer]
        except LLMError as error:
            self.failed = True
            if self._pieces:
                write("\n")
            say(f"{error}; the question is forgotten")
        else:
            self._said += [question, answer]

    async def _answer(self, question: Message) -> Message:
        options = {} if self._model is None else {"model": self._model}
        stream = self._llm.stream([*self._said, question], **options)
        async with stream:
            async for text in stream:
                self._pieces.append(text)
                write(text)
        write("\n")
        warn_if_cut(stream.response)
        return stream.response.to_message()

    def command(self, line: str) -> None:
        """Do what a line that begins with "/" says."""
        name, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if name == "/clear":
            self._said = []
            say("what was said is forgotten")
        elif name == "/system":
            self._llm.set_system_prompt(rest)
            say("the conversation begins with that" if rest else "it begins with nothing now")
        elif name == "/model":
            self._model = rest or None
            say(f"asking {rest or self._llm.model}")
        elif name == "/help":
            write(f"{_HELP}\n", sys.stderr)
        else:
            say(f"no command is called {name}: see /help, or begin with a space to send it")


def _lines(who: str) -> Iterator[str]:
    """Yield what the user enters; at a terminal, after a prompt."""
    if not sys.stdin.isatty():
        yield from read_lines()
        return
    with suppress(ImportError):  # there is none on Windows
        import readline  # noqa: F401 - lines can be edited, and called back
    write(f"{plain(who)}. Ctrl-C stops an answer, Ctrl-D leaves, /help shows more.\n", sys.stderr)
    prompt = "> " if sys.stdout.isatty() else ""  # it belongs to no answer
    while True:
        try:
            yield input(prompt)
        except KeyboardInterrupt:
            write("\n(Ctrl-D leaves)\n", sys.stderr)
        except EOFError:
            write("\n", sys.stderr)
            return
