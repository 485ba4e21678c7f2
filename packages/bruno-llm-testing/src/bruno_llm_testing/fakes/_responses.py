"""OpenAI's Responses, as its fake speaks them.

The formats are those of https://platform.openai.com/docs/api-reference/responses and its
/responses-streaming; the official SDK reads them in this project's tests.
"""

import json
from dataclasses import asdict
from itertools import count
from typing import Any

from bruno_llm_base import FinishReason, Json, ToolCall, Usage

from bruno_llm_testing.fakes import _openai_media as media
from bruno_llm_testing.script import FakeAnswer

_ID, _CREATED = "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b", 1795359778
_INCOMPLETE: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
_CHAT_ONLY = ("messages", "max_tokens", "max_completion_tokens", "reasoning_effort", "stop", "seed")
_WANTED_OF = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "reasoning": ("id", "summary", "encrypted_content"),
    "message": ("role", "content"),
    "image_generation_call": ("id", "status"),
}
_PIECES_OF = {"reasoning": "summary", "message": "content"}
_NAMES = {
    "summary_text": ("summary_index", "reasoning_summary_part", "reasoning_summary_text", "text"),
    "output_text": ("content_index", "content_part", "output_text", "text"),
    "refusal": ("content_index", "content_part", "refusal", "refusal"),
}


def misfit(body: Json) -> str | None:
    """Return the field that the API would complain about."""
    if wrong := next((name for name in _CHAT_ONLY if name in body), None):
        return wrong
    tools = body.get("tools", ())
    if not all({"name", "parameters"} <= t.keys() for t in tools if _is(t, "function")):
        return "tools"
    items = body.get("input")
    items = [{"role": "user", "content": items}] if isinstance(items, str) and items else items
    if not isinstance(items, list) or not items or not all(map(_is_sound, items)):
        return "input"
    pairs = zip(items, [*items[1:], {"role": "user"}], strict=True)
    torn = any(
        _is(item, "reasoning") and "role" in after and after["role"] != "assistant"
        for item, after in pairs
    )
    called = {item["call_id"] for item in items if _is(item, "function_call")}
    given = {item["call_id"] for item in items if _is(item, "function_call_output")}
    return "input" if torn or called != given else None


def _is(item: Json, kind: str) -> bool:
    return item.get("type") == kind


def _is_sound(item: Json) -> bool:
    return all(
        item.get(name) is not None for name in _WANTED_OF.get(item.get("type", "message"), ())
    )


def answer_document(answer: FakeAnswer, body: Json) -> Json:
    """Return *answer* as a whole."""
    status, reason = "completed", None
    if not _is_refusal(answer) and answer.finish_reason in _INCOMPLETE:
        status, reason = "incomplete", {"reason": _INCOMPLETE[answer.finish_reason]}
    head = {"status": status, "incomplete_details": reason, "output": _items(answer)}
    return _head(body) | head | {"usage": _usage(answer.usage)}


def answer_events(answer: FakeAnswer, body: Json) -> list[bytes]:
    """Return *answer* as the events of a stream."""
    whole = answer_document(answer, body)
    begun = {"response": _head(body) | {"status": "in_progress", "output": [], "usage": None}}
    events = [{"type": "response.created"} | begun, {"type": "response.in_progress"} | begun]
    for index, item in enumerate(whole["output"]):
        place: Json = {"output_index": index}
        events += [place | event for event in _events_of(item, answer)]
    events.append({"type": f"response.{whole['status']}", "response": whole})
    return [_framed(event, number) for event, number in zip(events, count(), strict=False)]


def error_event(document: Json) -> bytes:
    """Return the *document* of an error as the event of a stream."""
    said = document["error"]
    fields = {name: said[name] for name in ("message", "param")}
    return _framed({"type": "error", "code": said["code"] or said["type"]} | fields, 99)


def _framed(event: Json, number: int) -> bytes:
    data = json.dumps(event | {"sequence_number": number}, separators=(",", ":"))
    return f"event: {event['type']}\ndata: {data}\n\n".encode()


def _head(body: Json) -> Json:
    return {
        "id": _ID,
        "object": "response",
        "created_at": _CREATED,
        "error": None,
        "instructions": body.get("instructions"),
        "model": body["model"],
        "parallel_tool_calls": True,
        "service_tier": "default",
        "store": body.get("store", True),
        "tool_choice": "auto",
        "tools": [],
    }


def _is_refusal(answer: FakeAnswer) -> bool:
    return answer.finish_reason == "content_filter" and bool(answer.text)


def _items(answer: FakeAnswer) -> list[Json]:
    items: list[Json] = []
    if answer.reasoning:
        summary = [{"type": "summary_text", "text": answer.reasoning}]
        sealed = {"encrypted_content": "gAAAAABo-fake"}
        items.append({"id": "rs_fake", "type": "reasoning", "summary": summary} | sealed)
    if answer.text:
        piece: Json = {
            "type": "output_text",
            "text": answer.text,
            "annotations": [],
            "logprobs": [],
        }
        if _is_refusal(answer):
            piece = {"type": "refusal", "refusal": answer.text}
        said = {"id": "msg_fake", "type": "message", "role": "assistant", "status": "completed"}
        items.append(said | {"content": [piece]})
    items += media.image_items(answer.media)
    return items + [_tool_call(place, call) for place, call in enumerate(answer.tool_calls)]


def _tool_call(place: int, call: ToolCall) -> Json:
    named = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
    return {"id": f"fc_fake{place}", "type": "function_call", "status": "completed"} | named


def _events_of(item: Json, answer: FakeAnswer) -> list[Json]:
    """Return an item as it is streamed: its beginning, its pieces, and the whole of it."""
    place = {"item_id": item["id"]}
    if "arguments" in item:
        begun, written = item | {"arguments": "", "status": "in_progress"}, item["arguments"]
        half = len(written) // 2
        kind = "response.function_call_arguments"
        inner = [{"type": f"{kind}.delta", "delta": d} for d in (written[:half], written[half:])]
        inner.append({"type": f"{kind}.done", "arguments": written, "name": item["name"]})
    elif "result" in item:
        begun = item | {"result": None, "status": "in_progress"}
        inner = media.image_events(item)
    else:
        field = _PIECES_OF[item["type"]]
        begun = item | {field: []}
        inner = [event for piece in item[field] for event in _events_in(piece, answer)]
    return [
        {"type": "response.output_item.added", "item": begun},
        *(event | place for event in inner),
        {"type": "response.output_item.done", "item": item},
    ]


def _events_in(piece: Json, answer: FakeAnswer) -> list[Json]:
    place, part, words, field = _NAMES[piece["type"]]
    pieces = [piece[field]] if part == "reasoning_summary_part" else answer.pieces
    more: dict[str, Any] = {"logprobs": []} if words == "output_text" else {}
    events: list[Json] = [
        {"type": f"response.{part}.added", "part": piece | {field: ""}},
        *({"type": f"response.{words}.delta", "delta": text} | more for text in pieces),
        {"type": f"response.{words}.done", field: piece[field]} | more,
        {"type": f"response.{part}.done", "part": piece},
    ]
    return [{place: 0, **event} for event in events]


def _usage(usage: Usage) -> Json:
    counts = {name: number or 0 for name, number in asdict(usage).items()}
    written, long = counts["cache_write_tokens"], counts["cache_write_12h_tokens"]
    return {
        "input_tokens": counts["input_tokens"],
        "input_tokens_details": {
            "cached_tokens": counts["cache_read_tokens"],
            "cache_write_tokens": written,
            "cache_write_tokens_details": {
                "ttl_12h_tokens": long,
                "ttl_30m_tokens": written - long,
            },
        },
        "output_tokens": counts["output_tokens"],
        "output_tokens_details": {"reasoning_tokens": counts["reasoning_tokens"]},
        "total_tokens": counts["input_tokens"] + counts["output_tokens"],
    }
