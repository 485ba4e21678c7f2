"""What a vendor's batch has brought: its documents, and the items that are made of its rows."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from jiter import from_json

from bruno_llm_base.attempt import error_facts
from bruno_llm_base.batch.adapter import BatchAdapter, RowResult
from bruno_llm_base.batch.vendor_rows import BatchKey, own_key
from bruno_llm_base.error_mapping import error_from
from bruno_llm_base.exceptions import InvalidResponseError, LLMError, LLMTimeoutError
from bruno_llm_base.lenient import PARSE_ERRORS, describe_parse_error
from bruno_llm_base.output import Output, read_output
from bruno_llm_base.parts import Json
from bruno_llm_base.reader import AnswerReader, NoAnswerError, Reader
from bruno_llm_base.request import Endpoint, Request
from bruno_llm_base.response import ModelResponse
from bruno_llm_base.stream import answer_text

_T = TypeVar("_T")
_RESENT = "await batch.retry() asks again"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """A row's key and the answer to it, or the error in its place.

    Attributes:
        key: The row's key.
        response: The answer, with its cost at the price of batches; None where there is an error.
        error: Why there is none; `partial` is what was paid for all the same.
    """

    key: BatchKey
    response: ModelResponse[Any] | None = None
    error: LLMError | None = None

    @property
    def text(self) -> str | None:
        """The answer in words."""
        return None if self.response is None else self.response.text


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemReader:
    """Makes items of results.

    Attributes:
        name: The provider's name.
        endpoint: Where the batch was sent.
        batches: How the vendor spells batches.
        output: The type that each answer is to fit.
        unpriced_field: The field for which the vendor charges what no list of prices tells, if any.
    """

    name: str
    endpoint: Endpoint
    batches: BatchAdapter
    output: Output[Any] | None
    unpriced_field: str | None

    def item(self, result: RowResult, model: str) -> BatchItem:
        """Return the row that became *result*, of a batch that asks *model*."""
        key = own_key(result.key)
        try:
            response = self._response(result, model)
            if self.output is not None:
                response = read_output(response, self.output)
            elif not response.tool_calls:
                answer_text(response, self.name)
        except LLMError as error:
            error.provider = self.name
            error.model = error.model or model
            error.request_id = error.request_id or result.request_id
            return BatchItem(key=key, error=error)
        return BatchItem(key=key, response=response)

    def _response(self, result: RowResult, model: str) -> ModelResponse:
        if result.answer is None:
            raise self._refusal(result)
        reader = AnswerReader(self.batches.adapter_of(result.answer).parse)
        try:
            reader.read([json.dumps(result.answer).encode()], [], whole=False)
            response = reader.finished([])
        except NoAnswerError as error:
            raise self._error(result.status, error.said) from None
        response.provider, response.request_id = self.name, result.request_id
        response.cost = self.endpoint.prices.cost(
            response, model, unpriced_field=self.unpriced_field, batch=True
        )
        return response

    def _refusal(self, result: RowResult) -> LLMError:
        if result.fate == "expired":
            return LLMTimeoutError(f"the batch expired before it was answered: {_RESENT}")
        if result.fate == "cancelled":
            return LLMError(f"the batch was cancelled before it was answered: {_RESENT}")
        if result.error is None:
            return InvalidResponseError(f"the vendor tells neither answer nor error: {_RESENT}")
        return self._error(result.status, result.error)

    def _error(self, status: int, said: object) -> LLMError:
        """Return the error that the vendor's document *said* stands for."""
        facts = error_facts(self.batches.adapter, status, {}, said, self.endpoint.secrets)
        return error_from(facts, status, {})


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


class DocumentsRequest(Request[_T]):
    """A request for such documents."""

    def reader(self) -> Reader[_T]:
        return _Documents(self.parse)


def read(parse: Callable[[Json], _T], data: Json) -> _T:
    """Return what *parse* makes of a document of the vendor's."""
    try:
        return parse(data)
    except PARSE_ERRORS as error:
        raise InvalidResponseError(
            f"the vendor's batch is not as documented: {describe_parse_error(error, data)}",
            cause=error,
        ) from error
