"""How a vendor takes batches: the seam that a provider may fill (`ChatAdapter.make_batches`).

As all adapters, it speaks JSON and sends nothing itself. `batch/vendor.py` does all the rest.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, NamedTuple

from bruno_llm_base.adapter import ChatAdapter
from bruno_llm_base.parts import Json

BatchStatus = Literal["waiting", "running", "ended"]
RowFate = Literal["failed", "expired", "cancelled"]


class BatchCounts(NamedTuple):
    """How many rows a batch has, and how many of them have ended in which way."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0


class Ask(NamedTuple):
    """A request to the vendor; a body that is an `Upload` is sent as a form.

    What makes a batch is sent `once`: not again where it may have arrived, as rows would be paid twice.
    """

    method: str
    path: str
    body: Json | None = None
    once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorBatch:
    """What the vendor's document says of a batch.

    Attributes:
        id: The vendor's name for it; without commas, and no "#".
        status: Whether it waits, runs, or has ended, in whatever way.
        counts: How many rows have ended in which way, as far as it says.
        expires_at: When the vendor gives up.
        model: The model that is asked.
        fate: What has become of the rows that have no result, once it has ended.
        problem: Why it failed as a whole: an error document for `Adapter.read_error`.
        problems: The same of single rows, by their place in what was sent, from 0.
        results: The paths that lead to JSON lines with results, once there are any.
        rows: The results that stand in the document itself.
        input: The path that leads to the JSON lines that were sent, where they can be read again.
    """

    id: str
    status: BatchStatus
    counts: BatchCounts = field(default_factory=BatchCounts)
    expires_at: datetime | None = None
    model: str | None = None
    fate: RowFate = "failed"
    problem: Json | None = None
    problems: Mapping[int, Json] = field(default_factory=dict)
    results: Sequence[str] = ()
    rows: Sequence[Json] = ()
    input: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """What became of a row.

    Attributes:
        key: Its key, as it was sent.
        answer: The answer, as the same request alone would have got it; None if there is none.
        error: An error document for `Adapter.read_error`, where there is none.
        status: The HTTP status that goes with the error; what is not known to be wrong with the
            request is 500.
        fate: "expired" or "cancelled" of a row that was never asked.
        request_id: The vendor's name for the request.
    """

    key: str
    answer: Json | None = None
    error: Json | None = None
    status: int = 500
    fate: RowFate = "failed"
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class BatchAdapter(ABC):
    """How one vendor spells batches.

    Attributes:
        adapter: How the API spells things that the provider asks.
        keys: What it takes as the key of a row; others are sent in its letters A-Z, a-z, 0-9, - and _.
        max_rows: The most rows of one batch.
        max_bytes: The most bytes of the rows of one batch, as JSON.
    """

    adapter: ChatAdapter

    keys: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9_-]{1,64}")
    max_rows: ClassVar[int]
    max_bytes: ClassVar[int]

    @abstractmethod
    def build_row(self, key: str, body: Json) -> Json:
        """Return the row called *key* that asks what a request with *body* asks."""

    @abstractmethod
    def read_sent(self, row: Json) -> tuple[str, Json]:
        """Return the key and the body that `build_row` was given."""

    @abstractmethod
    def submit(self, rows: Sequence[Json], model: str) -> Generator[Ask, Json, Json]:
        """Yield the requests that send *rows* in one batch, each for its answer, and return its document.

        It runs in a thread, as encoding may take long.
        """

    @abstractmethod
    def refresh(self, name: str) -> Ask:
        """Return the request for the document of the batch that the vendor calls *name*."""

    @abstractmethod
    def cancel(self, name: str) -> Ask:
        """Return the request that cancels it."""

    @abstractmethod
    def read(self, data: Json) -> VendorBatch:
        """Read the document of a batch, as `submit` and `refresh` get it."""

    @abstractmethod
    def read_result(self, row: Json) -> RowResult:
        """Read a line of results, or a row of `VendorBatch.rows`."""

    def adapter_of(self, document: Json) -> ChatAdapter:
        """Return the adapter of the API that *document*, the body of a row or an answer, is of."""
        return self.adapter
