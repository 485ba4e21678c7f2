"""One request on its way: its attempts, what comes of them, and who is told."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bruno_llm_base.exceptions import LLMError, StreamError
from bruno_llm_base.exchange import Exchange, Request, opened
from bruno_llm_base.framing import DONE
from bruno_llm_base.limits import Permit
from bruno_llm_base.observe import (
    AttemptFailed,
    Event,
    FirstToken,
    RequestAbandoned,
    RequestFailed,
    RequestFinished,
    RequestStarted,
    tell,
)
from bruno_llm_base.pricing import Tariff
from bruno_llm_base.retry import next_wait
from bruno_llm_base.spending import Spending, fill_in
from bruno_llm_base.types import NOTHING, Answer, Attempt, Json, ModelResponse, Usage

if TYPE_CHECKING:
    from bruno_llm_base.pipeline import Pipeline

__all__ = ["Run"]

class Run:
    """One request over all its attempts."""

    __slots__ = (
        "_answer",
        "_attempts",
        "_began",
        "_began_attempt",
        "_ended",
        "_exchange",
        "_over",
        "_permits",
        "_pipeline",
        "_response",
        "_sent_first",
        "_spending",
        "_spoken",
        "request",
    )

    def __init__(self, pipeline: "Pipeline", request: Request) -> None:
        self._pipeline = pipeline
        self.request = request
        self._answer = Answer()
        self._attempts: list[Attempt] = []
        self._began: float | None = None
        self._began_attempt = 0.0
        self._sent_first: float | None = None
        self._exchange: Exchange | None = None
        self._permits: list[Permit] = []
        self._spending = Spending(pipeline)
        self._response: ModelResponse | None = None
        self._ended = False
        self._spoken = False
        self._over = False

    async def begin(self) -> Exchange:
        """Wait for a place, and return the next attempt.

        Raises:
            LLMError: There is no place for it.
        """
        pipeline = self._pipeline
        self._began_attempt = time.monotonic()
        self._response = None
        if self._began is None:
            self._began = self._began_attempt
            self._tell(RequestStarted)
            if (fit := self.request.fit) is not None:
                self.request = await fit(replace(self.request, fit=None), self._tell)
            await self._spending.prepare()
        for limit in pipeline.limits:
            self._permits.append(await limit.acquire(self.request.tokens))
        self._spending.reserve(self.request, self._tell)
        transport = await opened(pipeline.transport)
        self._began_attempt = time.monotonic()
        self._sent_first = self._sent_first or self._began_attempt
        self._answer = Answer()
        self._ended = False
        self._exchange = Exchange(transport, pipeline.timeouts, pipeline.read_error, pipeline.blot)
        return self._exchange

    async def end(self) -> None:
        """Close the attempt's connection, give its places back, and book its cost."""
        exchange, self._exchange = self._exchange, None
        try:
            if exchange is not None:
                await exchange.aclose()
        finally:
            if exchange is not None and exchange.sent and self._response is None:
                self._break_off(exchange)
            self._settle(sent=exchange is not None and exchange.sent)
            if exchange is not None:
                self._hear_limits(exchange)

    def _settle(self, *, sent: bool) -> None:
        used = None if self._response is None else self._response.usage.total_tokens
        while self._permits:
            permit = self._permits.pop()
            if sent:
                permit.settle(used)
            else:
                permit.cancel()
        self._spending.settle(self._response)

    def _break_off(self, exchange: Exchange) -> None:
        """Estimate what an attempt without an answer has cost.

        A server that refuses bills nothing. Another bills what it has read and written: of a stream
        as far as it came; of a whole answer nobody has seen anything, so the most that it may be.
        """
        if exchange.refused and not self._answer.begun:
            return
        request, pipeline = self.request, self._pipeline
        unread = 0 if request.operation == "stream" else pipeline.most_output(request.body or {})
        self._response = self._answer.whole()
        fill_in(self._response, request, unread=unread or 0)
        self._response.pricing = self._tariff()

    def _hear_limits(self, exchange: Exchange) -> None:
        pipeline = self._pipeline
        for limit in pipeline.limits:
            if limit.counts_time:
                limit.lower(pipeline.read_limits(exchange.headers))

    def texts(
        self, exchange: Exchange, batch: list[bytes], parse: Callable[[Json], ModelResponse]
    ) -> Iterator[str]:
        """Yield the texts in *batch* one by one, nothing read ahead: what precedes an error counts."""
        answer = self._answer
        heard = False
        for document in batch:
            if document == DONE:
                self._ended = True
                continue
            part = exchange.parsed(parse, exchange.read(document))
            if part is NOTHING:
                continue
            heard = True
            answer.add(part)
            if part.text:
                if not self._spoken:
                    self._spoken = True
                    self._tell(FirstToken, duration=self._elapsed())
                yield part.text
        if heard and answer.begun:
            exchange.expect_more()

    def delivered(self) -> None:
        """Note that the caller has some of the answer: from now on it is not asked for again."""
        self._spoken = True

    def recount(
        self, exchange: Exchange, rest: list[bytes], parse: Callable[[Json], ModelResponse]
    ) -> Usage:
        """Return what *rest* says of the tokens: some servers count once more after the end."""
        usage = Usage()
        try:
            for document in rest:
                if document != DONE:
                    usage += exchange.parsed(parse, exchange.read(document)).usage
        except LLMError:
            return usage  # the answer is complete: nothing that follows can undo it
        return usage

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._pipeline.provider

    @property
    def complete(self) -> bool:
        """Whether nothing that matters can follow."""
        return self._ended or self._answer.complete

    def whole(self) -> ModelResponse:
        """Return the streamed answer.

        Raises:
            StreamError: The stream ended before the model did.
        """
        if self._answer.finish_reason is None:
            raise StreamError("the stream ended before the answer was complete")
        answer = self._answer.whole()
        # a fragment that never got a name belongs to a tool that the vendor runs itself
        answer.tool_calls = tuple(call for call in answer.tool_calls if call.name)
        for call in answer.tool_calls:
            call.arguments = call.arguments or "{}"
        return answer

    def finish(self, exchange: Exchange, response: ModelResponse | None) -> None:
        """Tell that the request was answered, and add its story to the answer."""
        self._attempts.append(
            Attempt(duration=time.monotonic() - self._began_attempt, request_id=exchange.request_id)
        )
        if response is None:
            response = ModelResponse()
        self._pipeline.retry_throttle.earn()
        fill_in(response, self.request)
        response.pricing = self._tariff()
        response.provider = self._pipeline.provider
        response.request_id = response.request_id or exchange.request_id
        response.attempts = tuple(self._attempts)
        self._response = response
        self._end(RequestFinished, response=response)
        if self._pipeline.learn is not None:
            self._pipeline.learn(self.request, response)

    def _tariff(self) -> Tariff:
        request = self.request
        return self._pipeline.pricing.of(request.model or "", unlisted=request.unlisted)

    async def again(self, error: LLMError) -> None:
        """Return when the request may be sent again.

        Raises:
            LLMError: It is not to be sent again: *error*, with all that is known.
        """
        attempt = Attempt(
            duration=time.monotonic() - self._began_attempt,
            error=type(error).__name__,
            status_code=error.status_code,
            request_id=error.request_id,
            retry_after=error.retry_after,
        )
        self._attempts.append(attempt)
        wait = None if self._spoken else self._wait(error)
        if wait is not None:
            number = len(self._attempts)
            self._tell(AttemptFailed, attempt=attempt, number=number, wait=wait)
            await asyncio.sleep(wait)
            return
        await self._finish_off(error)
        try:
            raise error
        finally:
            del error  # its traceback holds this frame

    def close(self) -> None:
        """Tell of a request whose caller has left."""
        if self._began is not None:
            self._end(RequestAbandoned, response=self._response or self._answer.whole())

    def _wait(self, error: LLMError) -> float | None:
        pipeline = self._pipeline
        if (body := pipeline.amend(self.request, error)) is not None:
            self.request = replace(self.request, body=body)
            return 0.0
        elapsed = 0.0 if self._sent_first is None else time.monotonic() - self._sent_first
        wait = next_wait(pipeline.retry, error, failed=len(self._attempts), elapsed=elapsed)
        if wait is not None and not pipeline.retry_throttle.spend():
            error.message += "; not tried again, since too many requests have failed lately"
            return None
        return wait

    async def _finish_off(self, error: LLMError) -> None:
        """Put all that is known on *error*, and tell of it."""
        error.attempts = tuple(self._attempts)
        error.provider = self._pipeline.provider
        error.model = self.request.model
        if self._answer.begun:
            error.partial = self._response or self._answer.whole()
        await self._pipeline.explain(error)
        self._end(RequestFailed, error=error)

    def _elapsed(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began

    def _end(self, kind: type[Event], **facts: object) -> None:
        if not self._over:
            self._over = True
            self._tell(kind, duration=self._elapsed(), **facts)

    def _tell(self, kind: type[Event], /, **facts: Any) -> None:
        pipeline, request = self._pipeline, self.request
        event = kind(
            provider=pipeline.provider, model=request.model, operation=request.operation, **facts
        )
        tell(pipeline.observers, event)
