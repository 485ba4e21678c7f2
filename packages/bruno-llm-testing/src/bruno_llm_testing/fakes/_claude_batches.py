"""Anthropic's message batches, as its fake speaks them.

The formats are those of https://platform.claude.com/docs/en/api/messages/batches; the official SDK reads
them in this project's tests.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace

from bruno_llm_base.parts import Json

from bruno_llm_testing.batches import FakeBatch, FakeBatches, jsonl
from bruno_llm_testing.script import Received

PATH = "/v1/messages/batches"
_KEY = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CREATED, _ENDED = "2026-11-22T15:02:58.000000Z", "2026-11-22T15:12:58.000000Z"
_EXPIRES, _CANCELLED = "2026-11-23T15:02:58.000000Z", "2026-11-22T15:07:58.000000Z"
_LOST = {"expired": "expired", "cancelled": "canceled"}


class ClaudeBatches(FakeBatches):
    """The batches of Anthropic: in one request, and with one list of results."""

    def __init__(
        self, answer: Callable[[Received], tuple[int, Json]], address: Callable[[], str]
    ) -> None:
        super().__init__(answer, most_rows=100_000, most_bytes=256_000_000, fails=False)
        self._address = address

    def respond(self, request: Received) -> tuple[int, Json | bytes]:
        name, _, what = request.path.removeprefix(PATH).strip("/").partition("/")
        if not name:
            return self._create(request) if request.method == "POST" else (200, self._page(request))
        batch = next((b for b in self.made if b.id == name), None)
        if batch is not None:
            match request.method, what:
                case "GET", "":
                    return 200, self._document(batch)
                case "GET", "results" if batch.state != "running":
                    return 200, _results(batch)
                case "POST", "cancel":
                    return self._cancel(batch)
                case "DELETE", "":
                    return self._delete(batch)
        return _refusal(f"Not found: {request.path}", "not_found_error", status=404)

    def _create(self, request: Received) -> tuple[int, Json]:
        if len(request.content) > self.most_bytes:
            said = "Request exceeds the maximum size"
            return _refusal(said, "request_too_large", status=413)
        rows = request.body.get("requests")
        if not isinstance(rows, list) or not 0 < len(rows) <= self.most_rows:
            return _refusal(f"requests: List should have 1 to {self.most_rows} items")
        asked: dict[str, Json] = {}
        for place, row in enumerate(rows):
            key, params = row.get("custom_id"), row.get("params")
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                pattern = f"String should match pattern '^{_KEY.pattern}$'"
                return _refusal(f"requests.{place}.custom_id: {pattern}")
            if key in asked:
                return _refusal(f"requests.{place}.custom_id: custom_id must be unique: {key}")
            if not isinstance(params, dict):
                return _refusal(f"requests.{place}.params: Field required")
            asked[key] = params
        requests = {
            key: replace(
                request, path="/v1/messages", body=params, content=json.dumps(params).encode()
            )
            for key, params in asked.items()
        }
        batch = self.add("msgbatch_", requests)
        begun = self._document(batch)
        self.run(batch)
        return 200, begun

    def _cancel(self, batch: FakeBatch) -> tuple[int, Json]:
        if batch.state != "running":
            return _refusal(f"Batch {batch.id} cannot be canceled: it has ended.")
        document = self._document(batch)
        batch.state = "cancelled"
        began = {"processing_status": "canceling", "cancel_initiated_at": _CANCELLED}
        return 200, document | began

    def _delete(self, batch: FakeBatch) -> tuple[int, Json]:
        if batch.state == "running":
            return _refusal(f"Batch {batch.id} cannot be deleted while it is processing.")
        self.made.remove(batch)
        return 200, {"id": batch.id, "type": "message_batch_deleted"}

    def _page(self, request: Received) -> Json:
        """Return the page of batches that is asked for, the newest first."""
        known = [self._document(batch) for batch in reversed(self.made)]
        after, most = request.query.get("after_id"), int(request.query.get("limit", 20))
        start = next((i for i, batch in enumerate(known, 1) if batch["id"] == after), 0)
        page = known[start : start + most]
        ends = (page[0]["id"], page[-1]["id"]) if page else (None, None)
        more = len(known) > start + most
        return {"data": page, "has_more": more, "first_id": ends[0], "last_id": ends[1]}

    def _document(self, batch: FakeBatch) -> Json:
        ended = batch.state != "running"
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        if ended:
            counts |= {"succeeded": batch.succeeded, "errored": batch.failed}
            if batch.unanswered:
                counts[_LOST[batch.state]] = batch.unanswered
        else:  # rows are counted only when all have ended
            counts["processing"] = len(batch.requests)
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "created_at": _CREATED,
            "expires_at": _EXPIRES,
            "ended_at": _ENDED if ended else None,
            "archived_at": None,
            "cancel_initiated_at": _CANCELLED if batch.state == "cancelled" else None,
            "results_url": f"{self._address()}{PATH}/{batch.id}/results" if ended else None,
        }


def _results(batch: FakeBatch) -> bytes:
    """Return the results of *batch*, the last row first, as no order is promised."""
    rows: list[Json] = []
    for key in reversed(batch.requests):
        if key not in batch.results:
            result: Json = {"type": _LOST[batch.state]}
        elif batch.results[key][0] == 200:
            message = batch.results[key][1]
            if "usage" in message:
                message = message | {"usage": message["usage"] | {"service_tier": "batch"}}
            result = {"type": "succeeded", "message": message}
        else:
            result = {"type": "errored", "error": batch.results[key][1]}
        rows.append({"custom_id": key, "result": result})
    return jsonl(rows)


def _refusal(
    message: str, kind: str = "invalid_request_error", *, status: int = 400
) -> tuple[int, Json]:
    error = {"type": kind, "message": message, "details": None}
    return status, {"type": "error", "error": error, "request_id": None}
