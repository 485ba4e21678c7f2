"""Anthropic's batches (https://platform.claude.com/docs/en/build-with-claude/batch-processing)."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from bruno_llm_base import Json
from bruno_llm_base.batch.adapter import Ask, BatchAdapter, BatchCounts, RowResult, VendorBatch
from bruno_llm_base.parts import object_in

PATH = "/v1/messages/batches"
_FATES: dict[str, Literal["expired", "cancelled"]] = {
    "expired": "expired",
    "canceled": "cancelled",
}
# https://platform.claude.com/docs/en/api/errors: a row's error has no status of its own
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


@dataclass(frozen=True, slots=True)
class ClaudeBatches(BatchAdapter):
    """How Anthropic spells batches: all in one request, and one list of results."""

    max_rows: ClassVar[int] = 100_000
    max_bytes: ClassVar[int] = 256_000_000

    def build_row(self, key: str, body: Json) -> Json:
        return {"custom_id": key, "params": body}

    def read_sent(self, row: Json) -> tuple[str, Json]:
        return row["custom_id"], row["params"]

    def submit(self, rows: Sequence[Json], model: str) -> Generator[Ask, Json, Json]:
        batch = yield Ask("POST", PATH, {"requests": list(rows)}, once=True)
        return batch

    def refresh(self, name: str) -> Ask:
        return Ask("GET", f"{PATH}/{name}")

    def cancel(self, name: str) -> Ask:
        return Ask("POST", f"{PATH}/{name}/cancel", {})

    def read(self, data: Json) -> VendorBatch:
        counts = {name: n or 0 for name, n in object_in(data.get("request_counts")).items()}
        ended, expires = data["processing_status"] == "ended", data.get("expires_at")
        return VendorBatch(
            id=data["id"],
            status="ended" if ended else "running",
            counts=BatchCounts(
                sum(counts.values()),
                counts.get("succeeded", 0),
                counts.get("errored", 0),
                counts.get("expired", 0),
                counts.get("canceled", 0),
            ),
            expires_at=None if expires is None else datetime.fromisoformat(expires),
            # also where they were archived: then the answer says so
            results=[f"{PATH}/{data['id']}/results"] if ended else (),
        )

    def read_result(self, row: Json) -> RowResult:
        result = row["result"]
        error = object_in(result.get("error"))
        kind = object_in(error.get("error")).get("type")
        return RowResult(
            key=row["custom_id"],
            answer=result.get("message"),
            error=error or None,
            status=_STATUSES.get(str(kind), 500),
            fate=_FATES.get(result["type"], "failed"),
            request_id=error.get("request_id") or None,
        )
