"""A vendor's batch for programs without an event loop: the same methods, without `await`."""

from collections.abc import Iterator

from bruno_llm_base.batch.vendor import Batch, BatchState
from bruno_llm_base.batch.vendor_results import BatchItem
from bruno_llm_base.loop_thread import Pump, run_sync


class SyncBatch:
    """Rows that a vendor answers within a day or so: a `Batch` with the same methods, without `await`."""

    def __init__(self, batch: Batch) -> None:
        """Use *batch*, which `batch(...)` or `batch_from(id)` returned."""
        self._batch = batch

    @property
    def id(self) -> str:
        """What it is called: the provider, and the vendor's names of its parts."""
        return self._batch.id

    @property
    def state(self) -> BatchState | None:
        """How it stood when it was last looked at; None before that."""
        return self._batch.state

    def refresh(self) -> BatchState:
        """Ask the vendor how the batch stands; see `Batch.refresh`."""
        return run_sync(self._batch.refresh())

    def wait(self, poll: float = 15.0) -> BatchState:
        """Wait until the batch has ended; see `Batch.wait`."""
        return run_sync(self._batch.wait(poll))

    def cancel(self) -> None:
        """Have the vendor stop; see `Batch.cancel`."""
        run_sync(self._batch.cancel())

    def results(self) -> Iterator[BatchItem]:
        """Return an item for each row of the parts that have ended; see `Batch.results`."""
        return Pump(self._batch.results())

    def retry(self) -> "SyncBatch":
        """Send the rows that have no answer again, in a new batch; see `Batch.retry`."""
        return SyncBatch(run_sync(self._batch.retry()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._batch!r})"
