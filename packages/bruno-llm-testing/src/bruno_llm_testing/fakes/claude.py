"""Anthropic's Messages API and its batches on a loopback socket, for tests.

The formats are those of https://platform.claude.com/docs/en/api/messages, /streaming and
/messages/count_tokens, in API version 2026-10-21; the official SDK reads them in this project's tests.
"""

import json
from typing import Any

from bruno_llm_base import FinishReason, Json, ToolCall, Usage

from bruno_llm_testing.fakes import _claude_batches, _claude_media
from bruno_llm_testing.script import FakeAnswer, FakeError, Received
from bruno_llm_testing.server import FakeServer, Operation

__all__ = ["FakeClaude"]

_STOP: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
    "tool_call": "tool_use",
    "error": "end_turn",
}
_ERRORS: dict[str, tuple[int, str]] = {
    "authentication": (401, "authentication_error"),
    "permission": (403, "permission_error"),
    "quota": (402, "billing_error"),
    "rate_limit": (429, "rate_limit_error"),
    "overloaded": (529, "overloaded_error"),
    "server_error": (500, "api_error"),
    "model_not_found": (404, "not_found_error"),
    "context_length": (400, "invalid_request_error"),
    "invalid_request": (400, "invalid_request_error"),
}
_VERSIONS = ("2023-06-01", "2026-10-21")
_SAMPLING = ("temperature", "top_p", "top_k")
_ANSWERING = (*_SAMPLING, "max_tokens", "stop_sequences", "stream")  # nothing that is counted
_ID, _REQUEST_ID = "msg_013Zva2CMHLNnXjNJJKqJ2EF", "req_018EeWyXxfu5pfWkrYcMdjWG"
_SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"
_CUMULATIVE = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
    "output_tokens_details",
)
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'


class FakeClaude(FakeServer):
    """A server that speaks Anthropic's Messages API."""

    models = ("claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", "claude-opus-4-8")
    ping = _PING
    garbage = b'event: content_block_delta\ndata: {"broken\n\n'

    def __init__(self) -> None:
        super().__init__()
        self.batches = _claude_batches.ClaudeBatches(self._answer_row, lambda: self.address)

    def connection(self) -> dict[str, Any]:
        return {"base_url": self.address, "api_key": self.api_key}

    def operation(self, request: Received) -> Operation:
        match request.method, request.path:
            case "POST", "/v1/messages":
                return "stream" if request.body.get("stream") else "chat"
            case "POST", "/v1/messages/count_tokens":
                return "count_tokens"
            case "GET", "/v1/models":
                return "models"
        return "batches" if request.path.startswith(_claude_batches.PATH) else "unknown"

    def refuse(self, request: Received) -> FakeError | None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.headers.get("x-api-key", bearer) != self.api_key:
            return FakeError(kind="authentication")
        asks_model = request.method == "POST" and self.operation(request) != "batches"
        if asks_model and request.body.get("model") not in self.models:
            return FakeError(kind="model_not_found")
        return FakeError(kind="invalid_request") if _complaint(request) else None

    def render_count(self, tokens: int, request: Received) -> Json:
        return {"input_tokens": tokens}

    def media_tokens(self, value: Json) -> int | None:
        return _claude_media.media_tokens(value)

    def render_answer(self, answer: FakeAnswer, request: Received) -> Json:
        content = {"content": _blocks(answer), "usage": _usage(answer.usage)}
        return _message(request) | _stop(answer) | content

    def render_stream(self, answer: FakeAnswer, request: Received) -> list[bytes]:
        begun = _usage(answer.usage) | {"output_tokens": 1, "output_tokens_details": None}
        message = _message(request) | {"content": [], "stop_reason": None, "usage": begun}
        events: list[Json] = [{"type": "message_start", "message": message}]
        for index, block in enumerate(_blocks(answer)):
            first, *deltas = _pieces(block, answer)
            events.append({"type": "content_block_start", "index": index, "content_block": first})
            events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
            events.append({"type": "content_block_stop", "index": index})
        total = _usage(answer.usage)
        spent = {name: total[name] for name in _CUMULATIVE}
        events.append({"type": "message_delta", "delta": _stop(answer), "usage": spent})
        events.append({"type": "message_stop"})
        framed = [_event(event) for event in events]
        return [*framed[:3], _PING, *framed[3:]]

    def render_error(self, error: FakeError, request: Received) -> tuple[int, Json]:
        status, kind = _ERRORS[error.kind]
        message = f"fake error: {error.kind}"
        if error.kind == "authentication":
            message = f"invalid bearer token: {request.headers.get('authorization')}"
        if error.kind == "model_not_found":
            message = f"model: {request.body.get('model')}"
        if error.kind == "context_length":
            message = f"prompt is too long: {error.actual} tokens > {error.limit} maximum"
        if error.kind == "invalid_request":
            message = _complaint(request) or f"{error.param}: Extra inputs are not permitted"
        details = None
        if "image dimensions exceed" in message:
            details = _claude_media.dimension_details(request.body["messages"])
        inner = {"type": kind, "message": message, "details": details}
        return status, {"type": "error", "error": inner, "request_id": _REQUEST_ID}

    def render_stream_error(self, error: FakeError, request: Received) -> bytes:
        return _event(self.render_error(error, request)[1])

    def headers(self, step: FakeAnswer | FakeError) -> dict[str, str]:
        return {"request-id": _REQUEST_ID} | super().headers(step)

    def render_models(self) -> Json:
        rows = [
            {
                "type": "model",
                "id": name,
                "display_name": name.replace("-", " ").title(),
                "created_at": "2026-09-01T00:00:00Z",
                "lifecycle": "active",
                "max_input_tokens": 1_000_000,
                "max_tokens": 128_000,
            }
            for name in self.models
        ]
        ends = {"first_id": self.models[0], "last_id": self.models[-1]}
        return {"data": rows, "has_more": False, **ends}


def _complaint(request: Received) -> str | None:
    """Return what the API would say about a request that is not as it should be."""
    version = request.headers.get("anthropic-version")
    if version not in _VERSIONS:
        return f'anthropic-version: "{version}" is not a valid version'
    if request.method != "POST" or request.path.startswith(_claude_batches.PATH):
        return None
    body = request.body
    counts = request.path.endswith("/count_tokens")
    for name in ("messages",) if counts else ("max_tokens", "messages"):
        if not body.get(name):
            return f"{name}: Field required"
    refused = _ANSWERING if counts else () if version == "2023-06-01" else _SAMPLING
    for name in refused:
        if name in body:
            return f"{name}: Extra inputs are not permitted"
    if body["messages"][0]["role"] != "user":
        return 'messages: first message must use the "user" role'
    wrong = _tool_complaint(body["messages"])
    return wrong or next(_claude_media.media_complaints(body["messages"]), None)


def _tool_complaint(messages: list[Json]) -> str | None:
    """Return what the API would say about calls and results that do not belong together."""
    waiting: set[str] = set()
    for place, message in enumerate(messages):
        content = message["content"]
        blocks: list[Json] = [] if isinstance(content, str) else content
        given = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if waiting - given:
            return (
                f"messages.{place - 1}: `tool_use` ids were found without `tool_result` blocks"
                f" immediately after: {', '.join(sorted(waiting - given))}"
            )
        if given - waiting:
            return (
                f"messages.{place}.content.0: unexpected `tool_use_id` found in `tool_result`"
                f" blocks: {', '.join(sorted(given - waiting))}"
            )
        waiting = {block["id"] for block in blocks if block["type"] == "tool_use"}
    return None


def _event(document: Json) -> bytes:
    data = json.dumps(document, separators=(",", ":"))
    return f"event: {document['type']}\ndata: {data}\n\n".encode()


def _message(request: Received) -> Json:
    return {
        "id": _ID,
        "type": "message",
        "role": "assistant",
        "model": request.body["model"],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
    }


def _stop(answer: FakeAnswer) -> Json:
    refusal = {"type": "refusal", "category": "general_harms", "explanation": None}
    refused = answer.finish_reason == "content_filter"
    return {
        "stop_reason": _STOP[answer.finish_reason],
        "stop_sequence": None,
        "stop_details": refusal if refused else None,
    }


def _blocks(answer: FakeAnswer) -> list[Json]:
    blocks: list[Json] = []
    if answer.reasoning:
        thought = {"type": "thinking", "thinking": answer.reasoning, "signature": _SIGNATURE}
        blocks.append(thought)
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    return blocks + [_tool_use(call) for call in answer.tool_calls]


def _tool_use(call: ToolCall) -> Json:
    arguments = json.loads(call.arguments or "{}")
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _pieces(block: Json, answer: FakeAnswer) -> list[Json]:
    """Return a block as it begins, then its deltas."""
    match block["type"]:
        case "thinking":
            return [
                block | {"thinking": "", "signature": ""},
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        case "text":
            return [
                {"type": "text", "text": ""},
                *({"type": "text_delta", "text": piece} for piece in answer.pieces),
            ]
    # a call without arguments is never spelled out
    arguments = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
    half = len(arguments) // 2
    return [
        block | {"input": {}},
        *(
            {"type": "input_json_delta", "partial_json": piece}
            for piece in ("", arguments[:half], arguments[half:])
        ),
    ]


def _usage(usage: Usage) -> Json:
    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    kept, thought = usage.cache_write_1h_tokens or 0, usage.reasoning_tokens
    return {
        "input_tokens": (usage.input_tokens or 0) - read - written,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written - kept,
            "ephemeral_1h_input_tokens": kept,
        },
        "output_tokens": usage.output_tokens or 0,
        "output_tokens_details": None if thought is None else {"thinking_tokens": thought},
        "service_tier": "standard",
    }
