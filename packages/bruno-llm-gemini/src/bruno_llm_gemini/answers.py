"""Answers of Gemini's generateContent."""

from bruno_llm_base import (
    FinishReason,
    Json,
    Part,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    VendorBlock,
)
from bruno_llm_base.lenient import forgiving, read_arguments, read_text, read_word

__all__ = ["API", "FINISH_REASONS", "SIGNATURE", "parts", "usage"]

API = "gemini"
"""Whose state it is, whichever provider or cloud carries it."""

SIGNATURE = "thoughtSignature"
"""What a part of an answer is signed with (https://ai.google.dev/gemini-api/docs/thought-signatures)."""

FINISH_REASONS: dict[str, FinishReason] = {
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


def parts(content: Json) -> tuple[Part, ...]:
    """Return the parts of a candidate's content, or of one document of a stream."""
    pieces: list[Json] = content.get("parts") or []
    if isinstance(pieces, dict):
        pieces = [pieces]
    if len(pieces) == 1 and len(pieces[0]) == 1 and (text := pieces[0].get("text")):
        return (Text(read_text(text, "text")),)  # nearly every document of a stream
    return tuple([part for piece in pieces for part in _read(piece)])


def _read(piece: Json) -> tuple[Part, ...]:
    signature = piece.get(SIGNATURE)
    state = VendorBlock(API, {SIGNATURE: signature}) if signature else None
    if "functionCall" in piece:
        return (_tool_call(piece["functionCall"], state),)
    if piece.get("thought"):
        return (Reasoning(read_text(piece.get("text"), "text"), state),)
    if "text" in piece:
        text = read_text(piece["text"], "text")
        said: tuple[Part, ...] = (Text(text),) if text else ()
        return (*said, state) if state else said
    # what only Gemini can read: its own tools and what they found, code that it ran, pictures
    return (VendorBlock(API, piece),)


def _tool_call(call: Json, state: VendorBlock | None) -> ToolCall:
    """Return a call, which comes whole and, from older models, without an id."""
    return ToolCall(
        id=read_word(call.get("id")),
        name=read_word(call.get("name")),
        arguments=read_arguments(call.get("args")) or "{}",
        state=state,
    )


@forgiving
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
    rows = [row for name in names if name in counts for row in counts[name] or ()]
    if not rows:
        return None
    heard = [row.get("tokenCount") or 0 for row in rows if row.get("modality") == "AUDIO"]
    return sum(heard) if heard else None
