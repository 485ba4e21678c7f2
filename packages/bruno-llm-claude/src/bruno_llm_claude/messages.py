"""Conversations in the words of Anthropic's Messages API.

An answer is a list of blocks, and goes back as that list, in its order: the API refuses signed
thoughts that stand elsewhere than they did
(https://platform.claude.com/docs/en/build-with-claude/extended-thinking).
"""

import re
from typing import assert_never

from bruno_llm_base import (
    Conversation,
    Json,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    VendorBlock,
)
from bruno_llm_base.parts import Part, arguments_of, state_for

from bruno_llm_claude.answers import API, CITATIONS

__all__ = ["build"]

_REFUSED_IN_IDS, _LONGEST_ID = re.compile(r"[^a-zA-Z0-9_-]"), 64
_THOUGHTS = ("thinking", "redacted_thinking")


def build(conversation: Conversation) -> list[Json]:
    """Return the `messages` of a request."""
    messages: list[Json] = []
    turns = conversation.opened().with_call_ids(_REFUSED_IN_IDS, _LONGEST_ID).turns
    for turn in turns:
        role = "assistant" if turn.role == "assistant" else "user"
        blocks = _answered(turn, is_last=turn is turns[-1]) if role == "assistant" else _asked(turn)
        if messages and messages[-1]["role"] == role:
            blocks = messages.pop()["content"] + blocks
            blocks.sort(key=lambda block: block["type"] != "tool_result")  # results come first
        if blocks:
            messages.append({"role": role, "content": blocks})
    return messages


def _asked(turn: Turn) -> list[Json]:
    results = [
        {"type": "tool_result", "tool_use_id": result.id, "content": result.content}
        for result in turn.tool_results
    ]
    return results + ([{"type": "text", "text": turn.text}] if turn.text else [])


def _answered(turn: Turn, *, is_last: bool) -> list[Json]:
    """Return the blocks of an answer, without those that the API would refuse.

    A tool that Anthropic runs needs its result, unless the turn is to go on (`pause_turn`). No turn
    may end with a thought, as one that was cut short does, nor the last of all with white space.
    """
    blocks: list[Json] = []
    for part in turn.parts:
        _put_back(part, blocks)
    found = {block.get("tool_use_id") for block in blocks}
    blocks = [
        block
        for block in blocks
        if block["type"] != "server_tool_use" or is_last or block.get("id") in found
    ]
    while blocks and blocks[-1]["type"] in _THOUGHTS:
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
            blocks.append(named | {"input": arguments_of(part)} | state_for(part, API))
        case Reasoning(text):
            if state := state_for(part, API):
                blocks.append({"type": "thinking", "thinking": text} | state)
        case VendorBlock(vendor, data) if vendor == API:
            _put_back_own(data, blocks)
        case Text() | VendorBlock() | ToolResult():
            pass  # blank, another vendor's, or a result, which has a turn of its own
        case _:
            assert_never(part)


def _put_back_own(data: Json, blocks: list[Json]) -> None:
    """Add a block that only Anthropic can read: citations belong to the text before them."""
    if data.get("type") == CITATIONS:
        if blocks and blocks[-1]["type"] == "text":
            blocks[-1]["citations"] = data.get("citations")
        return
    if "arguments" not in data:
        blocks.append(data)
        return
    # what was streamed as text; a block that was cut short is left out
    arguments = arguments_of(ToolCall(arguments=str(data["arguments"])))
    if "invalid_json" not in arguments:
        own = {name: value for name, value in data.items() if name != "arguments"}
        blocks.append(own | {"input": arguments})
