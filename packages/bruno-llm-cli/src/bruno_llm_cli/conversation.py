"""A conversation of the command: what was said before, and where it is recorded."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bruno_core.models import Message
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.messages import Messages, question, read_messages
from bruno_llm_base.parts import Json
from bruno_llm_base.response import ModelResponse
from bruno_llm_base.wrappers import FullLLM
from typer import BadParameter, Option

from bruno_llm_cli import settings
from bruno_llm_cli.completion import complete_conversation
from bruno_llm_cli.options import ModelOptions
from bruno_llm_cli.output import say

if TYPE_CHECKING:
    from bruno_llm_cli.log import RequestLog

Continue = Annotated[
    bool, Option("--continue", "-c", help="Go on with the conversation that was logged last.")
]
Named = Annotated[
    str | None,
    Option(
        "--conversation",
        metavar="ID",
        help="Go on with this one; `logs` shows the ids.",
        autocompletion=complete_conversation,
    ),
]
NoLog = Annotated[bool, Option("--no-log", help="Record nothing, though the log is on.")]


@dataclass
class Conversation:
    """What was said, and what it is called in the log, once something of it is there.

    Attributes:
        is_logged: Whether what is said is recorded.
        options: What its questions are asked with.
    """

    options: ModelOptions
    is_logged: bool
    id: str | None = None
    name: str = ""
    said: list[Message] = field(default_factory=list)

    def asking(self, messages: Messages) -> Messages:
        """Return what is sent to ask *messages*."""
        return [*self.said, *read_messages(messages)] if self.said else messages

    def forget(self) -> None:
        """Begin a new conversation."""
        self.id, self.name, self.said = None, "", []

    def record(
        self, asked: Messages, response: ModelResponse, llm: FullLLM, call: Json | None = None
    ) -> None:
        """Record what was *asked*, with other arguments of its *call*, and the answer, if the log is on.

        What cannot be written is said: the user has got the answer.
        """
        if not self.is_logged:
            return
        rest = dict(call or {})
        asked, tools = question(asked, rest), rest.pop("tools", ())
        schema, model = rest.pop("output", None), rest.pop("model", llm.model)
        if schema is not None:
            from bruno_llm_base.output import Output

            schema = Output.of(schema).form.schema
        try:
            log = open_log()
            self.id = log.record(
                asked,
                response,
                conversation=self.id,
                provider=llm.name,
                model=model,
                system=llm.get_system_prompt(),
                options=self.options.given() | rest,
                schema=schema,
                tools=[name for each in tools if (name := getattr(each, "name", ""))],
            )
            log.close()
        except ConfigurationError as error:
            say(f"the answer is not in the log: {error}")


def begin(
    options: ModelOptions, *, last: bool = False, name: str | None = None, no_log: bool = False
) -> Conversation:
    """Return a new conversation, or one of the log with its model and system text, if none are given.

    Args:
        options: What the user has said.
        last: Whether it is the one that was logged last.
        name: The id of one in the log.
        no_log: Whether nothing is recorded though the log is on.

    Raises:
        BadParameter: Both are given.
        InvalidRequestError: The log has no such conversation.
        ConfigurationError: The log cannot be read.
    """
    if last and name is not None:
        raise BadParameter(
            "--continue goes on with the last conversation: leave out --conversation"
        )
    is_logged = settings.read().log and not no_log
    if not last and name is None:
        return Conversation(options, is_logged)
    found = open_log(there=True).read_conversation(name)
    if options.provider is None and options.model is None and options.config is None:
        options = replace(options, provider=found.provider, model=found.model)
    if options.system is None:
        options = replace(options, system=found.system)
    if not is_logged:
        say("the log is off, so what is said now is not part of the conversation later")
    return Conversation(options, is_logged, found.id, found.name, list(found.messages))


def log_path() -> Path:
    """Return the file of the log, which need not be there."""
    return settings.folder() / "logs.db"


def open_log(*, there: bool = False) -> "RequestLog":
    """Return the command's log.

    Raises:
        InvalidRequestError: It is to be *there*, and is not.
        ConfigurationError: It cannot be used.
    """
    if there and not settings.is_there(log_path()):
        cure = "" if settings.read().log else ": `bruno-llm logs on` records from then on"
        raise InvalidRequestError(f"nothing is logged yet{cure}")
    from bruno_llm_cli.log import RequestLog  # slow to load, and seldom needed

    return RequestLog(log_path())
