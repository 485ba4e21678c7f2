"""Conversations in the words of Gemini's generateContent."""

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
from bruno_llm_base.parts import arguments_of, json_object, state_for

from bruno_llm_gemini.answers import API, SIGNATURE

__all__ = ["build"]

# For calls that no Gemini made (https://ai.google.dev/gemini-api/docs/thought-signatures, FAQ).
_UNSIGNED = "skip_thought_signature_validator"


def build(conversation: Conversation, *, sign: bool) -> Json:
    """Return the `contents` and `systemInstruction` of a request.

    Args:
        conversation: What has been said.
        sign: Whether the model refuses tool calls without a signature.
    """
    contents = [_content(turn, sign=sign) for turn in conversation.turns]
    body: Json = {"contents": [content for content in contents if content["parts"]]}
    if conversation.system:
        body["systemInstruction"] = {"parts": [{"text": conversation.system}]}
    return body


def _content(turn: Turn, *, sign: bool) -> Json:
    parts: list[Json] = []
    for part in _parts(turn):
        if part.keys() == {SIGNATURE}:  # of the text before it, or of nothing: then it stands alone
            if parts and parts[-1].keys() == {"text"}:
                parts[-1] |= part
            else:
                parts.append({"text": ""} | part)
        else:
            parts.append(part)
    calls = [part for part in parts if "functionCall" in part]
    if sign and calls:  # the first of parallel calls is the one that is checked
        calls[0].setdefault(SIGNATURE, _UNSIGNED)
    return {"role": "model" if turn.role == "assistant" else "user", "parts": parts}


def _parts(turn: Turn) -> Iterator[Json]:
    for part in turn.parts:
        match part:
            case Text(text):
                yield {"text": text}
            case Reasoning(text):
                if state := state_for(part, API):
                    yield {"text": text, "thought": True} | state
            case ToolCall():
                call = {"id": part.id, "name": part.name, "args": arguments_of(part)}
                yield {"functionCall": call} | state_for(part, API)
            case ToolResult():
                # Gemini takes nothing but an object
                response = json_object(part.content)
                answer = {"result": part.content} if response is None else response
                yield {"functionResponse": {"id": part.id, "name": part.name, "response": answer}}
            case VendorBlock(vendor, data):
                if vendor == API:
                    yield data
            case _:
                assert_never(part)
