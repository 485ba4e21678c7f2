"""One call on its way through several models, until one of them answers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from bruno_llm_base.exceptions import (
    AllProvidersFailedError,
    CircuitOpenError,
    LLMError,
    StreamError,
)
from bruno_llm_base.fallback.breaker import Circuit
from bruno_llm_base.fallback.foreign import FullLLM
from bruno_llm_base.fallback.verdicts import verdict_on
from bruno_llm_base.log import Observers
from bruno_llm_base.observe import Event, ProviderAnswered, ProviderPassedOver
from bruno_llm_base.stream import StreamState, TextStream
from bruno_llm_base.types import Json, ModelResponse

__all__ = ["Leg", "Member", "Relay", "all_failed"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Member:
    """One of several models, and what is remembered of it."""

    llm: FullLLM
    circuit: Circuit

    @property
    def label(self) -> str:
        """What it is called in errors."""
        return f"{self.llm.name} {self.llm.model}".rstrip()

    def left_alone(self) -> CircuitOpenError:
        """Return the error of a call that is not let through."""
        wait = self.circuit.wait
        when = "one call is trying it now" if wait is None else f"it is tried again in {wait:.3g} s"
        message = f"it failed again and again and is left alone: {when}"
        return CircuitOpenError(
            message, provider=self.llm.name, model=self.llm.model, retry_after=wait
        )


@dataclass(slots=True)
class Relay:
    """One call, and what went wrong with it so far.

    Attributes:
        members: The models, the preferred one first.
        operation: What the call is named in events.
        observers: Hear who was passed over and who answered.
        errors: Why each model before the present one could not answer.
    """

    members: Sequence[Member]
    operation: str
    observers: Observers
    errors: list[LLMError] = field(default_factory=list)

    async def ask(self, question: Callable[[FullLLM], Awaitable[_T]]) -> _T:
        """Return what *question* gets from the first model that answers it.

        Raises:
            LLMError: No model can answer, or an error that another model cannot help with.
        """
        for leg in self.legs():
            with leg as llm:
                return await question(llm)
        raise self.failure()

    def stream(self, asked: Json) -> TextStream:
        """Return the streamed answer of the first model that begins one.

        Args:
            asked: What each model's `stream` is called with.
        """
        state = StreamState()
        return TextStream(_Texts(self, asked, copy_context(), state), state)

    def legs(self) -> Iterator["Leg"]:
        """Yield a leg for each model that may be asked."""
        for member in self.members:
            ticket = member.circuit.admit()
            if ticket is None:
                self.pass_over(member, member.left_alone())
            else:
                yield Leg(self, member, ticket)

    def pass_over(self, member: Member, error: LLMError) -> None:
        """Go on to the next model."""
        error.provider = error.provider or member.llm.name
        _forget_frames(error)
        self.errors.append(error)
        if len(self.errors) < len(self.members):
            self._tell(ProviderPassedOver, member, error=error)

    def finish(self, member: Member) -> None:
        """Tell that *member* answered."""
        self._tell(ProviderAnswered, member, passed_over=len(self.errors))

    def failure(self) -> AllProvidersFailedError:
        """Return the error of a call that nobody answered."""
        return all_failed(self.members, self.errors)

    def _tell(self, kind: type[Event], member: Member, **facts: Any) -> None:
        llm = member.llm
        self.observers.tell(
            kind, provider=llm.name, model=llm.model or None, operation=self.operation, **facts
        )


class _Texts(AsyncIterator[str]):
    """The pieces of the first answer that begins.

    No generator, since it reads one: when a loop ends, asyncio closes all of them at once. The
    context is that of whoever asked, whose labels hold (`CostTracker.label`), wherever the stream is
    read.
    """

    def __init__(self, relay: Relay, asked: Json, context: Context, state: StreamState) -> None:
        self._relay = relay
        self._asked = asked
        self._context = context
        self._state = state
        self._legs = relay.legs()
        self._leg: Leg | None = None
        self._stream: TextStream | None = None
        self._pieces: AsyncIterator[str] | None = None
        self._ended = False

    async def __anext__(self) -> str:
        while not self._ended:
            leg = self._leg = self._leg or next(self._legs, None)
            if leg is None:
                self._ended = True
                raise self._relay.failure()
            try:
                return await self._next(leg)
            except StopAsyncIteration:
                await self._leave(None)
            except BaseException as error:
                if not await self._leave(error):
                    raise
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._ended = True
        await self._leave(GeneratorExit())

    def __del__(self) -> None:
        if self._leg is not None:
            self._leg.leave(GeneratorExit())

    async def _next(self, leg: "Leg") -> str:
        if self._pieces is None:
            self._stream = self._context.run(leg.llm.stream, **self._asked)
            await self._stream
            self._pieces = aiter(self._stream)
            if self._state.announce:
                self._state.announce = False
                return ""
        text = await anext(self._pieces)
        leg.spoken()
        return text

    async def _leave(self, error: BaseException | None) -> bool:
        """Close the answer that is read, if any; return whether the next model is to be asked."""
        leg, self._leg = self._leg, None
        stream, self._stream, self._pieces = self._stream, None, None
        if stream is not None:
            await stream.aclose()
            self._state.response = _whole(stream)
        goes_on = leg is not None and leg.leave(error)
        self._ended = self._ended or not goes_on
        return goes_on


def _whole(stream: TextStream) -> ModelResponse | None:
    try:
        return stream.response
    except StreamError:
        return None


class Leg:
    """One model's part of a relay, as a context: it ends silently where the next model is to be asked."""

    __slots__ = ("_member", "_relay", "_spoken", "_ticket")

    def __init__(self, relay: Relay, member: Member, ticket: object) -> None:
        self._relay = relay
        self._member = member
        self._ticket = ticket
        self._spoken = False

    def __enter__(self) -> FullLLM:
        """Return the model."""
        return self.llm

    @property
    def llm(self) -> FullLLM:
        """The model."""
        return self._member.llm

    def spoken(self) -> None:
        """Note that the caller has heard some of the answer, so that nobody else may be asked."""
        if not self._spoken:
            self._spoken = True
            self._member.circuit.begun(self._ticket)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Remember how it went; return whether the next model is to be asked."""
        return self.leave(error)

    def leave(self, error: BaseException | None) -> bool:
        """Remember how it went; return whether the next model is to be asked."""
        circuit = self._member.circuit
        if not isinstance(error, LLMError):
            if error is None or self._spoken:  # one who leaves an answer had been answered
                circuit.succeeded(self._ticket)
                self._relay.finish(self._member)
            else:
                circuit.dropped(self._ticket)
            return False
        verdict = verdict_on(error)
        if verdict.counts:
            circuit.failed(self._ticket, error.retry_after)
        else:
            circuit.dropped(self._ticket)
        if self._spoken or not verdict.switches:
            return False
        self._relay.pass_over(self._member, error)
        return True


def all_failed(members: Sequence[Member], errors: Sequence[LLMError]) -> AllProvidersFailedError:
    """Return the error of *members* that failed with *errors*, one each."""
    reasons = [
        f"{member.label} ({type(error).__name__})"
        for member, error in zip(members, errors, strict=True)
    ]
    failure = AllProvidersFailedError(
        f"none of {len(reasons)} could answer: {', '.join(reasons)}", errors=errors
    )
    if failure.retry_after is not None:
        failure.message += f"; try again in {failure.retry_after:.3g} s"
    return failure


def _forget_frames(error: BaseException) -> None:
    """Drop the frames behind *error*: they hold the call, and that the error, so none would go.

    Its causes stay. What else was being handled goes unchanged: it may be the caller's own.
    """
    known: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in known:
        known.add(id(link))
        link.__traceback__ = link.__context__ = None
        link = link.__cause__
