"""Conversations and answers in the words of OpenAI's Responses API.

An answer is a list of items. They go back as that list, in its order: a thought must stand right before
what it led to. Nothing is kept at OpenAI, so thoughts go back encrypted, as they came
(https://developers.openai.com/api/docs/guides/reasoning).
"""

from collections.abc import Iterable
from typing import Any, assert_never

from bruno_llm_base import (
    Conversation,
    FinishReason,
    Json,
    Media,
    ModelResponse,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
    VendorBlock,
)
from bruno_llm_base.cost.prices import reported_cost
from bruno_llm_base.lenient import finish_reason, forgiving, read_arguments, read_text, read_word
from bruno_llm_base.parts import CACHE_MARK, arguments_text, object_in, state_for

from bruno_llm_openai.models import CACHE_BREAKPOINT

FINISH_REASONS: dict[str, FinishReason] = {"max_messages": "length", "steered": "stop"}

_CUSTOM = "custom_tool_call"  # its input is free text
_CALLS = ("function_call", _CUSTOM)
_OF_A_CALL = frozenset(("arguments", "call_id", "id", "input", "name", "status", "type"))
_OF_A_THOUGHT = ("id", "summary", "encrypted_content")
_OF_A_MESSAGE = ("phase", "annotations")
_REFUSAL = "refusal"


def read_item(item: Json, index: int | None, api: str) -> ModelResponse:
    """Return what a whole item of an answer says."""
    match item.get("type"):
        case "message":
            said = read_message(item, index)
        case "reasoning":
            thoughts = item.get("summary") or item.get("content") or []
            text = "\n\n".join([read_text(piece, "summary") for piece in thoughts])
            said = ModelResponse(parts=(Reasoning(text, None, index),) if text else ())
        case "function_call" | "custom_tool_call":
            call = _call(item, index)
            call.arguments = read_arguments(item.get("arguments", item.get("input")))
            said = ModelResponse(parts=(call,))
        case _:
            said = ModelResponse()
    said.parts += end_item(item, index, api)
    return said


def read_message(item: Json, index: int | None) -> ModelResponse:
    """Return the words of a message."""
    said = ModelResponse()
    for piece in item.get("content") or ():
        if piece.get("type") == _REFUSAL:
            said = ModelResponse.join([said, refusal(piece.get(_REFUSAL), index)])
        elif text := read_text(piece, "content"):
            said.parts += (Text(text, index),)
    return said


def refusal(words: Any, index: int | None) -> ModelResponse:
    """Return words with which the model refuses to answer."""
    text = Text(read_text(words, _REFUSAL), index)
    return ModelResponse(parts=(text,), finish_reason="content_filter", finish_detail=_REFUSAL)


def begin_item(item: Json, index: int | None) -> tuple[Part, ...]:
    """Return what a stream says when an item begins."""
    return (_call(item, index),) if item.get("type") in _CALLS else ()


def end_item(item: Json, index: int | None, api: str) -> tuple[Part, ...]:
    """Return what is known of an item only when it is complete: what the API wants back with it."""
    match item.get("type"):
        case "message":
            own = {name: item[name] for name in _OF_A_MESSAGE if item.get(name)}
            pieces = item.get("content") or ()
            if cited := [a for piece in pieces for a in piece.get("annotations") or ()]:
                own["annotations"] = cited
            # an index of its own: what has the index of a text is text
            place = None if index is None else -1 - index
            return (VendorBlock(api, {"type": "message"} | own, place),) if own else ()
        case "reasoning" if item.get("encrypted_content"):
            own = {name: item[name] for name in _OF_A_THOUGHT if name in item}
            return (Reasoning("", VendorBlock(api, own), index),)
        case "function_call" | "custom_tool_call" as kind:
            own = {name: item[name] for name in item.keys() - _OF_A_CALL if item[name]}
            if kind == _CUSTOM:
                own["type"] = kind
            return (ToolCall(state=VendorBlock(api, own), index=index),) if own else ()
        case None | "reasoning":
            return ()
        case "image_generation_call" if item.get("result"):
            from bruno_llm_openai.media import drawn  # most models make none

            return (drawn(item, index, api),)
        case _:  # of a tool that OpenAI runs
            return (VendorBlock(api, item, index),)


def _call(item: Json, index: int | None) -> ToolCall:
    name = read_word(item.get("call_id")) or read_word(item.get("id"))
    return ToolCall(id=name, name=read_word(item.get("name")), index=index)


def end(response: Json) -> ModelResponse:
    """Return why the model stopped, and what it cost."""
    details = object_in(response.get("incomplete_details"))
    word = read_word(details.get("reason")) or read_word(response.get("status"))
    counts = object_in(response.get("usage"))
    return ModelResponse(
        finish_reason=finish_reason(word, FINISH_REASONS),
        finish_detail=word,
        usage=_usage(counts),
        cost=reported_cost(counts),
        model=read_word(response.get("model")),
        id=read_word(response.get("id")),
    )


@forgiving
def _usage(counts: Json) -> Usage:
    read = object_in(counts.get("input_tokens_details"))
    written = object_in(counts.get("output_tokens_details"))
    kept = object_in(read.get("cache_write_tokens_details"))
    return Usage(
        input_tokens=counts.get("input_tokens"),
        output_tokens=counts.get("output_tokens"),
        # Perplexity's words are those of Claude's API
        cache_read_tokens=read.get("cached_tokens", read.get("cache_read_input_tokens")),
        cache_write_tokens=read.get("cache_write_tokens", read.get("cache_creation_input_tokens")),
        cache_write_12h_tokens=kept.get("ttl_12h_tokens"),
        reasoning_tokens=written.get("reasoning_tokens"),
    )


def build(conversation: Conversation, api: str = "", *, marks: bool = False) -> list[Json]:
    """Return the `input` of a request; state that another API than *api* made is left out.

    With *marks*, they go behind what is to be kept; what a model has said takes none.
    """
    items: list[Json] = []
    if conversation.system:
        items.append({"role": "system", "content": conversation.system})
    custom: set[str | None] = set()
    for turn in conversation.turns:
        if turn.role == "assistant":
            answered = _answered(turn, api)
            custom |= {item["call_id"] for item in answered if item["type"] == _CUSTOM}
            items += answered
        elif turn.role == "user":
            has_pieces = Media in map(type, turn.parts) or (marks and CACHE_MARK in turn.parts)
            content = _pieces(turn.parts, marks=marks) if has_pieces else turn.text
            items.append({"role": "user", "content": content})
        else:
            for part in turn.parts:
                if isinstance(part, ToolResult):
                    kind = _CUSTOM if part.id in custom else "function_call"
                    said = {"call_id": part.id, "output": _output(part)}
                    items.append({"type": f"{kind}_output"} | said)
                elif marks and part == CACHE_MARK:
                    output = items[-1]["output"]
                    pieces = [_text(output)] if isinstance(output, str) else output
                    items[-1]["output"] = [*pieces[:-1], pieces[-1] | CACHE_BREAKPOINT]
    return items


def _output(result: ToolResult) -> str | list[Json]:
    if not result.media:
        return result.told
    failed = [_text("Error:")] if result.is_error else []
    return [*failed, *_pieces(result.parts, marks=False)]


def _pieces(parts: Iterable[Part], *, marks: bool) -> list[Json]:
    pieces: list[Json] = []
    for part in parts:
        if isinstance(part, Text):
            pieces.append(_text(part.text))
        elif isinstance(part, Media):
            from bruno_llm_openai.media import response_piece  # most conversations have none

            pieces.append(response_piece(part))
        elif marks and pieces and part == CACHE_MARK:
            pieces[-1] |= CACHE_BREAKPOINT
    return pieces


def _text(text: str) -> Json:
    return {"type": "input_text", "text": text}


def _answered(  # noqa: C901, PLR0912 - a case for each kind of part
    turn: Turn, api: str
) -> list[Json]:
    """Return the items of an answer; none may end with a thought, as one that was cut short does."""
    items: list[Json] = []
    for part in turn.parts:
        match part:
            case Text(text) if text:
                items.append({"type": "message", "role": "assistant", "content": text})
            case Reasoning():
                if state := state_for(part, api):
                    items.append({"type": "reasoning"} | state)
            case ToolCall():
                items.append(_sent_call(part, api))
            case Media():
                if state := state_for(part, api):  # the others stand in the user's turns
                    items.append(state | {"result": part.encoded})
            case VendorBlock(vendor, data) if vendor == api:
                if data.get("type") != "message":
                    items.append(data)
                elif items and "phase" in data:
                    items[-1]["phase"] = data["phase"]
            case Text() | VendorBlock() | ToolResult():
                pass  # empty, another API's, or a result, which has a turn of its own
            case _:
                assert_never(part)
    while items and items[-1]["type"] == "reasoning":
        items.pop()
    return items


def _sent_call(call: ToolCall, api: str) -> Json:
    named = {"call_id": call.id, "name": call.name}
    state = state_for(call, api)
    if state.get("type") == _CUSTOM:
        return {"type": _CUSTOM, **named, "input": call.arguments} | state
    return {"type": "function_call", **named, "arguments": arguments_text(call)} | state
