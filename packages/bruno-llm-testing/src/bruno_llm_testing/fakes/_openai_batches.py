"""OpenAI's files and batches, as its fake speaks them.

The formats are those of https://platform.openai.com/docs/api-reference/files and /batch; the official
SDK reads them in this project's tests.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from email import message_from_bytes
from typing import Any

from bruno_llm_base.parts import Json

from bruno_llm_testing.batches import FakeBatch, FakeBatches, jsonl, lines
from bruno_llm_testing.script import Received

_CREATED = 1795359778
_DAY = 86_400
_ENDPOINTS = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings")
_PURPOSES = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")
_MOST_METADATA = 16
_LOST = {
    "expired": (
        "batch_expired",
        "This request could not be executed before the completion window expired.",
    ),
    "cancelled": ("batch_cancelled", "The batch was cancelled before this request was executed."),
}
_ENDED_AT = {"completed": "completed_at", "failed": "failed_at", "expired": "expired_at"}


class OpenAIBatches(FakeBatches):
    """The batches of OpenAI, and the files that they are read from and written to."""

    def __init__(self, answer: Callable[[Received], tuple[int, Json]]) -> None:
        super().__init__(answer, most_rows=50_000, most_bytes=200_000_000)
        self.files: dict[str, tuple[Json, bytes]] = {}

    def respond(self, request: Received) -> tuple[int, Json | bytes]:
        _, _, kind, *rest = request.path.split("/")
        found = self._files(request, rest) if kind == "files" else self._batches(request, rest)
        name = rest[0] if rest else request.path
        return found or _refusal(f"No such {kind} object: {name}", "id", status=404)

    def _files(self, request: Received, rest: list[str]) -> tuple[int, Json | bytes] | None:
        match request.method, rest:
            case "POST", []:
                return self._upload(request)
            case "GET", []:
                return 200, _listed([meta for meta, _ in self.files.values()], request)
            case _, [name, *what] if name in self.files:
                return self._file(request.method, name, what)
        return None

    def _batches(self, request: Received, rest: list[str]) -> tuple[int, Json] | None:
        batch = next((b for b in self.made if b.id in rest), None)
        match request.method, rest[1:]:
            case "POST", [] if not rest:
                return self._create(request)
            case "GET", [] if not rest:
                return 200, _listed([self._document(b) for b in reversed(self.made)], request)
            case "GET", [] if batch:
                return 200, self._document(batch)
            case "POST", ["cancel"] if batch:
                return self._cancel(batch)
        return None

    def _upload(self, request: Received) -> tuple[int, Json]:
        fields = _form(request)
        name, content = fields.get("file", ("", b""))
        purpose = fields.get("purpose", ("", b""))[1].decode()
        if "file" not in fields:
            return _refusal("'file' is a required property", "file")
        if purpose not in _PURPOSES:
            return _refusal(f"'{purpose}' is not one of {list(_PURPOSES)} - 'purpose'", "purpose")
        if purpose == "batch" and not name.endswith(".jsonl"):
            return _refusal("Invalid file format for Batch API. Must be .jsonl", None)
        if purpose == "batch" and len(content) > self.most_bytes:
            return _refusal("File is too large.", "file", status=413)
        return 200, self._store(name, content, purpose)

    def _store(self, name: str, content: bytes, purpose: str) -> Json:
        number = f"file-{len(self.files) + 1:024x}"
        meta = {
            "id": number,
            "object": "file",
            "bytes": len(content),
            "created_at": _CREATED,
            "expires_at": _CREATED + 30 * _DAY,
            "filename": name,
            "purpose": purpose,
            "status": "processed",
            "status_details": None,
        }
        self.files[number] = meta, content
        return meta

    def _file(self, method: str, name: str, what: list[str]) -> tuple[int, Json | bytes]:
        meta, content = self.files[name]
        if method == "DELETE":
            del self.files[name]
            return 200, {"id": name, "object": "file", "deleted": True}
        return 200, content if what == ["content"] else meta

    def _create(self, request: Received) -> tuple[int, Json]:
        body = request.body
        if body.get("endpoint") not in _ENDPOINTS:
            wrong = f"Invalid value: '{body.get('endpoint')}'. Supported values are: {_ENDPOINTS}"
            return _refusal(wrong, "endpoint", code="invalid_value")
        if body.get("completion_window") != "24h":
            return _refusal("Invalid value. Supported values are: '24h'.", "completion_window")
        metadata = body.get("metadata") or {}
        sound = all(isinstance(value, str) for value in metadata.values())
        if not sound or len(metadata) > _MOST_METADATA:
            return _refusal("Invalid metadata: at most 16 pairs of strings.", "metadata")
        meta, content = self.files.get(body.get("input_file_id", ""), ({}, b""))
        if meta.get("purpose") != "batch":
            return _refusal("Invalid input file: not found, or not for batches.", "input_file_id")
        rows, errors = _read(content, body["endpoint"], self.most_rows)
        requests = {
            key: replace(request, path=body["endpoint"], body=row, content=json.dumps(row).encode())
            for key, row in rows.items()
        }
        taken = {} if errors else requests
        batch = self.add("batch_", taken, asked=body, errors=errors, metadata=metadata)
        begun = self._document(batch) | {"status": "validating", "in_progress_at": None}
        if errors:
            batch.state = "failed"
        else:
            self.run(batch)
        return 200, begun

    def _cancel(self, batch: FakeBatch) -> tuple[int, Json]:
        if batch.state != "running":
            return _refusal(f"Cannot cancel a batch with status '{batch.state}'.", None, status=409)
        document = self._document(batch) | {"status": "cancelling", "cancelling_at": _CREATED + 1}
        batch.state = "cancelled"
        return 200, document

    def _document(self, batch: FakeBatch) -> Json:
        asked, ended = batch.details["asked"], batch.state != "running"
        errors = batch.details["errors"]
        if batch.problem:
            errors = [{"code": "server_error", "line": None, "message": batch.problem}]
        if ended and "files" not in batch.details:
            batch.details["files"] = self._write(batch)
        output, failed = batch.details.get("files", (None, None))
        times = dict.fromkeys((*_ENDED_AT.values(), "cancelled_at", "cancelling_at"))
        if ended:
            times[_ENDED_AT.get(batch.state, "cancelled_at")] = _CREATED + 2
        models = {row["model"] for row in batch.rows.values()}
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": asked["endpoint"],
            "model": min(models, default=None),
            "errors": {"object": "list", "data": errors} if errors else None,
            "input_file_id": asked["input_file_id"],
            "completion_window": "24h",
            "status": batch.state if ended else "in_progress",
            "output_file_id": output,
            "error_file_id": failed,
            "created_at": _CREATED,
            "in_progress_at": None if batch.details["errors"] else _CREATED + 1,
            "expires_at": _CREATED + _DAY,
            "finalizing_at": _CREATED + 2 if ended else None,
            **times,
            "request_counts": {
                "total": len(batch.requests),
                "completed": batch.succeeded,
                "failed": batch.failed,
            },
            "usage": _usage(batch),
            "metadata": batch.details["metadata"] or None,
        }

    def _write(self, batch: FakeBatch) -> tuple[str | None, str | None]:
        """Write the two files of *batch*, the last row first, as no order is promised."""
        good: list[Json] = []
        bad: list[Json] = []
        for place, key in reversed(list(enumerate(batch.requests))):
            line: Json = {"id": f"batch_req_{place:024x}", "custom_id": key, "response": None}
            if key in batch.results:
                status, document = batch.results[key]
                line["response"] = {
                    "status_code": status,
                    "request_id": f"req_{place:024x}",
                    "body": document,
                }
                line["error"] = None
                (good if status == 200 else bad).append(line)
            elif batch.state in _LOST:
                code, message = _LOST[batch.state]
                bad.append(line | {"error": {"code": code, "message": message}})
        names = (f"{batch.id}_output.jsonl", f"{batch.id}_error.jsonl")
        stored = [
            self._store(name, jsonl(rows), "batch_output")["id"] if rows else None
            for name, rows in zip(names, (good, bad), strict=True)
        ]
        return stored[0], stored[1]


def _read(content: bytes, endpoint: str, most: int) -> tuple[dict[str, Json], list[Json]]:
    """Return the rows of an input file, and what is wrong with it."""
    rows: dict[str, Json] = {}
    raw = lines(content)
    if not raw:
        said = (
            "The input file is empty. Please ensure that the batch contains at least one request."
        )
        return rows, [_problem("empty_file", said)]
    if len(raw) > most:
        return rows, [_problem("too_many_tasks", f"The batch has more than {most} requests.")]
    problems: list[Json] = []
    for number, line in enumerate(raw, 1):
        try:
            row = json.loads(line)
        except ValueError:
            said = "This line is not parseable as valid JSON."
            problems.append(_problem("invalid_json_line", said, number))
            continue
        problems += _complaints(row, rows, endpoint, number)
        if isinstance(row, dict) and isinstance(row.get("body"), dict):
            rows.setdefault(str(row.get("custom_id")), row["body"])
    models = {row.get("model") for row in rows.values()}
    if len(models) > 1:
        said = "All requests of a batch must be for the same model."
        problems.append(_problem("model_mismatch", said))
    return rows, problems


def _complaints(row: Any, rows: dict[str, Json], endpoint: str, number: int) -> Iterator[Json]:
    if not isinstance(row, dict):
        yield _problem("invalid_json_line", "This line is not a JSON object.", number)
        return
    for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
        if not isinstance(row.get(name), kind):
            said = f"Missing required parameter: '{name}'."
            yield _problem("missing_required_parameter", said, number)
    if row.get("custom_id") in rows:
        said = f"The custom_id '{row['custom_id']}' is a duplicate of another request."
        yield _problem("duplicate_custom_id", said, number)
    if row.get("method", "POST") != "POST":
        yield _problem("invalid_method", "The HTTP method must be POST.", number)
    if row.get("url", endpoint) != endpoint:
        said = f"The URL provided for this request does not match the batch endpoint {endpoint}."
        yield _problem("url_mismatch", said, number)


def _problem(code: str, message: str, line: int | None = None) -> Json:
    return {"code": code, "message": message, "line": line, "param": None}


def _refusal(
    message: str, param: str | None, *, status: int = 400, code: str | None = None
) -> tuple[int, Json]:
    kind = "invalid_request_error"
    return status, {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _listed(documents: list[Json], request: Received) -> Json:
    """Return the page of *documents* that is asked for."""
    after, most = request.query.get("after"), int(request.query.get("limit", 20))
    start = next((i for i, d in enumerate(documents, 1) if d["id"] == after), 0)
    page = documents[start : start + most]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
    return {"object": "list", "data": page, "has_more": documents[start + most :] != [], **ends}


def _form(request: Received) -> dict[str, tuple[str, bytes]]:
    """Return the fields of a multipart form: their file names and contents."""
    head = f"content-type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    fields: dict[str, tuple[str, bytes]] = {}
    for part in message_from_bytes(head + request.content).walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = part.get_filename() or "", content
    return fields


def _usage(batch: FakeBatch) -> Json:
    """Return the sum of the tokens of all rows, in the words of Responses."""
    read = written = cached = thought = 0
    for _, document in batch.results.values():
        usage = document.get("usage") or {}
        read += usage.get("input_tokens", usage.get("prompt_tokens", 0))
        written += usage.get("output_tokens", usage.get("completion_tokens", 0))
        for name in ("input_tokens_details", "prompt_tokens_details"):
            cached += usage.get(name, {}).get("cached_tokens", 0)
        for name in ("output_tokens_details", "completion_tokens_details"):
            thought += usage.get(name, {}).get("reasoning_tokens", 0)
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": read + written,
    }
