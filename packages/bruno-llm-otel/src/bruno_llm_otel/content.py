"""What is said in a request and in its answer, as the conventions spell it: loaded where it is wanted."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bruno_llm_base.messages import Conversation
from bruno_llm_base.parts import (
    Json,
    Media,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    arguments_of,
)
from bruno_llm_base.response import ModelResponse
from bruno_llm_base.tools import read_tool

from bruno_llm_otel import conventions as names

Redactor = Callable[[str], str]
"""Returns a text without what must not be told."""


def asked(conversation: Conversation, tools: Sequence[Any], redact: Redactor) -> dict[str, str]:
    """Return the attributes of a span that say what is asked, each as JSON."""
    said: dict[str, Any] = {
        names.INPUT_MESSAGES: [
            {"role": turn.role, "parts": _parts(turn.parts)} for turn in conversation.turns
        ]
    }
    if conversation.system:
        said[names.SYSTEM_INSTRUCTIONS] = [{"type": "text", "content": conversation.system}]
    if tools:
        said[names.TOOL_DEFINITIONS] = [*map(_definition, tools)]
    return _as_json(said, redact)


def answered(response: ModelResponse, redact: Redactor) -> dict[str, str]:
    """Return the attribute of a span that says what the model has answered, as JSON."""
    message = {"role": "assistant", "parts": _parts(response.parts)}
    # deprecated, and viewers show no message without it
    message["finish_reason"] = response.finish_reason or "error"
    return _as_json({names.OUTPUT_MESSAGES: [message]}, redact)


def executed(call: ToolCall, result: ToolResult | None, redact: Redactor) -> dict[str, str]:
    """Return the attributes of a span that say what a tool was given and has answered, as JSON."""
    said: dict[str, Any] = {names.TOOL_ARGUMENTS: arguments_of(call)}
    if result is not None:
        said[names.TOOL_RESULT] = result.content
    return _as_json(said, redact)


def _parts(parts: Iterable[Part]) -> list[Json]:
    return [written for part in parts if (written := _part(part)) is not None]


def _part(part: Part) -> Json | None:
    """Return *part* as the conventions spell it; media are named, and never shown."""
    match part:
        case Text():
            return {"type": "text", "content": part.text}
        case Reasoning():
            return {"type": "reasoning", "content": part.text}
        case ToolCall():
            arguments = arguments_of(part)
            return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": arguments}
        case ToolResult():
            return {"type": "tool_call_response", "id": part.id, "response": part.content}
        case Media():
            return {"type": "media", "modality": part.kind, "mime_type": part.type}
    return None  # what only the vendor can read


def _definition(tool: Any) -> Json:
    read = read_tool(tool, "tools")
    if isinstance(read, dict):
        return read  # in the vendor's own words
    return {
        "type": "function",
        "name": read.name,
        "description": read.description,
        "parameters": read.parameters,
    }


def _as_json(said: Mapping[str, Any], redact: Redactor) -> dict[str, str]:
    def redacted(value: Any) -> Any:
        if isinstance(value, str):
            return redact(value)
        if isinstance(value, Mapping):
            return {name: redacted(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [redacted(inner) for inner in value]
        return value

    return {name: json.dumps(redacted(value), ensure_ascii=False) for name, value in said.items()}
