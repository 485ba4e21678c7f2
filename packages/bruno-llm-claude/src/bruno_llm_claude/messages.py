"""Conversations and answers in the words of Anthropic's Messages API.

An answer is a list of blocks. A stream announces each with its index and then sends pieces of it, so
both modes are read by the same functions. It goes back as that list, in its order: the API refuses
signed thoughts that stand elsewhere than they did
(https://platform.claude.com/docs/en/build-with-claude/extended-thinking).
"""

import re
from collections.abc import Sequence
from typing import assert_never

from bruno_llm_base import (
    Conversation,
    FinishReason,
    Json,
    Media,
    ModelResponse,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
    VendorBlock,
)
from bruno_llm_base.cost.prices import reported_cost
from bruno_llm_base.lenient import finish_reason, forgiving, read_arguments, read_text, read_word
from bruno_llm_base.parts import CACHE_MARK, arguments_of, object_in, state_for

_API = "anthropic"  # whose state it is, whichever provider, proxy or cloud carries it
_CITATIONS = "citations"  # what we call a block with those of the text before it, or behind it
_OF_A_CALL = frozenset(("id", "input", "name", "type"))
_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def start(message: Json) -> ModelResponse:
    """Return what is known before the first block; the output is counted at the end."""
    usage = _input(message.get("usage") or {})
    model, name = read_word(message.get("model")), read_word(message.get("id"))
    return ModelResponse(model=model, id=name, usage=usage)


def block(index: int, content: Json, *, whole: bool) -> tuple[Part, ...]:
    """Return a block of an answer, or what a stream says when one begins."""
    match content.get("type"):
        case "text":
            text = read_text(content.get("text"), "text")
            cited = content.get("citations")
            said: tuple[Part, ...] = (Text(text, index),) if text else ()
            if whole:
                return (*said, _citations(index, cited)) if cited else said
            # where they are announced, they may come before their text
            return said if cited is None else (_citations(index, cited, ahead=True), *said)
        case "thinking":
            thought, state = read_text(content.get("thinking"), "thinking"), _state(content)
            return (Reasoning(thought, state, index),) if thought or state else ()
        case "tool_use":
            return (_tool_call(index, content, whole=whole),)
    return (VendorBlock(_API, content, index),) if read_word(content.get("type")) else ()


def _state(content: Json) -> VendorBlock | None:
    signature = content.get("signature")
    return VendorBlock(_API, {"signature": signature}) if signature else None


def _citations(index: int, cited: list[Json], *, ahead: bool = False) -> VendorBlock:
    # an index of its own: what has the index of a text is text
    data = {"type": _CITATIONS, "citations": cited} | ({"ahead": True} if ahead else {})
    return VendorBlock(_API, data, -1 - index)


def _tool_call(index: int, content: Json, *, whole: bool) -> ToolCall:
    arguments = content.get("input") or {}
    own = {name: value for name, value in content.items() if name not in _OF_A_CALL and value}
    return ToolCall(
        id=read_word(content.get("id")),
        name=read_word(content.get("name")),
        # {} at the beginning stands for what is still to come
        arguments=read_arguments(arguments) if arguments or whole else "",
        state=VendorBlock(_API, own) if own else None,
        index=index,
    )


def delta(index: int, piece: Json) -> ModelResponse:
    """Return a piece of a streamed block."""
    text = piece.get("text")
    if type(text) is str:  # nearly every event of a stream is of this sort
        return ModelResponse(parts=(Text(text, index),))
    match piece.get("type"):
        case "text_delta":
            part: Part = Text(read_text(text, "text"), index)
        case "thinking_delta":
            part = Reasoning(read_text(piece.get("thinking"), "thinking"), None, index)
        case "signature_delta":
            part = Reasoning("", _state(piece), index)
        case "input_json_delta":
            part = ToolCall(arguments=read_arguments(piece.get("partial_json")), index=index)
        case "citations_delta":
            part = _citations(index, [piece["citation"]])
        case _:  # of a block that only Anthropic can read
            own = {name: value for name, value in piece.items() if name != "type"}
            part = VendorBlock(_API, own, index)
    return ModelResponse(parts=(part,))


def end(stop: Json, counts: Json | None) -> ModelResponse:
    """Return why the model stopped, and what it cost."""
    word = read_word(stop.get("stop_reason"))
    details = stop.get("stop_details")
    category = details.get("category") if isinstance(details, dict) else None
    reason: FinishReason | None = finish_reason(word)
    return ModelResponse(
        finish_reason=reason,
        finish_detail=read_word(category) or word,
        usage=_total(counts or {}),
        cost=reported_cost(counts or {}),
    )


@forgiving
def _input(counts: Json) -> Usage:
    """Return the input: Anthropic's count leaves out what has to do with its cache."""
    fresh, read, written = (counts.get(name) for name in _INPUT)
    if not (fresh or read or written):
        return Usage()  # no input is impossible: a gateway that does not know it yet says 0
    kept = object_in(counts.get("cache_creation"))
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=kept.get("ephemeral_1h_input_tokens"),
    )


@forgiving
def _total(counts: Json) -> Usage:
    counts = _with_compaction(counts)
    details = object_in(counts.get("output_tokens_details"))
    usage = Usage(
        output_tokens=counts.get("output_tokens"), reasoning_tokens=details.get("thinking_tokens")
    )
    return _input(counts).updated(usage)  # a stream's end may leave out the input, or parts of it


def _with_compaction(counts: Json) -> Json:
    """Return *counts* with what the server spent to compact the conversation.

    It is billed, but the totals leave it out
    (https://platform.claude.com/docs/en/build-with-claude/compaction, "Understanding usage"). An
    advisor's tokens they leave out too, and so do we: they cost what another model costs.
    """
    rows = [r for r in counts.get("iterations") or () if r.get("type") != "advisor_message"]
    if all(row.get("type") != "compaction" for row in rows):
        return counts
    kept = [row["cache_creation"] for row in rows if row.get("cache_creation")]
    sums = {name: sum(row.get(name) or 0 for row in rows) for name in (*_INPUT, "output_tokens")}
    return counts | sums | ({"cache_creation": _sum(kept)} if kept else {})


def _sum(rows: list[Json]) -> Json:
    names = {name for row in rows for name in row}
    return {name: sum(row.get(name) or 0 for row in rows) for name in names}


_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
THOUGHTS = ("thinking", "redacted_thinking")
MOST_MARKS = 4  # https://platform.claude.com/docs/en/build-with-claude/prompt-caching


def build(conversation: Conversation) -> list[Json]:
    """Return the `messages` of a request."""
    messages: list[Json] = []
    marked: list[Json] = []
    turns = conversation.opened().with_call_ids(_CALL_ID).turns
    for turn in turns:
        role = "assistant" if turn.role == "assistant" else "user"
        if role == "assistant":
            blocks = _answered(turn, marked, is_last=turn is turns[-1])
        else:
            blocks = _asked(turn, marked)
        if messages and messages[-1]["role"] == role:
            blocks = messages.pop()["content"] + blocks
            blocks.sort(key=lambda block: block["type"] != "tool_result")  # results come first
        if blocks:
            messages.append({"role": role, "content": blocks})
    for block in marked[:-MOST_MARKS]:
        del block["cache_control"]
    return messages


def _mark(blocks: list[Json], marked: list[Json]) -> None:
    """Mark the last of *blocks*, a copy since it may be an answer's own; thoughts take no marks."""
    if blocks and blocks[-1]["type"] not in THOUGHTS:
        blocks[-1] = blocks[-1] | {"cache_control": {"type": "ephemeral"}}
        marked.append(blocks[-1])


def _asked(turn: Turn, marked: list[Json]) -> list[Json]:
    blocks: list[Json] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            content = _shown(part.parts) or part.content
            result = {"type": "tool_result", "tool_use_id": part.id, "content": content}
            blocks.append(result | ({"is_error": True} if part.is_error else {}))
        elif isinstance(part, Text | Media):
            blocks += _shown((part,))
        elif part == CACHE_MARK:
            _mark(blocks, marked)
    return blocks


def _shown(parts: Sequence[Text | Media]) -> list[Json]:
    blocks: list[Json] = []
    for part in parts:
        if isinstance(part, Media):
            from bruno_llm_claude import media  # most requests have none

            blocks.append(media.block(part))
        elif part.text:
            blocks.append({"type": "text", "text": part.text})
    return blocks


def _answered(turn: Turn, marked: list[Json], *, is_last: bool) -> list[Json]:
    """Return the blocks of an answer, without those that the API would refuse.

    A tool that Anthropic runs needs its result, unless the turn is to go on (`pause_turn`). No turn
    may end with a thought, as one that was cut short does, nor the last of all with white space.
    """
    blocks: list[Json] = []
    for part in turn.parts:
        if part == CACHE_MARK:
            blocks = _with_citations(blocks)
            _mark(blocks, marked)
        else:
            _put_back(part, blocks)
    blocks = _with_citations(blocks)
    found = {block.get("tool_use_id") for block in blocks}
    blocks = [
        block
        for block in blocks
        if block["type"] != "server_tool_use" or is_last or block.get("id") in found
    ]
    while blocks and blocks[-1]["type"] in THOUGHTS:
        blocks.pop()
    if is_last and blocks and blocks[-1]["type"] == "text":
        blocks[-1]["text"] = blocks[-1]["text"].rstrip()
    return blocks


def _put_back(part: Part, blocks: list[Json]) -> None:
    """Add *part* as a block, unless this API cannot read it."""
    match part:
        case Text(text) if text.strip():
            blocks.append({"type": "text", "text": text})
        case ToolCall():
            named = {"type": "tool_use", "id": part.id, "name": part.name}
            blocks.append(named | {"input": arguments_of(part)} | state_for(part, _API))
        case Reasoning(text):
            if state := state_for(part, _API):
                blocks.append({"type": "thinking", "thinking": text} | state)
        case VendorBlock(vendor, data) if vendor == _API:
            _put_back_own(data, blocks)
        case Text() | VendorBlock() | ToolResult() | Media():
            pass  # blank, another vendor's, or what has a turn of its own
        case _:
            assert_never(part)


def _with_citations(blocks: list[Json]) -> list[Json]:
    """Return *blocks* with citations in the texts that they belong to."""
    cited: list[Json] = []
    ahead: list[Json] = []
    for block in blocks:
        if block["type"] != _CITATIONS:
            if ahead and block["type"] == "text":
                block["citations"], ahead = ahead, []
            cited.append(block)
            continue
        # the API tells the file that they are from, and does not know that field itself
        said = block.get("citations") or ()
        rows = [{n: v for n, v in row.items() if n != "file_id"} for row in said]
        if block.get("ahead"):
            ahead = rows
        elif cited and cited[-1]["type"] == "text":
            cited[-1]["citations"] = rows
    return cited


def _put_back_own(data: Json, blocks: list[Json]) -> None:
    """Add a block that only Anthropic can read."""
    if "arguments" not in data:
        blocks.append(data)
        return
    # what was streamed as text; a block that was cut short is left out
    arguments = arguments_of(ToolCall(arguments=str(data["arguments"])))
    if "invalid_json" not in arguments:
        own = {name: value for name, value in data.items() if name != "arguments"}
        blocks.append(own | {"input": arguments})
