"""From the documents of an answer to its parts: what one attempt has read so far."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from jiter import from_json

from bruno_llm_base.error_documents import SIGNS_OF_ERRORS, is_error
from bruno_llm_base.exceptions import InvalidResponseError, LLMError, StreamError
from bruno_llm_base.lenient import PARSE_ERRORS, describe_parse_error, is_programming_error
from bruno_llm_base.parts import Json
from bruno_llm_base.response import NOTHING, Answer, ModelResponse, Usage, checked
from bruno_llm_base.transport.framing import DONE

if TYPE_CHECKING:
    from bruno_llm_base.text_filters import SurrogateJoiner, ThinkTags

T = TypeVar("T")


class NoAnswerError(Exception):
    """The server sent no answer: `said` is its error, as JSON, or the bytes of what is not JSON."""

    def __init__(self, said: object) -> None:
        super().__init__()
        self.said = said


@dataclass(slots=True, eq=False)
class Reader(Generic[T]):
    """Reads documents that are no model's answer, such as lists of models.

    Attributes:
        is_last: Says whether something is the end of the answer; None if one document is all.
        begun: Whether some of a model's answer has come.
        is_settled: Whether that is complete but for the vendor's last word.
        waits_for_end: Whether no more is expected than the end of the body.
        is_over: Whether the vendor's last word was read.
    """

    parse: Callable[[Json], T]
    is_last: Callable[[T], bool] | None = None
    begun: bool = False
    is_settled: bool = False
    waits_for_end: bool = False
    is_over: bool = False
    _last: Any = None

    def read(self, documents: list[bytes], items: list[T], *, whole: bool) -> bool:
        """Add to *items* what *documents*, those of one network read, say; what precedes an error counts.

        A stream may have been answered as a *whole* instead. Return whether the time limit for the
        next sign of the answer begins now.

        Raises:
            NoAnswerError: A document is an error, or no JSON.
            LLMError: It cannot be read.
        """
        del whole
        for document in documents:
            if self.is_over:
                break
            try:
                data = from_json(document)
            except ValueError:
                data = _torn(document)
            data = _object(data, bare_list=self.is_last is None)
            self._last = _parsed(self.parse, data)
            items.append(self._last)
            self.is_over = self.is_last is None or self.is_last(self._last)
        return True

    def rest(self) -> list[T]:
        """Return what was held back, now that no more follows."""
        return []

    def finished(self, after_end: list[bytes]) -> T:
        """Return the whole, given what came behind the vendor's last word.

        Raises:
            LLMError: It is not complete, or the model has stopped with an error.
        """
        del after_end
        if not self.is_over:
            raise StreamError("the stream ended before the answer was complete")
        return cast(T, self._last)

    def partial(self) -> ModelResponse:
        """Return what has arrived of a model's answer."""
        return ModelResponse()


@dataclass(slots=True, eq=False)
class AnswerReader(Reader[ModelResponse]):
    """Reads a model's answer: one document, or where it `streams` several."""

    streams: bool = False
    parse_whole: Callable[[Json], ModelResponse] | None = None  # for servers that do not stream
    think_tags: "ThinkTags | None" = None
    _answer: Answer = field(default_factory=Answer)
    _after_end: list[bytes] = field(default_factory=list)
    _counts_always: bool = False  # this server counts with every chunk
    _is_torn: bool = False
    _joiner: "SurrogateJoiner | None" = None

    def read(  # noqa: C901, PLR0912 - flat, and fast
        self, documents: list[bytes], items: list[ModelResponse], *, whole: bool
    ) -> bool:
        parse, answer = self.parse, self._answer
        says_something = False
        try:
            for document in documents:
                if self.is_over:
                    self._after_end.append(document)
                    continue
                if document == DONE:
                    self.is_over = True
                    continue
                try:
                    data = from_json(document)
                except ValueError:
                    data, self._is_torn = _torn(document), True
                if type(data) is not dict or data.get("error"):
                    data = _object(data, bare_list=not self.streams)
                try:
                    part = checked(parse(data))
                except PARSE_ERRORS as error:
                    part = self._read_otherwise(data, error, whole=whole)
                if not part.parts:
                    is_odd = "error" in (data.get("object"), data.get("type"))
                    if whole or is_odd or not SIGNS_OF_ERRORS.isdisjoint(data):
                        part = self._read_otherwise(data, part, whole=whole)
                    if part is NOTHING:
                        continue
                says_something = True
                if self.think_tags is not None:
                    part = self.think_tags.split(part)
                if part.parts and answer.is_settled:
                    self._counts_always = True
                answer.add(part)
                items.append(self._untorn(part) if self._is_torn else part)
                if part.error is not None:
                    raise NoAnswerError(part.error)
                self.is_over = part.is_last or not self.streams
        finally:
            self.begun, self.is_settled = bool(answer.parts), answer.is_settled
            self.waits_for_end = self.is_settled and not self._counts_always
        return says_something and self.begun

    def rest(self) -> list[ModelResponse]:
        parts = [] if self.think_tags is None else self.think_tags.rest()
        self._answer.add(ModelResponse(parts=tuple(parts)))
        if self._joiner is not None:
            parts = [*parts, *self._joiner.rest()]
        return [ModelResponse(parts=tuple(parts))] if parts else []

    def finished(self, after_end: list[bytes]) -> ModelResponse:
        answer = self.partial()
        if answer.finish_reason is None:
            if not self.is_over:
                raise StreamError(
                    "the stream ended before the answer was complete: no finish_reason came"
                )
            if not self.streams and not answer.parts:
                raise InvalidResponseError("the answer holds neither text nor a finish_reason")
            answer.finish_reason = "tool_call" if answer.tool_calls else "stop"
        if answer.finish_reason == "error":
            word = answer.finish_detail
            raise StreamError(f"the answer broke off: the server says {word!r}", code=word)
        if behind := self._after_end + after_end:
            answer.usage = answer.usage.updated(self._usage_of(behind))
        return answer

    def partial(self) -> ModelResponse:
        answer = self._answer.finished()
        if self._joiner is not None:
            answer.parts = tuple(map(self._joiner.mended, answer.parts))
        return answer

    def _read_otherwise(
        self, data: Json, found: ModelResponse | Exception, *, whole: bool
    ) -> ModelResponse:
        """Read *data*, in which the parser has *found* an error, or nothing that the model says."""
        if not isinstance(found, Exception) and is_error(
            data, readable=self.streams or found.finish_reason is not None
        ):
            raise NoAnswerError(data)
        if whole and self.parse_whole is not None:
            answer = _parsed(self.parse_whole, data)
            if not answer.parts and answer.finish_reason is None:
                raise InvalidResponseError("the server answered as a whole, and not as documented")
            return answer
        if isinstance(found, Exception):
            raise _unreadable(found, data) from found
        return found

    def _untorn(self, part: ModelResponse) -> ModelResponse:
        """Return *part* with whole characters; halves wait for each other."""
        if self._joiner is None:
            from bruno_llm_base import text_filters  # most answers do without

            self._joiner = text_filters.SurrogateJoiner()
        return self._joiner.split(part)

    def _usage_of(self, documents: list[bytes]) -> Usage:
        """Return what *documents* behind the last word say: some servers count once more."""
        usage = Usage()
        with suppress(LLMError, NoAnswerError, ValueError):  # the answer is complete all the same
            for document in documents:
                if document != DONE:
                    usage = usage.updated(_parsed(self.parse, _object(from_json(document))).usage)
        return usage


def _torn(document: bytes) -> object:
    """Return JSON in which characters are torn apart or wrongly encoded."""
    try:
        data: object = json.loads(document.decode(errors="replace"))
    except (ValueError, RecursionError):
        raise NoAnswerError(document) from None
    return data


def _object(data: object, *, bare_list: bool = False) -> Json:
    """Return *data* if it is an object, or a list, as `data` of one, where that may be."""
    rows = data if isinstance(data, list) else [data]
    if any(isinstance(row, dict) and row.get("error") for row in rows):
        raise NoAnswerError(data)
    if isinstance(data, dict):
        return data
    if not isinstance(data, list) or not bare_list:
        raise InvalidResponseError("the server's answer is not a JSON object")
    return {"data": data}


def _parsed(parse: Callable[[Json], T], data: Json) -> T:
    try:
        item = parse(data)
        if isinstance(item, ModelResponse):
            checked(item)
    except PARSE_ERRORS as error:
        raise _unreadable(error, data) from error
    if (
        isinstance(item, ModelResponse)
        and not item.parts
        and is_error(data, readable=item.finish_reason is not None)
    ):
        raise NoAnswerError(data)
    return item


def _unreadable(error: Exception, data: Json) -> Exception:
    """Return what stands for *error*, which a parser raised on *data*; a mistake in it is raised."""
    if is_programming_error(error):
        raise error
    if is_error(data, readable=False):
        return NoAnswerError(data)
    message = f"the server's answer is not as documented: {describe_parse_error(error, data)}"
    return InvalidResponseError(message, cause=error)
