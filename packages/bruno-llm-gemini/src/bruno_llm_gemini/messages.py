"""Conversations and answers in the words of Gemini's generateContent."""

import json

from bruno_llm_base import (
    Conversation,
    FinishReason,
    Json,
    ModelResponse,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
)
from bruno_llm_base.values import is_json

__all__ = ["build", "read", "usage"]

_FINISH_REASONS: dict[str, FinishReason] = {
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "LANGUAGE": "content_filter",
    "OTHER": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "PUP_LIMITED_DISABLED": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_OTHER": "content_filter",
    "NO_IMAGE": "error",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
}

# For calls that no Gemini made (https://ai.google.dev/gemini-api/docs/thought-signatures, FAQ).
_UNSIGNED = "skip_thought_signature_validator"


def build(conversation: Conversation, *, sign: bool) -> Json:
    """Return the `contents` and `systemInstruction` of a request.

    Args:
        conversation: What has been said.
        sign: Whether the model refuses tool calls without a signature.
    """
    body: Json = {"contents": [_content(turn, sign=sign) for turn in conversation.turns]}
    if conversation.system:
        body["systemInstruction"] = {"parts": [{"text": conversation.system}]}
    return body


def _content(turn: Turn, *, sign: bool) -> Json:
    role = "model" if turn.role == "assistant" else "user"
    parts = [_part(part) for part in turn.parts]
    _put_back(turn.provider_state, parts)
    calls = [part for part in parts if "functionCall" in part]
    if sign and calls:  # the first of parallel calls is the one that is checked
        calls[0].setdefault("thoughtSignature", _UNSIGNED)
    return {"role": role, "parts": parts}


def _part(part: Text | ToolCall | ToolResult) -> Json:
    if isinstance(part, Text):
        return {"text": part.text}
    named = {"id": part.id, "name": part.name}
    if isinstance(part, ToolCall):
        return {"functionCall": named | {"args": json.loads(part.arguments)}}
    return {"functionResponse": named | {"response": _result(part.content)}}


def _result(text: str) -> Json:
    """Return what a tool answered as an object: Gemini takes nothing else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) and is_json(value) else {"result": text}


def _put_back(state: tuple[Json, ...], parts: list[Json]) -> None:
    """Give each signature back to the part that it came with."""
    # a text is signed at its end, so texts are matched from the last to the first
    texts = [block for block in state if not block.get("functionCall")]
    calls = [block for block in state if isinstance(block.get("functionCall"), dict)]
    for block in (*calls, *reversed(texts)):
        call = block.get("functionCall")
        places = parts if call else reversed(parts)
        waiting = (p for p in places if "thoughtSignature" not in p and _owns(p, call))
        if "thoughtSignature" in block and (part := next(waiting, None)):
            part["thoughtSignature"] = block["thoughtSignature"]


def _owns(part: Json, call: Json | None) -> bool:
    """Whether *part* is the call with the id and name of *call*, or a text if that is None."""
    own = part.get("functionCall")
    if own is None or call is None:
        return own is call
    return all(own.get(name) == value for name, value in call.items())


def read(candidate: Json, part: ModelResponse) -> None:
    """Add what a candidate says to *part*."""
    if candidate.get("index"):
        return  # one of several that were asked for: we read the first
    text, thought, calls, state = "", "", [], []
    for piece in (candidate.get("content") or {}).get("parts") or ():
        if "functionCall" in piece:
            calls.append(_tool_call(piece["functionCall"]))
        elif piece.get("thought"):
            thought += piece.get("text", "")
        elif "text" in piece:
            text += piece["text"]
        if "thoughtSignature" in piece:
            state.append(_signature(piece))
    part.text, part.reasoning = text, thought
    part.tool_calls, part.provider_state = tuple(calls), tuple(state)
    if word := candidate.get("finishReason"):
        # a word that we do not know counts as a stop
        part.finish_reason, part.finish_detail = _FINISH_REASONS.get(word, "stop"), word


def _signature(piece: Json) -> Json:
    """Return a part's signature, and the id and name of the call if it is one."""
    block = {"thoughtSignature": piece["thoughtSignature"]}
    if call := piece.get("functionCall"):
        block["functionCall"] = {name: call[name] for name in ("id", "name") if name in call}
    return block


def _tool_call(call: Json) -> ToolCall:
    """Return a call, which comes whole and, from older models, without an id."""
    arguments = json.dumps(call.get("args") or {})
    return ToolCall(id=call.get("id"), name=call.get("name"), arguments=arguments)


def usage(counts: Json, *, ended: bool) -> Usage:
    """Return the tokens: input includes cached input, output has to be told of its thoughts.

    Args:
        counts: The `usageMetadata`.
        ended: Whether nothing follows. A count of 0 is left out of the JSON, so where nothing was
            generated, as for a blocked prompt, the total alone tells the output. It also tells of
            thoughts that were not counted apart.
    """
    prompt = counts.get("promptTokenCount")
    tools = counts.get("toolUsePromptTokenCount") or 0
    said, thought = counts.get("candidatesTokenCount"), counts.get("thoughtsTokenCount")
    total = counts.get("totalTokenCount")
    output = None
    if said is not None or thought is not None:
        output = (said or 0) + (thought or 0)
    if total is not None and prompt is not None and (ended or output is not None):
        output = max(output or 0, total - prompt - tools)
    return Usage(
        input_tokens=None if prompt is None else prompt + tools,
        output_tokens=output,
        cache_read_tokens=counts.get("cachedContentTokenCount"),
        reasoning_tokens=thought,
        input_audio_tokens=_audio(counts, "promptTokensDetails", "toolUsePromptTokensDetails"),
        output_audio_tokens=_audio(counts, "candidatesTokensDetails"),
    )


def _audio(counts: Json, *names: str) -> int | None:
    rows = [row for name in names for row in counts.get(name) or ()]
    heard = [row.get("tokenCount") or 0 for row in rows if row.get("modality") == "AUDIO"]
    return sum(heard) if heard else None
