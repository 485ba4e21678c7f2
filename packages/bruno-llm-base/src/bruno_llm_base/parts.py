"""What conversations and answers are made of: parts, in the order in which they were said.

The classes are slotted but not frozen, because one is made for every streamed chunk and freezing
doubles its price. Treat them as values all the same.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from bruno_llm_base.values import is_json

__all__ = [
    "Json",
    "Part",
    "Reasoning",
    "Text",
    "ToolCall",
    "ToolResult",
    "VendorBlock",
    "arguments_of",
    "arguments_text",
    "join_parts",
    "part_from_json",
    "part_to_json",
    "state_for",
    "text_of",
]

Json = dict[str, Any]


def _index() -> Any:
    """Return the field that fragments of one part have in common; it is not part of the value."""
    return field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class VendorBlock:
    """Something that only one API can read. It goes back to that API unchanged, and to no other.

    Attributes:
        vendor: The API that made it, such as "anthropic", whichever provider carried it.
        data: The block.
        index: What fragments of one part have in common.
    """

    vendor: str
    data: Json
    index: int | None = _index()


@dataclass(slots=True)
class Text:
    """Words of the question or of the answer.

    Attributes:
        text: The words.
        index: What fragments of one part have in common.
    """

    text: str
    index: int | None = _index()


@dataclass(slots=True)
class Reasoning:
    """What the model thought aloud.

    Attributes:
        text: The thought; "" where the vendor keeps it to itself.
        state: What the API wants back with it, such as its signature.
        index: What fragments of one part have in common.
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
        arguments: The arguments as JSON text, as the model wrote them.
        state: What the API wants back with it, such as its signature.
        index: What fragments of one call have in common; None for a call that is whole.
    """

    id: str | None = None
    name: str | None = None
    arguments: str = ""
    state: VendorBlock | None = None
    index: int | None = _index()


@dataclass(slots=True)
class ToolResult:
    """What a tool answered.

    Attributes:
        id: The call's name, from `ToolCall.id`.
        name: The tool's name.
        content: The answer.
        index: Always None: results are not streamed.
    """

    id: str | None
    name: str | None
    content: str
    index: int | None = _index()


Part = Text | Reasoning | ToolCall | ToolResult | VendorBlock
_KINDS: dict[str, type[Part]] = {
    "text": Text,
    "reasoning": Reasoning,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
    "vendor_block": VendorBlock,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_STREAMED = frozenset(("data", "signature", "summary", "text", "thinking"))
"""The fields of a vendor's block that arrive in pieces. Of any other the last report holds."""


def text_of(parts: Iterable[Part]) -> str:
    """Return the words in *parts*."""
    return "".join([part.text for part in parts if type(part) is Text])


def state_for(part: Reasoning | ToolCall, vendor: str) -> Json:
    """Return what the API *vendor* wants back with *part*; nothing where another API made it."""
    return part.state.data if part.state is not None and part.state.vendor == vendor else {}


def arguments_of(call: ToolCall) -> Json:
    """Return the arguments of *call*, for vendors that want an object.

    A call that was cut short, or that the model wrote wrongly, says so: its text stands under the
    name "invalid_json". So a conversation with it can be sent to every vendor.
    """
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if isinstance(arguments, dict) and is_json(arguments):
        return arguments
    return {"invalid_json": call.arguments.encode(errors="replace").decode()}


def arguments_text(call: ToolCall) -> str:
    """Return the arguments of *call* as the text of a JSON object: its own text where that is one."""
    arguments = arguments_of(call)
    return json.dumps(arguments) if "invalid_json" in arguments else call.arguments or "{}"


def join_parts(fragments: Iterable[Part]) -> tuple[Part, ...]:
    """Return the parts that *fragments* add up to, in the order in which they began.

    Fragments with one index are one part, and the first of them decides its kind. Text and
    reasoning without an index join a neighbour of their kind, and a piece of a call without index,
    id and name the call before it. A call with another id or name is another call, even under the
    same index: some servers give all calls one index. The time is linear in the number of fragments.
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
            known = _unindexed(groups[-1], part) if groups else None
        else:
            known = indexed.get(index)
        if known is None or _is_another_call(known, part):
            known = []
            groups.append(known)
            if index is not None:
                indexed[index] = known
        known.append(part)
        group = known
    parts: list[Part] = []
    for group in groups:
        first = group[0]
        joined = first if len(group) == 1 and type(first) is Text else _joined(group)
        if joined is not None:
            parts.append(joined)
    return tuple(parts)


_NEIGHBOURS = (Text, Reasoning)


def _unindexed(last: list[Part], part: Part) -> list[Part] | None:
    """Return the neighbour *last* if *part*, which has no index, goes on with it."""
    if type(last[0]) is not type(part) or isinstance(part, VendorBlock | ToolResult):
        return None
    if not isinstance(part, ToolCall) or not isinstance(last[0], ToolCall):
        return last if last[0].index is None else None
    return last if part.id == last[0].id or not (part.id or part.name) else None


def _is_another_call(group: list[Part], part: Part) -> bool:
    if not isinstance(part, ToolCall) or not (part.id or part.name):
        return False
    calls = (call for call in group if isinstance(call, ToolCall))
    first = next((call for call in calls if call.id or call.name), part)
    if part.id and first.id and part.id != first.id:
        return True
    if part.name and first.name and part.name != first.name:
        return True
    # nothing can follow arguments that are whole, so these are another call's
    last = group[-1]
    if not part.name or not part.arguments.strip() or not isinstance(last, ToolCall):
        return False
    if not last.arguments.rstrip().endswith("}"):
        return False
    return _is_object("".join([call.arguments for call in group if isinstance(call, ToolCall)]))


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False


def _joined(group: list[Part]) -> Part | None:
    """Return the sum of the fragments of one part, or None if they say nothing."""
    first = group[0]
    match first:
        case Text():
            text = "".join([part.text for part in group if isinstance(part, Text)])
            return Text(text, first.index) if text else None
        case Reasoning():
            thoughts = [part for part in group if isinstance(part, Reasoning)]
            text = "".join([part.text for part in thoughts])
            state = _joined_block([part.state for part in thoughts])
            return Reasoning(text, state, first.index) if text or state else None
        case ToolCall():
            return _joined_call(first, [part for part in group if isinstance(part, ToolCall)])
        case VendorBlock():
            return _joined_vendor_block(group)
    return first


def _joined_call(first: ToolCall, calls: list[ToolCall]) -> ToolCall:
    return ToolCall(
        id=next((part.id for part in calls if part.id), None),
        name=next((part.name for part in calls if part.name), None),
        arguments="".join([part.arguments for part in calls]),
        state=_joined_block([part.state for part in calls]),
        index=first.index,
    )


def _joined_vendor_block(group: list[Part]) -> VendorBlock | None:
    block = _joined_block([part for part in group if isinstance(part, VendorBlock)])
    # the arguments of a tool that the vendor runs itself are streamed as those of any other call
    written = "".join([part.arguments for part in group if isinstance(part, ToolCall)])
    if block is None or not written:
        return block
    arguments = block.data.get("arguments", "") + written
    return VendorBlock(block.vendor, block.data | {"arguments": arguments}, block.index)


def _joined_block(blocks: Sequence[VendorBlock | None]) -> VendorBlock | None:
    known = [block for block in blocks if block is not None]
    if len(known) <= 1:
        return known[0] if known else None
    values: dict[str, list[Any]] = {}
    for block in known:
        for name, value in block.data.items():
            values.setdefault(name, []).append(value)
    data = {name: _joined_values(name, said) for name, said in values.items()}
    return VendorBlock(known[0].vendor, data, known[0].index)


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
    return {"type": _NAMES[type(part)]} | data


def part_from_json(data: object) -> Part:
    """Return the part that `part_to_json` wrote.

    Raises:
        ValueError: It has been changed so that it cannot be read.
    """
    if not isinstance(data, dict) or not is_json(data) or data.get("type") not in _KINDS:
        raise _unreadable()
    values = {name: value for name, value in data.items() if name != "type"}
    if values.get("state") is not None:
        values["state"] = part_from_json(values["state"])
    try:
        part: Part = _KINDS[data["type"]](**values)
    except TypeError:
        raise _unreadable() from None
    if not all(_fits(item.name, getattr(part, item.name)) for item in fields(part)):
        raise _unreadable()
    return part


_OPTIONAL = ("id", "index", "name", "state")


def _fits(name: str, value: object) -> bool:
    if value is None:
        return name in _OPTIONAL
    return isinstance(value, {"state": VendorBlock, "data": dict}.get(name, str))


def _unreadable() -> ValueError:
    return ValueError(
        "metadata['parts'] is not what `to_message()` wrote: leave it as it was, or remove it"
    )
