"""bruno-core's messages, in the one shape that providers translate."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from bruno_core.models import Message, MessageRole, MessageType

from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.parts import Part, Text, ToolCall, ToolResult, part_from_json, text_of
from bruno_llm_base.response import NO_TEXT_PLACEHOLDER, TOOL_CALL_PLACEHOLDER
from bruno_llm_base.values import is_json, shown

__all__ = [
    "Conversation",
    "Messages",
    "Turn",
    "check_message",
    "check_text",
    "question",
    "read_messages",
]

Messages = str | Message | Mapping[str, Any] | Sequence[Message | Mapping[str, Any]]
"""What a user may ask with: a question, a message, or a conversation. A message may be a plain dict, such
as `{"role": "user", "content": "Hello"}`; "tool_calls", "tool_call_id" and "name" are those of OpenAI's."""

_MEDIA = (MessageType.IMAGE, MessageType.AUDIO, MessageType.FILE)
_RESULT_ROLES = (MessageRole.TOOL, MessageRole.FUNCTION)
_ROLES = tuple(role.value for role in MessageRole)
_OF_METADATA = ("tool_calls", "tool_call_id", "name")
_KEYS = ("role", "content", *_OF_METADATA, "metadata")
_PLACEHOLDERS = (TOOL_CALL_PLACEHOLDER, NO_TEXT_PLACEHOLDER)
_OPENING = "(The conversation goes on.)"
_NO_RESULT = "(no result)"


class Turn(NamedTuple):
    """All that one side said before the other side spoke.

    Attributes:
        role: Who speaks; "tool" gives the results of calls.
        parts: What was said, in order.
    """

    role: Literal["user", "assistant", "tool"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """What was said in words."""
        return text_of(self.parts)

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tools it calls."""
        return [part for part in self.parts if isinstance(part, ToolCall)]

    @property
    def tool_results(self) -> list[ToolResult]:
        """The results it gives."""
        return [part for part in self.parts if isinstance(part, ToolResult)]


class Conversation(NamedTuple):
    """A system text, and turns in which neighbours have different roles."""

    system: str | None
    turns: tuple[Turn, ...]

    @classmethod
    def of(cls, messages: Messages, system_prompt: str | None = None) -> "Conversation":
        """Read *messages*; the caller's list is not changed.

        The system prompt comes first, then every SYSTEM message in order, exact duplicates once.

        Args:
            messages: The conversation, or one question.
            system_prompt: The provider's own system prompt.

        Raises:
            InvalidRequestError: It is empty, or holds something that cannot be sent.
        """
        check_text("the system prompt", system_prompt or "")
        if isinstance(messages, str):
            return cls(system_prompt, (Turn("user", (Text(_checked_question(messages)),)),))
        asked = read_messages(messages)
        system = [system_prompt] if system_prompt else []
        system += [message.content for message in asked if message.role is MessageRole.SYSTEM]
        spoken = [message for message in asked if message.role is not MessageRole.SYSTEM]
        return cls("\n\n".join(dict.fromkeys(system)) or None, _merged(_turns(spoken)))

    def with_call_ids(self, refused: "re.Pattern[str]", longest: int) -> "Conversation":
        """Return the conversation with ids of calls that a vendor takes.

        Call and result keep one id, and no two calls get the same.

        Args:
            refused: What an id may not hold; it becomes "_".
            longest: How many characters an id may have.
        """
        ids = {str(call.id) for turn in self.turns for call in turn.tool_calls}
        new: dict[str | None, str] = {}
        for name in sorted(ids):
            if refused.search(name) or len(name) > longest:
                new[name] = _unlike(refused.sub("_", name)[:longest], ids, longest)
                ids.add(new[name])
        if not new:
            return self
        turns = (
            Turn(turn.role, tuple(_renamed(part, new) for part in turn.parts))
            for turn in self.turns
        )
        return Conversation(self.system, tuple(turns))

    def opened(self) -> "Conversation":
        """Return the conversation with a user's turn first, for vendors that insist on one."""
        if self.turns and self.turns[0].role != "assistant":
            return self
        return Conversation(self.system, (Turn("user", (Text(_OPENING),)), *self.turns))


def _unlike(name: str, names: set[str], longest: int) -> str:
    """Return *name*, or one like it that is none of *names*."""
    found, number = name, 1
    while found in names:
        number += 1
        end = f"_{number}"
        found = name[: longest - len(end)] + end
    return found


def _renamed(part: Part, new: dict[str | None, str]) -> Part:
    if isinstance(part, ToolCall | ToolResult) and part.id in new:
        return replace(part, id=new[part.id])
    return part


def question(messages: Messages | None, prompt: str | None) -> Messages:
    """Return what a call asks with, which is given in one of two ways.

    Raises:
        InvalidRequestError: Both are given, or neither, or the prompt is not text.
    """
    if (messages is None) == (prompt is None):
        raise InvalidRequestError("give either messages or prompt")
    if messages is not None:
        return messages
    if not isinstance(prompt, str):
        raise InvalidRequestError(f"prompt is {shown(prompt)}: give a text")
    return prompt


def _checked_question(text: str) -> str:
    if not text.strip():
        raise InvalidRequestError("the prompt is empty: give some text")
    check_text("the prompt", text)
    return text


def read_messages(messages: Messages) -> list[Message]:
    """Return *messages* as bruno-core's, plain dicts included.

    Raises:
        InvalidRequestError: There is none, or one cannot be sent.
    """
    if isinstance(messages, Message | Mapping):
        messages = [messages]
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise InvalidRequestError(f"messages is a {type(messages).__name__}: give a list")
    if not messages:
        raise InvalidRequestError("messages is empty: give at least one message")
    read: list[Message] = []
    for place, given in enumerate(messages):
        name = f"messages[{place}]"
        message = _message(name, given) if isinstance(given, Mapping) else given
        check_message(name, message)
        read.append(message)
    return read


def _message(name: str, given: Mapping[str, Any]) -> Message:
    """Return the message that a plain dict stands for."""
    if unknown := [key for key in given if key not in _KEYS]:
        raise InvalidRequestError(
            f"{name} has {shown(unknown[0])}, which is not known: give {', '.join(_KEYS)}"
        )
    role, content = given.get("role"), given.get("content")
    role = "system" if role == "developer" else role
    if role not in _ROLES:
        raise InvalidRequestError(f"{name}.role is {shown(role)}: give {', '.join(_ROLES)}")
    metadata = given.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise InvalidRequestError(f"{name}.metadata is a {type(metadata).__name__}: give a mapping")
    own = {key: given[key] for key in _OF_METADATA if given.get(key) is not None}
    if isinstance(content, list | tuple):
        content = "".join(_text_of(f"{name}.content", part) for part in content)
    if not content and own.get("tool_calls"):
        content = TOOL_CALL_PLACEHOLDER
    if not isinstance(content, str):
        raise InvalidRequestError(f"{name}.content is a {type(content).__name__}: give a text")
    if not content:
        raise InvalidRequestError(f"{name}.content is empty: give some text")
    return Message(role=MessageRole(role), content=content, metadata={**metadata, **own})


def _text_of(name: str, part: Any) -> str:
    if not isinstance(part, Mapping) or not isinstance(text := part.get("text"), str):
        raise InvalidRequestError(
            f"{name} holds something but texts, which this version sends alone:"
            ' give parts like {"type": "text", "text": "..."}'
        )
    return text


def check_message(name: str, message: Message) -> None:
    """Check that *message* can be sent.

    Args:
        name: What it is called in errors, such as "messages[0]".
        message: The message.

    Raises:
        InvalidRequestError: It is of another kind, says nothing, or holds something that is not text.
    """
    if not isinstance(message, Message):
        raise InvalidRequestError(
            f"{name} is a {type(message).__name__}: give a dict with role and content, or"
            " bruno_core.models.Message"
        )
    # bruno-core checks a message when it is built, but not what is assigned to it afterwards
    for field, kind in (("role", MessageRole), ("message_type", MessageType), ("metadata", dict)):
        if not isinstance(getattr(message, field), kind):
            value = shown(getattr(message, field)) if kind is not dict else "no mapping"
            raise InvalidRequestError(f"{name}.{field} is {value}: give a {kind.__name__}")
    if message.message_type in _MEDIA:
        raise InvalidRequestError(
            f"{name} is of type {message.message_type.value}: this version sends text"
            " only, so put what matters into words (message_type=TEXT)"
        )
    if not isinstance(message.content, str) or not message.content.strip():
        raise InvalidRequestError(f"{name}.content is empty: give some text")
    check_text(f"{name}.content", message.content)


def check_text(name: str, text: str) -> None:
    """Check that *text* is one that can be sent; it may be empty.

    Raises:
        InvalidRequestError: It is something else, or no Unicode.
    """
    if not isinstance(text, str):
        raise InvalidRequestError(f"{name} is a {type(text).__name__}: give a text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        where = f"at character {error.start}"
        raise InvalidRequestError(f"{name} holds half of a surrogate pair {where}") from None


class _Asked(NamedTuple):
    """A call that waits for its result: `id` is its name in the messages, which may not be unique."""

    id: str | None
    call: ToolCall
    place: int
    results: dict[int, ToolResult]


def _turns(messages: list[Message]) -> list[Turn]:
    """Return the turns, with the results of each turn's calls right behind it, as vendors insist."""
    turns: list[Turn] = []
    results: list[dict[int, ToolResult]] = []
    rounds: list[list[_Asked]] = []
    names: set[str] = set()
    for message in messages:
        turn, found = None, dict[int, ToolResult]()
        if message.role in _RESULT_ROLES:
            turn = _result(message, rounds)
        elif message.role is MessageRole.ASSISTANT:
            turn, asked = _assistant(message, len(turns), names, found)
            rounds.insert(0, asked)
        else:
            turn = Turn("user", (Text(message.content),))
        if turn is not None and turn.parts:
            turns.append(turn)
            results.append(found)
    answered: list[Turn] = []
    for turn, found in zip(turns, results, strict=True):
        answered.append(turn)
        if calls := turn.tool_calls:
            parts = (found.get(place) or _missing(call) for place, call in enumerate(calls))
            answered.append(Turn("tool", tuple(parts)))
    return answered


def _missing(call: ToolCall) -> ToolResult:
    """Say so where a call was never answered: vendors refuse to go on without."""
    return ToolResult(call.id, call.name, _NO_RESULT)


def _assistant(
    message: Message, turn: int, names: set[str], results: dict[int, ToolResult]
) -> tuple[Turn, list[_Asked]]:
    parts: list[Part] = []
    asked: list[_Asked] = []
    for part in _said(message):
        if isinstance(part, ToolCall):
            place = len(asked)
            name = part.id or f"call_{turn}_{place}"
            name = _unlike(name, names, len(name) + 9)
            names.add(name)
            call = replace(part, id=name)
            asked.append(_Asked(part.id, call, place, results))
            parts.append(call)
        else:
            parts.append(part)
    return Turn("assistant", tuple(parts)), asked


def _said(message: Message) -> list[Part]:
    """Return what an assistant's message says, as `ModelResponse.to_message` wrote it or simpler."""
    words: list[Part] = [] if message.content in _PLACEHOLDERS else [Text(message.content)]
    try:
        parts = [part_from_json(data) for data in _listed(message, "parts")]
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None
    if not parts:
        calls = _listed(message, "tool_calls")
        return [*words, *(_call(place, data) for place, data in enumerate(calls))]
    if text_of(parts).strip() == text_of(words).strip():
        return parts
    # The words were changed after the answer: what the vendor signed no longer fits them.
    return [*words, *(replace(p, state=None) for p in parts if isinstance(p, ToolCall))]


def _listed(message: Message, key: str) -> list[Any]:
    value = message.metadata.get(key) or []
    if not isinstance(value, list | tuple):
        raise InvalidRequestError(f"metadata[{key!r}] is a {type(value).__name__}: give a list")
    return list(value)


def _call(place: int, data: object) -> ToolCall:
    if isinstance(data, ToolCall):
        data = {name: getattr(data, name) for name in ("id", "name", "arguments")}
    if not isinstance(data, dict):
        raise InvalidRequestError(
            f"metadata['tool_calls'][{place}] is a {type(data).__name__}: give id, name, arguments"
        )
    inner = data.get("function", data)  # OpenAI's shape is accepted too
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        raise InvalidRequestError(f"metadata['tool_calls'][{place}] has no name: give the tool's")
    if not isinstance(data.get("id"), str | None):
        raise InvalidRequestError(f"metadata['tool_calls'][{place}].id is not text: give text")
    for name, text in (("name", inner["name"]), ("id", data.get("id") or "")):
        check_text(f"metadata['tool_calls'][{place}].{name}", text)
    arguments = inner.get("arguments") or "{}"
    text = arguments if isinstance(arguments, str) else _as_json(inner["name"], arguments)
    check_text(f"metadata['tool_calls'][{place}].arguments", text)
    return ToolCall(id=data.get("id"), name=inner["name"], arguments=text)


def _as_json(name: str, arguments: object) -> str:
    if not isinstance(arguments, dict) or not is_json(arguments):
        raise InvalidRequestError(
            f"the arguments of the tool call {name!r} are not a JSON object: give one"
        )
    return json.dumps(arguments)


def _result(message: Message, rounds: list[list[_Asked]]) -> Turn | None:
    """Give a result to the call that waits for it: by id, else by name, else in order.

    The latest round of calls comes first. A result that nothing asked for is told as the user's
    words, since every API refuses it.
    """
    wanted, name = message.metadata.get("tool_call_id"), message.metadata.get("name")
    for waiting in rounds:
        fits = [asked for asked in waiting if not wanted or asked.id == wanted]
        named = [asked for asked in fits if not name or asked.call.name == name]
        if found := next(iter(named or (fits if wanted else ())), None):
            waiting.remove(found)
            call = found.call
            found.results[found.place] = ToolResult(call.id, call.name, message.content)
            return None
    said = f"Result of {name}: {message.content}" if name else message.content
    check_text("metadata['name'] of a result", said)
    return Turn("user", (Text(said),))


def _merged(turns: list[Turn]) -> tuple[Turn, ...]:
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            merged.append(Turn(turn.role, _apart(merged.pop().parts, turn.parts)))
        else:
            merged.append(turn)
    return tuple(merged)


_BETWEEN = "\n\n"


def _apart(before: tuple[Part, ...], after: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the parts of two neighbouring messages, with an empty line between their words."""
    if not text_of(before) or not text_of(after):
        return before + after
    last, first = before[-1], after[0]
    if isinstance(last, Text) and isinstance(first, Text):
        return (*before[:-1], Text(last.text + _BETWEEN + first.text), *after[1:])
    return (*before, Text(_BETWEEN), *after)
