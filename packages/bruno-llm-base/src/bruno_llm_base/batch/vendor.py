"""Batches that a vendor works on within a day, at a lower price."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from bruno_llm_base.batch.adapter import (
    Ask,
    BatchAdapter,
    BatchCounts,
    BatchStatus,
    RowResult,
    VendorBatch,
)
from bruno_llm_base.batch.vendor_results import BatchItem, DocumentsRequest, ItemReader, read
from bruno_llm_base.batch.vendor_rows import (
    AT_ONCE,
    BatchRow,
    BatchRows,
    parts_of,
    read_rows,
    row_of,
)
from bruno_llm_base.call import documents, result_of
from bruno_llm_base.cost.spending import Hold, Spending
from bruno_llm_base.deadline import Deadline
from bruno_llm_base.events import BatchSubmitted, Event
from bruno_llm_base.exceptions import InvalidRequestError, LLMError
from bruno_llm_base.messages import Messages
from bruno_llm_base.output import Output
from bruno_llm_base.parts import Json
from bruno_llm_base.policies import check_seconds
from bruno_llm_base.request import Endpoint, Request
from bruno_llm_base.response import ModelResponse
from bruno_llm_base.values import shown

_LONGEST_POLL = 300.0
_REFUSED = 400
_MOST_BYTES = 64 * 2**30  # of a file of results, which is read line by line
_NOTHING_YET = SimpleNamespace(response=None)  # rows are paid one by one, later
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchState:
    """How a batch stands, all its parts together.

    Attributes:
        status: "waiting", "running" or "ended": completed, cancelled, expired or failed.
        counts: How many rows have ended in which way, as far as the vendor says.
        expires_at: When the vendor gives up on what is not done.
    """

    status: BatchStatus
    counts: BatchCounts
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchClient:
    """The way to a vendor's batches.

    Attributes:
        llm: The provider, whose `batch_from` makes batches known again.
        name: Its name.
        model: The model that is asked.
        endpoint: Where requests go.
        batches: How the vendor spells batches.
        advise: Returns what may be done about an error.
    """

    llm: Any
    name: str
    model: str
    endpoint: Endpoint
    batches: BatchAdapter
    advise: Callable[[LLMError], Awaitable[list[str]]]

    @property
    def spending(self) -> Spending | None:
        """Where costs are recorded, if anywhere."""
        return cast(Spending | None, self.endpoint.spending)

    def request(self, ask: Ask, parse: Callable[[Json], _T], **more: Any) -> Request[_T]:
        """Return the request that *ask* is about."""
        return DocumentsRequest(
            operation="batch",
            adapter=self.batches.adapter,
            method=ask.method,
            path=ask.path,
            body=ask.body,
            is_large=type(ask.body) is dict,
            model=self.model,
            parse=parse,
            advise=self.advise,
            once=ask.once,
            **more,
        )

    async def ask(self, ask: Ask, parse: Callable[[Json], _T]) -> _T:
        """Return what *parse* makes of the answer."""
        return await result_of(self.endpoint, self.request(ask, parse))

    def lines(self, path: str, parse: Callable[[Json], _T]) -> AsyncGenerator[_T, None]:
        """Return what *parse* makes of each line of a file of the vendor's."""
        asked = self.request(Ask("GET", path), parse, stream=True, most_bytes=_MOST_BYTES)
        return documents(self.endpoint, asked)

    async def submit(self, rows: Sequence[BatchRow]) -> VendorBatch:
        """Send one batch of the vendor's."""
        steps = self.batches.submit([row.sent for row in rows], self.model)
        step = await asyncio.to_thread(_step, steps, None)
        while isinstance(step, Ask):
            step = await asyncio.to_thread(_step, steps, await self.ask(step, dict))
        return read(self.batches.read, step)

    def tell(self, kind: type[Event], /, **facts: Any) -> None:
        """Tell observers of an event."""
        told = {"provider": self.name, "model": self.model, "operation": "batch"}
        self.endpoint.observers.tell(kind, **told, **facts)

    def hold(self, row: BatchRow, unpriced_field: str | None) -> Hold:
        """Return a hold of the most that a *row* can cost."""
        return cast(Spending, self.spending).hold(
            _NOTHING_YET,
            model=self.model,
            most_input=lambda: row.most_input,
            media_tokens=lambda: row.media_tokens,
            most_output=self.batches.adapter_of(row.body).max_output(row.body),
            deadline=Deadline(),
            tell=self.tell,
            unpriced_field=unpriced_field,
            batch=True,
        )


class Batch:
    """Rows that a vendor answers within a day or so, in any order, at a lower price.

    Only its `id` need be kept: `batch_from(id)` of the same provider knows it again, in any process.

    Attributes:
        id: What it is called: the provider, and the vendor's names of its parts.
        state: How it stood when it was last looked at; None before that.
    """

    def __init__(
        self,
        client: BatchClient,
        parts: Sequence[str],
        output: Output[Any] | None,
        unpriced_field: str | None,
    ) -> None:
        """Begin with the *parts* that the vendor knows."""
        self._client = client
        self._parts: dict[str, VendorBatch | None] = dict.fromkeys(parts)
        self._rows: dict[str, dict[str, BatchRow]] = {}  # of each part, as far as it was sent here
        # keys of each part, once its results were read; None if it has others of which nothing is known
        self._failed: dict[str, set[str] | None] = {}
        self._output = output
        self._unpriced_field = unpriced_field
        self._items = ItemReader(
            name=client.name,
            endpoint=client.endpoint,
            batches=client.batches,
            output=output,
            unpriced_field=unpriced_field,
        )

    @classmethod
    def known(cls, client: BatchClient, batch_id: str, output: Any) -> "Batch":
        """Return the batch called *batch_id*; `BaseProvider.batch_from` tells the rest."""
        found = isinstance(batch_id, str) and re.fullmatch(
            rf"{re.escape(client.name)}:([\w.-]+(?:,[\w.-]+)*)(?:#(.+))?", batch_id.strip()
        )
        if not found:
            raise InvalidRequestError(
                f"the id is {shown(batch_id)}: give that of a batch of {client.name}, {client.name}:..."
            )
        output = None if output is None else Output.of(output)
        return cls(client, found[1].split(","), output, found[2])

    @property
    def id(self) -> str:
        """What it is called: the provider, and the vendor's names of its parts."""
        unpriced = f"#{self._unpriced_field}" if self._unpriced_field else ""
        return f"{self._client.name}:{','.join(self._parts)}{unpriced}"

    @property
    def state(self) -> BatchState | None:
        """How it stood when it was last looked at; None before that."""
        parts = [part for part in self._parts.values() if part is not None]
        if len(parts) < len(self._parts):
            return None
        statuses = {part.status for part in parts}
        counts = zip(*(part.counts for part in parts), strict=True)
        times = [part.expires_at for part in parts if part.expires_at is not None]
        return BatchState(
            status=statuses.pop() if len(statuses) == 1 else "running",
            counts=BatchCounts(*map(sum, counts)),
            expires_at=min(times, default=None),
        )

    @classmethod
    async def of(
        cls,
        client: BatchClient,
        rows: BatchRows,
        compose: Callable[[Messages], Request[ModelResponse]],
        output: Any,
    ) -> "Batch":
        """Send *rows*, of which *compose* makes requests; `BaseProvider.batch` tells the rest."""
        ready, request = await read_rows(rows, client.batches, compose, client.endpoint)
        client = replace(client, model=request.model or client.model)
        output = None if output is None else Output.of(output)
        return await cls(client, (), output, request.unpriced_field).send(ready)

    async def send(self, rows: Sequence[BatchRow]) -> "Batch":
        """Send *rows*, in as many parts as the vendor's limits need, and return itself.

        Raises:
            LLMError: A part was refused; those before it are in the `batch` of the error.
        """
        client, spending = self._client, self._client.spending
        parts = parts_of(rows, client.batches)
        async with AsyncExitStack() as stack:
            if spending is not None:
                await client.endpoint.prices.load()
                hold = client.hold(rows[0], self._unpriced_field)
                costs = [await self._most_cost(part) for part in parts]
                hold = replace(hold, needed=sum(costs, Decimal(0)))
                await stack.enter_async_context(hold)
            for place, part in enumerate(parts):
                try:
                    taken = await client.submit(part)
                except LLMError as error:
                    self._tell_of_rest(error, len(parts))
                    raise
                self._parts[taken.id] = taken
                self._rows[taken.id] = {row.key: row for row in part}
                name = f"{client.name}:{taken.id}"
                client.tell(BatchSubmitted, batch=name, rows=len(part))
                if spending is not None:
                    hold.keep(name, costs[place])
                    await spending.written()
        return self

    async def _most_cost(self, rows: Sequence[BatchRow]) -> Decimal:
        total = Decimal(0)
        for place, row in enumerate(rows):
            total += self._client.hold(row, self._unpriced_field).needed
            if place % AT_ONCE == 0:
                await asyncio.sleep(0)
        return total

    def _tell_of_rest(self, error: LLMError, parts: int) -> None:
        if self._parts:
            error.batch = self.id
            taken = (
                f"{len(self._parts)} of {parts} parts were taken before: batch_from({self.id!r})"
            )
            error.advice = "; ".join(filter(None, (error.advice, taken)))

    async def refresh(self) -> BatchState:
        """Ask the vendor how the batch stands.

        Raises:
            LLMError: It does not tell.
        """
        client = self._client
        for name, part in self._parts.items():
            if part is None or part.status != "ended":
                self._parts[name] = await client.ask(
                    client.batches.refresh(name), client.batches.read
                )
        return cast(BatchState, self.state)

    async def wait(self, poll: float = 15.0) -> BatchState:
        """Wait until the batch has ended: first *poll* seconds, then twice as long, up to 5 minutes."""
        check_seconds("poll", poll)
        while (state := await self.refresh()).status != "ended":
            await asyncio.sleep(poll)
            poll = max(poll, min(2 * poll, _LONGEST_POLL))
        return state

    async def cancel(self) -> None:
        """Have the vendor stop; what is answered until then has its results, and is paid for."""
        await self.refresh()
        for name, part in self._parts.items():
            if part is not None and part.status != "ended":
                client = self._client
                await client.ask(client.batches.cancel(name), dict)

    async def results(self) -> AsyncGenerator[BatchItem, None]:
        """Yield an item for each row of the parts that have ended, in any order.

        What it cost is recorded once, however often and wherever it is read.

        Raises:
            InvalidRequestError: No part has ended.
            LLMError: The results cannot be read, or a part was refused whose keys are not known.
        """
        state = await self.refresh()
        ended = [part for part in self._parts.values() if part and part.status == "ended"]
        if not ended:
            raise InvalidRequestError(
                f"the batch is {state.status}, and has no results yet: await batch.wait() first"
            )
        for part in sorted(ended, key=lambda part: part.problem is not None):
            async with aclosing(self._results_of(part)) as items:
                async for item in items:
                    yield item
            if part.problem and part.fate == "failed" and self._failed[part.id] is None:
                refused = RowResult(key="", error=part.problem, status=_REFUSED)
                raise cast(LLMError, self._items.item(refused, self._model_of(part)).error)

    def _model_of(self, part: VendorBatch) -> str:
        return part.model or self._client.model

    async def _results_of(self, part: VendorBatch) -> AsyncGenerator[BatchItem, None]:
        spending, name = self._client.spending, f"{self._client.name}:{part.id}"
        await self._client.endpoint.prices.load()
        model = self._model_of(part)
        seen: set[str] = set()
        failed: set[str] = set()
        try:
            async with aclosing(self._outcomes_of(part, seen)) as outcomes:
                async for result in outcomes:
                    item = self._items.item(result, model)
                    seen.add(result.key)
                    if item.error is not None:
                        failed.add(result.key)
                    paid = item.response or cast(LLMError, item.error).partial
                    if spending is not None and paid is not None:
                        spending.settle(name, result.key, paid, model)
                    yield item
            is_whole = len(seen) >= max(part.counts.total, 1)
            self._failed[part.id] = failed if is_whole else None
            if spending is not None:
                spending.end(name)
        finally:
            if spending is not None:
                await spending.written()

    async def _outcomes_of(
        self, part: VendorBatch, seen: set[str]
    ) -> AsyncGenerator[RowResult, None]:
        """Yield what became of each row that is not *seen* yet: what has no result comes last."""
        read_result = self._client.batches.read_result
        for row in part.rows:
            yield read(read_result, row)
        for path in part.results:
            async with aclosing(self._client.lines(path, read_result)) as results:
                async for result in results:
                    if result.key not in seen:
                        yield result
        if not part.counts.total or len(seen) < part.counts.total:
            for place, key in enumerate(await self._sent(part)):
                if key not in seen:
                    problem = part.problems.get(place, part.problem)
                    yield RowResult(key=key, error=problem, status=_REFUSED, fate=part.fate)

    async def _sent(self, part: VendorBatch) -> Mapping[str, BatchRow]:
        """Return the rows of *part*, by their keys, in order; none if they cannot be read again."""
        client = self._client
        if part.id not in self._rows:
            found: dict[str, BatchRow] = {}
            if part.input is not None:
                sent = client.lines(part.input, client.batches.read_sent)
                with suppress(InvalidRequestError):  # the vendor has it no longer
                    async with aclosing(sent) as lines:
                        async for key, body in lines:
                            request = client.request(Ask("", "", body), dict)
                            found[key] = row_of(client.batches, key, request)
            self._rows[part.id] = found
        return self._rows[part.id]

    async def retry(self) -> "Batch":
        """Send the rows that have no answer again, in a new batch.

        It is sent what was sent before: that is known where the batch was made, and elsewhere as far as
        the vendor keeps it (OpenAI does, for 30 days).

        Raises:
            InvalidRequestError: All rows have an answer, no part has ended, or what was sent is not
                known.
            LLMError: A part was refused.
        """
        await self.refresh()
        rows: list[BatchRow] = []
        model = self._client.model
        for part in self._parts.values():
            if part is None or part.status != "ended":
                continue
            if part.id not in self._failed:
                async with aclosing(self._results_of(part)) as items:
                    async for _ in items:
                        pass
            failed = self._failed[part.id]
            sent = await self._sent(part) if failed else {}
            if failed is None or not failed <= sent.keys():
                raise InvalidRequestError(
                    f"{self._client.name} does not tell what was sent: retry where the batch was made, or"
                    " send the rows again whose items have an error"
                )
            rows += [sent[key] for key in sent if key in failed]
            model = self._model_of(part)
        if not rows:
            raise InvalidRequestError("no row has failed so far: there is nothing to send again")
        client = replace(self._client, model=model)
        again = Batch(client, (), self._output, self._unpriced_field)
        return await again.send(rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return _known, (self._client.llm, self.id, self._output)

    def __repr__(self) -> str:
        return f"Batch({self.id!r})"


def _known(llm: Any, name: str, output: Any) -> Batch:
    batch: Batch = llm.batch_from(name, output=output)
    return batch


def _step(steps: Generator[Ask, Json, Json], answer: Json | None) -> Ask | Json:
    try:
        return steps.send(cast(Json, answer))
    except StopIteration as end:
        document: Json = end.value
        return document
