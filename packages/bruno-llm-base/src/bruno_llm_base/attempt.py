"""One attempt of a request: on the wire, within its time limits, with errors of ours only."""

from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, cast
from weakref import WeakSet

from jiter import from_json

from bruno_llm_base.adapter import Adapter
from bruno_llm_base.deadline import Deadline
from bruno_llm_base.error_documents import is_page, plain_text
from bruno_llm_base.error_mapping import ErrorFacts, error_from, read_error_document, server_wait
from bruno_llm_base.events import RequestStarted
from bruno_llm_base.exceptions import (
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    ServiceUnavailableError,
    StreamError,
)
from bruno_llm_base.lenient import PARSE_ERRORS
from bruno_llm_base.limits import LimitState
from bruno_llm_base.log import LOGGER
from bruno_llm_base.reader import NoAnswerError, Reader
from bruno_llm_base.request import Endpoint, Request
from bruno_llm_base.response import ModelResponse, Outcome
from bruno_llm_base.tokens import estimate_tokens
from bruno_llm_base.transport import (
    DROPPED,
    UNREACHABLE,
    Connection,
    LargeBody,
    Reply,
    Transport,
    transport_error,
)

T = TypeVar("T")
_DRAIN_SECONDS, _DRAIN_READS = 0.1, 64
_END_SECONDS = 2.0
_NO_STREAM = ("application/json", "text/html", "text/plain")
_LONGEST_QUOTE = 200
_TOO_MANY = 429
_REDACTED = "***"
_NOTHING = nullcontext()
_UNANSWERED = (InvalidResponseError, LLMTimeoutError, StreamError)

_has_answered: WeakSet[Transport] = WeakSet()
"""The transports that do not tell of their connections, and have been answered before."""


@dataclass(slots=True, eq=False)
class Attempt(Generic[T]):
    """A request and the answer to it: `send` it, `read` it to the end, `aclose` it whatever happens.

    Attributes:
        outcome: How far it has come.
        request_id: The server's name for the request.
        result: What was asked for, once all of it was read.
        response: At the end: the answer, or what has arrived of it; None if that costs nothing.
    """

    endpoint: Endpoint
    request: Request[T]
    transport: Transport
    deadline: Deadline
    outcome: Outcome = Outcome.NOT_SENT
    request_id: str | None = None
    result: T | None = None
    response: ModelResponse | None = None
    _reader: Reader[T] = field(init=False)
    _reply: Reply | None = None
    _failure: LLMError | None = None
    _has_ended: bool = False

    async def send(self) -> list[T]:
        """Send the request, and return what has come when the server accepts it.

        That is all of an answer that comes as a whole, and mostly nothing of a stream. The caller
        waits for it within the deadline.

        Raises:
            LLMError: The server cannot be reached, refuses, or takes too long.
        """
        request, prices = self.request, self.endpoint.prices
        self._reader = request.reader()
        if request.is_billed and not request.stream and not prices.are_loaded:
            prices.start_loading()
        try:
            reply = self._reply = await self._fetch()
            is_refused = not 200 <= reply.status_code < 300
            if is_refused or not request.stream:
                body = (await reply.read()).removeprefix(BOM_UTF8)
                self._has_ended = True
            elif request.most_bytes:
                reply.most = request.most_bytes
            elif reply.headers.get("content-type", "").startswith(_NO_STREAM):
                async for documents in reply:  # it may be an error
                    if documents:
                        return self._parse(reply, documents)
        except Exception as error:
            if isinstance(error, LLMError):
                raise
            ours = self._broken(error)
            raise ours from ours.cause
        if is_refused:
            said: object = body.decode(errors="replace")
            with suppress(ValueError):
                said = from_json(body)
            raise self._refusal(reply, said)
        return self._parse(reply, [body]) if self._has_ended else []

    async def read(self) -> list[T] | None:
        """Return what the next network read holds, or None at the end of the answer.

        What precedes an error in one read is returned first, and the next call raises the error.

        Raises:
            LLMError: The connection broke off, nothing came in time, or the server reports an error.
        """
        if self._failure is not None:
            failure, self._failure = self._failure, None
            try:
                raise failure
            finally:
                del failure  # its traceback holds this frame: together, a cycle
        reply, reader = cast(Reply, self._reply), self._reader
        if not self._has_ended and not reader.is_over:
            if (documents := await self._documents(reply)) is not None:
                return self._parse(reply, documents)
            self._has_ended = True
        if rest := reader.rest():
            return rest
        after_end = [] if self._has_ended else await self._drain(reply)
        self.result = reader.finished(after_end)
        self.outcome = Outcome.ANSWERED
        return None

    async def aclose(self) -> None:
        """Close the connection, or give it back if the body was read to its end."""
        self._failure = None
        self.deadline.close()
        is_free = self.outcome in (Outcome.NOT_SENT, Outcome.REFUSED)
        try:
            if self._reply is not None:
                try:
                    await self._reply.aclose()
                except Exception as error:  # noqa: BLE001 - the answer counts, not its connection
                    LOGGER.debug("closing a connection failed: %s", type(error).__name__)
            prices = self.endpoint.prices
            if self.request.is_billed and not is_free and not prices.are_loaded:
                await prices.load()
        finally:
            if not is_free:
                self._settle()

    @property
    def limits_of_server(self) -> LimitState | None:
        """What the server says of its own limits."""
        reply = self._reply
        return None if reply is None else self.request.adapter.read_limits(reply.headers)

    async def _fetch(self) -> Reply:
        request, endpoint = self.request, self.endpoint
        self.outcome = Outcome.NO_ANSWER  # until we hear better
        around = endpoint.observers.around and endpoint.observers.enter(
            RequestStarted(**endpoint.facts(request), **endpoint.asked(request))
        )
        with Connection() as connection, around or _NOTHING:
            try:
                body = LargeBody(request.body or {}) if request.is_large else request.body
                reply = await self.transport.send(request.method, request.path, body)
            except BaseException as error:
                self.outcome = self._outcome_of(error, connection)
                raise
        if connection.is_reused is None:
            _has_answered.add(self.transport)
        self.request_id = redacted(reply.request_id, endpoint.secrets)
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
                is_reused = self.transport in _has_answered
            return Outcome.NOT_SENT if is_reused else Outcome.NO_ANSWER
        is_told = isinstance(error, LLMError) and not isinstance(error, _UNANSWERED)
        return Outcome.REFUSED if is_told else Outcome.NO_ANSWER  # as a mock does

    async def _documents(self, reply: Reply) -> list[bytes] | None:
        """Return the documents of the next network read, or None at the end of the body."""
        try:
            with self.deadline:
                return await anext(reply)
        except StopAsyncIteration:
            return None
        except Exception as error:
            if self._reader.is_settled:
                return None  # only the connection is lost
            if isinstance(error, LLMError):
                raise
            ours = self._broken(error)
            raise ours from ours.cause

    def _broken(self, error: Exception) -> LLMError:
        """Return the error of ours for one of the network's."""
        ours = transport_error(error, self.endpoint.timeouts.connect)
        reply = self._reply
        has_begun = reply is not None and 200 <= reply.status_code < 300 and self.request.stream
        if has_begun and isinstance(ours, ServiceUnavailableError):
            return StreamError(ours.message, cause=ours.cause)
        return ours

    def _parse(self, reply: Reply, documents: list[bytes]) -> list[T]:
        """Return what *documents* say; an error among them waits for the next read."""
        items: list[T] = []
        reader, failure, goes_on = self._reader, None, False
        try:
            goes_on = reader.read(documents, items, whole=reply.whole)
        except NoAnswerError as error:
            failure = self._refusal(reply, error.said)
        except LLMError as error:
            failure = error
        if reader.begun:
            self.outcome = Outcome.PARTIAL
        if failure is None:
            if self._has_ended:
                return items
            if reader.waits_for_end:
                self.deadline.arm(_END_SECONDS, "end of the answer")
            elif goes_on:
                self.deadline.arm(self.endpoint.timeouts.between_tokens, "further token")
            return items
        try:
            if not items:
                raise failure
            self._failure = failure
        finally:
            del failure  # its traceback holds this frame: together, a cycle
        return items

    async def _drain(self, reply: Reply) -> list[bytes]:
        """Return what follows the last word, so that the connection can be used again."""
        self.deadline.arm(_DRAIN_SECONDS, "end of the body")
        rest: list[bytes] = []
        with suppress(Exception), self.deadline:  # the answer is complete, whatever follows
            for _ in range(_DRAIN_READS):
                rest += await anext(reply)
        return rest

    def _refusal(self, reply: Reply, said: object) -> LLMError:
        """Return the error that *said* stands for: any JSON or text, or the bytes of neither."""
        if isinstance(said, bytes):
            return self._no_json(reply, said)
        if not self._reader.begun:
            self.outcome = Outcome.REFUSED
        endpoint, adapter = self.endpoint, self.request.adapter
        status, headers = reply.status_code, reply.headers
        facts = error_facts(adapter, status, headers, said, endpoint.secrets)
        if facts.retry_after is None and status == _TOO_MANY and server_wait(headers) is None:
            limits = adapter.read_limits(headers)
            facts = replace(facts, retry_after=None if limits is None else limits.wait)
        facts = replace(facts, request_id=facts.request_id or self.request_id)
        return error_from(facts, status, headers)

    def _no_json(self, reply: Reply, document: bytes) -> LLMError:
        """Return the error for *document*, which is not JSON: a page, or words for what is wrong."""
        text = document.decode(errors="replace")
        words = redacted(plain_text(text), self.endpoint.secrets)[:_LONGEST_QUOTE]
        if is_page(text):
            return InvalidResponseError(
                f"the server answered with a web page, not with JSON: {words!r}; check base_url, and"
                " whether a proxy or a login page stands in between"
            )
        if not words or text.lstrip()[:1] in ("{", "[", '"'):
            return InvalidResponseError("the server's answer is not a JSON object")
        if read_error_document(reply.status_code, text).kind is not None:
            return self._refusal(reply, text)
        return InvalidResponseError(f"the server's answer is not JSON: {words!r}")

    def _settle(self) -> None:
        """Say what the attempt has taken: what was not seen is never assumed."""
        result, request, endpoint = self.result, self.request, self.endpoint
        response = result if isinstance(result, ModelResponse) else self._reader.partial()
        if request.is_billed:
            if not response.usage.input_tokens or not response.usage.output_tokens:
                _estimate_missing(response, request)
            model, unpriced_field = request.model or "", request.unpriced_field
            response.cost = endpoint.prices.cost(response, model, unpriced_field=unpriced_field)
        response.provider = endpoint.provider
        response.request_id = response.request_id or self.request_id
        self.response = response


def error_facts(
    adapter: Adapter, status: int, headers: Mapping[str, str], said: object, secrets: Sequence[str]
) -> ErrorFacts:
    """Return what a server's error *said*, any JSON, without our *secrets*."""
    data = redacted(said if isinstance(said, dict) else {"error": said}, secrets)
    try:
        return adapter.read_error(status, headers, data)
    except PARSE_ERRORS:
        return read_error_document(status, data)  # no document that the vendor knows


def redacted(said: Any, secrets: Sequence[str]) -> Any:
    """Return what a server *said*, any JSON, without our *secrets*: some repeat what they were sent."""
    if isinstance(said, str):
        for secret in secrets:
            said = said.replace(secret, _REDACTED)
    elif isinstance(said, dict):
        return {redacted(name, secrets): redacted(value, secrets) for name, value in said.items()}
    elif isinstance(said, list):
        return [redacted(value, secrets) for value in said]
    return said


def _estimate_missing(response: ModelResponse, request: Request[Any]) -> None:
    """Estimate what the server did not say of the usage, and flag it.

    A count of 0 says nothing where something was read or written: some servers count nothing, and
    say 0 for that.
    """
    read, written = response.usage.input_tokens, response.usage.output_tokens
    calls = (text for call in response.tool_calls for text in (call.name or "", call.arguments))
    said = (response.text, response.reasoning, *calls)
    counted = replace(
        response.usage,
        input_tokens=read or request.estimated_input,
        output_tokens=written or sum(map(estimate_tokens, said)),
    )
    if not read:
        media = request.media_tokens()
        counted = replace(
            counted, input_audio_tokens=media.get("audio"), input_image_tokens=media.get("image")
        )
    if counted != response.usage:
        response.usage, response.usage_estimated = counted, True
