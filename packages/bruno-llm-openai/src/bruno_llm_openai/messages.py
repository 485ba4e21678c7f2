"""Conversations in the words of OpenAI's Chat Completions."""

from collections.abc import Iterator
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
from bruno_llm_base.parts import Part, arguments_text, state_for

from bruno_llm_openai.answers import CUSTOM, DETAIL, REASONING, THOUGHTS_IN_CONTENT

__all__ = ["build"]


def build(conversation: Conversation, api: str) -> list[Json]:
    """Return the `messages` of a request.

    Args:
        conversation: What has been said.
        api: Whose state is sent back: what another API made is left out.
    """
    system = [{"role": "system", "content": conversation.system}] if conversation.system else []
    turns = (message for turn in conversation.turns for message in _messages(turn, api))
    return [*system, *turns]


def _messages(turn: Turn, api: str) -> Iterator[Json]:
    if turn.role == "tool":
        for result in turn.tool_results:
            yield {"role": "tool", "tool_call_id": result.id, "content": result.content}
        return
    message = _Message()
    for part in turn.parts:
        message.add(part, api)
    if content := message.content():
        yield {"role": turn.role} | content


class _Message:
    """A message under construction: this API has one field for each kind of part."""

    def __init__(self) -> None:
        self._calls: list[Json] = []
        self._pieces: list[Json] = []
        self._own: Json = {}

    def add(self, part: Part, api: str) -> None:
        """Add *part*, unless *api* cannot read it."""
        match part:
            case Text(text):
                self._pieces.append({"type": "text", "text": text})
            case Reasoning(text):
                self._think(text, state_for(part, api).get("field"))
            case ToolCall():
                self._calls.append(_call(part, api))
            case VendorBlock(vendor, data) if vendor == api:
                self._keep(data)
            case VendorBlock() | ToolResult():
                pass  # another API's, or a result, which has a turn of its own
            case _:
                assert_never(part)

    def _think(self, thought: str, field: object) -> None:
        """Add a thought in the field in which it came; without one it does not go back."""
        if field in REASONING:
            self._own[field] = self._own.get(field, "") + thought
        elif field == THOUGHTS_IN_CONTENT:
            inner = [{"type": "text", "text": thought}]
            self._pieces.append({"type": "thinking", "thinking": inner})

    def _keep(self, block: Json) -> None:
        """Add fields of the server's own, or one of its details of reasoning."""
        if str(block.get("type")).startswith("reasoning."):
            self._own.setdefault(DETAIL, []).append(block)
        else:
            self._own |= block

    def content(self) -> Json:
        """Return the fields; none where there is nothing that this server can read."""
        texts = [piece["text"] for piece in self._pieces if piece["type"] == "text"]
        only_text = len(texts) == len(self._pieces)
        said = ("".join(texts) or None) if only_text else self._pieces
        if said is None and not self._calls:
            return {}
        return {"content": said} | self._own | ({"tool_calls": self._calls} if self._calls else {})


def _call(call: ToolCall, api: str) -> Json:
    state = state_for(call, api)
    if state.get("type") == CUSTOM:
        custom = {"name": call.name, "input": call.arguments}
        return {"id": call.id, "custom": custom} | state
    function = {"name": call.name, "arguments": arguments_text(call)}
    return {"id": call.id, "type": "function", "function": function} | state
