"""Ollama's API on a loopback socket, for tests.

The formats are those of https://docs.ollama.com/api and of api/types.go and server/routes.go in
https://github.com/ollama/ollama; the official client reads them in this project's tests.
"""

import hashlib
import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from aiohttp import web
from bruno_llm_base import FinishReason, Json, ToolCall, Usage

from bruno_llm_testing.script import FakeAnswer, FakeError, Received
from bruno_llm_testing.server import FakeServer, Operation, vector_of

__all__ = ["FakeOllama"]

_CREATED = "2026-11-22T09:36:18.123456789Z"
_VERSION = "0.40.0"
_NO_MANIFEST = "pull model manifest: file does not exist"
_THINKING = ("qwen3:8b", "gpt-oss:20b")
_SEEING = ("gemma4:e4b",)  # which hears as well
_MEDIA = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"ID3")
_MEDIA_COMPLAINTS = {
    "model sees": "this model is missing data required for image input",
    "image": "Failed to load image or audio file",
    "messages.images": "illegal base64 data at input byte 4",
}
_DONE: dict[FinishReason, str] = {"length": "length"}  # it has no other words than that and "stop"
_ERRORS: dict[str, tuple[int, str]] = {
    "authentication": (401, "unauthorized"),
    "permission": (403, "ollama cloud is disabled: remote model inference is unavailable"),
    "quota": (
        429,
        "you (someone) have reached your weekly usage limit, upgrade for higher limits",
    ),
    "rate_limit": (429, "too many concurrent requests"),
    "overloaded": (503, "server busy, please try again.  maximum pending requests exceeded"),
    "server_error": (500, "llama-server process has terminated: exit status 2"),
}
_SHAPES = {  # what Go's decoder insists on
    "messages": list,
    "options": dict,
    "tools": list,
    "stream": bool,
    "truncate": bool,
    "shift": bool,
    "dimensions": int,
    "input": str | list,
}


class FakeOllama(FakeServer):
    """A server that speaks Ollama's API. It wants no key, but refuses a wrong one.

    Attributes:
        loaded: The models in memory, and the context window that each was given.
        num_ctx: The windows that models' own files ask for.
        library: The models that can be pulled.
        pulled: The models that were; they are there beside `models`.
    """

    models = ("llama3.2:latest", "qwen3:8b", "gpt-oss:20b", "gemma4:e4b")
    embedding_models: ClassVar[Mapping[str, int]] = {
        "nomic-embed-text:latest": 768,
        "all-minilm:latest": 384,
    }
    library: ClassVar[tuple[str, ...]] = (*models, "smollm2:135m")
    content_type = "application/x-ndjson"
    ping = b"\n"  # from gateways; Ollama sends none
    garbage = b'{"broken\n'

    def __init__(self) -> None:
        super().__init__()
        self.loaded: dict[str, int] = {}
        self.num_ctx: dict[str, int] = {}
        self.pulled: list[str] = []

    def connection(self) -> dict[str, Any]:
        return {"base_url": self.address}

    def operation(self, request: Received) -> Operation:
        match request.method, request.path:
            case "POST", "/api/chat" | "/api/pull":
                return "chat" if request.body.get("stream") is False else "stream"
            case "POST", "/api/embed":
                return "embeddings"
            case "GET", "/api/tags":
                return "models"
        return "unknown"

    def refuse(self, request: Received) -> FakeError | None:
        if request.headers.get("authorization") not in (None, f"Bearer {self.api_key}"):
            return FakeError(kind="authentication")
        if request.path == "/api/pull":
            return self._refuse_pull(request)
        return None if request.method == "GET" else self._refuse_chat(request)

    def _refuse_chat(self, request: Received) -> FakeError | None:
        if wrong := next(_misfits(request.body), None):
            return FakeError(kind="invalid_request", param=wrong)
        model = _tagged(request.body["model"])
        known = model in self.embedding_models if request.path == "/api/embed" else self._has(model)
        if not known:
            return FakeError(kind="model_not_found")
        if request.body.get("think") and _tagged(request.body["model"]) not in _THINKING:
            return FakeError(kind="invalid_request", param="think")
        images = [b64decode(image) for image in _images(request.body)]
        if images and model not in _SEEING:
            return FakeError(kind="invalid_request", param="model sees")
        if not all(image.startswith(_MEDIA) for image in images):
            return FakeError(kind="invalid_request", param="image")
        return None

    def _refuse_pull(self, request: Received) -> FakeError | None:
        # what is wrong is said inside the answer, unless that is not streamed
        unknown = _tagged(request.body["model"]) not in self.library
        unstreamed = request.body.get("stream") is False
        return FakeError(kind="model_not_found") if unknown and unstreamed else None

    def render_answer(self, answer: FakeAnswer, request: Received) -> Json:
        if request.path == "/api/pull":
            return self._pulled(request)[-1]
        if not request.body.get("messages"):
            return self._line(request, {"content": ""}, done_reason=_load(request))
        message: Json = {"content": answer.text}
        if answer.reasoning:
            message["thinking"] = answer.reasoning
        if answer.tool_calls:
            message["tool_calls"] = [_tool_call(call) for call in answer.tool_calls]
        return self._line(request, message, **_end(answer))

    def render_stream(self, answer: FakeAnswer, request: Received) -> list[bytes]:
        if request.path == "/api/pull":
            return [_ndjson(line) for line in self._pulled(request)]
        if not request.body.get("messages"):
            return [_ndjson(self.render_answer(answer, request))]
        messages: list[Json] = []
        if answer.reasoning:
            messages.append({"content": "", "thinking": answer.reasoning})
        messages += [{"content": piece} for piece in answer.pieces]
        # one line for each call, all with index 0, as most models' parsers send them
        messages += [{"content": "", "tool_calls": [_tool_call(c)]} for c in answer.tool_calls]
        lines = [self._line(request, message) for message in messages]
        return [
            _ndjson(line) for line in (*lines, self._line(request, {"content": ""}, **_end(answer)))
        ]

    def render_error(self, error: FakeError, request: Received) -> tuple[int, Json]:
        model = request.body.get("model")
        if error.kind == "context_length":
            return 400, {"error": _llama_error(error)}
        if error.kind == "model_not_found" and request.path == "/api/pull":
            return 500, {"error": _NO_MANIFEST}
        if error.kind == "model_not_found":
            return 404, {"error": f"model '{model}' not found"}
        if error.kind == "invalid_request":
            return 400, {"error": _complaint(error.param, model)}
        status, said = _ERRORS[error.kind]
        return status, {"error": said}

    def render_stream_error(self, error: FakeError, request: Received) -> bytes:
        return _ndjson(self.render_error(error, request)[1])

    def render_models(self) -> Json:
        return {"models": [_model(name) for name in self._offered]}

    def render_embeddings(self, tokens: int, request: Received) -> Json:
        body = request.body
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        most = self.embedding_models[_tagged(body["model"])]
        dimensions = min(body.get("dimensions") or most, most)
        document = {
            "model": body["model"],
            "embeddings": [vector_of(text, dimensions) for text in texts],
            "total_duration": 14143917,
            "load_duration": 1019500,
        }
        return document | ({"prompt_eval_count": tokens} if tokens else {})

    def other(self, request: Received) -> web.Response:
        if (request.method, request.path) == ("GET", "/api/version"):
            return web.json_response({"version": _VERSION})
        if (request.method, request.path) == ("GET", "/api/ps"):
            return web.json_response({"models": [*map(_running, self.loaded.items())]})
        if (request.method, request.path) == ("POST", "/api/show"):
            return self._show(request)
        return web.Response(status=404, text="404 page not found")

    def _has(self, model: str) -> bool:
        return model in self.models or model in self.pulled

    @property
    def _offered(self) -> list[str]:
        return list(dict.fromkeys((*self.models, *self.pulled, *self.embedding_models)))

    def _pulled(self, request: Received) -> list[Json]:
        """Return the reports of a pull; a model that the library lacks is an error inside."""
        model = _tagged(request.body["model"])
        if model not in self.library:
            return [{"status": "pulling manifest"}, {"error": _NO_MANIFEST}]
        self.pulled.append(model)
        return list(_reports(model))

    def _show(self, request: Received) -> web.Response:
        model = _tagged(request.body["model"])
        if model not in self._offered:
            return web.json_response({"error": f"model '{model}' not found"}, status=404)
        asked = self.num_ctx.get(model)
        parameters = 'stop                           "<|eot_id|>"'
        if asked is not None:
            parameters = f"num_ctx                        {asked}\n{parameters}"
        return web.json_response(
            {
                "modelfile": f"FROM {model}",
                "parameters": parameters,
                "template": "{{ .Prompt }}",
                "details": _model(model)["details"],
                "model_info": {
                    "general.architecture": "llama",
                    "llama.context_length": 131072,
                },
                "capabilities": [
                    *("completion", "tools"),
                    *(("vision", "audio") if model in _SEEING else ()),
                ],
                "modified_at": "2026-10-02T11:20:05.779119+02:00",
            }
        )

    @staticmethod
    def _line(request: Received, message: Json, **end: Any) -> Json:
        head = {"model": request.body["model"], "created_at": _CREATED}
        said = {"message": {"role": "assistant"} | message}
        return head | said | {"done": bool(end)} | end


def _misfits(body: Json) -> Iterator[str]:
    """Yield the fields that the server does not take."""
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield "model"
    for name, shape in _SHAPES.items():
        if not isinstance(body.get(name), shape | None):
            yield name
    texts = body.get("input")
    if isinstance(texts, list) and not all(isinstance(text, str) for text in texts):
        yield "input"
    if not all(map(_is_base64, _images(body))):
        yield "messages.images"
    for message in body.get("messages") or ():
        if not isinstance(message.get("content"), str | None):
            yield "messages.content"
        for call in message.get("tool_calls") or ():
            if not isinstance(call["function"].get("arguments"), dict):
                yield "messages.tool_calls.function.arguments"


def _images(body: Json) -> list[str]:
    return [image for m in body.get("messages") or () for image in m.get("images") or ()]


def _is_base64(image: object) -> bool:
    """Whether Go reads *image* as bytes, which neither a URL nor a "data:" is."""
    try:
        return isinstance(image, str) and bool(b64decode(image, validate=True))
    except ValueError:
        return False


def _complaint(param: str | None, model: str | None) -> str:
    if param == "model":
        return "model is required"
    if param == "think":
        return f'"{model}" does not support thinking'
    if param in _MEDIA_COMPLAINTS:
        return _MEDIA_COMPLAINTS[param]
    return f"json: cannot unmarshal into Go struct field ChatRequest.{param}"


def _reports(model: str) -> Iterator[Json]:
    """Yield what a pull reports: `completed` is left out while it is 0, as the server does."""
    yield {"status": "pulling manifest"}
    for layer, total in (("weights", 2_019_377_376), ("template", 1_429)):
        digest = f"sha256:{hashlib.sha256(f'{model} {layer}'.encode()).hexdigest()}"
        report = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": total}
        yield report
        yield report | {"completed": total // 2}
        yield report | {"completed": total}
    for status in ("verifying sha256 digest", "writing manifest", "success"):
        yield {"status": status}


def _llama_error(error: FakeError) -> str:
    """Return llama-server's error document, which Ollama passes on as text."""
    said = (
        f"request ({error.actual} tokens) exceeds the available context size"
        f" ({error.limit} tokens), try increasing it"
    )
    figures = {"n_prompt_tokens": error.actual, "n_ctx": error.limit}
    inner = {"code": 400, "message": said, "type": "exceed_context_size_error"} | figures
    return json.dumps({"error": inner}, separators=(",", ":"))


def _end(answer: FakeAnswer) -> Json:
    """Return the end of an answer; counts of 0 are left out, as the server does."""
    usage: Usage = answer.usage
    times = {"total_duration": 5191566416, "load_duration": 2154458}
    prompt = {"prompt_eval_count": usage.input_tokens, "prompt_eval_duration": 383809000}
    output = {"eval_count": usage.output_tokens, "eval_duration": 4799921000}
    end = {"done_reason": _DONE.get(answer.finish_reason, "stop"), **times, **prompt, **output}
    end = {name: value for name, value in end.items() if value}
    if usage.cache_read_tokens is not None:
        end["prompt_eval_cached_count"] = usage.cache_read_tokens
    return end


def _load(request: Received) -> str:
    return "unload" if request.body.get("keep_alive") == 0 else "load"


def _tool_call(call: ToolCall) -> Json:
    function = {"index": 0, "name": call.name, "arguments": json.loads(call.arguments or "{}")}
    return {"id": call.id, "function": function} if call.id else {"function": function}


def _tagged(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def _model(name: str) -> Json:
    family = name.partition(":")[0]
    details = {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": "3.2B",
        "quantization_level": "Q4_K_M",
    }
    return {
        "name": name,
        "model": name,
        "modified_at": "2026-10-02T11:20:05.779119+02:00",
        "size": 2019393189,
        "digest": hashlib.sha256(name.encode()).hexdigest(),
        "details": details,
    }


def _running(loaded: tuple[str, int]) -> Json:
    name, window = loaded
    row = _model(name)
    del row["modified_at"]
    memory = {"size_vram": 3389685760, "context_length": window}
    return row | {"expires_at": "2026-11-22T10:41:18.412036123Z"} | memory


def _ndjson(document: Json) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
