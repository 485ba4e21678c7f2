"""bruno-core's messages, in the one shape that providers translate."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Literal, NamedTuple, Required, TypedDict, cast
from uuid import NAMESPACE_OID, uuid5

from bruno_core.models import Message, MessageRole, MessageType

from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.parts import (
    CACHE_MARK,
    NO_RESULT,
    Json,
    Media,
    Part,
    Text,
    ToolCall,
    ToolResult,
    is_json,
    join_parts,
    object_in,
    part_from_json,
    text_of,
)
from bruno_llm_base.response import NO_TEXT_PLACEHOLDER, TOOL_CALL_PLACEHOLDER
from bruno_llm_base.values import shown

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
"""Who says a message; "developer" is "system", and "function" is "tool"."""


class MessageDict(TypedDict, total=False):
    """A message as a plain dict, such as `{"role": "user", "content": "Hello"}`.

    Attributes:
        role: Who says it.
        content: The words, or a list of words and media, in the shapes of OpenAI's and Anthropic's APIs.
        tool_calls: What the model calls, as in OpenAI's messages.
        tool_call_id: Which call this is the result of.
        name: Which tool this is the result of.
        metadata: As in bruno-core's messages.
    """

    role: Required[Role]
    content: Required[str | Sequence[Any] | None]
    tool_calls: Sequence[Any] | None
    tool_call_id: str | None
    name: str | None
    metadata: Mapping[str, Any] | None


Messages = str | Message | MessageDict | Sequence[Message | MessageDict | tuple[Role, str]]
"""What a user may ask with: a question, a message, or a conversation. A message may be a plain dict, or a
pair of role and text, such as `("user", "Hello")`."""

Attachments = Sequence[str | PathLike[str] | Media]
"""What goes with a question: paths, addresses, `Media`."""

_MEDIA = (MessageType.IMAGE, MessageType.AUDIO, MessageType.FILE)
_WITH_MEDIA = (MessageRole.USER, MessageRole.ASSISTANT)
_MEDIA_ALONE = "(media)"  # the content of a message without words, which is not sent
_ROLES = tuple(role.value for role in MessageRole)
_OF_METADATA = ("tool_calls", "tool_call_id", "name")
_PAIR = ("role", "content")
_KEYS = (*_PAIR, *_OF_METADATA, "metadata")
_OPENING = Text("(The conversation goes on.)")
_Awaited = tuple[
    str | None, ToolResult
]  # with its call's id in the messages, which may not be unique


class Turn(NamedTuple):
    """All that one side said before the other side spoke; "tool" gives the results of calls."""

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
        """Read *messages*, the provider's own *system_prompt* first; equal system texts are said once.

        Raises:
            InvalidRequestError: It is empty, or holds something that cannot be sent.
        """
        if system_prompt:
            check_text("the system prompt", system_prompt)
        if isinstance(messages, str):
            if not messages.strip():
                raise InvalidRequestError("the prompt is empty: give some text")
            check_text("the prompt", messages)
            return cls(system_prompt, (Turn("user", (Text(messages),)),))
        asked = read_messages(messages)
        system = [system_prompt] if system_prompt else []
        system += [message.content for message in asked if message.role is MessageRole.SYSTEM]
        spoken = [message for message in asked if message.role is not MessageRole.SYSTEM]
        return cls("\n\n".join(dict.fromkeys(system)) or None, _merged(_turns(spoken)))

    @property
    def media(self) -> list[Media]:
        """All media in it, those of results of tools included."""
        found: list[Media] = []
        for _, parts in self.turns:
            for part in parts:
                if isinstance(part, Media):
                    found.append(part)
                elif isinstance(part, ToolResult):
                    found += part.media
        return found

    def with_call_ids(self, taken: "re.Pattern[str]") -> "Conversation":
        """Return the conversation with ids of calls that a vendor takes; a hash stands for any other."""

        def named(part: Part) -> Part:
            if not isinstance(part, ToolCall | ToolResult) or taken.fullmatch(str(part.id)):
                return part
            digits = uuid5(NAMESPACE_OID, str(part.id)).hex
            whole = f"call_{digits}"
            # Mistral takes nine letters and digits
            return replace(part, id=whole if taken.fullmatch(whole) else digits[:9])

        turns = [Turn(role, tuple(map(named, parts))) for role, parts in self.turns]
        return Conversation(self.system, tuple(turns))

    def without_marks(self) -> "Conversation":
        """Return the conversation without marks of what the server is to keep."""
        turns = [
            Turn(role, tuple([part for part in parts if part != CACHE_MARK]))
            for role, parts in self.turns
        ]
        return Conversation(self.system, tuple(turns))

    def opened(self) -> "Conversation":
        """Return the conversation with a user's turn first, for vendors that insist on one."""
        if self.turns and self.turns[0].role != "assistant":
            return self
        return Conversation(self.system, (Turn("user", (_OPENING,)), *self.turns))


def question(messages: Messages | None, call: Json) -> Messages:
    """Return what a *call* asks with: messages or its `prompt`, its `attachments` beside the last of it.

    Both are taken out of the call, whose options are left.
    """
    prompt, attachments = call.pop("prompt", None), call.pop("attachments", ())
    if (messages is None) == (prompt is None):
        raise InvalidRequestError("give either messages or prompt")
    if messages is None:
        if not isinstance(prompt, str):
            raise InvalidRequestError(f"prompt is {shown(prompt)}: give a text")
        messages = prompt
    return _with_attachments(messages, attachments) if attachments else messages


def _with_attachments(messages: Messages, attachments: Attachments) -> list[Message]:
    """Return *messages* with *attachments* in the last one of the user, before its words."""
    if isinstance(attachments, str | PathLike | Media) or not isinstance(attachments, Sequence):
        raise InvalidRequestError(f"attachments is {shown(attachments)}: give a list")
    named = [(f"attachments[{place}]", each) for place, each in enumerate(attachments)]
    media = [_media(name, each, is_trusted=True) for name, each in named]
    asked = read_messages(messages)
    users = [place for place, each in enumerate(asked) if each.role is MessageRole.USER]
    if not users:
        raise InvalidRequestError("attachments go with a message of the user: there is none")
    last = asked[users[-1]]
    own = _listed(last, "media")
    asked[users[-1]] = last.model_copy(
        update={"metadata": last.metadata | {"media": [*media, *own]}}
    )
    return asked


def _media(name: str, given: Any, *, is_trusted: bool = False) -> Media:
    """Return the media that *given* names, which errors call *name*."""
    from bruno_llm_base.media_blocks import media_of  # most conversations have none

    try:
        return media_of(given, is_trusted=is_trusted)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"{name}: {error}") from None


def user(text: str, *attachments: str | PathLike[str] | Media) -> Message:
    """Return a message of the user, with pictures, sounds or documents if there are some.

    Raises:
        InvalidRequestError: The text is empty, or an attachment is none.
    """
    return _with_attachments(text, attachments)[0] if attachments else _said_by("user", text)


def assistant(text: str) -> Message:
    """Return a message of the model.

    Raises:
        InvalidRequestError: The text is empty.
    """
    return _said_by("assistant", text)


def system(text: str) -> Message:
    """Return a message that tells the model what it is to do throughout.

    Raises:
        InvalidRequestError: The text is empty.
    """
    return _said_by("system", text)


def _said_by(role: str, text: str) -> Message:
    message = _message(role, {"role": role, "content": text})
    check_message(role, message)
    return message


def read_messages(messages: Messages) -> list[Message]:
    """Return *messages* as bruno-core's, or raise an `InvalidRequestError` if one cannot be sent."""
    if isinstance(messages, str):
        messages = {"role": "user", "content": messages}
    if isinstance(messages, Message | Mapping):
        messages = [messages]
    if isinstance(messages, bytes | bytearray):
        raise InvalidRequestError(
            "messages is bytes: decode them to a text, or attach them as Media"
        )
    _check_kind("messages", messages, Sequence, "a list of messages, or a text")
    if not messages:
        raise InvalidRequestError("messages is empty: give at least one message")
    if isinstance(messages[0], str) and messages[0] in _ROLES:
        raise InvalidRequestError(
            "messages is a pair of role and text: give a list of them, such as [('user', 'Hello')]"
        )
    read: list[Message] = []
    for place, given in enumerate(messages):
        name = f"messages[{place}]"
        if isinstance(given, tuple) and len(given) == len(_PAIR):
            read.append(_message(name, dict(zip(_PAIR, given, strict=True))))
        elif hasattr(given, "to_message"):  # bruno-core's messages have none
            raise InvalidRequestError(f"{name} is a {type(given).__name__}: give its to_message()")
        else:
            read.append(
                _message(name, given) if isinstance(given, Mapping) else cast(Message, given)
            )
        check_message(name, read[-1])
    return read


def _check_kind(name: str, value: object, kind: Any, cure: str) -> None:
    if not isinstance(value, kind):
        raise InvalidRequestError(f"{name} is a {type(value).__name__}: give {cure}")


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
    _check_kind(f"{name}.metadata", metadata, Mapping, "a mapping")
    own = {key: given[key] for key in _OF_METADATA if given.get(key) is not None}
    if isinstance(content, list | tuple):
        parts = [_content_part(f"{name}.content[{n}]", each) for n, each in enumerate(content)]
        content = text_of(parts)
        if any(isinstance(part, Media) for part in parts):
            if role not in ("user", "tool"):
                raise InvalidRequestError(
                    f"{name} is of the role {role} and holds media: give them in a message of the"
                    " user, or in a tool's result"
                )
            own["parts"] = [part for part in parts if isinstance(part, Media) or part.text.strip()]
            content = content if content.strip() else _MEDIA_ALONE
    if not content and own.get("tool_calls"):
        content = TOOL_CALL_PLACEHOLDER
    if isinstance(content, str):
        content = content.strip()  # as bruno-core does
    # unchecked, since what is wrong is still to be named
    return Message.model_construct(
        role=MessageRole(role), content=content, metadata={**metadata, **own}
    )


def _content_part(name: str, given: object) -> Text | Media:
    """Return what one item of a message's content is: words, or media."""
    text = given if isinstance(given, str) else object_in(given).get("text")
    return Text(text) if isinstance(text, str) else _media(name, given)


def prompt_of(messages: Messages) -> Mapping[str, Any]:
    """Return name and version of the last prompt that made one of *messages*; nothing if none did."""
    given = [messages] if isinstance(messages, str | Message | Mapping) else messages
    for each in reversed(given):
        metadata = (
            each.get("metadata") if isinstance(each, Mapping) else getattr(each, "metadata", 0)
        )
        if prompt := object_in(object_in(metadata).get("prompt")):
            return prompt
    return {}


def check_message(name: str, message: Message) -> None:
    """Raise an `InvalidRequestError` unless *message*, which errors call *name*, can be sent."""
    cure = "a dict with role and content, a pair of them, or bruno_core.models.Message"
    _check_kind(name, message, Message, cure)
    # bruno-core checks a message when it is built, but not what is assigned to it afterwards
    for field, kind in (("role", MessageRole), ("message_type", MessageType), ("metadata", dict)):
        _check_kind(f"{name}.{field}", getattr(message, field), kind, f"a {kind.__name__}")
    if message.message_type in _MEDIA and message.role not in _WITH_MEDIA:
        raise InvalidRequestError(
            f"{name} is of type {message.message_type.value} and of the role {message.role.value}:"
            " media stand in messages of the user and the assistant"
        )
    mark = message.metadata.get("cache", False)
    if not isinstance(mark, bool):
        raise InvalidRequestError(f"{name}.metadata['cache'] is {shown(mark)}: give True or False")
    if mark and message.role is MessageRole.SYSTEM:
        raise InvalidRequestError(
            f"{name}.metadata['cache'] is True for a system text: give the option cache=True, which"
            " keeps it"
        )
    check_text(f"{name}.content", message.content)
    if not message.content.strip():
        raise InvalidRequestError(f"{name}.content is empty: give some text")


def check_text(name: str, text: str) -> None:
    """Raise an `InvalidRequestError` unless *text* is one that can be sent; it may be empty."""
    _check_kind(name, text, str, "a text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        where = f"at character {error.start}"
        raise InvalidRequestError(f"{name} holds half of a surrogate pair {where}") from None


def _turns(messages: list[Message]) -> list[Turn]:
    """Return the turns, with the results of each turn's calls right behind it, as vendors insist."""
    turns: list[Turn] = []
    rounds: list[list[_Awaited]] = []
    ids: set[str] = set()
    for message in messages:
        if message.role is MessageRole.ASSISTANT:
            turn = Turn("assistant", _marked(message, *_said(message)))
            if turn.parts:
                turns.append(turn)
            if calls := turn.tool_calls:
                rounds.append(_awaited(calls, len(turns) - 1, ids))
                turns.append(Turn("tool", tuple([result for _, result in rounds[-1]])))
        elif message.role is MessageRole.USER:
            turns.append(Turn("user", _marked(message, *_asked(message))))
        elif result := _asked_for(message, rounds):
            result.content = message.content
            result.parts = _result_parts(message)
            result.is_error = bool(message.metadata.get("is_error"))
            if message.metadata.get("cache"):
                _mark_result(turns, result)
        else:  # every API refuses a result that nothing asked for, so the user tells it
            name = message.metadata.get("name")
            said = f"Result of {name}: {message.content}" if name else message.content
            check_text("metadata['name'] of a result", said)
            media = [part for part in _result_parts(message) if isinstance(part, Media)]
            turns.append(Turn("user", _marked(message, *media, Text(said))))
    return turns


def _marked(message: Message, *parts: Part) -> tuple[Part, ...]:
    """Return *parts*, with a mark behind them if the server is to keep *message*."""
    return (*parts, CACHE_MARK) if parts and message.metadata.get("cache") else parts


def _mark_result(turns: list[Turn], result: ToolResult) -> None:
    """Put a mark behind *result*."""
    place = next(place for place, turn in enumerate(turns) if result in turn.parts)
    parts = turns[place].parts
    end = parts.index(result) + 1
    turns[place] = Turn("tool", (*parts[:end], CACHE_MARK, *parts[end:]))


def _awaited(calls: list[ToolCall], turn: int, ids: set[str]) -> list[_Awaited]:
    """Return a result for each of *calls*, which get ids that are none of *ids*."""
    awaited: list[_Awaited] = []
    for place, call in enumerate(calls):
        given, number = call.id, 1
        call.id = name = given or f"call_{turn}_{place}"
        while call.id in ids:
            number += 1
            call.id = f"{name}_{number}"
        ids.add(call.id)
        awaited.append((given, ToolResult(call.id, call.name, NO_RESULT)))
    return awaited


def _asked_for(message: Message, rounds: list[list[_Awaited]]) -> ToolResult | None:
    """Return what waits for the result *message*, the latest round first: by id, by name, in order."""
    wanted, name = message.metadata.get("tool_call_id"), message.metadata.get("name")
    for awaited in reversed(rounds):
        waiting = [each for each in awaited if not wanted or each[0] == wanted]
        named = [each for each in waiting if not name or each[1].name == name]
        if found := named or (waiting if wanted else []):
            awaited.remove(found[0])
            return found[0][1]
    return None


def _said(message: Message) -> list[Part]:
    """Return what an assistant's message says, as `ModelResponse.to_message` wrote it or simpler."""
    is_silent = message.content in (TOOL_CALL_PLACEHOLDER, NO_TEXT_PLACEHOLDER)
    words = [] if is_silent else _words(message)
    parts = [_read_part(data) for data in _listed(message, "parts")]
    if not parts:
        calls = enumerate(_listed(message, "tool_calls"))
        return [*words, *(_call(place, data) for place, data in calls)]
    if text_of(parts).strip() == text_of(words).strip():
        return parts
    # The words were changed after the answer: what the vendor signed no longer fits them.
    return [*words, *(replace(p, state=None) for p in parts if isinstance(p, ToolCall))]


def _asked(message: Message) -> list[Part]:
    """Return what a user's message says: in the order of its content, if that is a list."""
    if "parts" not in message.metadata:  # as nearly all
        return _words(message)
    parts = [part for part in _listed(message, "parts") if isinstance(part, Text | Media)]
    return [*_named_media(message), *parts] if parts else _words(message)


def _words(message: Message) -> list[Part]:
    """Return the media of a message, and what it says in words."""
    content, is_media = message.content, message.message_type in _MEDIA
    if not is_media and "media" not in message.metadata:
        return [Text(content)]
    if is_media:
        content = message.metadata.get("text") or ""
        check_text("metadata['text']", content)
    words = [Text(content)] if content.strip() else []
    return [*_named_media(message), *words]


def _named_media(message: Message) -> list[Media]:
    """Return the media that a message names: as its content, by its type, and in its metadata."""
    listed = enumerate(_listed(message, "media"))
    media = [_media(f"metadata['media'][{place}]", given) for place, given in listed]
    kind = message.message_type
    if kind not in _MEDIA:
        return media
    named = _media(f"the content of a message of type {kind.value}", message.content)
    if named.url is not None and named.type is None and kind is not MessageType.IMAGE:
        raise InvalidRequestError(
            f"the address {named.label} does not tell what is there: give metadata['media'] ="
            " [Media(url=..., type=...)]"
        )
    return [named, *media]


def _result_parts(message: Message) -> tuple[Text | Media, ...]:
    """Return the words and the media of a tool's result, as `ToolResult.to_message` wrote them."""
    parts = [_read_part(data) for data in _listed(message, "parts")]
    return tuple([part for part in parts if isinstance(part, Text | Media)])


def _read_part(data: object) -> Part:
    if isinstance(data, Part):
        return data
    try:
        return part_from_json(data)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None


def _listed(message: Message, key: str) -> Sequence[Any]:
    value: Sequence[Any] = message.metadata.get(key) or []
    _check_kind(f"metadata[{key!r}]", value, (list, tuple), "a list")
    return value


def _call(place: int, data: Any) -> ToolCall:
    """Return a call that is written as one, as a dict of its fields, or in OpenAI's shape."""
    where = f"metadata['tool_calls'][{place}]"
    if isinstance(data, ToolCall):
        data = {"id": data.id, "name": data.name, "arguments": data.arguments}
    _check_kind(where, data, dict, "id, name, arguments")
    inner = object_in(data.get("function", data))
    name, identifier = inner.get("name"), data.get("id")
    if not isinstance(name, str):
        raise InvalidRequestError(f"{where} has no name: give the tool's")
    if not isinstance(identifier, str | None):
        raise InvalidRequestError(f"{where}.id is not text: give text")
    arguments = inner.get("arguments") or "{}"
    if isinstance(arguments, dict) and is_json(arguments):
        arguments = json.dumps(arguments)
    if not isinstance(arguments, str):
        raise InvalidRequestError(
            f"the arguments of the tool call {name!r} are not a JSON object: give one"
        )
    for key, text in (("name", name), ("id", identifier or ""), ("arguments", arguments)):
        check_text(f"{where}.{key}", text)
    return ToolCall(id=identifier, name=name, arguments=arguments)


def _merged(turns: list[Turn]) -> tuple[Turn, ...]:
    """Return *turns* with neighbours of one role as one, an empty line between their words."""
    merged: list[Turn] = []
    for role, parts in turns:
        before = merged.pop().parts if merged and merged[-1].role == role else ()
        if text_of(before) and text_of(parts):
            between = join_parts((before[-1], Text("\n\n"), parts[0]))
            merged.append(Turn(role, (*before[:-1], *between, *parts[1:])))
        else:
            merged.append(Turn(role, before + parts))
    return tuple(merged)
