"""One request on its way: its attempts, what comes of them, and who is told."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bruno_llm_base.deadline import Deadline
from bruno_llm_base.exceptions import (
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    StreamError,
)
from bruno_llm_base.exchange import Exchange, Request, opened
from bruno_llm_base.framing import DONE
from bruno_llm_base.lenient import MISFITS, is_own_mistake
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
from bruno_llm_base.parts import Text
from bruno_llm_base.retry import next_wait
from bruno_llm_base.spending import fill_in
from bruno_llm_base.types import (
    NOTHING,
    Answer,
    Attempt,
    Cost,
    Json,
    ModelResponse,
    Outcome,
    Usage,
    checked,
)

if TYPE_CHECKING:
    from bruno_llm_base.cost.spending import Hold
    from bruno_llm_base.pipeline import Pipeline
    from bruno_llm_base.surrogates import Halves
    from bruno_llm_base.think_tags import ThinkTags

__all__ = ["Run"]


def checked_end(answer: ModelResponse) -> ModelResponse:
    """Return *answer*, which has an end of its own.

    Raises:
        StreamError: The model, or its server, stopped with an error.
    """
    if answer.finish_reason == "error":
        word = answer.finish_detail
        raise StreamError(f"the answer broke off: the server says {word!r}", code=word)
    return answer


class Run:
    """One request over all its attempts."""

    __slots__ = (
        "_after_end",
        "_answer",
        "_attempts",
        "_began",
        "_began_attempt",
        "_deadline",
        "_ended",
        "_exchange",
        "_goes_on",
        "_halves",
        "_hold",
        "_over",
        "_permits",
        "_pipeline",
        "_response",
        "_sent_first",
        "_spoken",
        "_think_tags",
        "request",
    )

    def __init__(self, pipeline: "Pipeline", request: Request) -> None:
        self._pipeline = pipeline
        self.request = request
        self._answer = Answer()
        self._after_end: list[bytes] = []
        self._attempts: list[Attempt] = []
        self._began: float | None = None
        self._began_attempt = 0.0
        self._deadline: Deadline | None = None
        self._sent_first: float | None = None
        self._exchange: Exchange | None = None
        self._permits: list[Permit] = []
        self._hold: Hold | None = None
        self._response: ModelResponse | None = None
        self._ended = False
        self._goes_on = False
        self._halves: Halves | None = None
        self._spoken = False
        self._think_tags: ThinkTags | None = None
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
        # the first transport loads its SDK, and prices are loaded once: no time limit counts that
        transport = await opened(pipeline.transport)
        if pipeline.spending is not None:
            await pipeline.prices.load()
        deadline = self._deadline = self._deadline or Deadline(pipeline.timeouts.call)
        with deadline:
            if (fit := self.request.fit) is not None:
                self.request = await fit(replace(self.request, fit=None), self._tell)
            for limit in pipeline.limits:
                self._permits.append(await limit.acquire(self.request.tokens))
            await self._hold_money()
        self._began_attempt = time.monotonic()
        self._sent_first = self._sent_first or self._began_attempt
        self._answer = Answer()
        self._after_end = []
        self._ended = self._goes_on = False
        self._halves = None
        if pipeline.think_tags:
            from bruno_llm_base.think_tags import ThinkTags  # most providers do without

            self._think_tags = ThinkTags()
        self._exchange = Exchange(
            transport, deadline, pipeline.timeouts, pipeline.read_error, pipeline.blot
        )
        return self._exchange

    async def end(self) -> None:
        """Close the attempt's connection, give its places back, and book its cost."""
        exchange, self._exchange = self._exchange, None
        outcome = self._outcome(exchange)
        try:
            if exchange is not None:
                await exchange.aclose()
            if outcome in (Outcome.NO_ANSWER, Outcome.PARTIAL):
                await self._load_prices()
        finally:
            self._settle(outcome)
            if exchange is not None:
                self._hear_limits(exchange)
            hold, self._hold = self._hold, None
            if hold is not None:
                with suppress(LLMTimeoutError), self._deadline or nullcontext():
                    await hold.__aexit__(None, None, None)

    @property
    def response(self) -> ModelResponse | None:
        """What the attempt has brought; None if it costs nothing."""
        return self._response

    async def _hold_money(self) -> None:
        spending, request = self._pipeline.spending, self.request
        if spending is None or not request.is_billed:
            return
        hold = spending.hold(
            self,
            model=request.model or "",
            most_input=lambda: request.most_input,
            most_output=self._pipeline.most_output(request.body or {}),
            tell=self._tell,
            labels=request.labels,
            unlisted=request.unlisted,
        )
        await hold.__aenter__()
        self._hold = hold

    def _outcome(self, exchange: Exchange | None) -> Outcome:
        if exchange is None:
            return Outcome.NOT_SENT
        if self._response is not None:
            return Outcome.ANSWERED
        return Outcome.PARTIAL if self._answer.begun else exchange.outcome

    def _settle(self, outcome: Outcome) -> None:
        """Give the attempt's places back, and see what it has cost, both by its *outcome* alone."""
        if outcome in (Outcome.NO_ANSWER, Outcome.PARTIAL):
            self._response = self._answer.finished()
            fill_in(self._response, self.request)
            self._response.cost = self._cost(self._response)
        tokens = 0 if self._response is None else self._response.usage.total_tokens
        while self._permits:
            permit = self._permits.pop()
            if outcome is Outcome.NOT_SENT:
                permit.cancel()
            else:
                permit.settle(tokens)

    def _hear_limits(self, exchange: Exchange) -> None:
        pipeline = self._pipeline
        for limit in pipeline.limits:
            if limit.counts_time:
                limit.lower(pipeline.read_limits(exchange.headers))

    def texts(  # noqa: C901, PLR0912 - flat, and fast
        self, exchange: Exchange, batch: list[bytes], parse: Callable[[Json], ModelResponse]
    ) -> Iterator[str]:
        """Yield the texts in *batch* one by one, nothing read ahead: what precedes an error counts.

        Raises:
            LLMError: A document is an error, or cannot be read.
        """
        answer = self._answer
        heard = False
        for document in batch:
            if self._ended:
                self._after_end.append(document)
                continue
            if document == DONE:
                self._ended = True
                continue
            data = exchange.read(document)
            try:  # as `Exchange.parsed` does, without the price of a call for every chunk
                part = checked(parse(data))
            except MISFITS as error:
                if is_own_mistake(error):
                    raise
                whole = exchange.whole_answer(data)
                if whole is None:
                    raise exchange.unreadable(error, data) from error
                part = whole
            if not part.parts:
                part = exchange.looked_at_again(part, data)
            if part is NOTHING:
                continue
            heard = True
            if self._think_tags is not None:
                part = self._think_tags.split(part)
            if answer.is_settled and part.parts:
                self._goes_on = True  # this server says so with every chunk
            answer.add(part)
            if exchange.is_torn:
                yield from self._untorn(part)
            else:
                for piece in part.parts:
                    if type(piece) is Text and piece.text:
                        if not self._spoken:
                            self._speak()
                        yield piece.text
            if part.error is not None:
                raise exchange.refusal(part.error)
            self._ended = part.is_last
        if answer.is_settled and not self._goes_on:
            exchange.expect_end()
        elif heard and answer.begun:
            exchange.expect_more()

    def held_texts(self) -> list[str]:
        """Return the texts that were held back, now that no more follows."""
        rest = [] if self._think_tags is None else self._think_tags.rest()
        self._answer.add(ModelResponse(parts=tuple(rest)))
        texts = [part.text for part in rest if isinstance(part, Text)]
        if self._halves is not None and (half := self._halves.rest()):
            texts.append(half)
        if texts and not self._spoken:
            self._speak()
        return texts

    def _untorn(self, part: ModelResponse) -> list[str]:
        """Return the texts of an answer in which characters are torn apart."""
        if self._halves is None:
            from bruno_llm_base.surrogates import Halves, mended  # most answers do without

            self._halves, self._answer.mend = Halves(), mended
        texts = self._halves.whole(part)
        if texts and not self._spoken:
            self._speak()
        return texts

    def _speak(self) -> None:
        self._spoken = True
        self._pipeline.prices.start_loading()
        self._tell(FirstToken, duration=self._elapsed())

    def delivered(self) -> None:
        """Note that the caller has some of the answer: from now on it is not asked for again."""
        self._spoken = True

    async def rest(self, exchange: Exchange, parse: Callable[[Json], ModelResponse]) -> Usage:
        """Return what is said of the tokens behind the last word: some servers count once more."""
        usage = Usage()
        try:
            for document in self._after_end + await exchange.drain():
                if document != DONE:
                    said = exchange.parsed(parse, exchange.read(document))
                    usage = usage.updated(said.usage)
        except LLMError:
            return usage  # the answer is complete: nothing that follows can undo it
        return usage

    async def more(self, exchange: Exchange) -> list[bytes] | None:
        """Return the documents of the next network read, or None at the end of the answer.

        Raises:
            LLMError: The connection broke off, or nothing came in time, before the answer was complete.
        """
        if self._ended:
            return None
        try:
            return await exchange.batch()
        except LLMError:
            if self._answer.is_settled:
                return None  # only the connection is lost
            raise

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._pipeline.provider

    def streamed(self) -> ModelResponse:
        """Return the streamed answer.

        Raises:
            StreamError: The stream ended before the model did, or the model stopped with an error.
        """
        answer = self._answer.finished()
        if answer.finish_reason is None:
            if not self._ended:
                raise StreamError(
                    "the stream ended before the answer was complete: no finish_reason came"
                )
            answer.finish_reason = "tool_call" if answer.tool_calls else "stop"
        return checked_end(answer)

    def check(self, exchange: Exchange, response: ModelResponse) -> None:
        """Put an answer that came as one document into the shape of a streamed one.

        Raises:
            LLMError: It holds an error, or the model stopped with one, or it says nothing.
        """
        if self._think_tags is not None:
            response.parts = self._think_tags.split(response).parts
            response.parts += tuple(self._think_tags.rest())
        self._answer.add(response)
        if exchange.is_torn:
            self._untorn(response)
        if response.error is not None:
            raise exchange.refusal(response.error)
        finished = checked_end(self._answer.finished())
        if finished.finish_reason is None and not finished.parts:
            raise InvalidResponseError("the answer holds neither text nor a finish_reason")
        response.parts = finished.parts
        response.finish_reason = finished.finish_reason or "stop"

    async def finish(self, exchange: Exchange, response: ModelResponse | None) -> None:
        """Tell that the request was answered, and add its story to the answer."""
        self._attempts.append(
            Attempt(duration=time.monotonic() - self._began_attempt, request_id=exchange.request_id)
        )
        if response is None:
            response = ModelResponse()
        self._pipeline.retry_throttle.earn()
        fill_in(response, self.request)
        await self._load_prices()
        response.cost = self._cost(response)
        response.provider = self._pipeline.provider
        response.request_id = response.request_id or exchange.request_id
        response.attempts = tuple(self._attempts)
        self._response = response
        self._end(RequestFinished, response=response)
        if self._pipeline.learn is not None:
            self._pipeline.learn(self.request, response)

    async def _load_prices(self) -> None:
        if self.request.is_billed:
            with suppress(LLMTimeoutError), self._deadline or nullcontext():
                await self._pipeline.prices.load()

    def _cost(self, response: ModelResponse) -> Cost | None:
        request = self.request
        if not request.is_billed:
            return None
        prices = self._pipeline.prices
        return prices.cost(response, request.model or "", unlisted=request.unlisted)

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
        if wait is not None and (deadline := self._deadline) and not deadline.leaves(wait):
            if deadline.leaves(0):
                error = deadline.exceeded(error)
            wait = None
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
        if self._deadline is not None:
            self._deadline.close()
        if self._began is not None:
            self._end(RequestAbandoned, response=self._response or self._answer.finished())

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
            error.partial = self._response or self._answer.finished()
        with suppress(LLMTimeoutError), self._deadline or nullcontext():
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
