"""A log of questions and answers: one SQLite file with plain tables, which other programs may read."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from bruno_core.models import Message, MessageRole
from bruno_llm_base.events import (
    Event,
    RequestAbandoned,
    RequestFailed,
    RequestFinished,
    RequestStarted,
)
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.forks import rest_during_forks
from bruno_llm_base.log import LOGGER
from bruno_llm_base.messages import Conversation as Asked
from bruno_llm_base.messages import Messages, read_messages
from bruno_llm_base.parts import Json, Media
from bruno_llm_base.response import ModelResponse

from bruno_llm_cli.log_media import Attachment, put_away, put_back
from bruno_llm_cli.log_tables import LogFile, conditions_of, insert

_conversation: ContextVar[str | None] = ContextVar("bruno_llm_conversation", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedResponse:
    """A question and its answer, as the table `responses` has them.

    Attributes:
        id: Their number.
        conversation_id: The conversation of which they are a part.
        created: When the answer had ended, in UTC, as ISO 8601.
        provider: Who was asked.
        model: The model that was asked.
        resolved_model: The model that answered, in the vendor's word.
        prompt: The question, in words.
        response: The answer, in words.
        finish_reason: Why it stopped; None where the user stopped it.
        options: The options of the request, as JSON.
        schema: The JSON schema of the answer.
        tools: The names of the tools that were offered, as JSON.
        tool_calls: What was called, as JSON.
        cached_tokens: How many of the input were read from the vendor's cache.
        cost: USD; None where it is unknown.
        duration: Seconds, over all attempts and rounds; None if the answer broke off.
        attachments: What went with the question, each by the SHA-256 of its content, or of its address.
    """

    id: int
    conversation_id: str
    created: str
    provider: str
    model: str
    resolved_model: str | None
    system: str | None
    prompt: str
    response: str
    reasoning: str | None
    finish_reason: str | None
    options: str | None
    schema: str | None
    tools: str | None
    tool_calls: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost: float | None
    duration: float | None
    attachments: tuple[str, ...]


_COLUMNS = tuple(item.name for item in fields(LoggedResponse))[:-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedConversation:
    """What was said, so that it can go on.

    Attributes:
        id: Its name in the log.
        name: How it began.
        provider: Who was asked last.
        model: The model that was asked last.
        system: What it began with, when it was asked last.
        messages: All of it, to be sent with the next question.
    """

    id: str
    name: str
    provider: str
    model: str
    system: str | None
    messages: tuple[Message, ...]


class RequestLog:
    """A file of questions and answers, which processes may share; only its owner can read it.

    What is given to `record` is written at once. As one of a provider's `observers`, it records every
    answer, in a thread of its own; what cannot be written then is told by a warning of the log of
    "bruno_llm". An answer that the caller leaves is recorded as far as it has come, a failure not at all.

        log = RequestLog("requests.db")
        llm = LLMFactory.create("openai", observers=[log])
        with log.conversation("ticket 17"):
            await llm.generate("Why is the sky blue?")
        log.search("sky")

    Raises:
        ConfigurationError: The file cannot be used, or is something else; so do all methods.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDONLY, 0o600))
        except OSError as error:
            raise ConfigurationError(
                f"the log {self.path} cannot be used: {error.strerror}", cause=error
            ) from error
        self._file = LogFile(self.path)
        self.start_fresh()
        rest_during_forks(self)

    def start_fresh(self) -> None:
        """Begin without a connection, as a forked process has to."""
        self._file.close()
        self._lock = Lock()
        self._started: dict[str | None, tuple[RequestStarted, str | None]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bruno-llm-log")

    def rest(self) -> None:
        """Come to rest, the file closed, and stay so."""
        self._lock.acquire()
        self._file.close()

    def go_on(self) -> None:
        """Go on after a rest."""
        self._lock.release()

    def record(
        self,
        messages: Messages,
        response: ModelResponse,
        *,
        conversation: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        system: str | None = None,
        options: Mapping[str, Any] | None = None,
        schema: object = None,
        tools: Sequence[str] = (),
    ) -> str:
        """Write a question and its answer, and return the conversation's id.

        Args:
            messages: What was asked now; earlier questions of the conversation have been recorded.
            response: The answer.
            conversation: The conversation's id; a new one if None.
            provider: Who was asked; as the answer says if None.
            model: The model that was asked; as the answer says if None.
            system: The system text.
            options: Options of the request, such as the temperature.
            schema: The JSON schema of the answer.
            tools: The names of the tools that were offered.
        """
        conversation = conversation or os.urandom(6).hex()
        row, said = _row(messages, response)
        row |= {
            "conversation_id": conversation,
            "provider": provider or response.provider or "",
            "model": model or response.model or "",
            "system": system or row["system"],
            "options": _json(dict(options or {})),
            "schema": _json(schema),
            "tools": _json(list(tools)),
        }
        with self._lock:
            self._file.write(partial(insert, row=row, said=said))
        return conversation

    @contextmanager
    def conversation(self, name: str) -> Iterator[None]:
        """Let what is asked within a `with` block, and heard as an observer, be one conversation."""
        token = _conversation.set(name)
        try:
            yield
        finally:
            _conversation.reset(token)

    def __call__(self, event: Event) -> None:
        """Hear, as an observer, what happens to a request."""
        if isinstance(event, RequestStarted) and isinstance(event.conversation, Asked):
            self._started[event.id] = event, _conversation.get()
        elif isinstance(event, RequestFinished | RequestAbandoned):
            started, conversation = self._started.pop(event.id, (None, None))
            if started is not None and event.response.parts:
                self._thread.submit(self._record_heard, started, event.response, conversation)
        elif isinstance(event, RequestFailed):
            self._started.pop(event.id, None)

    def _record_heard(
        self, started: RequestStarted, response: ModelResponse, conversation: str | None
    ) -> None:
        asked: Asked = started.conversation
        options = {name: value for name, value in started.options.items() if name != "tools"}
        names = [getattr(tool, "name", None) for tool in started.options.get("tools") or ()]
        try:
            self.record(
                _last_asked(asked),
                response,
                conversation=conversation,
                provider=started.provider,
                model=started.model,
                system=asked.system,
                options=options,
                tools=[name for name in names if isinstance(name, str)],
            )
        except ConfigurationError as error:
            LOGGER.warning("an answer is not in the log: %s", error)

    def search(
        self,
        words: str = "",
        *,
        limit: int | None = None,
        conversation: str | None = None,
        model: str | None = None,
    ) -> list[LoggedResponse]:
        """Return the questions and answers in which all *words* are, the newest first.

        Args:
            words: Any text; without one, all are found. A word of Latin, Greek or Cyrillic letters is
                found whatever its case and accents, also as the beginning of a longer one; any other
                wherever it stands.
            limit: The most to return.
            conversation: Only of this conversation.
            model: Only of this model, or provider, or provider/model.
        """
        conditions, values = conditions_of(words)
        if conversation is not None:
            conditions.append("conversation_id = ?")
            values.append(conversation)
        if model is not None:
            conditions.append("? IN (provider, model, provider || '/' || model)")
            values.append(model)
        query = (
            f"SELECT {', '.join(_COLUMNS)}, (SELECT json_group_array(attachment_id) FROM"  # noqa: S608
            f" response_attachments WHERE response_id = responses.id) FROM responses"
            f" WHERE {' AND '.join(conditions) or 'TRUE'} ORDER BY id DESC LIMIT ?"
        )
        values.append(-1 if limit is None else limit)
        return [
            LoggedResponse(
                **dict(zip(_COLUMNS, row, strict=False)), attachments=tuple(json.loads(row[-1]))
            )
            for row in self._read(query, values)
        ]

    def read_conversation(self, name: str | None = None) -> LoggedConversation:
        """Return the conversation of that id, the one that was recorded last if None.

        Raises:
            InvalidRequestError: There is none.
        """
        last = (
            "SELECT conversation_id, conversations.name, provider, model, system FROM responses"
            " JOIN conversations ON conversations.id = conversation_id"
            " WHERE ?1 IS NULL OR conversation_id = ?1 ORDER BY responses.id DESC LIMIT 1"
        )
        said = "SELECT messages FROM responses WHERE conversation_id = ? ORDER BY id"
        found = self._read(last, [name])
        if not found:
            which = "no conversation is in the log" if name is None else f"there is no {name!r}"
            raise InvalidRequestError(f"{which}: see `bruno-llm logs` for what there is")
        key, title, provider, model, system = found[0]
        messages = [each for (text,) in self._read(said, [key]) for each in json.loads(text)]
        return LoggedConversation(
            id=key,
            name=title,
            provider=provider,
            model=model,
            system=system,
            messages=tuple(Message(**put_back(each, self._content)) for each in messages),
        )

    def conversations(self, limit: int | None = None) -> dict[str, str]:
        """Return how the conversations began, by their ids: that which was recorded last is the first.

        Args:
            limit: The most to return.
        """
        query = (
            "SELECT conversations.id, name FROM conversations"
            " JOIN responses ON conversation_id = conversations.id"
            " GROUP BY conversations.id ORDER BY MAX(responses.id) DESC LIMIT ?"
        )
        return dict(self._read(query, [-1 if limit is None else limit]))

    def count(self) -> tuple[int, int]:
        """Return how many conversations and how many answers there are."""
        counts = "SELECT (SELECT COUNT(*) FROM conversations), (SELECT COUNT(*) FROM responses)"
        ((conversations, responses),) = self._read(counts)
        return conversations, responses

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the log into a new file, while others may write it.

        Raises:
            ConfigurationError: The file is there already, or cannot be written.
        """
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise ConfigurationError(f"{path} is there already: give another path") from None
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
        with self._lock:
            self._file.copy(Path(path).absolute())

    def close(self) -> None:
        """Write what was heard, and close the file, which is opened again when needed."""
        self._thread.shutdown()
        with self._lock:
            self._file.close()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bruno-llm-log")

    def _content(self, attachment: str) -> bytes:
        ((content,),) = self._read("SELECT content FROM attachments WHERE id = ?", [attachment])
        return bytes(content)

    def _read(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._file.read(lambda file: file.execute(query, values).fetchall())


def _row(messages: Messages, response: ModelResponse) -> tuple[Json, list[Attachment]]:
    """Return what the messages and the answer say of a row, and the media among the messages."""
    asked = read_messages(messages)
    said = [*asked, *(getattr(response, "messages", None) or [response.to_message()])]
    media: list[Attachment] = []
    written = [put_away(each, media) for each in said]
    users = [each.content for each in asked if each.role is MessageRole.USER]
    systems = [each.content for each in asked if each.role is MessageRole.SYSTEM]
    parts = [part for each in written for part in each.get("metadata", {}).get("parts", ())]
    calls = [
        {"name": part["name"], "arguments": part["arguments"]}
        for part in parts
        if part["type"] == "tool_call"
    ]
    usage, cost = response.usage, response.cost
    row = {
        "created": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "resolved_model": response.model,
        "system": "\n\n".join(systems) or None,
        "prompt": "\n\n".join(users),
        "response": response.text,
        "reasoning": response.reasoning or None,
        "finish_reason": response.finish_reason,
        "tool_calls": _json(calls),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cache_read_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost": None if cost is None else float(cost.total),
        "duration": sum(each.duration for each in response.attempts) or None,
        "messages": json.dumps(written),
    }
    return row, media


def _last_asked(conversation: Asked) -> list[Message]:
    """Return what was said since the model's last answer."""
    asked: list[Message] = []
    for turn in reversed(conversation.turns):
        if turn.role == "assistant":
            break
        if turn.role == "tool":
            asked[:0] = [result.to_message() for result in turn.tool_results]
        else:
            media = [part for part in turn.parts if isinstance(part, Media)]
            asked.insert(
                0,
                Message(
                    role=MessageRole.USER,
                    content=turn.text.strip() or "(media)",
                    metadata={"media": media} if media else {},
                ),
            )
    return asked


def _json(value: object) -> str | None:
    """Return *value* as JSON, in which what is none is text; None where nothing is said."""
    return json.dumps(value, default=str) if value else None
