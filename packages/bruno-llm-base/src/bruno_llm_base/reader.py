"""From the documents of an answer to its parts: what one attempt has read so far."""

import json
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from jiter import from_json

from bruno_llm_base.error_documents import is_error
from bruno_llm_base.exceptions import InvalidResponseError, LLMError, StreamError
from bruno_llm_base.framing import DONE
from bruno_llm_base.lenient import PARSE_ERRORS, describe_parse_error, is_programming_error
from bruno_llm_base.response import NOTHING, Answer, Json, ModelResponse, Usage, checked

if TYPE_CHECKING:
    from bruno_llm_base.text_filters import SurrogateJoiner

__all__ = ["AnswerReader", "DocumentReader", "NoAnswerError", "Reader"]

T = TypeVar("T")


class NoAnswerError(Exception):
    """The server sent no answer: `said` is its error, as JSON, or the bytes of what is not JSON."""

    def __init__(self, said: object) -> None:
        super().__init__()
        self.said = said


class Reader(Generic[T]):
    """What one attempt reads, and the sum of what it has read.

    Attributes:
        begun: Whether some of an answer has come.
        is_settled: Whether the answer is complete but for the vendor's last word.
        waits_for_end: Whether no more is expected than the end of the body.
        is_over: Whether the vendor's last word was read.
    """

    __slots__ = ("is_over",)

    def __init__(self) -> None:
        self.is_over = False

    begun = is_settled = waits_for_end = property(lambda _: False)

    @abstractmethod
    def read(self, documents: list[bytes], items: list[T], *, whole: bool) -> bool:
        """Add to *items* what *documents* say; what precedes an error counts.

        Args:
            documents: What came with one network read.
            items: Is added to.
            whole: Whether the server has answered as a whole what was to be streamed.

        Returns:
            Whether the time limit for the next sign of the answer begins now.

        Raises:
            NoAnswerError: A document is an error, or no JSON.
            LLMError: It cannot be read.
        """

    def rest(self) -> list[T]:
        """Return what was held back, now that no more follows."""
        return []

    @abstractmethod
    def finished(self, after_end: list[bytes]) -> T:
        """Return the whole, given what came behind the vendor's last word.

        Raises:
            LLMError: It is not complete, or the model has stopped with an error.
        """

    def partial(self) -> ModelResponse:
        """Return what has arrived."""
        return ModelResponse()


class AnswerReader(Reader[ModelResponse]):
    """Reads a model's answer, streamed or not."""

    __slots__ = (
        "_after_end",
        "_answer",
        "_goes_on",
        "_is_torn",
        "_joiner",
        "_parse",
        "_parse_whole",
        "_streams",
        "_think_tags",
    )

    def __init__(
        self,
        parse: Callable[[Json], ModelResponse],
        *,
        stream: bool,
        parse_whole: Callable[[Json], ModelResponse] | None = None,
        think_tags: bool = False,
    ) -> None:
        """Start before the first document.

        Args:
            parse: Reads one document.
            stream: Whether several are expected.
            parse_whole: Reads an answer that comes as a whole, for servers that do not stream.
            think_tags: Whether thoughts stand in the text, between tags.
        """
        super().__init__()
        self._parse = parse
        self._streams = stream
        self._parse_whole = parse_whole
        self._answer = Answer()
        self._after_end: list[bytes] = []
        self._goes_on = False
        self._is_torn = False
        self._joiner: SurrogateJoiner | None = None
        self._think_tags = None
        if think_tags:
            from bruno_llm_base.text_filters import ThinkTags  # most providers do without

            self._think_tags = ThinkTags()

    @property
    def begun(self) -> bool:
        return self._answer.begun

    @property
    def is_settled(self) -> bool:
        return self._answer.is_settled

    @property
    def waits_for_end(self) -> bool:
        return self._answer.is_settled and not self._goes_on

    def read(  # noqa: C901 - flat, and fast
        self, documents: list[bytes], items: list[ModelResponse], *, whole: bool
    ) -> bool:
        parse, answer = self._parse, self._answer
        says_something = False
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
                data = _object(data, bare_list=not self._streams)
            try:
                part = checked(parse(data))
            except PARSE_ERRORS as error:
                part = self._read_otherwise(error, data, whole=whole)
            if not part.parts:
                part = self._read_again(part, data, whole=whole)
                if part is NOTHING:
                    continue
            says_something = True
            if self._think_tags is not None:
                part = self._think_tags.split(part)
            if answer.is_settled and part.parts:
                self._goes_on = True  # this server counts with every chunk
            answer.add(part)
            items.append(self._untorn(part) if self._is_torn else part)
            if part.error is not None:
                raise NoAnswerError(part.error)
            self.is_over = part.is_last or not self._streams
        return says_something and answer.begun

    def rest(self) -> list[ModelResponse]:
        if self._think_tags is None and self._joiner is None:
            return []
        parts = [] if self._think_tags is None else self._think_tags.rest()
        held = ModelResponse(parts=tuple(parts))
        self._answer.add(held)
        if self._joiner is not None:
            held = ModelResponse(parts=(*parts, *self._joiner.rest()))
        return [held] if held.parts else []

    def finished(self, after_end: list[bytes]) -> ModelResponse:
        answer = self._answer.finished()
        if answer.finish_reason is None:
            if not self.is_over:
                raise StreamError(
                    "the stream ended before the answer was complete: no finish_reason came"
                )
            if not self._streams and not answer.parts:
                raise InvalidResponseError("the answer holds neither text nor a finish_reason")
            answer.finish_reason = "tool_call" if answer.tool_calls else "stop"
        if answer.finish_reason == "error":
            word = answer.finish_detail
            raise StreamError(f"the answer broke off: the server says {word!r}", code=word)
        if self._after_end or after_end:
            answer.usage = answer.usage.updated(self._usage_of(self._after_end + after_end))
        return answer

    def partial(self) -> ModelResponse:
        return self._answer.finished()

    def _read_otherwise(self, error: Exception, data: Json, *, whole: bool) -> ModelResponse:
        """Read what the parser could not.

        Raises:
            NoAnswerError: It is an error in a spelling of its own.
            LLMError: Nothing can be made of it.
        """
        if is_programming_error(error):
            raise error
        part = self._whole_answer(data) if whole else None
        if part is None:
            raise _unreadable(error, data) from error
        return part

    def _read_again(self, part: ModelResponse, data: Json, *, whole: bool) -> ModelResponse:
        """Read *data*, in which *part* found nothing that the model says, for errors and whole answers.

        Raises:
            NoAnswerError: It is an error.
        """
        if is_error(data, readable=self._streams or part.finish_reason is not None):
            raise NoAnswerError(data)
        return (self._whole_answer(data) if whole else None) or part

    def _whole_answer(self, data: Json) -> ModelResponse | None:
        if self._parse_whole is None:
            return None
        answer = _parsed(self._parse_whole, data)
        if not answer.parts and answer.finish_reason is None:
            raise InvalidResponseError("the server answered as a whole, and not as documented")
        return answer

    def _untorn(self, part: ModelResponse) -> ModelResponse:
        """Return *part* with whole characters; halves wait for each other."""
        if self._joiner is None:
            from bruno_llm_base import text_filters  # most answers do without

            self._joiner = text_filters.SurrogateJoiner()
            self._answer.mend = text_filters.with_whole_characters
        return self._joiner.split(part)

    def _usage_of(self, documents: list[bytes]) -> Usage:
        """Return what is said of the tokens behind the last word: some servers count once more."""
        usage = Usage()
        try:
            for document in documents:
                if document != DONE:
                    usage = usage.updated(_parsed(self._parse, _object(from_json(document))).usage)
        except (LLMError, NoAnswerError, ValueError):
            return usage  # the answer is complete: nothing that follows can undo it
        return usage


class DocumentReader(Reader[T]):
    """Reads documents that are no model's answer, such as a list of models."""

    def __init__(self, parse: Callable[[Json], T], is_last: Callable[[T], bool] | None) -> None:
        """Start before the first document.

        Args:
            parse: Reads one.
            is_last: Says whether something is the end of the answer; None if one document is all.
        """
        super().__init__()
        self._parse = parse
        self._is_last = is_last
        self._last: Any = None

    def read(self, documents: list[bytes], items: list[T], *, whole: bool) -> bool:
        del whole
        for document in documents:
            if self.is_over:
                break
            try:
                data = from_json(document)
            except ValueError:
                data = _torn(document)
            item = _parsed(self._parse, _object(data, bare_list=self._is_last is None))
            items.append(item)
            self._last = item
            self.is_over = self._is_last is None or self._is_last(item)
        return True

    def finished(self, after_end: list[bytes]) -> T:
        del after_end
        if not self.is_over:
            raise StreamError("the stream ended before the answer was complete")
        return cast(T, self._last)


def _torn(document: bytes) -> object:
    """Return JSON in which characters are torn apart or wrongly encoded."""
    try:
        data: object = json.loads(document.decode(errors="replace"))
    except (ValueError, RecursionError):
        raise NoAnswerError(document) from None
    return data


def _object(data: object, *, bare_list: bool = False) -> Json:
    """Return *data* if it is an object, or a list, as `data` of one, where that may be."""
    if isinstance(data, dict):
        if data.get("error"):
            raise NoAnswerError(data)
        return data
    rows = data if isinstance(data, list) else []
    if any(isinstance(row, dict) and row.get("error") for row in rows):
        raise NoAnswerError(rows)
    if not isinstance(data, list) or not bare_list:
        raise InvalidResponseError("the server's answer is not a JSON object")
    return {"data": rows}


def _parsed(parse: Callable[[Json], T], data: Json) -> T:
    try:
        item = parse(data)
        if isinstance(item, ModelResponse):
            checked(item)
    except PARSE_ERRORS as error:
        if is_programming_error(error):
            raise
        raise _unreadable(error, data) from error
    if (
        isinstance(item, ModelResponse)
        and not item.parts
        and is_error(data, readable=item.finish_reason is not None)
    ):
        raise NoAnswerError(data)
    return item


def _unreadable(error: Exception, data: Json) -> Exception:
    """Return what stands for *error*, which a parser raised on *data*."""
    if is_error(data, readable=False):
        return NoAnswerError(data)
    message = f"the server's answer is not as documented: {describe_parse_error(error, data)}"
    return InvalidResponseError(message, cause=error)
