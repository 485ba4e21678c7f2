"""Conversations and answers in the words of Gemini's generateContent."""

from base64 import b64decode
from typing import assert_never

from bruno_llm_base import (
    Conversation,
    FinishReason,
    Json,
    Media,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
    VendorBlock,
)
from bruno_llm_base.lenient import forgiving, read_arguments, read_text, read_word
from bruno_llm_base.parts import arguments_of, json_object, state_for

_API = "gemini"  # whose state it is, whichever provider or cloud carries it
# What a part of an answer is signed with (https://ai.google.dev/gemini-api/docs/thought-signatures).
_SIGNATURE = "thoughtSignature"
_ALPHABET = str.maketrans("-_", "+/")  # an SDK's client spells base64 as in addresses

_INTERRUPTED = (
    *("MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE"),
    *("TOO_MANY_TOOL_CALLS", "UNEXPECTED_TOOL_CALL"),
)
_BLOCKED = (
    *("BLOCKLIST", "ESCALATION", "IMAGE_OTHER", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
    *("IMAGE_SAFETY", "LANGUAGE", "MODEL_ARMOR", "OTHER", "PROHIBITED_CONTENT"),
    *("PUP_LIMITED_DISABLED", "RECITATION", "SAFETY", "SPII"),
)
FINISH_REASONS: dict[str, FinishReason] = {
    **dict.fromkeys(_BLOCKED, "content_filter"),
    **dict.fromkeys(_INTERRUPTED, "error"),
    "CONTINUATION": "length",
    "MAX_TOKENS": "length",
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
    signature = piece.get(_SIGNATURE)
    state = VendorBlock(_API, {_SIGNATURE: signature}) if signature else None
    if "functionCall" in piece:  # whole and, from older models, without an id
        call = piece["functionCall"]
        arguments = read_arguments(call.get("args")) or "{}"
        named = read_word(call.get("id")), read_word(call.get("name"))
        return (ToolCall(*named, arguments, state),)
    if piece.get("thought") and "inlineData" not in piece:
        return (Reasoning(read_text(piece.get("text"), "text"), state),)
    if (made := piece.get("inlineData")) and made.get("data") and not piece.get("thought"):
        return (_made(made, state),)
    if "text" in piece:
        text = read_text(piece["text"], "text")
        said: tuple[Part, ...] = (Text(text),) if text else ()
        return (*said, state) if state else said
    # what only Gemini can read: its own tools and what they found, code that it ran, drafts of pictures
    return (VendorBlock(_API, piece),)


def _made(blob: Json, state: VendorBlock | None) -> Media:
    """Return what the model has made. The pieces of a streamed sound are one, since they are bare waves."""
    kind = read_word(blob.get("mimeType"))
    data = b64decode(blob["data"].translate(_ALPHABET))
    return Media(data=data, type=kind, state=state, index=0 if _is_bare(kind) else None)


def _is_bare(kind: str | None) -> bool:
    """Whether sound of this type has no header: "audio/L16;codec=pcm;rate=24000"."""
    return (kind or "").lower().startswith(("audio/l16", "audio/pcm"))


@forgiving
def usage(counts: Json, *, ended: bool) -> Usage:
    """Return the tokens: input includes cached input, output has to be told of its thoughts.

    A count of 0 is left out of the JSON, so where nothing was generated, as for a blocked prompt, the
    total alone tells the output once the answer has *ended*. It also includes thoughts that were not
    counted apart.
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
        **_of_media(counts),
    )


_READ = {"AUDIO": "input_audio_tokens", "IMAGE": "input_image_tokens"}
_DETAILS = {
    "promptTokensDetails": _READ,
    "toolUsePromptTokensDetails": _READ,
    "cacheTokensDetails": {"AUDIO": "cache_read_audio_tokens"},
    "candidatesTokensDetails": {"AUDIO": "output_audio_tokens", "IMAGE": "output_image_tokens"},
}


def _of_media(counts: Json) -> dict[str, int]:
    """Return the fields of `Usage` for sound and pictures."""
    found: dict[str, int] = {}
    for name, fields in _DETAILS.items():
        for row in counts.get(name) or ():
            if field := fields.get(row.get("modality")):
                found[field] = found.get(field, 0) + (row.get("tokenCount") or 0)
    return found


# For calls that no Gemini made (https://ai.google.dev/gemini-api/docs/thought-signatures, FAQ).
_UNSIGNED = "skip_thought_signature_validator"


def build(conversation: Conversation, *, sign: bool) -> Json:
    """Return the `contents` and `systemInstruction` of a request.

    With *sign*, the model refuses tool calls without a signature.
    """
    contents = [_content(turn, sign=sign) for turn in conversation.turns]
    body: Json = {"contents": [content for content in contents if content["parts"]]}
    if conversation.system:
        body["systemInstruction"] = {"parts": [{"text": conversation.system}]}
    return body


def _content(turn: Turn, *, sign: bool) -> Json:  # noqa: C901 - a case for each kind of part
    parts: list[Json] = []
    for part in turn.parts:
        match part:
            case Text(text):
                parts.append({"text": text})
            case Reasoning(text):
                if state := state_for(part, _API):
                    parts.append({"text": text, "thought": True} | state)
            case ToolCall():
                call = {"id": part.id, "name": part.name, "args": arguments_of(part)}
                parts.append({"functionCall": call} | state_for(part, _API))
            case ToolResult():
                found: Json = {"id": part.id, "name": part.name, "response": _response(part)}
                if part.media:
                    found["parts"] = list(map(_media, part.media))
                parts.append({"functionResponse": found})
            case VendorBlock(vendor, data) if vendor == _API:
                _put_back(data, parts)
            case Media():
                own = {_SIGNATURE: _UNSIGNED} if sign and turn.role == "assistant" else {}
                parts.append(_media(part) | own | state_for(part, _API))
            case VendorBlock():
                pass
            case _:
                assert_never(part)
    calls = [part for part in parts if "functionCall" in part]
    if sign and calls:  # the first of parallel calls is the one that is checked
        calls[0].setdefault(_SIGNATURE, _UNSIGNED)
    return {"role": "model" if turn.role == "assistant" else "user", "parts": parts}


def _media(media: Media) -> Json:
    from bruno_llm_gemini.media import build_media  # most requests have none

    return build_media(media)


def _response(result: ToolResult) -> Json:
    """Return what a tool has found, in an object, since Gemini takes nothing else."""
    if result.is_error:
        return {"error": result.content}
    found = json_object(result.content)
    return {"output": result.content} if found is None else found


def _put_back(data: Json, parts: list[Json]) -> None:
    if data.keys() != {_SIGNATURE}:
        parts.append(data)
    elif parts and parts[-1].keys() == {"text"}:  # it is signed
        parts[-1] |= data
    else:
        parts.append({"text": ""} | data)
