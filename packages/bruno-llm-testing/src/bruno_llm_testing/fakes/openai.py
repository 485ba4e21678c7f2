"""OpenAI's Chat Completions, Responses, embeddings and batches on a loopback socket, for tests.

The formats are those of https://platform.openai.com/docs/api-reference/chat, and of its /responses,
/responses/input_tokens and /embeddings; the official SDK reads them in this project's tests.
"""

import json
import struct
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar

from bruno_llm_base import FinishReason, Json, ToolCall, Usage

from bruno_llm_testing.fakes import _openai_media as media
from bruno_llm_testing.fakes import _responses as responses
from bruno_llm_testing.fakes._openai_batches import OpenAIBatches
from bruno_llm_testing.samples import sample_media
from bruno_llm_testing.script import FakeAnswer, FakeError, Received, Step
from bruno_llm_testing.server import FakeServer, Operation, vector_of

__all__ = ["FakeOpenAI"]

_FINISH: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_call": "tool_calls",
    "error": "stop",
}
_ERRORS: dict[str, tuple[int, str, str | None]] = {
    "authentication": (401, "invalid_request_error", "invalid_api_key"),
    "permission": (403, "invalid_request_error", "insufficient_permissions"),
    "quota": (429, "insufficient_quota", "insufficient_quota"),
    "rate_limit": (429, "requests", "rate_limit_exceeded"),
    "overloaded": (503, "server_error", "server_overloaded"),
    "server_error": (500, "server_error", None),
    "model_not_found": (404, "invalid_request_error", "model_not_found"),
    "context_length": (400, "invalid_request_error", "context_length_exceeded"),
    "invalid_request": (400, "invalid_request_error", "unsupported_parameter"),
}
_ID, _CREATED = "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", 1795359778
_MOST_TEXTS = 2048
_DRAWS = "image_generation"


class FakeOpenAI(FakeServer):
    """A server that speaks OpenAI's Chat Completions and Responses."""

    models: tuple[str, ...] = (
        "gpt-6.1-terra",
        "gpt-6-luna",
        "gpt-6-sol",
        "gpt-5.4-mini",
        "gpt-5.4",
        "gpt-4.1",
    )

    embedding_models: ClassVar[Mapping[str, int]] = {
        "text-embedding-3-small": 1536,
        "text-embedding-3-large": 3072,
        "text-embedding-ada-002": 1536,
    }

    def __init__(self) -> None:
        super().__init__()
        self.batches = OpenAIBatches(self._answer_row)

    def connection(self) -> dict[str, Any]:
        return {"base_url": f"{self.address}/v1", "api_key": self.api_key}

    def operation(self, request: Received) -> Operation:
        match request.method, request.path:
            case "POST", "/v1/chat/completions" | "/v1/responses":
                return "stream" if request.body.get("stream") else "chat"
            case "POST", "/v1/embeddings":
                return "embeddings"
            case "POST", "/v1/responses/input_tokens":
                return "count_tokens"
            case "GET", "/v1/models":
                return "models"
        kind = "/".join(request.path.split("/")[:3])
        return "batches" if kind in ("/v1/files", "/v1/batches") else "unknown"

    def refuse(self, request: Received) -> FakeError | None:
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return FakeError(kind="authentication")
        if request.method == "GET" or self.operation(request) == "batches":
            return None
        if self.operation(request) == "embeddings":
            return self._refuse_texts(request.body)
        return self._refuse_chat(request)

    def _refuse_chat(self, request: Received) -> FakeError | None:
        if request.body.get("model") not in self.models:
            return FakeError(kind="model_not_found")
        if media.media_complaint(request.body):
            return FakeError(kind="invalid_request")
        if self.operation(request) == "count_tokens":
            wrong = _misfit(request.body)
            return FakeError(kind="invalid_request", param=wrong) if wrong else None
        if _is_responses(request):
            wrong = responses.misfit(request.body)
            return FakeError(kind="invalid_request", param=wrong) if wrong else None
        known = {"system", "developer", "user", "assistant", "tool"}
        messages = request.body.get("messages")
        if not messages or any(message.get("role") not in known for message in messages):
            return FakeError(kind="invalid_request", param="messages")
        return None

    def _refuse_texts(self, body: Json) -> FakeError | None:
        most = self.embedding_models.get(body.get("model", ""))
        if most is None:
            return FakeError(kind="model_not_found")
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not 0 < len(texts) <= _MOST_TEXTS or not all(texts):
            return FakeError(kind="invalid_request", param="input")
        asked = body.get("dimensions", most)
        fixed = body["model"] == "text-embedding-ada-002" and "dimensions" in body
        if fixed or not isinstance(asked, int) or not 0 < asked <= most:
            return FakeError(kind="invalid_request", param="dimensions")
        return None

    def render_answer(self, answer: FakeAnswer, request: Received) -> Json:
        if _is_responses(request):
            return responses.answer_document(answer, request.body)
        refused = answer.finish_reason == "content_filter" and answer.text
        message: Json = {
            "role": "assistant",
            "content": None if refused else answer.text or None,
            "refusal": answer.text if refused else None,
            "annotations": [],
        }
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        if sound := media.spoken(answer.media):
            message |= {"content": None, "audio": media.audio_field(sound, answer.text)}
        if images := media.images_field(answer.media):
            message["images"] = images
        if answer.tool_calls:
            message["tool_calls"] = [_tool_call(call) for call in answer.tool_calls]
        finish = "stop" if refused else _FINISH[answer.finish_reason]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return {
            **_head(request, "chat.completion"),
            "choices": [choice],
            "usage": _usage(answer.usage),
        }

    def render_stream(self, answer: FakeAnswer, request: Received) -> list[bytes]:
        if _is_responses(request):
            return responses.answer_events(answer, request.body)
        head = _head(request, "chat.completion.chunk")
        refused = answer.finish_reason == "content_filter" and answer.text
        word = "refusal" if refused else "content"
        deltas: list[Json] = [{"role": "assistant", "content": "", "refusal": None}]
        if answer.reasoning:
            deltas.append({"reasoning_content": answer.reasoning})
        if sound := media.spoken(answer.media):
            deltas += [{"audio": each} for each in media.audio_deltas(sound, answer.pieces)]
        else:
            deltas += [{word: piece} for piece in answer.pieces]
        deltas += [{"images": [image]} for image in media.images_field(answer.media)]
        for place, call in enumerate(answer.tool_calls):
            deltas += [{"tool_calls": [fragment]} for fragment in _fragments(place, call)]
        finish = "stop" if refused else _FINISH[answer.finish_reason]
        ends = [None] * len(deltas) + [finish]
        chunks = [
            head | {"choices": [{"index": 0, "delta": d, "logprobs": None, "finish_reason": e}]}
            for d, e in zip([*deltas, {}], ends, strict=True)
        ]
        if (request.body.get("stream_options") or {}).get("include_usage"):
            chunks = [chunk | {"usage": None} for chunk in chunks]
            chunks.append(head | {"choices": [], "usage": _usage(answer.usage)})
        return [*(_event(chunk) for chunk in chunks), b"data: [DONE]\n\n"]

    def render_error(self, error: FakeError, request: Received) -> tuple[int, Json]:
        status, kind, code = _ERRORS[error.kind]
        param, message = error.param, f"fake error: {error.kind}"
        if error.kind == "invalid_request" and (wrong := media.media_complaint(request.body)):
            code, message, param = wrong
        if error.kind == "authentication":
            message = f"Incorrect API key provided: {request.headers.get('authorization')}"
        if error.kind == "context_length":
            message = (
                f"This model's maximum context length is {error.limit} tokens. However, your"
                f" messages resulted in {error.actual} tokens."
            )
        return status, {"error": {"message": message, "type": kind, "param": param, "code": code}}

    def render_stream_error(self, error: FakeError, request: Received) -> bytes:
        document = self.render_error(error, request)[1]
        if not _is_responses(request):
            return _event(document)
        first_text = self.render_stream(FakeAnswer(), request)[3:5]  # of what three events begin
        return b"".join([*first_text, responses.error_event(document)])

    def render_models(self) -> Json:
        rows = [
            {"id": n, "object": "model", "created": _CREATED, "owned_by": "openai"}
            for n in self.models
        ]
        return {"object": "list", "data": rows}

    def render_count(self, tokens: int, request: Received) -> Json:
        return {"object": "response.input_tokens", "input_tokens": tokens}

    def default(self, request: Received) -> Step:
        """Return what is said when nothing was scripted, with the media that were asked for."""
        step, body = super().default(request), request.body
        wanted = [name.upper() for name in body.get("modalities") or ()]
        wanted += ["IMAGE" for tool in body.get("tools") or () if tool.get("type") == _DRAWS]
        made = sample_media(wanted)
        return replace(step, media=made) if made and isinstance(step, FakeAnswer) else step

    def media_tokens(self, value: Json) -> int | None:
        return media.media_tokens(value)

    def render_embeddings(self, tokens: int, request: Received) -> Json:
        body = request.body
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        dimensions = body.get("dimensions", self.embedding_models[body["model"]])
        packed = body.get("encoding_format") == "base64"
        vectors = [vector_of(text, dimensions) for text in texts]
        rows = [
            {"object": "embedding", "index": place, "embedding": _packed(v) if packed else v}
            for place, v in enumerate(vectors)
        ]
        return {
            "object": "list",
            "data": rows,
            "model": body["model"],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }


def _is_responses(request: Received) -> bool:
    return request.path == "/v1/responses"


def _misfit(body: Json) -> str | None:
    """Return the field that a count of tokens would complain about."""
    known = {"model", "input", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text"}
    known |= {"conversation", "instructions", "previous_response_id", "truncation"}
    if unknown := sorted(body.keys() - known):
        return unknown[0]
    items = body.get("input")
    if not items or not all(isinstance(item, dict) for item in items):
        return "input"
    named = all(isinstance(tool.get("name"), str) for tool in body.get("tools", ()))
    return None if named else "tools"


def _packed(vector: list[float]) -> str:
    """Return the numbers as 32-bit ones, the lowest byte first, in base64."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _event(document: Json) -> bytes:
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


def _head(request: Received, kind: str) -> Json:
    return {
        "id": _ID,
        "object": kind,
        "created": _CREATED,
        "model": request.body["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }


def _tool_call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _fragments(place: int, call: ToolCall) -> list[Json]:
    """Return the call as it is streamed: its name first, then the arguments in two pieces."""
    half = len(call.arguments) // 2
    pieces = [call.arguments[:half], call.arguments[half:]]
    first = {"index": place} | _tool_call(ToolCall(id=call.id, name=call.name))
    return [first, *({"index": place, "function": {"arguments": p}} for p in pieces)]


def _usage(usage: Usage) -> Json:
    counts = asdict(usage)
    input_tokens, output_tokens = counts["input_tokens"] or 0, counts["output_tokens"] or 0
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": counts["cache_read_tokens"] or 0,
            "cache_write_tokens": counts["cache_write_tokens"] or 0,
            "audio_tokens": counts["input_audio_tokens"] or 0,
            "image_tokens": counts["input_image_tokens"] or 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": counts["reasoning_tokens"] or 0,
            "audio_tokens": counts["output_audio_tokens"] or 0,
        },
    }
