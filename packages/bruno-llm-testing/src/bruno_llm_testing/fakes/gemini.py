"""Gemini's generateContent, embeddings and batches on a loopback socket, for tests.

The formats are those of https://ai.google.dev/api/generate-content, https://ai.google.dev/api/tokens
and https://ai.google.dev/api/embeddings; the official SDK reads them in this project's tests.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from bruno_llm_base import FinishReason, Json, ToolCall, Usage

from bruno_llm_testing.fakes import _gemini_media
from bruno_llm_testing.fakes._gemini_batches import GeminiBatches, is_of_batches
from bruno_llm_testing.samples import sample_media
from bruno_llm_testing.script import FakeAnswer, FakeError, Received, Step
from bruno_llm_testing.server import FakeServer, Operation, vector_of

__all__ = ["FakeGemini"]

_FINISH: dict[FinishReason, str] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "tool_call": "STOP",
    "error": "MALFORMED_FUNCTION_CALL",
}
_ERRORS: dict[str, tuple[int, str, str]] = {
    "authentication": (
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
    ),
    "permission": (403, "PERMISSION_DENIED", "The caller does not have permission"),
    "quota": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    "rate_limit": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "server_error": (500, "INTERNAL", "An internal error has occurred."),
    "model_not_found": (404, "NOT_FOUND", "models/{model} is not found for API version {version}"),
    "context_length": (
        400,
        "INVALID_ARGUMENT",
        "The input token count ({actual}) exceeds the maximum number of tokens allowed ({limit}).",
    ),
    "invalid_request": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
}
_PATH = re.compile(r"/(v1|v1beta)/models(?:/([^/:]+):(\w+))?")
_MOST_TEXTS = 100
_TYPE, _DOMAIN = "type.googleapis.com/google.rpc.", "generativelanguage.googleapis.com"
_ID, _SIGNATURE = "kmkZabWfLvqs1MkPqd-5-Ac", "Cl0Bjz1rX3+gQp2fYn9hZ0FrZQ=="


class FakeGemini(FakeServer):
    """A server that speaks Gemini's generateContent."""

    models = (
        *("gemini-3.8-flash", "gemini-4-argon", "gemini-3.1-pro-preview", "gemini-3.5-flash"),
        *("gemini-3.1-flash-image-preview", "gemini-2.5-flash", "gemini-2.5-flash-preview-tts"),
    )
    embedding_models: ClassVar[Mapping[str, int]] = {
        "gemini-embedding-001": 3072,
        "gemini-embedding-2": 3072,
    }
    ping = b":\r\n\r\n"  # from gateways; Google sends none, and its own SDK stumbles over one
    garbage = b'data: {"broken\r\n\r\n'

    def __init__(self) -> None:
        super().__init__()
        self.batches = GeminiBatches(self._answer_row)

    def connection(self) -> dict[str, Any]:
        return {"base_url": self.address, "api_key": self.api_key}

    def operation(self, request: Received) -> Operation:
        match request.method, _asked(request)[2]:
            case "POST", "generateContent":
                return "chat"
            case "POST", "streamGenerateContent" if request.query.get("alt") == "sse":
                return "stream"
            case "POST", "countTokens":
                return "count_tokens"
            case "POST", "batchEmbedContents":
                return "embeddings"
            case "GET", "models":
                return "models"
        return "batches" if is_of_batches(request.path) else "unknown"

    def refuse(self, request: Received) -> FakeError | None:
        uploads = "upload_id" in request.query  # an address that was given for one file
        if not uploads and request.headers.get("x-goog-api-key") != self.api_key:
            return FakeError(kind="authentication")
        operation, (_, model, method) = self.operation(request), _asked(request)
        if request.method == "GET" or (operation == "batches" and not model):
            return None
        embeds = operation == "embeddings" or method == "asyncBatchEmbedContent"
        if model not in (self.embedding_models if embeds else self.models):
            return FakeError(kind="model_not_found")
        if operation == "batches":
            return None
        wrong = self._misfit_texts(request) if embeds else _misfit(request)
        if wrong or (not embeds and _media_complaint(request)):
            return FakeError(kind="invalid_request", param=wrong)
        return None

    def default(self, request: Received) -> Step:
        """Return what is said when nothing was scripted, with the media that were asked for."""
        step = super().default(request)
        config = request.body.get("generationConfig")
        config = config if isinstance(config, dict) else {}
        media = sample_media(config.get("responseModalities") or ())
        return replace(step, media=media) if media and isinstance(step, FakeAnswer) else step

    def render_answer(self, answer: FakeAnswer, request: Received) -> Json:
        if _blocked(answer):
            return _document(request, answer.usage, blocked=True)
        parts = _thoughts(answer)
        if answer.text:
            parts.append({"text": answer.text, "thoughtSignature": _SIGNATURE})
        parts += _made(answer) + _calls(answer.tool_calls)
        return _document(request, answer.usage, parts=parts, finish=_FINISH[answer.finish_reason])

    def render_stream(self, answer: FakeAnswer, request: Received) -> list[bytes]:
        if _blocked(answer):
            return [_event(_document(request, answer.usage, blocked=True))]
        parts = _thoughts(answer) + [{"text": piece} for piece in answer.pieces]
        if answer.text:
            parts.append({"text": "", "thoughtSignature": _SIGNATURE})
        parts += _made(answer, pieces=2) + _calls(answer.tool_calls)
        finish = _FINISH[answer.finish_reason]
        early = Usage(input_tokens=answer.usage.input_tokens, output_tokens=0)
        documents = [_document(request, early, parts=[part]) for part in parts[:-1]]
        documents.append(_document(request, answer.usage, parts=parts[-1:], finish=finish))
        return [_event(document) for document in documents]

    def render_error(self, error: FakeError, request: Received) -> tuple[int, Json]:
        number, status, text = _ERRORS[error.kind]
        version, model, _ = _asked(request)
        told = {"actual": error.actual, "limit": error.limit, "model": model, "version": version}
        message = _media_complaint(request) if error.kind == "invalid_request" else None
        message = message or text.format(**told)
        document = {"code": number, "message": message, "status": status}
        if details := _details(error):
            document["details"] = details
        return number, {"error": document}

    def render_stream_error(self, error: FakeError, request: Received) -> bytes:
        return _event(self.render_error(error, request)[1])

    def render_models(self) -> Json:
        talking = [_model(name, "generateContent", "countTokens") for name in self.models]
        return {"models": [*talking, *(_model(n, "embedContent") for n in self.embedding_models)]}

    def render_count(self, tokens: int, request: Received) -> Json:
        details = [{"modality": "TEXT", "tokenCount": tokens}]
        return {"totalTokens": tokens, "promptTokensDetails": details}

    def media_tokens(self, value: Json) -> int | None:
        return _gemini_media.media_tokens(value)

    def render_embeddings(self, tokens: int, request: Received) -> Json:
        most = self.embedding_models[_asked(request)[1]]
        vectors = [
            vector_of(_text(asked), asked.get("outputDimensionality", most))
            for asked in request.body["requests"]
        ]
        document: Json = {"embeddings": [{"values": vector} for vector in vectors]}
        if tokens:  # the older model says nothing of them
            document["usageMetadata"] = {"promptTokenCount": tokens}
        return document

    def _misfit_texts(self, request: Received) -> str | None:
        """Return the field of a batch that the API would complain about."""
        asked, model = request.body.get("requests"), _asked(request)[1]
        if not asked or len(asked) > _MOST_TEXTS:
            return "requests"
        for place, one in enumerate(asked):
            if one.get("model") != f"models/{model}":
                return f"requests[{place}].model"
            if not _text(one):
                return f"requests[{place}].content"
            size = one.get("outputDimensionality", 1)
            if not isinstance(size, int) or not 0 < size <= self.embedding_models[model]:
                return f"requests[{place}].output_dimensionality"
        return None


def _text(asked: Json) -> str:
    return "".join(part.get("text", "") for part in (asked.get("content") or {}).get("parts", ()))


def _misfit(request: Received) -> str | None:
    """Return the field that the API would complain about."""
    body = request.body
    if "generateContentRequest" in body:
        counted = body["generateContentRequest"]
        if body.get("contents") or counted.get("model") != f"models/{_asked(request)[1]}":
            return "generate_content_request"
        body = counted
    if not body.get("contents"):
        return "contents"
    for place, content in enumerate(body["contents"]):
        if content.get("role", "user") not in ("user", "model") or not content.get("parts"):
            return f"contents[{place}]"
    return None


def _media_complaint(request: Received) -> str | None:
    body = request.body.get("generateContentRequest", request.body)
    if not body.get("contents"):
        return None
    return _gemini_media.complaint(body, _asked(request)[1])


def _asked(request: Received) -> tuple[str, str, str]:
    """Return the version, the model and the method that a path names."""
    found = _PATH.fullmatch(request.path)
    return (found[1], found[2] or "", found[3] or "models") if found else ("", "", "")


def _blocked(answer: FakeAnswer) -> bool:
    return answer.finish_reason == "content_filter" and not answer.text


def _event(document: Json) -> bytes:
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\r\n\r\n"


def _document(
    request: Received,
    usage: Usage,
    *,
    parts: list[Json] | None = None,
    finish: str | None = None,
    blocked: bool = False,
) -> Json:
    document: Json = {}
    if blocked:
        document["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT"}
        usage = Usage(input_tokens=usage.input_tokens)
    else:
        content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
        candidate: Json = {"content": content, "index": 0}
        document["candidates"] = [candidate | ({"finishReason": finish} if finish else {})]
    return document | {
        "usageMetadata": _usage(usage),
        "modelVersion": _asked(request)[1],
        "responseId": _ID,
    }


def _thoughts(answer: FakeAnswer) -> list[Json]:
    return [{"text": answer.reasoning, "thought": True}] if answer.reasoning else []


def _made(answer: FakeAnswer, pieces: int = 1) -> list[Json]:
    """Return what was made as parts; the first of each is signed."""
    parts: list[Json] = []
    for media in answer.media:
        first, *rest = _gemini_media.made(media, pieces)
        parts += [first | {"thoughtSignature": _SIGNATURE}, *rest]
    return parts


def _calls(calls: tuple[ToolCall, ...]) -> list[Json]:
    """Return the calls as parts; only the first of parallel ones is signed."""
    parts: list[Json] = []
    for call in calls:
        named = {"id": call.id} if call.id else {}
        function = {"name": call.name, "args": json.loads(call.arguments)} | named
        parts.append({"functionCall": function})
    if parts:
        parts[0]["thoughtSignature"] = _SIGNATURE
    return parts


def _usage(usage: Usage) -> Json:
    """Return the counts; as everywhere in Google's JSON, 0 is left out."""
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    thought, cached = usage.reasoning_tokens or 0, usage.cache_read_tokens or 0
    counts = {
        "promptTokenCount": read,
        "cachedContentTokenCount": cached,
        "candidatesTokenCount": written - thought,
        "thoughtsTokenCount": thought,
        "totalTokenCount": read + written,
    }
    details = {
        "promptTokensDetails": _modalities(
            read, usage.input_audio_tokens, usage.input_image_tokens
        ),
        "cacheTokensDetails": _modalities(cached, usage.cache_read_audio_tokens),
        "candidatesTokensDetails": _modalities(
            written - thought, usage.output_audio_tokens, usage.output_image_tokens
        ),
    }
    return {name: value for name, value in (counts | details).items() if value}


def _modalities(tokens: int, audio: int | None, image: int | None = None) -> list[Json]:
    counts = {"TEXT": tokens - (audio or 0) - (image or 0), "AUDIO": audio, "IMAGE": image}
    return [{"modality": name, "tokenCount": n} for name, n in counts.items() if n]


def _details(error: FakeError) -> list[Json]:
    details: list[Json] = []
    if error.kind == "authentication":
        about = {"service": _DOMAIN}
        reason = {"reason": "API_KEY_INVALID", "domain": "googleapis.com", "metadata": about}
        details.append({"@type": _TYPE + "ErrorInfo", **reason})
    if error.kind in ("quota", "rate_limit"):
        period = "PerDay" if error.kind == "quota" else "PerMinute"
        violation = {
            "quotaMetric": f"{_DOMAIN}/generate_content_free_tier_requests",
            "quotaId": f"GenerateRequests{period}PerProjectPerModel-FreeTier",
        }
        details.append({"@type": _TYPE + "QuotaFailure", "violations": [violation]})
    if error.retry_after is not None:
        details.append({"@type": _TYPE + "RetryInfo", "retryDelay": f"{error.retry_after:.9f}s"})
    if error.param:
        wrong = {"field": error.param, "description": "Invalid value."}
        details.append({"@type": _TYPE + "BadRequest", "fieldViolations": [wrong]})
    return details


def _model(name: str, *methods: str) -> Json:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "inputTokenLimit": 1048576,
        "outputTokenLimit": 65536,
        "supportedGenerationMethods": list(methods),
    }
