"""Gemini's batches and files, as its fake speaks them.

The formats are those of https://ai.google.dev/api/batch-api and https://ai.google.dev/api/files; the
official SDK reads them in this project's tests.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from bruno_llm_base.parts import Json

from bruno_llm_testing.batches import FakeBatch, FakeBatches, jsonl, lines
from bruno_llm_testing.script import RawReply, Received

_CREATE = re.compile(r"/(v1|v1beta)/models/([^/:]+):(batchGenerateContent|asyncBatchEmbedContent)")
_HELD = re.compile(r"(?:/upload|/download)?/(?:v1|v1beta)/(batches|files)(?:/([^/:]+))?(?::(\w+))?")
_MOST_INLINE = 20_000_000
_CREATED, _ENDED = "2026-11-22T15:02:58.123456789Z", "2026-11-22T15:12:58.123456789Z"
_EXPIRES = "2026-11-24T15:02:58.123456789Z"
_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1beta."
_STATES = {"running": "RUNNING", "completed": "SUCCEEDED"}
# the numbers of gRPC, which a row's error has instead of HTTP's
_NUMBERS = {400: 3, 403: 7, 404: 5, 429: 8, 500: 13, 503: 14}
_CANCELLED = {"code": 1, "message": "The batch was cancelled."}
_ENDS = {
    "cancelled": _CANCELLED,
    "expired": {"code": 4, "message": "The batch has expired."},
}


def is_of_batches(path: str) -> bool:
    """Say whether *path* is one of batches or files."""
    return bool(_CREATE.fullmatch(path) or _HELD.fullmatch(path))


class GeminiBatches(FakeBatches):
    """The batches of Gemini, whose rows come with the request or as a file.

    As at Google's, one that expired has no results at all.
    """

    def __init__(self, answer: Callable[[Received], tuple[int, Json]]) -> None:
        super().__init__(answer, most_rows=10_000_000, most_bytes=2_000_000_000)
        self.files: dict[str, tuple[Json, bytes]] = {}
        self._uploads: list[Json] = []

    def reply(self, request: Received) -> RawReply:
        if not request.path.startswith("/upload/"):
            return super().reply(request)
        if "upload_id" not in request.query:  # the first step, which announces the file
            self._uploads.append(request.body.get("file", {}) | {"content": b""})
            url = (
                f"http://{request.headers['host']}{request.path}?upload_id={len(self._uploads) - 1}"
            )
            return RawReply(headers={"x-goog-upload-url": url, "x-goog-upload-status": "active"})
        about = self._uploads[int(request.query["upload_id"])]
        about["content"] += request.content
        if "finalize" not in request.headers["x-goog-upload-command"]:
            return RawReply(headers={"x-goog-upload-status": "active"})
        told = {name: _either(about, name) for name in ("displayName", "mimeType")}
        meta = self._store(about["content"], told | {"source": "UPLOADED"})
        body = json.dumps({"file": meta}).encode()
        return RawReply(headers={"x-goog-upload-status": "final"}, body=body)

    def respond(self, request: Received) -> tuple[int, Json | bytes]:
        if created := _CREATE.fullmatch(request.path):
            return self._create(request, *created.groups())
        found = _HELD.fullmatch(request.path)
        kind, name, verb = found.groups() if found else ("", "", "")
        held = [self._operation(b) for b in reversed(self.made)]
        if kind == "files":
            held = [meta for meta, _ in self.files.values()]
        if request.method == "GET" and not name:
            return 200, _page("files" if kind == "files" else "operations", held, request)
        if kind == "files" and name in self.files:
            return self._file(request.method, name, verb)
        batch = next((b for b in self.made if kind == "batches" and b.id == name), None)
        if batch is None:
            return _refusal(404, "NOT_FOUND", f"Requested entity was not found: {name}")
        if request.method == "GET":
            return 200, self._operation(batch)
        if verb == "cancel" and batch.state == "running":
            batch.state = "cancelled"
        if request.method == "DELETE":
            self.made.remove(batch)
        return 200, {}

    def _store(self, content: bytes, told: Json) -> Json:
        name = f"{len(self.files) + 1:012x}"
        meta: Json = {"name": f"files/{name}", "sizeBytes": str(len(content)), "state": "ACTIVE"}
        meta |= {"createTime": _CREATED, "updateTime": _CREATED, "expirationTime": _EXPIRES}
        meta["uri"] = f"https://generativelanguage.googleapis.com/v1beta/files/{name}"
        meta |= {key: value for key, value in told.items() if value}
        if told["source"] == "GENERATED":
            meta["downloadUri"] = f"{meta['uri']}:download?alt=media"
        self.files[name] = meta, content
        return meta

    def _file(self, method: str, name: str, verb: str | None) -> tuple[int, Json | bytes]:
        meta, content = self.files[name]
        if method == "DELETE":
            del self.files[name]
            return 200, {}
        if verb != "download":
            return 200, meta
        if meta["source"] == "UPLOADED":
            return _refusal(400, "INVALID_ARGUMENT", "Only generated files can be downloaded.")
        return 200, content

    def _create(
        self, request: Received, version: str, model: str, method: str
    ) -> tuple[int, Json | bytes]:
        asked = request.body.get("batch", {})
        source = _either(asked, "inputConfig")
        embeds = method == "asyncBatchEmbedContent"
        file, problem = _either(source, "fileName"), ""
        if file:
            if (name := file.removeprefix("files/")) not in self.files:
                return _refusal(404, "NOT_FOUND", f"File {file} was not found.")
            rows, problem = _read(self.files[name][1])
        else:
            given = (source.get("requests") or {}).get("requests") or []
            rows = {str(place): row for place, row in enumerate(given)}
            if not rows:
                return _refusal(400, "INVALID_ARGUMENT", "batch.input_config: no requests given.")
            if len(request.content) > min(self.most_bytes, _MOST_INLINE):
                said = "Request payload size exceeds the limit: 20971520 bytes."
                return _refusal(400, "INVALID_ARGUMENT", said)
        verb = "batchEmbedContents" if embeds else "generateContent"
        path = f"/{version}/models/{model}:{verb}"
        requests = {
            key: replace(request, path=path, body=_alone(row, model, embeds=embeds))
            for key, row in rows.items()
        }
        details = {"name": _either(asked, "displayName"), "model": model, "file": bool(file)}
        metadata = {key: row.get("metadata") for key, row in rows.items()}
        batch = self.add("", requests, **details, metadata=metadata, embeds=embeds)
        begun = self._operation(batch)
        begun["metadata"]["state"] = "BATCH_STATE_PENDING"
        if problem:
            batch.state, batch.problem = "failed", problem
        else:
            self.run(batch)
        return 200, begun

    def _operation(self, batch: FakeBatch) -> Json:
        known, state = batch.details, _STATES.get(batch.state, batch.state.upper())
        kind = "EmbedContentBatch" if known["embeds"] else "GenerateContentBatch"
        metadata: Json = {
            "@type": f"{_TYPE}{kind}",
            "model": f"models/{known['model']}",
            "displayName": known["name"] or "",
            "createTime": _CREATED,
            "updateTime": _CREATED if batch.state == "running" else _ENDED,
            "batchStats": _counts(batch),
            "state": f"BATCH_STATE_{state}",
            "name": f"batches/{batch.id}",
        }
        operation: Json = {"name": f"batches/{batch.id}", "metadata": metadata}
        if batch.state == "running":
            return operation
        metadata["endTime"] = _ENDED
        operation["done"] = True
        if batch.state != "completed":
            operation["error"] = _ENDS.get(batch.state, {"code": 3, "message": batch.problem})
        if batch.state in ("completed", "cancelled"):
            metadata["output"] = self._output(batch)
            if batch.state == "completed":  # the same once more
                operation["response"] = {"@type": f"{_TYPE}{kind}Output"} | metadata["output"]
        return operation

    def _output(self, batch: FakeBatch) -> Json:
        if not batch.details["file"]:
            return {"inlinedResponses": {"inlinedResponses": list(_results(batch))}}
        if "written" not in batch.details:
            told = {"source": "GENERATED", "mimeType": "application/jsonl"}
            batch.details["written"] = self._store(jsonl(_results(batch)), told)["name"]
        return {"responsesFile": batch.details["written"]}


def _results(batch: FakeBatch) -> Iterator[Json]:
    """Return the results in the order of the rows, as the API promises."""
    for key in batch.requests:
        metadata = batch.details["metadata"][key]
        row: Json = {"key": key} if batch.details["file"] else {}
        row |= {"metadata": metadata} if metadata else {}
        status, document = batch.results.get(key, (0, {}))
        if status == 200:
            if batch.details["embeds"]:
                tokens = document.get("usageMetadata", {}).get("promptTokenCount")
                document = {"embedding": document["embeddings"][0], "tokenCount": tokens}
            yield row | {"response": document}
        else:
            said = document.get("error", {}).get("message")
            error = {"code": _NUMBERS.get(status, 13), "message": said} if status else _CANCELLED
            yield row | {"error": error}


def _alone(row: Any, model: str, *, embeds: bool) -> Json:
    """Return what a row asks, as it would be asked alone."""
    body: Json = row.get("request") or {} if isinstance(row, dict) else {}
    if embeds:
        return {"requests": [{"model": f"models/{model}"} | body]}
    return {name: value for name, value in body.items() if name != "model"}


def _read(content: bytes) -> tuple[dict[str, Json], str]:
    """Return the rows of a file, and what is wrong with it."""
    rows: dict[str, Json] = {}
    for number, line in enumerate(lines(content), 1):
        try:
            row = json.loads(line)
            key = row.get("key") or str(number - 1)
        except (ValueError, AttributeError):
            return {}, f"Line {number} of the input file is not a JSON object."
        if key in rows or not isinstance(row.get("request"), dict):
            return {}, f"Line {number} of the input file has a known key, or no request."
        rows[key] = row
    return rows, "" if rows else "The input file is empty."


def _either(document: Json, name: str) -> Any:
    """Return a field under its name, or as protobuf spells it."""
    proto = re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
    return document.get(name) or document.get(proto) or ({} if name == "inputConfig" else None)


def _counts(batch: FakeBatch) -> Json:
    """Return the counts as protobuf writes numbers of 64 bits, without those that are 0."""
    counts = {
        "requestCount": len(batch.requests),
        "successfulRequestCount": batch.succeeded,
        "failedRequestCount": batch.failed,
        "pendingRequestCount": batch.unanswered if batch.state == "running" else 0,
    }
    return {name: str(number) for name, number in counts.items() if number}


def _page(field: str, documents: list[Json], request: Received) -> Json:
    most, start = int(request.query.get("pageSize", 10)), int(request.query.get("pageToken", 0))
    page: Json = {field: documents[start : start + most]}
    if len(documents) > start + most:
        page["nextPageToken"] = str(start + most)
    return page


def _refusal(code: int, status: str, message: str) -> tuple[int, Json]:
    return code, {"error": {"code": code, "message": message, "status": status}}
