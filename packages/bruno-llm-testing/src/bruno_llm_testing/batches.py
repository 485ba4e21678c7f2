"""Batches that a fake server was sent, and what a test lets happen to them."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.parts import Json

from bruno_llm_testing.script import RawReply, Received

__all__ = ["FakeBatch", "FakeBatches"]

BatchState = Literal["running", "completed", "failed", "expired", "cancelled"]


@dataclass(slots=True, kw_only=True)
class FakeBatch:
    """A batch that arrived.

    Attributes:
        id: The vendor's name for it.
        requests: What its rows ask, by their keys, each as if it had been sent alone.
        results: Status and document of each row that was answered.
        state: What has become of it. The rows without a result share the fate of one that ended.
        problem: Why it failed as a whole.
        details: What else the vendor's documents say of it.
    """

    id: str
    requests: dict[str, Received]
    results: dict[str, tuple[int, Json]] = field(default_factory=dict)
    state: BatchState = "running"
    problem: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, Json]:
        """The bodies of its rows, by their keys."""
        return {key: request.body for key, request in self.requests.items()}

    @property
    def succeeded(self) -> int:
        """How many rows were answered without an error."""
        return sum(status == 200 for status, _ in self.results.values())

    @property
    def failed(self) -> int:
        """How many rows were answered with an error."""
        return len(self.results) - self.succeeded

    @property
    def unanswered(self) -> int:
        """How many rows have no result."""
        return len(self.requests) - len(self.results)


class FakeBatches(ABC):
    """The batches of a fake server.

    Their rows are answered as the same requests would be that come alone: by what `say` was given,
    in order, then by the default answer. A batch ends at once, unless `hold` was called before.

    Attributes:
        made: Those that arrived, the first one first.
        most_rows: How many rows the vendor takes in one batch.
        most_bytes: How large it may be.
    """

    def __init__(
        self,
        answer: Callable[[Received], tuple[int, Json]],
        *,
        most_rows: int,
        most_bytes: int,
        fails: bool = True,
    ) -> None:
        """Hold none.

        Args:
            answer: What answers a row.
            most_rows: See above.
            most_bytes: See above.
            fails: Whether a batch of this vendor can fail as a whole after it was taken.
        """
        self.made: list[FakeBatch] = []
        self.most_rows, self.most_bytes = most_rows, most_bytes
        self._answer, self._fails = answer, fails
        self._held = False

    def hold(self) -> None:
        """Let the batches that come from now on run until a test lets them end."""
        self._held = True

    def answer(self, rows: int) -> None:
        """Answer the next *rows* of each batch that runs; none ends by that."""
        for batch in self._running():
            waiting = [key for key in batch.requests if key not in batch.results]
            for key in waiting[:rows]:
                batch.results[key] = self._answer(batch.requests[key])

    def finish(self) -> None:
        """Answer what is open, and end the batches that run."""
        self.answer(max(len(batch.requests) for batch in self._running()))
        self._end("completed")

    def expire(self) -> None:
        """End the batches that run by their deadline: rows without an answer never get one."""
        self._end("expired")

    def fail(self, problem: str = "The batch could not be processed.") -> None:
        """End the batches that run as failed as a whole, for what *problem* says.

        Raises:
            ConfigurationError: No batch of this vendor ends so.
        """
        if not self._fails:
            raise ConfigurationError("fail() is not for this vendor: only single rows fail there")
        for batch in self._running():
            batch.problem = problem
        self._end("failed")

    def _running(self) -> list[FakeBatch]:
        running = [batch for batch in self.made if batch.state == "running"]
        if not running:
            raise ConfigurationError("no batch runs: call hold() before the batch is sent")
        return running

    def _end(self, state: BatchState) -> None:
        for batch in self._running():
            batch.state = state

    # -- for the vendor's fake --------------------------------------------------------------------

    @abstractmethod
    def respond(self, request: Received) -> tuple[int, Json | bytes]:
        """Return the vendor's status and document, or a file's content, for *request*."""

    def reply(self, request: Received) -> RawReply:
        """Return the answer to *request*, which asks about batches or their files."""
        status, said = self.respond(request)
        if isinstance(said, bytes):
            kind = {"content-type": "application/octet-stream"}
            return RawReply(status=status, headers=kind, body=said)
        return RawReply(status=status, body=json.dumps(said).encode())

    def add(self, prefix: str, requests: Mapping[str, Received], **details: Any) -> FakeBatch:
        """Take a batch in, whose id begins with *prefix*."""
        name = f"{prefix}{len(self.made) + 1:024x}"
        batch = FakeBatch(id=name, requests=dict(requests), details=details)
        self.made.append(batch)
        return batch

    def run(self, batch: FakeBatch) -> None:
        """End *batch*, unless it is to wait for the test."""
        if not self._held:
            batch.results = {key: self._answer(row) for key, row in batch.requests.items()}
            batch.state = "completed"


def lines(content: bytes) -> list[bytes]:
    """Return the lines of a JSONL file that are not empty."""
    return [line for line in content.split(b"\n") if line.strip()]


def jsonl(documents: Iterable[Json]) -> bytes:
    """Return *documents* as a JSONL file."""
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)
