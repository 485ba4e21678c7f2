"""Conversations and answers in the words of Ollama's chat (https://docs.ollama.com/api/chat)."""

import json
from collections.abc import Iterator

from bruno_llm_base import Conversation, FinishReason, Json, ToolCall, ToolResult, Turn, Usage

__all__ = ["build", "finish_reason", "tool_calls", "usage"]

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "load": "error",  # the model was only loaded, or unloaded: that is no answer
    "unload": "error",
}


def build(conversation: Conversation) -> list[Json]:
    """Return the `messages` of a request; thoughts are not sent back."""
    system = [{"role": "system", "content": conversation.system}] if conversation.system else []
    return [*system, *(message for turn in conversation.turns for message in _messages(turn))]


def _messages(turn: Turn) -> Iterator[Json]:
    if turn.role == "tool":
        yield from map(_tool_result, turn.tool_results)
        return
    message: Json = {"role": turn.role, "content": turn.text}
    if calls := turn.tool_calls:
        message["tool_calls"] = [_call(call) for call in calls]
    yield message


def _call(call: ToolCall) -> Json:
    arguments = json.loads(call.arguments)  # Ollama wants the object, not its text
    named = {"id": call.id} if call.id else {}
    return named | {"function": {"name": call.name, "arguments": arguments}}


def _tool_result(result: ToolResult) -> Json:
    message = {"role": "tool", "content": result.content}
    if result.name:
        message["tool_name"] = result.name
    if result.id:
        message["tool_call_id"] = result.id
    return message


def finish_reason(word: str | None) -> FinishReason:
    """Return why the model stopped; older servers do not say, newer ones may have new words."""
    return _FINISH_REASONS.get(word or "stop", "stop")


def tool_calls(message: Json) -> tuple[ToolCall, ...]:
    """Return the tool calls of a message.

    Each is whole. Their `function.index` means nothing: in a stream, most models' are all 0
    (https://github.com/ollama/ollama/issues/15457).
    """
    return tuple(map(_tool_call, message.get("tool_calls") or ()))


def _tool_call(call: Json) -> ToolCall:
    function = call["function"]
    return ToolCall(
        id=call.get("id"),
        name=function["name"],
        arguments=json.dumps(function.get("arguments") or {}),
    )


def usage(data: Json) -> Usage:
    """Return the tokens that the last document reports.

    The server leaves out what is 0. No output is possible; no input is not, so a missing count of
    it is unknown: older servers counted only what their cache did not hold.
    """
    return Usage(
        input_tokens=data.get("prompt_eval_count"),
        output_tokens=data.get("eval_count") or 0,
        cache_read_tokens=data.get("prompt_eval_cached_count"),
    )
