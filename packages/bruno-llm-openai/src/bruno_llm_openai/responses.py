"""What a request of Chat Completions is in the words of OpenAI's Responses API.

Only that API counts the input of a request, and calls its count exact
(https://developers.openai.com/api/docs/guides/token-counting). That a model reads just the same through
Chat Completions is to be expected, but nowhere said.
"""

from collections.abc import Iterator
from typing import Any

from bruno_llm_base import Conversation, Json, Turn
from bruno_llm_base.parts import arguments_text

# What has no counterpart there, and changes what the model reads.
_UNKNOWN = frozenset(
    {"audio", "function_call", "functions", "modalities", "prediction", "web_search_options"}
)


def build(conversation: Conversation, body: Json) -> Json | None:
    """Return the body that asks how many tokens the input takes, or None if it cannot be asked.

    Of the request of Chat Completions, *body*, options that do not change the input are left out.
    """
    if not _UNKNOWN.isdisjoint(body):
        return None
    system = [{"role": "system", "content": conversation.system}] if conversation.system else []
    asked: Json = {
        "model": body["model"],
        "input": [*system, *(item for turn in conversation.turns for item in _items(turn))],
    }
    if tools := body.get("tools"):
        asked["tools"] = [_flat(tool, strict=False) for tool in tools]
    if "parallel_tool_calls" in body:
        asked["parallel_tool_calls"] = body["parallel_tool_calls"]
    if "tool_choice" in body:
        asked["tool_choice"] = _flat(body["tool_choice"])
    if effort := body.get("reasoning_effort"):
        asked["reasoning"] = {"effort": effort}
    named = (("format", "response_format"), ("verbosity", "verbosity"))
    if style := {new: _flat(body[old]) for new, old in named if old in body}:
        asked["text"] = style
    return asked


def _items(turn: Turn) -> Iterator[Json]:
    for result in turn.tool_results:
        yield {"type": "function_call_output", "call_id": result.id, "output": result.content}
    if turn.text:
        yield {"role": turn.role, "content": turn.text}
    for call in turn.tool_calls:
        named = {"call_id": call.id, "name": call.name}
        yield {"type": "function_call", **named, "arguments": arguments_text(call)}


def _flat(value: Any, **defaults: Any) -> Any:
    """Return *value* without the level that holds what its type says, which Responses has not."""
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or not isinstance(value.get(kind), dict):
        return value
    return defaults | {"type": kind} | value[kind]
