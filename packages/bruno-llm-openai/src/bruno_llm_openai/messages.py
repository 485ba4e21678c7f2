"""Conversations in the words of OpenAI's Chat Completions."""

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
from bruno_llm_base.parts import arguments_text, state_for

from bruno_llm_openai.answers import CUSTOM, DETAIL, REASONING, THOUGHTS_IN_CONTENT

__all__ = ["build"]


def build(conversation: Conversation, api: str) -> list[Json]:
    """Return the `messages` of a request.

    Args:
        conversation: What has been said.
        api: Whose state is sent back: what another API made is left out.
    """
    messages: list[Json] = []
    if conversation.system:
        messages.append({"role": "system", "content": conversation.system})
    for turn in conversation.turns:
        if turn.role == "tool":
            messages += [
                {"role": "tool", "tool_call_id": result.id, "content": result.content}
                for result in turn.tool_results
            ]
        elif fields := _fields(turn, api):
            messages.append({"role": turn.role} | fields)
    return messages


def _fields(turn: Turn, api: str) -> Json:  # noqa: C901 - a case for each kind of part
    """Return the fields of a message, one for each kind of part; none where *api* can read nothing."""
    calls: list[Json] = []
    pieces: list[Json] = []
    own: Json = {}
    for part in turn.parts:
        match part:
            case Text(text):
                pieces.append({"type": "text", "text": text})
            case Reasoning(text):
                # it goes back in the field in which it came; without one it does not go back
                field = state_for(part, api).get("field")
                if field in REASONING:
                    own[field] = own.get(field, "") + text
                elif field == THOUGHTS_IN_CONTENT:
                    inner = [{"type": "text", "text": text}]
                    pieces.append({"type": "thinking", "thinking": inner})
            case ToolCall():
                calls.append(_call(part, api))
            case VendorBlock(vendor, data) if vendor == api:
                if str(data.get("type")).startswith("reasoning."):
                    own.setdefault(DETAIL, []).append(data)
                else:
                    own |= data
            case VendorBlock() | ToolResult():
                pass  # another API's, or a result, which has a turn of its own
            case _:
                assert_never(part)
    texts = [piece["text"] for piece in pieces if piece["type"] == "text"]
    said = ("".join(texts) or None) if len(texts) == len(pieces) else pieces
    if said is None and not calls:
        return {}
    return {"content": said} | own | ({"tool_calls": calls} if calls else {})


def _call(call: ToolCall, api: str) -> Json:
    state = state_for(call, api)
    if state.get("type") == CUSTOM:
        custom = {"name": call.name, "input": call.arguments}
        return {"id": call.id, "custom": custom} | state
    function = {"name": call.name, "arguments": arguments_text(call)}
    return {"id": call.id, "type": "function", "function": function} | state
