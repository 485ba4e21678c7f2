"""One attempt of a request: on the wire, within its time limits, with errors of ours only."""

import json
from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from jiter import from_json

from bruno_llm_base.conversation import Conversation
from bruno_llm_base.deadline import Deadline
from bruno_llm_base.error_documents import is_error, is_page, plain_text
from bruno_llm_base.error_kinds import read_error_document
from bruno_llm_base.exceptions import (
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    ServiceUnavailableError,
    StreamError,
)
from bruno_llm_base.failures import ErrorFacts, error_from, request_id
from bruno_llm_base.lenient import MISFITS, is_own_mistake, misfit
from bruno_llm_base.policies import Timeouts
from bruno_llm_base.tokens import estimate_conversation, estimate_tokens
from bruno_llm_base.transport import (
    CONNECT_TIMEOUT,
    DROPPED,
    UNREACHABLE,
    Connection,
    Reply,
    Transport,
    transport_error,
)
from bruno_llm_base.types import Json, ModelResponse, Outcome

if TYPE_CHECKING:
    from bruno_llm_base.cost.tracker import Labels
    from bruno_llm_base.observe import Tell

__all__ = ["Exchange", "ReadError", "Request", "opened"]

_T = TypeVar("_T")
_DRAIN_SECONDS, _DRAIN_READS = 0.1, 64
_END_SECONDS = 2.0
_WHOLE = ("application/json", "text/html", "text/plain")
_TOOL_TOKENS = 2_000
_LONGEST_QUOTE = 200

_UNANSWERED = (InvalidResponseError, LLMTimeoutError, StreamError)
_has_answered: WeakSet[Transport] = WeakSet()
"""The transports that do not tell of their connections, and have been answered before."""

ReadError = Callable[[int, Mapping[str, str], Json], ErrorFacts]
"""Reads a vendor's error document, given the HTTP status and headers."""


@dataclass(slots=True, kw_only=True)
class Request:
    """What is to be sent.

    Attributes:
        operation: What it is called in events; "stream" where a model's answer is streamed.
        path: The endpoint, as the vendor's documentation spells it.
        method: The HTTP method.
        body: The JSON to send.
        model: The model it is for.
        tokens: About how many tokens it takes, input and output; 0 where nobody counts.
        conversation: What is asked; None for requests that are no part of one.
        texts: What is to be embedded; none for requests that do not embed.
        labels: What its cost is booked under.
        unlisted: The field for which the vendor charges what no list of prices tells, if any.
        whole: Reads an answer that comes as a whole, for servers that do not stream.
        fit: Returns the request as it fits the context window, where that is in doubt; is given
            the request, since holding it would make a cycle, and whom to tell.
    """

    operation: str
    path: str
    method: str = "POST"
    body: Json | None = None
    model: str | None = None
    tokens: int = 0
    conversation: Conversation | None = None
    texts: Sequence[str] = ()
    labels: "Labels | None" = None
    unlisted: str | None = None
    whole: Callable[[Json], ModelResponse] | None = None
    fit: "Callable[[Request, Tell], Awaitable[Request]] | None" = None

    @property
    def is_billed(self) -> bool:
        """Whether the answer costs anything: lists of models and counts of tokens do not."""
        return self.conversation is not None or bool(self.texts)

    @property
    def estimated_input(self) -> int:
        """About how many tokens its input takes, without what frames it."""
        if self.conversation is not None:
            return estimate_conversation(self.conversation)
        return sum(map(estimate_tokens, self.texts))

    @property
    def most_input(self) -> int:
        """More tokens than its input can take: one per byte, and the vendor's own words for tools.

        Those are some hundreds at Anthropic, who publishes them (Tool use, "Pricing").
        """
        size = len(json.dumps(self.body, ensure_ascii=False).encode())
        return size + (_TOOL_TOKENS if self.body and self.body.get("tools") else 0)


async def opened(open_transport: Callable[[], Awaitable[Transport]]) -> Transport:
    """Return a transport, which is no part of any time limit: a first one loads its SDK.

    Raises:
        LLMError: It cannot be opened.
    """
    try:
        return await open_transport()
    except LLMError:
        raise
    except Exception as error:
        raise transport_error(error) from error


class Exchange:
    """A request and the answer to it. Close it whatever happens.

    Attributes:
        request_id: The server's name for the request.
        outcome: How far it has come, as far as that is known without reading the answer.
        is_torn: Whether characters of the answer are torn apart or wrongly encoded.
    """

    __slots__ = (
        "_ahead",
        "_blot",
        "_deadline",
        "_read_error",
        "_reply",
        "_timeouts",
        "_transport",
        "_whole",
        "is_torn",
        "outcome",
        "request_id",
    )

    def __init__(
        self,
        transport: Transport,
        deadline: Deadline,
        timeouts: Timeouts,
        read_error: ReadError,
        blot: Callable[[Any], Any],
    ) -> None:
        self._transport = transport
        self._blot = blot
        self.is_torn = False
        self._timeouts = timeouts
        self._read_error = read_error
        self._deadline = deadline
        self._deadline.begin(timeouts.total)
        self._deadline.arm(timeouts.first_token, "first token")
        self._reply: Reply | None = None
        self._ahead: list[bytes] = []
        self._whole: Callable[[Json], ModelResponse] | None = None
        self.request_id: str | None = None
        self.outcome = Outcome.NOT_SENT

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer; none where there is no answer."""
        return {} if self._reply is None else self._reply.headers

    async def send(self, request: Request, *, stream: bool) -> None:
        """Send *request* and wait until the server accepts it.

        Args:
            request: What to send.
            stream: Whether the answer is to be read piece by piece.

        Raises:
            LLMError: The server cannot be reached, refuses, or takes too long.
        """
        reply = await self._bounded(self._fetch(request))
        self.request_id = self._blot(request_id(reply.headers))
        if not 200 <= reply.status_code < 300:
            raise self.refusal(_said(await self._bounded(reply.read())))
        self._whole = request.whole
        if stream and reply.headers.get("content-type", "").startswith(_WHOLE):
            await self._look_ahead()

    async def _look_ahead(self) -> None:
        """Read what may be no stream until it is known to be one, or an answer.

        Raises:
            LLMError: It is an error, or neither.
        """
        while not self._ahead:
            batch = await self.batch()
            if batch is None:
                return
            self._ahead = batch
        self.whole_answer(self.read(self._ahead[0]))

    async def document(self) -> Json:
        """Return the whole answer; a bare list is its `data`.

        Raises:
            LLMError: It does not come, is an error, or is no JSON.
        """
        body = await self._bounded(self._sent().read())
        return self.read(body.removeprefix(BOM_UTF8), bare_list=True)

    async def batch(self) -> list[bytes] | None:
        """Return the documents of the next network read, or None at the end of the body.

        Raises:
            StreamError: The connection broke off.
            LLMTimeoutError: Nothing came in time.
        """
        if self._ahead:
            batch, self._ahead = self._ahead, []
            return batch
        try:
            with self._deadline:
                return await anext(self._sent())
        except StopAsyncIteration:
            return None
        except LLMError:
            raise
        except Exception as error:
            raise _broken_off(error) from error

    def read(self, document: bytes, *, bare_list: bool = False) -> Json:
        """Return *document* as JSON.

        Args:
            document: What the server has said.
            bare_list: Whether it may be a list, which becomes the field `data`.

        Raises:
            LLMError: It is the server's word for an error, or not a JSON object.
        """
        try:
            data = from_json(document)
        except ValueError:
            data = self._read_torn(document)
        if not isinstance(data, dict):
            return self._read_list(data, bare_list=bare_list)
        if data.get("error"):
            raise self.refusal(data)
        return data

    def _read_torn(self, document: bytes) -> object:
        """Return JSON in which characters are torn apart or wrongly encoded."""
        try:
            data: object = json.loads(document.decode(errors="replace"))
        except (ValueError, RecursionError):
            raise self._no_json(document) from None
        self.is_torn = True
        return data

    def _read_list(self, data: object, *, bare_list: bool) -> Json:
        rows = data if isinstance(data, list) else []
        if any(isinstance(row, dict) and row.get("error") for row in rows):
            raise self.refusal(rows)
        if not isinstance(data, list) or not bare_list:
            raise InvalidResponseError("the server's answer is not a JSON object")
        return {"data": rows}

    def parsed(self, parse: Callable[[Json], _T], data: Json) -> _T:
        """Return what *parse* makes of *data*.

        Raises:
            LLMError: It is an error in a spelling of its own, or nothing can be made of it.
        """
        try:
            item = parse(data)
        except MISFITS as error:
            if is_own_mistake(error):
                raise
            raise self.unreadable(error, data) from error
        if (
            isinstance(item, ModelResponse)
            and not item.parts
            and is_error(data, readable=item.finish_reason is not None)
        ):
            raise self.refusal(data)
        return item

    def unreadable(self, error: Exception, data: Json) -> LLMError:
        """Return ours for *error*, which a parser raised on *data*."""
        if is_error(data, readable=False):
            return self.refusal(data)
        message = f"the server's answer is not as documented: {misfit(error, data)}"
        return InvalidResponseError(message, cause=error)

    def looked_at_again(self, part: ModelResponse, data: Json) -> ModelResponse:
        """Return *part*, in which nothing is said, unless *data* is a whole answer.

        Raises:
            LLMError: It is an error.
        """
        if is_error(data, readable=True):
            raise self.refusal(data)
        return self.whole_answer(data) or part

    def whole_answer(self, data: Json) -> ModelResponse | None:
        """Return the answer in *data* where the server has answered a stream as a whole.

        Raises:
            LLMError: It has, and this is no answer.
        """
        if self._whole is None or not self._sent().whole:
            return None
        answer = self.parsed(self._whole, data)
        if not answer.parts and answer.finish_reason is None:
            raise InvalidResponseError("the server answered as a whole, and not as documented")
        return answer

    def expect_more(self) -> None:
        """Start waiting for the next sign of an answer that has begun."""
        self._deadline.arm(self._timeouts.between_tokens, "further token")

    def expect_end(self) -> None:
        """Start waiting for the last word of an answer that is there: but for it, all has been said."""
        self._deadline.arm(_END_SECONDS, "end of the answer")

    async def drain(self) -> list[bytes]:
        """Return what may follow the end of the answer, so that the connection can be used again."""
        self._deadline.arm(_DRAIN_SECONDS, "end of the body")
        rest: list[bytes] = []
        for _ in range(_DRAIN_READS):
            try:
                batch = await self.batch()
            except LLMError:
                break  # the answer is complete; only the connection is lost
            if batch is None:
                break
            rest += batch
        return rest

    async def aclose(self) -> None:
        """Close the connection, or give it back if the body was read to its end."""
        self._deadline.close()
        if self._reply is not None:
            await self._reply.aclose()

    async def _fetch(self, request: Request) -> Reply:
        self.outcome = Outcome.NO_ANSWER  # until we hear better
        transport = self._transport
        with Connection() as connection:
            try:
                reply = await transport.send(request.method, request.path, request.body)
            except BaseException as error:
                self.outcome = self._outcome_of(error, connection)
                raise
        if connection.is_reused is None:
            _has_answered.add(transport)
        self._reply = reply
        return reply

    def _outcome_of(self, error: BaseException, connection: Connection) -> Outcome:
        """Return how far a request came that got no answer, but *error*.

        A server closes connections that are idle. One that breaks off before the first byte of an
        answer was most likely closed before the request arrived, if it had been used before.
        """
        if connection.is_open is False:
            return Outcome.NOT_SENT
        if not isinstance(error, Exception):
            return Outcome.NO_ANSWER
        ours = transport_error(error)
        if ours.code == UNREACHABLE:
            return Outcome.NOT_SENT
        if ours.code == DROPPED:
            is_reused = connection.is_reused
            if is_reused is None:
                is_reused = self._transport in _has_answered
            return Outcome.NOT_SENT if is_reused else Outcome.NO_ANSWER
        is_told = isinstance(error, LLMError) and not isinstance(error, _UNANSWERED)
        return Outcome.REFUSED if is_told else Outcome.NO_ANSWER  # as a mock does

    async def _bounded(self, awaitable: Awaitable[_T]) -> _T:
        try:
            with self._deadline:
                return await awaitable
        except LLMError:
            raise
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> LLMError:
        ours = transport_error(error)
        if ours.message == CONNECT_TIMEOUT and self._timeouts.connect is not None:
            ours.message = f"no connection within {self._timeouts.connect} s"
        return ours

    def _sent(self) -> Reply:
        if self._reply is None:
            raise RuntimeError("send() comes first")
        return self._reply

    def refusal(self, said: object) -> LLMError:
        """Return the error that *said*, any JSON or text, stands for."""
        reply = self._sent()
        self.outcome = Outcome.REFUSED
        data = said if isinstance(said, dict) else {"error": said}
        data = self._blot(data)  # some servers repeat what they were sent, the key as well
        try:
            facts = self._read_error(reply.status_code, reply.headers, data)
        except MISFITS:
            facts = read_error_document(
                reply.status_code, data
            )  # no document that the vendor knows
        facts = replace(facts, request_id=facts.request_id or self.request_id)
        return error_from(facts, reply.status_code, reply.headers)

    def _no_json(self, document: bytes) -> LLMError:
        """Return the error for *document*, which is no JSON: a page, or words for what is wrong."""
        text = document.decode(errors="replace")
        words = self._blot(plain_text(text))[:_LONGEST_QUOTE]
        if is_page(text):
            return InvalidResponseError(
                f"the server answered with a web page, not with JSON: {words!r}; check base_url, and"
                " whether a proxy or a login page stands in between"
            )
        if not words or text.lstrip()[:1] in ("{", "[", '"'):
            return InvalidResponseError("the server's answer is not a JSON object")
        if read_error_document(self._sent().status_code, text).kind is not None:
            return self.refusal(text)
        return InvalidResponseError(f"the server's answer is not JSON: {words!r}")


def _broken_off(error: Exception) -> LLMError:
    ours = transport_error(error)
    if isinstance(ours, ServiceUnavailableError):
        return StreamError(ours.message, cause=error)
    return ours


def _said(body: bytes) -> object:
    """Return the JSON that *body* is, or else its text."""
    bare = body.removeprefix(BOM_UTF8)
    try:
        said: object = from_json(bare)
    except ValueError:
        said = bare.decode(errors="replace")
    return said
