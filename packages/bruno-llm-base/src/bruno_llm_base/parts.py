"""What conversations and answers are made of: parts, in the order in which they were said.

Parts are values, and not frozen only because one is made for every streamed chunk. Fragments of one
part have an `index` in common, which is not part of the value.
"""

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from pathlib import PurePath
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints
from urllib.parse import unquote_to_bytes, urlsplit

from bruno_core.models import Message, MessageRole
from pydantic_core import SchemaSerializer, core_schema

Json = dict[str, Any]
NO_RESULT = "(no result)"  # a message needs some text


def is_json(value: object) -> bool:
    """Whether *value* can be sent as JSON: no NaN, no infinity, no half of a surrogate pair."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _index() -> Any:
    return field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class VendorBlock:
    """Something that only one API can read. It goes back to that API unchanged, and to no other.

    `vendor` is the API that made it, such as "anthropic", whichever provider carried it.
    """

    vendor: str
    data: Json
    index: int | None = _index()


CACHE_MARK = VendorBlock("cache", {})
"""Stands behind what the server is to keep; an API that has no word for it leaves it out, as any other's."""


@dataclass(slots=True)
class Text:
    """Words of the question or of the answer."""

    text: str
    index: int | None = _index()


@dataclass(slots=True)
class Reasoning:
    """What the model thought aloud; "" where the vendor keeps it to itself.

    `state` is what the API wants back with it, such as its signature.
    """

    text: str
    state: VendorBlock | None = None
    index: int | None = _index()


@dataclass(slots=True)
class ToolCall:
    """A tool that the model wants called, or a fragment of such a call.

    Attributes:
        id: The vendor's name for the call, to be given back with the result.
        name: The tool's name.
        arguments: JSON text, as the model wrote it.
        state: What the API wants back with it, such as its signature.
    """

    id: str | None = None
    name: str | None = None
    arguments: str = ""
    state: VendorBlock | None = None
    index: int | None = _index()

    @property
    def parsed(self) -> Json:
        """The arguments.

        Raises:
            ValueError: The model wrote no JSON object.
        """
        arguments = json_object(self.arguments or "{}")
        if arguments is None:
            raise ValueError(
                f"the arguments of {self.name} are not a JSON object: {self.arguments[:80]!r}"
            )
        return arguments


MediaKind = Literal["image", "audio", "video", "document"]
_GIVEN = ("path", "url", "data", "id")


@dataclass(slots=True)
class Media:
    """A picture, sound, film or document: of the user, of a tool, or of the model.

    One of the first four says where it is.

    Attributes:
        path: A file on this machine. It is read when the request is sent.
        url: An address, which the vendor fetches; one that holds the content itself becomes `data`.
        data: The content.
        id: The vendor's name for a file that was uploaded there.
        type: The MIME type. Where the content tells it, that counts; needed where nothing tells it.
            That of an address is told by its suffix, if it is not given.
        detail: How closely the model is to look, in the vendor's own word.
        name: What the vendor is told that the file is called; that of the path or address if None.
        state: What the API wants back, of media that a model has made.
        encoded: The content as base64; of media that were read, else "".
        pixels: Width and height of a picture that was read, where its header tells them.
        size: The bytes of the content, of media that were read.
        tokens: The most tokens that the model may read it as, of media that were read.
        is_trusted: Whether the program has named the path: a message's text needs a `MediaPolicy`.
    """

    path: str | None = None
    _: KW_ONLY
    url: str | None = field(default=None, repr=False)
    data: bytes | None = field(default=None, repr=False)
    id: str | None = None
    type: str | None = None
    detail: str | None = None
    name: str | None = None
    state: VendorBlock | None = field(default=None, repr=False)
    index: int | None = _index()
    encoded: str = field(default="", init=False, repr=False, compare=False)
    pixels: tuple[int, int] | None = field(default=None, init=False, repr=False, compare=False)
    size: int = field(default=0, init=False, repr=False, compare=False)
    tokens: int = field(default=0, init=False, repr=False, compare=False)
    is_trusted: bool = field(default=True, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find out what is given.

        Raises:
            ValueError: It is not one of the four, or one that makes no sense.
            TypeError: What describes it is not text.
        """
        if isinstance(self.path, os.PathLike):
            self.path = os.fspath(self.path)
        given = [name for name in _GIVEN if getattr(self, name) is not None]
        if len(given) != 1:
            what = " and ".join(given) or "nothing"
            raise ValueError(f"Media has {what}: give one of path, url, data and id")
        value, kind = getattr(self, given[0]), bytes if given[0] == "data" else str
        if not isinstance(value, kind) or not (value or self.state):  # as a fragment may be
            what = "empty" if isinstance(value, kind) else f"a {type(value).__name__}"
            raise ValueError(f"Media.{given[0]} is {what}: give {_CURES[given[0]]}")
        for name in ("type", "detail", "name"):
            if not isinstance(getattr(self, name), str | None):
                raise TypeError(f"Media.{name} is {getattr(self, name)!r:.80}: give text")
        for name in ("id", "type", "detail"):
            if not is_json(getattr(self, name)):
                raise ValueError(f"Media.{name} is no Unicode text, with half a pair: remove it")
        if self.url is not None:
            self._read_url(self.url)

    def _read_url(self, url: str) -> None:
        """Check an address, or take what it holds (RFC 2397)."""
        scheme = url[:8].partition(":")[0].lower()
        if scheme != "data":
            try:
                place = urlsplit(url).path if url.isprintable() and " " not in url else None
            except ValueError:  # such as a bracket that is not closed
                place = None
            if place is None:
                raise ValueError(f"Media.url is {url!r:.80}: give {_CURES['url']}")
            if scheme not in ("http", "https", "gs"):
                raise ValueError(
                    f"Media.url is {url!r:.80}, and its scheme is none of http, https, gs and data:"
                    f" give {_CURES['url']}, or path= for a file on this machine"
                )
            self.type = self.type or _SUFFIXES.get(PurePath(place).suffix.lower())
            return
        head, _, content = url[5:].partition(",")
        kind, *rest = head.split(";")
        try:
            coded = unquote_to_bytes(content) if "%" in content else content.encode()
            self.data = b64decode(coded, validate=True) if "base64" in rest else coded
        except ValueError:
            self.data = b""
        if not self.data:
            raise ValueError("Media.url is a data: address that holds nothing readable")
        self.url, self.type = None, self.type or kind or None

    @property
    def kind(self) -> MediaKind:
        """What it is; a picture, where that is not known."""
        family = (self.type or "image/").partition("/")[0]
        return cast(MediaKind, family) if family in ("image", "audio", "video") else "document"

    @property
    def label(self) -> str:
        """What errors and vendors call it: its name, else what it is and how large."""
        named = self.name or (self.path and PurePath(self.path).name)
        if self.url and not named:
            named = PurePath(urlsplit(self.url).path).name or urlsplit(self.url).hostname
        kind = (self.type or "media").rpartition("/")[2]
        label = named or self.id or f"{kind} of {len(self.data or b'')} bytes"
        return label.encode(errors="replace").decode()  # a file's name need not be UTF-8

    @property
    def told(self) -> str:
        """What is told of it in words, where it cannot be shown."""
        return f"({self.kind} {self.label})"

    @property
    def data_url(self) -> str:
        """The content as an address that holds it."""
        return f"data:{self.type};base64,{self.encoded}"

    @property
    def text(self) -> str:
        """The words of a document that is text."""
        return (self.data or b"").decode("utf-8-sig", errors="replace")

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Write the content, such as what a model has made, to a file.

        Raises:
            RuntimeError: The content is not here.
            OSError: It cannot be written.
        """
        if self.data is None:
            raise RuntimeError(f"the content of {self.label} is not here: only its address or path")
        with open(path, "wb") as file:  # noqa: PTH123 - whatever names a file
            file.write(self.data)


_SUFFIXES = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".md": "text/plain",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".txt": "text/plain",
    ".wav": "audio/wav",
    ".webp": "image/webp",
}
"""Types of what is at an address, which is not fetched here."""

_CURES = {
    "path": "the path of a file",
    "url": "an address like https://host/picture.png",
    "data": "its bytes",
    "id": "the vendor's name for an uploaded file",
}


@dataclass(slots=True)
class ToolResult:
    """What a tool answered to the call `id`.

    Attributes:
        content: The result in words, with what is told of media.
        is_error: Whether `content` says why the call has no result.
        parts: The words and the media in their order, where there are media.
    """

    id: str | None
    name: str | None
    content: str
    is_error: bool = False
    index: int | None = _index()
    parts: tuple[Text | Media, ...] = ()

    @property
    def media(self) -> list[Media]:
        """The pictures, sounds and documents among the result."""
        return [part for part in self.parts if isinstance(part, Media)]

    @property
    def told(self) -> str:
        """What is told by an API that has no field for errors."""
        return f"Error: {self.content}" if self.is_error else self.content

    def to_message(self) -> Message:
        """Return the result as a message, to be sent after the answer with the call."""
        named = {"tool_call_id": self.id, "name": self.name}
        metadata = {name: value for name, value in named.items() if value is not None}
        failed = {"is_error": True} if self.is_error else {}
        more = {"parts": list(map(part_to_json, self.parts))} if self.parts else {}
        content = self.content if self.content.strip() else NO_RESULT
        return Message(role=MessageRole.TOOL, content=content, metadata=metadata | failed | more)


Part = Text | Reasoning | ToolCall | ToolResult | Media | VendorBlock
_KINDS: dict[str, type[Part]] = {
    "text": Text,
    "reasoning": Reasoning,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
    "media": Media,
    "vendor_block": VendorBlock,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def _types_of(kind: type[Part]) -> list[tuple[str, Any]]:
    hints = get_type_hints(kind)
    rows = [(item.name, hints[item.name]) for item in fields(kind) if item.init]
    plain = {dict: dict, tuple: tuple}
    return [(name, plain.get(get_origin(hint)) or get_args(hint) or hint) for name, hint in rows]


_TYPES = {kind: _types_of(kind) for kind in _NAMES}


def check_types(part: Part) -> None:
    """Raise a TypeError unless *part* is made of what it is declared to be made of."""
    if type(part) not in _TYPES:
        raise TypeError(type(part).__name__)
    for name, types in _TYPES[type(part)]:
        if not isinstance(getattr(part, name), types):
            raise TypeError(f"{type(part).__name__}.{name}")


def text_of(parts: Iterable[Part]) -> str:
    """Return the words in *parts*."""
    return "".join([part.text for part in parts if type(part) is Text])


def state_for(part: Reasoning | ToolCall | Media, vendor: str) -> Json:
    """Return what the API *vendor* wants back with *part*; nothing where another API made it."""
    return part.state.data if part.state is not None and part.state.vendor == vendor else {}


def json_object(text: str) -> Json | None:
    """Return the JSON object that *text* is; None where it is something else, or cannot be sent."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and is_json(value) else None


def object_in(value: object) -> Json:
    """Return *value* if it is an object, or else an empty one."""
    return value if isinstance(value, dict) else {}


def arguments_of(call: ToolCall) -> Json:
    """Return the arguments of *call* as an object.

    What the model wrote wrongly, or could not finish, stands there as text, named "invalid_json": so
    a conversation with it can be sent to every vendor.
    """
    arguments = json_object(call.arguments or "{}")
    if arguments is None:
        return {"invalid_json": call.arguments.encode(errors="replace").decode()}
    return arguments


def arguments_text(call: ToolCall) -> str:
    """Return the arguments of *call* as the text of an object: the model's own where that is one."""
    arguments = arguments_of(call)
    return json.dumps(arguments) if "invalid_json" in arguments else call.arguments or "{}"


_NEIGHBOURS = (Text, Reasoning)
# The fields of a vendor's block that arrive in pieces. Of any other the last report holds.
_STREAMED = frozenset(("data", "signature", "summary", "text", "thinking"))


def join_parts(fragments: Iterable[Part]) -> tuple[Part, ...]:
    """Return the parts that *fragments* add up to, in the order in which they began, in linear time.

    Fragments with one index are one part, and the first of them decides its kind. Without an index,
    text and reasoning join a neighbour of their kind, and a piece of a call without id and name the
    call before it. Another id or name is another call, since some servers give all calls one index.
    """
    groups: list[list[Part]] = []
    indexed: dict[int, list[Part]] = {}
    group: list[Part] = []
    for part in fragments:
        kind, index = type(part), part.index
        if group and kind is type(group[0]) and index == group[0].index and kind in _NEIGHBOURS:
            group.append(part)  # nearly all fragments are of this sort
            continue
        if isinstance(part, _NEIGHBOURS) and not part.text and not getattr(part, "state", None):
            continue
        if index is None:
            known = groups[-1] if groups and _goes_on(groups[-1][0], part) else None
        else:
            known = indexed.get(index)
        if known is None or _is_another_call(known, part):
            known = []
            groups.append(known)
            if index is not None:
                indexed[index] = known
        known.append(part)
        group = known
    return tuple(map(_joined, groups))


def _goes_on(last: Part, part: Part) -> bool:
    """Whether *part*, which has no index, goes on with its neighbour."""
    if isinstance(part, ToolCall) and isinstance(last, ToolCall):
        return part.id == last.id or not (part.id or part.name)
    return isinstance(part, _NEIGHBOURS) and type(part) is type(last) and last.index is None


def begins_another_call(group: list[Part], part: ToolCall) -> bool:
    """Whether *part* begins another call than that of the fragments in *group*."""
    first = group[0]
    if part.index != first.index or (part.index is None and not _goes_on(first, part)):
        return True
    return _is_another_call(group, part)


def _is_another_call(group: list[Part], part: Part) -> bool:
    if not isinstance(part, ToolCall) or not (part.id or part.name):
        return False
    calls = (call for call in group if isinstance(call, ToolCall))
    first = next((call for call in calls if call.id or call.name), part)
    pairs = (first.id, part.id), (first.name, part.name)
    if any(ours and new and ours != new for ours, new in pairs):
        return True
    # nothing can follow arguments that are whole, so these are another call's
    last = group[-1]
    if not part.name or not part.arguments.strip() or not isinstance(last, ToolCall):
        return False
    return last.arguments.rstrip().endswith("}") and json_object(_written(group)) is not None


def _written(group: list[Part]) -> str:
    return "".join([part.arguments for part in group if isinstance(part, ToolCall)])


def _joined(group: list[Part]) -> Part:
    """Return the sum of the fragments of one part, as a new one."""
    first = group[0]
    if type(first) is Text:  # as nearly all are
        return Text(text_of(group), first.index)
    if isinstance(first, Reasoning):
        thoughts = [part for part in group if isinstance(part, Reasoning)]
        thought = "".join([part.text for part in thoughts])
        return Reasoning(thought, _joined_state(thoughts), first.index)
    arguments = _written(group)
    if isinstance(first, ToolCall):
        calls = [part for part in group if isinstance(part, ToolCall)]
        identifier = next((call.id for call in calls if call.id), None)
        name = next((call.name for call in calls if call.name), None)
        return ToolCall(identifier, name, arguments, _joined_state(calls), first.index)
    if isinstance(first, ToolResult):
        return first
    if isinstance(first, Media):
        return _joined_media([part for part in group if isinstance(part, Media)])
    block = _joined_block([part for part in group if isinstance(part, VendorBlock)])
    if arguments:  # of a tool that the vendor runs itself
        block.data["arguments"] = block.data.get("arguments", "") + arguments
    return block


def _joined_media(pieces: list[Media]) -> Media:
    if len(pieces) == 1:
        return pieces[0]
    data = b"".join([piece.data or b"" for piece in pieces])
    kind = next((piece.type for piece in pieces if piece.type), None)
    return Media(data=data, type=kind, state=_joined_state(pieces), index=pieces[0].index)


def _joined_state(parts: Sequence[Reasoning | ToolCall | Media]) -> VendorBlock | None:
    states = [part.state for part in parts if part.state is not None]
    return _joined_block(states) if states else None


def _joined_block(blocks: list[VendorBlock]) -> VendorBlock:
    values: dict[str, list[Any]] = {}
    for block in blocks:
        for name, value in block.data.items():
            values.setdefault(name, []).append(value)
    data = {name: _joined_values(name, said) for name, said in values.items()}
    return VendorBlock(blocks[0].vendor, data, blocks[0].index)


def _joined_values(name: str, values: list[Any]) -> Any:
    if name in _STREAMED and all(isinstance(value, str) for value in values):
        return "".join(values)
    if all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    return values[-1]


def part_to_json(part: Part) -> Json:
    """Return *part* as JSON that `part_from_json` reads back."""
    data = {item.name: getattr(part, item.name) for item in fields(part) if item.compare}
    if (state := data.get("state")) is not None:
        data["state"] = part_to_json(state)
    if isinstance(part, Media):
        data = {name: value for name, value in data.items() if value is not None}
        data["media_type"] = data.pop("type", None)
        if part.data is not None:
            data["data"] = part.encoded or b64encode(part.data).decode()
    elif isinstance(part, ToolResult):
        data["parts"] = list(map(part_to_json, part.parts))
    return {"type": _NAMES[type(part)]} | data


# pydantic writes media in a message's metadata by this: so bruno-core's messages survive JSON
Media.__pydantic_serializer__ = SchemaSerializer(  # type: ignore[attr-defined]
    core_schema.any_schema(
        serialization=core_schema.plain_serializer_function_ser_schema(part_to_json)
    )
)


def part_from_json(data: object) -> Part:
    """Return the part that `part_to_json` wrote.

    Raises:
        ValueError: It has been changed so that it cannot be read.
    """
    try:
        values = dict(data) if is_json(data) else {}  # type: ignore[call-overload]
        kind = _KINDS[values.pop("type")]
        if values.get("state") is not None:
            values["state"] = part_from_json(values["state"])
        if kind is Media:
            values["type"] = values.pop("media_type", None)
            if "data" in values:
                values["data"] = b64decode(values["data"], validate=True)
        elif kind is ToolResult:
            values["parts"] = tuple(map(part_from_json, values.get("parts", ())))
        part: Part = kind(**values)
        check_types(part)
        if isinstance(part, Media):
            part.is_trusted = False  # it may come from anywhere
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            "metadata['parts'] is not what `to_message()` wrote: leave it as it was, or remove it"
        ) from None
    return part
