"""OpenAI's batches, for both of its APIs (https://developers.openai.com/api/docs/guides/batch)."""

import json
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from bruno_llm_base import ChatAdapter, Json
from bruno_llm_base.batch.adapter import (
    Ask,
    BatchAdapter,
    BatchCounts,
    BatchStatus,
    RowFate,
    RowResult,
    VendorBatch,
)
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.parts import object_in
from bruno_llm_base.transport import Upload

_CHAT, _RESPONSES = "/chat/completions", "/responses"
_STATUSES: dict[str, BatchStatus] = {  # others run
    "validating": "waiting",
    "completed": "ended",
    "failed": "ended",
    "expired": "ended",
    "cancelled": "ended",
}
_FATES: dict[str, RowFate] = {
    "expired": "expired",
    "cancelled": "cancelled",
    "batch_expired": "expired",
    "batch_cancelled": "cancelled",
}
_ANSWERED = 200


@dataclass(frozen=True, slots=True)
class OpenAIBatches(BatchAdapter):
    """How OpenAI spells batches: JSON lines in a file, and two files of results."""

    other: ChatAdapter | None  # of the other API, if rows may go there

    keys = re.compile(r"[\x20-\x7e]{1,512}")
    max_rows: ClassVar[int] = 50_000
    max_bytes: ClassVar[int] = 200_000_000

    def build_row(self, key: str, body: Json) -> Json:
        return {"custom_id": key, "method": "POST", "url": f"/v1{_path(body)}", "body": body}

    def read_sent(self, row: Json) -> tuple[str, Json]:
        return row["custom_id"], row["body"]

    def submit(self, rows: Sequence[Json], model: str) -> Generator[Ask, Json, Json]:
        lines = b"".join([json.dumps(row).encode() + b"\n" for row in rows])
        file = yield Ask("POST", "/files", Upload(purpose="batch", file=lines))
        wanted = {"input_file_id": file["id"], "endpoint": rows[0]["url"]}
        batch = yield Ask("POST", "/batches", wanted | {"completion_window": "24h"}, once=True)
        return batch

    def refresh(self, name: str) -> Ask:
        return Ask("GET", f"/batches/{name}")

    def cancel(self, name: str) -> Ask:
        return Ask("POST", f"/batches/{name}/cancel", {})

    def read(self, data: Json) -> VendorBatch:
        counts = object_in(data.get("request_counts"))
        succeeded, failed = counts.get("completed") or 0, counts.get("failed") or 0
        expires = data.get("expires_at")
        total, rest = counts.get("total") or 0, {}
        if (fate := _FATES.get(data["status"], "failed")) != "failed":
            rest = {fate: total - succeeded - failed}
        problems = object_in(data.get("errors")).get("data") or []
        lines = {each["line"] - 1: {"error": each} for each in problems if each.get("line")}
        first = problems[0] if problems else {"message": "it does not tell why"}
        said = f"the batch failed, and no row was asked: {first.get('message')}"
        files = [data.get("output_file_id"), data.get("error_file_id")]
        return VendorBatch(
            id=data["id"],
            status=_STATUSES.get(data["status"], "running"),
            counts=BatchCounts(total, succeeded, failed, **rest),
            expires_at=None if expires is None else datetime.fromtimestamp(expires, UTC),
            model=data.get("model"),
            fate=fate,
            problem={"error": first | {"message": said}} if data["status"] == "failed" else None,
            problems=lines,
            results=[_content(file) for file in files if file],
            input=_content(data["input_file_id"]),
        )

    def read_result(self, row: Json) -> RowResult:
        response, error = object_in(row.get("response")), row.get("error")
        status, body = response.get("status_code"), response.get("body")
        answered = status == _ANSWERED and not error
        document = {"error": error} if error else body
        return RowResult(
            key=row["custom_id"],
            answer=body if answered else None,
            error=None if answered else document,
            status=500 if status in (None, _ANSWERED) else status,
            fate=_FATES.get(object_in(error).get("code") or "", "failed"),
            request_id=response.get("request_id") or None,
        )

    def adapter_of(self, document: Json) -> ChatAdapter:
        for adapter in (self.adapter, self.other):
            if adapter is not None and adapter.chat_path == _path(document):
                return adapter
        api = "chat" if _path(document) == _CHAT else "responses"
        raise InvalidRequestError(f"the batch is of OpenAI's other API: give api={api!r}")


def _path(document: Json) -> str:
    """Return the endpoint that *document*, a body or an answer, is of."""
    return _CHAT if "messages" in document or "choices" in document else _RESPONSES


def _content(file: str) -> str:
    return f"/files/{file}/content"
