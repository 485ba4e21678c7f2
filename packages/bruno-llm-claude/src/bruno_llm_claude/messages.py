"""Conversations and answers in the words of Anthropic's Messages API.

An answer is a list of blocks. A stream announces each with its index and then sends pieces of it, so
both modes are read by the same functions.
"""

import json

from bruno_llm_base import (
    NOTHING,
    Conversation,
    FinishReason,
    Json,
    ModelResponse,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
)
from bruno_llm_base.pricing import reported_cost

__all__ = ["block", "build", "delta", "end", "start"]

_FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}
_THOUGHTS = ("thinking", "redacted_thinking")
_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def build(conversation: Conversation) -> list[Json]:
    """Return the `messages` of a request."""
    messages: list[Json] = []
    for turn in conversation.opened().turns:
        role = "assistant" if turn.role == "assistant" else "user"
        blocks = _blocks(turn)
        if messages and messages[-1]["role"] == role:
            blocks = messages.pop()["content"] + blocks
            blocks.sort(key=lambda block: block["type"] != "tool_result")  # results come first
        messages.append({"role": role, "content": blocks})
    return messages


def _blocks(turn: Turn) -> list[Json]:
    return [
        *(_thought(state) for state in turn.provider_state if state.get("type") in _THOUGHTS),
        *(_tool_result(result) for result in turn.tool_results),
        *([{"type": "text", "text": turn.text}] if turn.text else []),
        *(_tool_use(call) for call in turn.tool_calls),
    ]


def _thought(state: Json) -> Json:
    return {name: value for name, value in state.items() if name != "index"}


def _tool_result(result: ToolResult) -> Json:
    return {"type": "tool_result", "tool_use_id": result.id, "content": result.content}


def _tool_use(call: ToolCall) -> Json:
    arguments = json.loads(call.arguments)
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def start(message: Json) -> ModelResponse:
    """Return what is known before the first block; the output is counted at the end."""
    usage = _input(message.get("usage") or {})
    return ModelResponse(model=message.get("model") or None, id=message.get("id"), usage=usage)


def block(index: int, content: Json, *, whole: bool) -> ModelResponse:
    """Return a block of an answer, or what a stream says when one begins."""
    match content.get("type"):
        case "text":
            return ModelResponse(text=content["text"])
        case "thinking":
            state = ({"index": index, **content},)
            return ModelResponse(reasoning=content.get("thinking") or "", provider_state=state)
        case "redacted_thinking":
            return ModelResponse(provider_state=({"index": index, **content},))
        case "tool_use":
            return ModelResponse(tool_calls=(_tool_call(index, content, whole=whole),))
    return NOTHING


def _tool_call(index: int, content: Json, *, whole: bool) -> ToolCall:
    arguments = content.get("input") or {}
    return ToolCall(
        index=index,
        id=content["id"],
        name=content["name"],
        # {} at the beginning stands for what is still to come
        arguments=json.dumps(arguments, ensure_ascii=False) if arguments or whole else "",
    )


def delta(index: int, piece: Json) -> ModelResponse:
    """Return a piece of a streamed block."""
    match piece.get("type"):
        case "text_delta":
            return ModelResponse(text=piece["text"])
        case "thinking_delta":
            thought = piece["thinking"]
            state = ({"index": index, "thinking": thought},)
            return ModelResponse(reasoning=thought, provider_state=state)
        case "signature_delta":
            return ModelResponse(
                provider_state=({"index": index, "signature": piece["signature"]},)
            )
        case "input_json_delta":
            call = ToolCall(index=index, arguments=piece["partial_json"])
            return ModelResponse(tool_calls=(call,))
    return NOTHING


def end(stop: Json, counts: Json | None) -> ModelResponse:
    """Return why the model stopped, and what it cost; an unknown reason counts as a stop."""
    word = stop.get("stop_reason")
    category = (stop.get("stop_details") or {}).get("category")
    return ModelResponse(
        finish_reason=_FINISH_REASONS.get(word, "stop") if word else None,
        finish_detail=category or word,
        usage=_total(counts or {}),
        reported_cost=reported_cost(counts or {}),
    )


def _input(counts: Json) -> Usage:
    """Return the input: Anthropic's count leaves out what has to do with its cache."""
    fresh, read, written = (counts.get(name) for name in _INPUT)
    if not (fresh or read or written):
        return Usage()  # no input is impossible: a gateway that does not know it yet says 0
    kept = counts.get("cache_creation") or {}
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=kept.get("ephemeral_1h_input_tokens"),
    )


def _total(counts: Json) -> Usage:
    counts = _with_compaction(counts)
    details = counts.get("output_tokens_details") or {}
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
