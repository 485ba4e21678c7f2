"""One request over all its attempts: the one retry loop."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from random import SystemRandom
from typing import Generic, Self, TypeVar, cast

from bruno_llm_base.attempt import Attempt
from bruno_llm_base.deadline import Deadline
from bruno_llm_base.events import (
    AttemptFailed,
    Event,
    FirstToken,
    RequestAbandoned,
    RequestFailed,
    RequestFinished,
    RequestStarted,
    ToolCallReady,
)
from bruno_llm_base.exceptions import Attempt as AttemptRecord
from bruno_llm_base.exceptions import LLMError, LLMTimeoutError, MediaError
from bruno_llm_base.parts import Part, Text, ToolCall, begins_another_call, join_parts, json_object
from bruno_llm_base.policies import Retry
from bruno_llm_base.request import Endpoint, Request
from bruno_llm_base.response import ModelResponse, Outcome
from bruno_llm_base.stream import StreamState, TextStream, answer_text
from bruno_llm_base.transport import DROPPED, UNREACHABLE

T = TypeVar("T")
# not the process's, which an application may have seeded; forked workers would share another's state
_RANDOM = SystemRandom()
_TOO_MANY = 429
_CUT_SHORT = "no time is left"
_MAY_BE_DONE = "not sent again, since the server may have carried it out: look there"
_THROTTLED = "not tried again, since too many requests have failed lately"


async def result_of(endpoint: Endpoint, request: Request[T]) -> T:
    """Send *request* and return what it asked for.

    Raises:
        LLMError: It failed for good.
    """
    async with Call(endpoint, request) as call:
        while await call.read() is not None:
            pass
    return cast(T, call.result)


async def documents(endpoint: Endpoint, request: Request[T]) -> AsyncGenerator[T, None]:
    """Send *request* and yield each document of the answer as it comes.

    Raises:
        LLMError: It failed for good, or the answer breaks off before its end.
    """
    async with Call(endpoint, request) as call:
        while (items := await call.read()) is not None:
            for item in items:
                call.delivered += 1
                yield item


def text_stream(endpoint: Endpoint, request: Request[ModelResponse]) -> TextStream:
    """Return the streamed answer to *request*; it is sent when the stream is first read."""
    state = StreamState()
    context = copy_context() if endpoint.observers.given else None
    return TextStream(_texts(Call(endpoint, request, context), state), state)


async def _texts(call: "Call[ModelResponse]", state: StreamState) -> AsyncGenerator[str, None]:
    # It does not know the handle: together they would be a cycle that keeps the connection of an
    # abandoned stream open.
    async with call:
        while (items := await call.read()) is not None:
            if state.announce:
                state.announce = False
                yield ""
            for item in items:
                for part in item.parts:
                    if type(part) is Text and part.text:
                        if not call.delivered:
                            call.tell_of_first_token()
                        call.delivered += len(part.text)
                        yield part.text
                    elif type(part) is ToolCall:
                        call.take_tool_call(part)
            items.clear()  # else thousands of streams hold them all while they wait for the next
    response = state.response = cast(ModelResponse, call.result)
    answer_text(response, str(response.provider))


@dataclass(slots=True, eq=False)
class Call(Generic[T]):
    """A request on its way: read it within `async with call` until there is nothing left.

    It is a plain object and not a generator: when a loop ends, asyncio closes all generators at
    once, and of two that are nested one fails.

    Attributes:
        endpoint: Where it goes.
        request: What is sent.
        context: Where the call was made, if it is read elsewhere.
        delivered: How much of the answer the caller has: documents, or characters of its text. Who
            hands it out counts; from then on the request is not sent again.
        result: What was asked for, once all of it was read.
    """

    endpoint: Endpoint
    request: Request[T]
    context: Context | None = None
    delivered: int = 0
    result: T | None = None
    _attempt: Attempt[T] | None = None
    _attempts: list[AttemptRecord] = field(default_factory=list)
    _began: float = 0.0
    _began_attempt: float = 0.0
    _sent_first: float | None = None
    _deadline: Deadline | None = None
    # what the attempt holds; not an ExitStack, of which thousands are much to collect
    _held: list[AbstractAsyncContextManager[None]] | None = None
    _is_over: bool = False
    _tool_call: list[Part] = field(default_factory=list)  # the fragments of the last one so far
    _tool_calls_told: int = 0
    _tools_are_mixed: bool = False

    async def __aenter__(self) -> Self:
        self._began = time.monotonic()
        endpoint, request = self.endpoint, self.request
        asked = endpoint.asked(request) if endpoint.observers.given else {}
        if self.context is None:
            endpoint.tell(request, RequestStarted, **asked)
        else:
            self.context.run(endpoint.tell, request, RequestStarted, **asked)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what a caller has left, or was cancelled in."""
        if self._is_over:
            return
        try:
            await self._close()
        finally:
            arrived = None if self._attempt is None else self._attempt.response
            response = _begin_of(arrived or ModelResponse(), self.delivered)
            self._end(RequestAbandoned, response=response)

    async def read(self) -> list[T] | None:
        """Return what the next network read holds, or None at the end of the answer.

        The first read of an attempt returns as soon as the server has accepted the request.

        Raises:
            LLMError: The request failed for good.
        """
        while True:
            try:
                if self._held is None:
                    return await self._send()
                if self._attempt is not None and (items := await self._attempt.read()) is not None:
                    return items
                await self._close()
            except LLMError as error:
                await self._close()
                wait = self._wait(error)
                if isinstance(wait, str):
                    raise await self._failed(error, wait)  # noqa: B904 - most often the same
            else:
                self._finish()
                return None
            await asyncio.sleep(wait)

    def tell_of_first_token(self) -> None:
        """Tell observers that the first text is here."""
        if not self.endpoint.prices.are_loaded:
            self.endpoint.prices.start_loading()
        duration = time.monotonic() - self._began
        self.endpoint.tell(self.request, FirstToken, duration=duration)

    def take_tool_call(self, part: ToolCall) -> None:
        """Take a fragment of a tool call; observers are told of the call before it once that is complete."""
        fragments = self._tool_call
        if fragments and begins_another_call(fragments, part):
            ready = cast(ToolCall, join_parts(fragments)[0])
            # where a server mixes the fragments of several calls, only the end completes them
            self._tools_are_mixed |= not ready.name or json_object(ready.arguments) is None
            if not self._tools_are_mixed:
                self._tool_calls_told += 1
                self.endpoint.tell(self.request, ToolCallReady, call=ready)
            fragments.clear()
        fragments.append(part)

    async def _send(self) -> list[T]:
        """Take what an attempt needs, in this order, and send it; `_close` gives all of it back."""
        endpoint, request = self.endpoint, self.request
        self._attempt = None
        if self._tool_call:  # of an attempt that broke off
            self._tool_call, self._tool_calls_told, self._tools_are_mixed = [], 0, False
        self._began_attempt = time.monotonic()
        # the first transport loads its SDK, and prices are loaded once: no time limit counts that
        transport = await endpoint.transports.get(endpoint.open_transport)
        connections = endpoint.transports.connections
        spending = endpoint.spending if request.is_billed else None
        if spending is not None:
            await endpoint.prices.load()
        if self._deadline is None:
            self._deadline = Deadline(endpoint.timeouts.call)
        held = self._held = []
        with self._deadline:
            if (load := request.load) is not None:
                request.load = None
                await load(request)
            if (fit := request.fit) is not None:
                request.fit = None
                await fit(request, partial(endpoint.tell, request))
            attempt = Attempt(endpoint, request, transport, self._deadline)
            if request.is_billed and endpoint.rate_limit is not None:
                slot = endpoint.rate_limit.slot(attempt, request.tokens)
                await slot.__aenter__()
                held.append(slot)
            await connections.__aenter__()
            held.append(connections)
            if spending is not None:
                hold = spending.hold(
                    attempt,
                    model=request.model or "",
                    most_input=lambda: request.most_input,
                    media_tokens=request.media_tokens,
                    most_output=request.adapter.max_output(request.body or {}),
                    deadline=self._deadline,
                    tell=partial(endpoint.tell, request),
                    labels=request.labels,
                    unpriced_field=request.unpriced_field,
                )
                await hold.__aenter__()
                held.append(hold)
            self._attempt = attempt
            self._began_attempt = time.monotonic()
            self._sent_first = self._sent_first or self._began_attempt
            self._deadline.begin(endpoint.timeouts.total)
            self._deadline.arm(endpoint.timeouts.first_token, "first token")
            return await attempt.send()

    async def _close(self) -> None:
        """Give back what the attempt holds; each part settles itself by the attempt's outcome."""
        held, self._held = self._held, None
        if held is None:
            return
        try:
            if self._attempt is not None:
                await self._attempt.aclose()
        finally:
            await _give_back(held)

    def _wait(self, error: LLMError) -> float | str:
        """Return how many seconds to wait before the request is sent again, or why it is not."""
        endpoint, request = self.endpoint, self.request
        record = AttemptRecord(
            duration=time.monotonic() - self._began_attempt,
            error=type(error).__name__,
            status_code=error.status_code,
            request_id=error.request_id,
            retry_after=error.retry_after,
        )
        self._attempts.append(record)
        if error.status_code == _TOO_MANY and error.retry_after and endpoint.rate_limit is not None:
            endpoint.rate_limit.pause(error.retry_after)
        if self.delivered:
            return ""
        if request.once and error.status_code is None and error.code != UNREACHABLE:
            return _MAY_BE_DONE
        wait: float | None
        if request.amend is not None and (body := request.amend(request, error)) is not None:
            request.body, wait = body, 0.0
        else:
            elapsed = 0.0 if self._sent_first is None else time.monotonic() - self._sent_first
            failed = len(self._attempts)
            wait = next_wait(endpoint.retry, error, failed=failed, elapsed=elapsed)
            if wait is None:
                return ""
            if not endpoint.throttle.spend():
                return _THROTTLED
        if self._deadline is not None and not self._deadline.leaves(wait):
            return _CUT_SHORT
        number = len(self._attempts)
        endpoint.tell(request, AttemptFailed, attempt=record, number=number, wait=wait)
        return wait

    async def _failed(self, error: LLMError, why: str) -> LLMError:
        """Return the error of a request that has failed for good, with all that is known of it."""
        attempt, deadline = self._attempt, self._deadline
        if why == _CUT_SHORT and deadline is not None and deadline.leaves(0):
            error = deadline.exceeded(error)
        error.attempts = tuple(self._attempts)
        error.provider = self.endpoint.provider
        error.model = self.request.model
        if attempt is not None and attempt.outcome is Outcome.PARTIAL:
            error.partial = attempt.response
        advice = [why] if why in (_THROTTLED, _MAY_BE_DONE) else []
        if isinstance(error, MediaError) and error.media is None:  # the server has refused it
            from bruno_llm_base.media_conversation import advice_on_media  # errors are rare

            conversation, body = self.request.conversation, self.request.body
            advice.append(advice_on_media(error, conversation, body))
        with suppress(LLMTimeoutError), deadline or nullcontext():
            advice += await self.request.advise(error)
        error.advice = "; ".join(filter(None, advice))
        self._end(RequestFailed, error=error)
        return error

    def _finish(self) -> None:
        attempt = cast(Attempt[T], self._attempt)
        duration = time.monotonic() - self._began_attempt
        self._attempts.append(AttemptRecord(duration=duration, request_id=attempt.request_id))
        self.result = attempt.result
        response = attempt.response or ModelResponse()
        response.attempts = tuple(self._attempts)
        if (
            self._tool_call and response.finish_reason == "tool_call"
        ):  # else the last one may be cut
            for ready in response.tool_calls[self._tool_calls_told :]:
                self.endpoint.tell(self.request, ToolCallReady, call=ready)
        self._end(RequestFinished, response=response)
        self.endpoint.throttle.earn()
        if self.request.learn is not None:
            self.request.learn(self.request, response)

    def _end(self, kind: type[Event], **facts: object) -> None:
        self._is_over = True
        if self._deadline is not None and self._deadline.timer is not None:
            self._deadline.close()
        self.endpoint.tell(self.request, kind, duration=time.monotonic() - self._began, **facts)


async def _give_back(held: list[AbstractAsyncContextManager[None]]) -> None:
    try:
        while held:
            await held.pop().__aexit__(None, None, None)
    finally:
        if held:
            await _give_back(held)


def _begin_of(response: ModelResponse, length: int) -> ModelResponse:
    """Return *response* with the first *length* characters of its text: what the caller has of it."""
    for part in response.parts:
        if isinstance(part, Text):
            part.text = part.text[:length]
            length -= len(part.text)
    response.parts = tuple([part for part in response.parts if part != Text("")])
    return response


def next_wait(retry: Retry, error: LLMError, *, failed: int, elapsed: float) -> float | None:
    """Return how many seconds to wait after an *error*, or None to give up.

    By then *failed* attempts have failed, and the first was sent *elapsed* seconds ago.
    """
    if not error.retryable or failed >= retry.attempts:
        return None
    if failed == 1 and error.code == DROPPED:
        return 0.0  # most often an idle connection that the server had closed: a new one will do
    longest = min(retry.wait_max, retry.wait_initial * 2.0 ** min(failed - 1, 64))
    wait = (error.retry_after or 0.0) + _RANDOM.uniform(0, longest)
    return None if elapsed + wait > retry.deadline else wait
