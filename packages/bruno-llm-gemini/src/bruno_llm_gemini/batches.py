"""Gemini's batches (https://ai.google.dev/gemini-api/docs/batch-api)."""

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from bruno_llm_base import Json
from bruno_llm_base.batch.adapter import (
    Ask,
    BatchAdapter,
    BatchCounts,
    BatchStatus,
    RowResult,
    VendorBatch,
)
from bruno_llm_base.parts import object_in
from bruno_llm_base.transport import Upload

from bruno_llm_gemini.transport import BATCH, FILES

# Google takes 20 MB with the request. But then the results come in one document too, which it cannot
# make where they are large (https://discuss.ai.google.dev/t/174261).
_MOST_INLINE, _MOST_INLINE_ROWS = 2_000_000, 100
_LASTS = timedelta(hours=48)
_STATUSES: dict[str, BatchStatus] = {  # others run until the operation is done
    "": "waiting",
    "UNSPECIFIED": "waiting",
    "PENDING": "waiting",
    "QUEUED": "waiting",
    "SUCCEEDED": "ended",
    "PARTIALLY_SUCCEEDED": "ended",
    "FAILED": "ended",
    "CANCELLED": "ended",
    "EXPIRED": "ended",
}
_FATES: dict[str, Literal["failed", "expired", "cancelled"]] = {
    "EXPIRED": "expired",
    "CANCELLED": "cancelled",
}
# The numbers of gRPC, by which errors in batches go, as the rest of the API tells them.
_ERRORS = {
    1: (499, "CANCELLED"),
    3: (400, "INVALID_ARGUMENT"),
    4: (504, "DEADLINE_EXCEEDED"),
    5: (404, "NOT_FOUND"),
    7: (403, "PERMISSION_DENIED"),
    8: (429, "RESOURCE_EXHAUSTED"),
    9: (400, "FAILED_PRECONDITION"),
    13: (500, "INTERNAL"),
    14: (503, "UNAVAILABLE"),
    16: (401, "UNAUTHENTICATED"),
}


@dataclass(frozen=True, slots=True)
class GeminiBatches(BatchAdapter):
    """How Gemini spells batches: few rows with the request, many in a file."""

    max_rows: ClassVar[int] = 1_000_000
    max_bytes: ClassVar[int] = 1_000_000_000  # of Google's 2 GB: a process holds them twice

    def build_row(self, key: str, body: Json) -> Json:
        return {"key": key, "request": {n: v for n, v in body.items() if n != "model"}}

    def read_sent(self, row: Json) -> tuple[str, Json]:
        return row["key"], row["request"]

    def submit(self, rows: Sequence[Json], model: str) -> Generator[Ask, Json, Json]:
        lines = [json.dumps(row).encode() + b"\n" for row in rows]
        if len(rows) <= _MOST_INLINE_ROWS and sum(map(len, lines)) <= _MOST_INLINE:
            asked = [{"request": r["request"], "metadata": {"key": r["key"]}} for r in rows]
            source: Json = {"requests": {"requests": asked}}
        else:
            uploaded = yield Ask("POST", FILES, Upload(file=b"".join(lines)))
            source = {"fileName": uploaded["file"]["name"]}
        batch = {"displayName": "bruno-llm", "inputConfig": source}
        operation = yield Ask("POST", BATCH, {"model": model, "batch": batch}, once=True)
        return operation

    def refresh(self, name: str) -> Ask:
        return Ask("GET", f"batches/{name}")

    def cancel(self, name: str) -> Ask:
        return Ask("POST", f"batches/{name}:cancel", {})

    def read(self, data: Json) -> VendorBatch:
        about = object_in(data.get("metadata"))
        state = (about.get("state") or "").rpartition("STATE_")[2]
        fate = _FATES.get(state, "failed")
        stats = object_in(about.get("batchStats"))
        told = ("requestCount", "successfulRequestCount", "failedRequestCount")
        total, succeeded, failed = (int(stats.get(name) or 0) for name in told)
        status = "ended" if data.get("done") else _STATUSES.get(state, "running")
        rest = total - succeeded - failed if status == "ended" else 0
        created = about.get("createTime")
        output = object_in(data.get("response") or about.get("output"))
        file = output.get("responsesFile")
        return VendorBatch(
            id=data["name"].removeprefix("batches/"),
            status=status,
            counts=BatchCounts(
                total,
                succeeded,
                failed,
                rest if fate == "expired" else 0,
                rest if fate == "cancelled" else 0,
            ),
            expires_at=None if created is None else datetime.fromisoformat(created) + _LASTS,
            model=(about.get("model") or "").removeprefix("models/") or None,
            fate=fate,
            problem=_said(data["error"])[1] if data.get("error") else None,
            results=[f"{file}:download"] if file else (),
            rows=object_in(output.get("inlinedResponses")).get("inlinedResponses") or (),
        )

    def read_result(self, row: Json) -> RowResult:
        status, error = _said(row.get("error") or {})
        state = error["error"]["status"] if row.get("error") else ""
        return RowResult(
            key=row.get("key") or row["metadata"]["key"],
            answer=row.get("response"),
            error=error if state else None,
            status=status,
            fate=_FATES.get(state, "failed"),
        )


def _said(error: Json) -> tuple[int, Json]:
    """Return an error of gRPC as a status of HTTP, and as the API's document."""
    code = error.get("code") or 0
    by_http = {status: (status, word) for status, word in _ERRORS.values()}
    status, word = (_ERRORS | by_http).get(code, (500, "UNKNOWN"))
    return status, {"error": {"message": error.get("message"), "status": word}}
