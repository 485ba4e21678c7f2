"""The way to a vendor's batches: requests, documents and files, as `BatchAdapter` spells them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from jiter import from_json

from bruno_llm_base.attempt import error_facts
from bruno_llm_base.batch.adapter import Ask, BatchAdapter, VendorBatch
from bruno_llm_base.batch.vendor_rows import BatchRow
from bruno_llm_base.call import documents, result_of
from bruno_llm_base.cost.spending import Hold, Spending
from bruno_llm_base.deadline import Deadline
from bruno_llm_base.error_mapping import error_from
from bruno_llm_base.events import Event
from bruno_llm_base.exceptions import InvalidResponseError, LLMError
from bruno_llm_base.lenient import PARSE_ERRORS, describe_parse_error
from bruno_llm_base.parts import Json
from bruno_llm_base.reader import NoAnswerError, Reader
from bruno_llm_base.request import Endpoint, Request

_T = TypeVar("_T")
_MOST_BYTES = 64 * 2**30  # of a file of results, which is read line by line
_NOTHING_YET = SimpleNamespace(response=None)  # rows are paid one by one, later


class _Documents(Reader[_T]):
    """Reads a document, or JSON lines: one that speaks of an error is a document as any other."""

    def read(self, documents: list[bytes], items: list[_T], *, whole: bool) -> bool:
        del whole
        for document in documents:
            try:
                data = from_json(document)
            except ValueError:
                raise NoAnswerError(document) from None
            self._last = read(self.parse, data)
            items.append(self._last)
        return True

    def finished(self, after_end: list[bytes]) -> _T:
        del after_end
        return cast(_T, self._last)


class _Request(Request[_T]):
    def reader(self) -> Reader[_T]:
        return _Documents(self.parse)


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
        return _Request(
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

    def error(self, status: int, said: object) -> LLMError:
        """Return the error that the vendor's document *said* stands for."""
        facts = error_facts(self.batches.adapter, status, {}, said, self.endpoint.secrets)
        return error_from(facts, status, {})


def _step(steps: Generator[Ask, Json, Json], answer: Json | None) -> Ask | Json:
    try:
        return steps.send(cast(Json, answer))
    except StopIteration as end:
        document: Json = end.value
        return document


def read(parse: Callable[[Json], _T], data: Json) -> _T:
    """Return what *parse* makes of a document of the vendor's."""
    try:
        return parse(data)
    except PARSE_ERRORS as error:
        raise InvalidResponseError(
            f"the vendor's batch is not as documented: {describe_parse_error(error, data)}",
            cause=error,
        ) from error
