"""One call on its way through several models, until one of them answers."""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bruno_llm_base.events import (
    Event,
    FallbackFinished,
    FallbackStarted,
    ProviderAnswered,
    ProviderPassedOver,
)
from bruno_llm_base.exceptions import (
    AllProvidersFailedError,
    CircuitOpenError,
    InvalidResponseError,
    LLMError,
    RateLimitError,
    StreamError,
)
from bruno_llm_base.log import Observers
from bruno_llm_base.parts import Json
from bruno_llm_base.stream import StreamState, TextStream
from bruno_llm_base.wrappers.bare import FullLLM
from bruno_llm_base.wrappers.breaker import Circuit

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Member:
    """One of several models, and what is remembered of it."""

    llm: FullLLM
    circuit: Circuit


@dataclass(slots=True, eq=False)
class Failover:
    """One call, the model that is asked now, and the errors of those before it."""

    members: Sequence[Member]
    operation: str
    observers: Observers
    _errors: list[LLMError] = field(default_factory=list)
    _asked: tuple[Member, object] | None = None  # and its circuit's ticket
    _delivered: bool = False
    _id: str | None = None  # of what observers are told
    _began: float = 0.0

    async def ask(self, question: Callable[[FullLLM], Awaitable[_T]]) -> _T:
        """Return what *question* gets from the first model that answers it.

        Raises:
            LLMError: No model can answer, or an error that another model cannot help with.
        """
        with self.started():
            try:
                answer = await self._ask(question)
            except BaseException as error:
                self.finished(error)
                raise
        self.finished(None)
        return answer

    async def _ask(self, question: Callable[[FullLLM], Awaitable[_T]]) -> _T:
        while True:
            llm = self.next_llm()
            try:
                answer = await question(llm)
            except BaseException as error:
                if not self.end(error):
                    raise
            else:
                self.end(None)
                return answer

    def started(self) -> AbstractContextManager[None]:
        """Tell once that models are asked, and return what they are to be asked within."""
        if not self.observers.given:
            return nullcontext()
        if self._id is None:
            self._id, self._began = os.urandom(8).hex(), time.monotonic()
            self.observers.tell(FallbackStarted, **self._facts())
        return self.observers.enter(FallbackStarted(**self._facts()))

    def finished(self, error: BaseException | None) -> None:
        """Tell once that no model is asked any more."""
        if self._began:
            kind = type(error).__name__ if isinstance(error, Exception) else None
            duration, self._began = time.monotonic() - self._began, 0.0
            self.observers.tell(FallbackFinished, error=kind, duration=duration, **self._facts())

    def _facts(self) -> Json:
        return {"provider": "fallback", "model": None, "operation": self.operation, "id": self._id}

    def next_llm(self) -> FullLLM:
        """Return the next model that may be asked; `end` must follow.

        Raises:
            AllProvidersFailedError: There is none left.
        """
        for member in self.members[len(self._errors) :]:
            ticket = member.circuit.admit()
            if ticket is not None:
                self._asked = member, ticket
                return member.llm
            self._pass_over(member, _circuit_is_open(member))
        raise all_failed(self.members, self._errors)

    def deliver(self) -> None:
        """Note that the caller has some of the answer: no other model is asked any more."""
        if not self._delivered and self._asked is not None:
            self._delivered = True
            member, ticket = self._asked
            member.circuit.begun(ticket)

    def end(self, error: BaseException | None) -> bool:
        """Remember how the model did; return whether the next one is to be asked."""
        if self._asked is None:
            return False
        (member, ticket), self._asked = self._asked, None
        circuit = member.circuit
        if isinstance(error, LLMError):
            moves_on = _another_may_answer(error)
            # a rate limit that no wait mends is one of our own, or the request is too large for it
            is_too_much = isinstance(error, RateLimitError) and not error.retryable
            if moves_on and error.is_failure and not is_too_much:
                circuit.failed(ticket, error.retry_after)
            else:
                circuit.dropped(ticket)
            if moves_on and not self._delivered:
                self._pass_over(member, error)
                return True
        elif error is None or self._delivered:  # who leaves an answer had been answered
            circuit.succeeded(ticket)
            self._tell(ProviderAnswered, member, passed_over=len(self._errors))
        else:
            circuit.dropped(ticket)
        return False

    def _pass_over(self, member: Member, error: LLMError) -> None:
        error.provider = error.provider or member.llm.name
        link: BaseException | None = error
        while link is not None and link.__traceback__ is not None:
            link.__traceback__ = link.__context__ = None  # their frames hold this call, and it them
            link = link.__cause__
        self._errors.append(error)
        if len(self._errors) < len(self.members):
            self._tell(ProviderPassedOver, member, error=error)

    def _tell(self, kind: type[Event], member: Member, **facts: Any) -> None:
        llm = member.llm
        whose = self._facts() | {"provider": llm.name, "model": llm.model or None}
        self.observers.tell(kind, **whose, **facts)


@dataclass(slots=True, eq=False)
class FallbackTexts(AsyncIterator[str]):
    """The pieces of the first answer that begins; a class for `_BareTexts`' reason.

    Each model is asked in the context of the call, whose labels hold wherever the stream is read.
    """

    failover: Failover
    question: Callable[[FullLLM], TextStream]
    state: StreamState
    _context: Context = field(default_factory=copy_context)
    _stream: TextStream | None = None
    _last: TextStream | None = None
    _ended: bool = False

    async def __anext__(self) -> str:
        while not self._ended:
            try:
                if self._stream is None:
                    llm = self.failover.next_llm()
                    self._stream = self._last = self._context.run(self._ask, llm)
                    await self._stream
                    if self.state.announce:
                        self.state.announce = False
                        return ""
                text = await anext(self._stream)
            except StopAsyncIteration:
                await self._end(None)
            except BaseException as error:
                if not await self._end(error):
                    raise
            else:
                self.failover.deliver()
                return text
        raise StopAsyncIteration

    def _ask(self, llm: FullLLM) -> TextStream:
        with self.failover.started():
            return self.question(llm)

    def partial(self) -> Any:
        """Return the output that was asked for as far as it has come."""
        return None if self._last is None else self._last.partial()

    async def aclose(self) -> None:
        await self._end(GeneratorExit())

    def __del__(self) -> None:
        self.failover.end(GeneratorExit())
        self.failover.finished(None)

    async def _end(self, error: BaseException | None) -> bool:
        """Close the answer that is read, if any; return whether the next model is to be asked."""
        self._ended = True
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()
            self.state.response = None
            with suppress(StreamError):  # it is not complete
                self.state.response = stream.response
        self._ended = not self.failover.end(error)
        if self._ended:
            self.failover.finished(error)
        return not self._ended


def _another_may_answer(error: LLMError) -> bool:
    answer = error.partial if isinstance(error, InvalidResponseError) else None
    if answer is not None and (answer.tool_calls or answer.finish_reason == "pause"):
        return False  # a good answer that was asked for as text
    return error.another_may_answer


def _circuit_is_open(member: Member) -> CircuitOpenError:
    wait = member.circuit.wait
    when = "one call is trying it now" if wait is None else f"it is tried again in {wait:.3g} s"
    return CircuitOpenError(
        f"it failed again and again and is left alone: {when}",
        provider=member.llm.name,
        model=member.llm.model,
        retry_after=wait,
    )


def all_failed(members: Sequence[Member], errors: Sequence[LLMError]) -> AllProvidersFailedError:
    """Return the error of *members* that failed with *errors*, one each."""
    reasons = [
        f"{f'{member.llm.name} {member.llm.model}'.rstrip()} ({type(error).__name__})"
        for member, error in zip(members, errors, strict=True)
    ]
    wait = min((each.retry_after for each in errors if each.retry_after is not None), default=None)
    return AllProvidersFailedError(
        f"none of {len(reasons)} could answer: {', '.join(reasons)}",
        errors=errors,
        advice="" if wait is None else f"try again in {wait:.3g} s",
    )
