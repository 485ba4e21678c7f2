"""bruno-core's messages, in the one shape that providers translate."""

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from bruno_core.models import Message, MessageRole, MessageType

from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.types import TOOL_CALL_PLACEHOLDER, Json, ToolCall
from bruno_llm_base.values import is_json, shown

__all__ = [
    "Conversation",
    "Messages",
    "Text",
    "ToolResult",
    "Turn",
    "check_message",
    "check_text",
    "question",
]

Messages = Sequence[Message] | str
"""What a user may ask with: a conversation, or one question."""

_MEDIA = (MessageType.IMAGE, MessageType.AUDIO, MessageType.FILE)
_RESULT_ROLES = (MessageRole.TOOL, MessageRole.FUNCTION)
_OPENING = "(The conversation goes on.)"
_NO_RESULT = "(no result)"


class Text(NamedTuple):
    """Something said."""

    text: str


class ToolResult(NamedTuple):
    """What a tool answered.

    Attributes:
        id: The call's name, from `ToolCall.id`.
        name: The tool's name.
        content: The answer.
    """

    id: str | None
    name: str | None
    content: str


class Turn(NamedTuple):
    """All that one side said before the other side spoke.

    Attributes:
        role: Who speaks; "tool" gives the results of calls.
        parts: What was said, in order.
        provider_state: What the vendor wants back with an assistant's turn.
    """

    role: Literal["user", "assistant", "tool"]
    parts: tuple[Text | ToolCall | ToolResult, ...]
    provider_state: tuple[Json, ...] = ()

    @property
    def text(self) -> str:
        """What was said in words."""
        return "\n\n".join(part.text for part in self.parts if isinstance(part, Text))

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
        """Read bruno-core's *messages*; the caller's list is not changed.

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
        asked = _checked(messages)
        system = [system_prompt] if system_prompt else []
        system += [message.content for message in asked if message.role is MessageRole.SYSTEM]
        spoken = [message for message in asked if message.role is not MessageRole.SYSTEM]
        return cls("\n\n".join(dict.fromkeys(system)) or None, _merged(_turns(spoken)))

    def opened(self) -> "Conversation":
        """Return the conversation with a user's turn first, for vendors that insist on one."""
        if self.turns and self.turns[0].role != "assistant":
            return self
        return Conversation(self.system, (Turn("user", (Text(_OPENING),)), *self.turns))


def question(messages: Messages | None, prompt: str | None) -> Messages:
    """Return what a call asks with, which is given in one of two ways.

    Raises:
        InvalidRequestError: Both are given, or neither, or the prompt is no text.
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


def _checked(messages: Sequence[Message]) -> list[Message]:
    if not isinstance(messages, Sequence):
        raise InvalidRequestError(f"messages is a {type(messages).__name__}: give a list")
    if not messages:
        raise InvalidRequestError("messages is empty: give at least one message")
    for place, message in enumerate(messages):
        check_message(f"messages[{place}]", message)
    return list(messages)


def check_message(name: str, message: Message) -> None:
    """Check that *message* can be sent.

    Args:
        name: What it is called in errors, such as "messages[0]".
        message: The message.

    Raises:
        InvalidRequestError: It is of another kind, says nothing, or holds something that is no text.
    """
    if not isinstance(message, Message):
        raise InvalidRequestError(
            f"{name} is a {type(message).__name__}: give bruno_core.models.Message"
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
        if turn is not None and (turn.parts or turn.provider_state):
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
    read = [_call(place, data) for place, data in enumerate(_listed(message, "tool_calls"))]
    calls = [_sound(call, f"call_{turn}_{place}", names) for place, call in enumerate(read)]
    words = () if message.content == TOOL_CALL_PLACEHOLDER else (Text(message.content),)
    asked = [
        _Asked(told.id, call, place, results)
        for place, (told, call) in enumerate(zip(read, calls, strict=True))
    ]
    return Turn("assistant", (*words, *calls), _state(message)), asked


def _listed(message: Message, key: str) -> list[Any]:
    value = message.metadata.get(key) or []
    if not isinstance(value, list | tuple):
        raise InvalidRequestError(f"metadata[{key!r}] is a {type(value).__name__}: give a list")
    return list(value)


def _state(message: Message) -> tuple[Json, ...]:
    state = _listed(message, "provider_state")
    if not all(isinstance(block, dict) for block in state) or not is_json(state):
        raise InvalidRequestError("metadata['provider_state'] holds no objects: leave it as it was")
    return tuple(state)


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
        raise InvalidRequestError(f"metadata['tool_calls'][{place}].id is no text: give text")
    for name, text in (("name", inner["name"]), ("id", data.get("id") or "")):
        check_text(f"metadata['tool_calls'][{place}].{name}", text)
    arguments = inner.get("arguments") or "{}"
    text = arguments if isinstance(arguments, str) else _as_json(inner["name"], arguments)
    return ToolCall(id=data.get("id"), name=inner["name"], arguments=text)


def _as_json(name: str, arguments: object) -> str:
    if not is_json(arguments):
        raise _unsound(name)
    return json.dumps(arguments)


def _unsound(name: str | None) -> InvalidRequestError:
    return InvalidRequestError(
        f"the arguments of the tool call {name!r} are not a JSON object: give one"
    )


def _sound(call: ToolCall, name: str, names: set[str]) -> ToolCall:
    """Return *call* with an id of its own, which vendors insist on, and sound arguments."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict) or not is_json(arguments):
        raise _unsound(call.name)
    name = call.id or name
    while name in names:
        name += "_"
    names.add(name)
    return ToolCall(id=name, name=call.name, arguments=call.arguments or "{}")


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
            before = merged.pop()
            state = before.provider_state + turn.provider_state
            merged.append(Turn(turn.role, before.parts + turn.parts, state))
        else:
            merged.append(turn)
    return tuple(merged)
