"""The loop in which a model calls tools until it has an answer."""

import asyncio
import inspect
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from bruno_core.models import Message

from bruno_llm_base.events import ToolFinished, ToolStarted
from bruno_llm_base.exceptions import (
    ConfigurationError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    OutputLimitError,
    StreamError,
    ToolError,
)
from bruno_llm_base.log import Observers
from bruno_llm_base.messages import Attachments, Messages, question, read_messages
from bruno_llm_base.options import close_matches
from bruno_llm_base.parts import Json, ToolCall, ToolResult, arguments_of
from bruno_llm_base.response import ModelResponse, totals_of
from bruno_llm_base.stream import StreamState, TextStream
from bruno_llm_base.sync import SyncLLM
from bruno_llm_base.tool_calls import ReadyCall, error_of, read_arguments, result_of_call
from bruno_llm_base.tools import Tool, read_tool_options
from bruno_llm_base.values import is_whole, shown

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bruno_llm_base.call_keywords import CallKeywords, LoopKeywords, RequestKeywords

_MOST_ROUNDS = 10
_KEYWORDS, _NEAR_MISS = ("approve", "max_rounds"), 0.75
_MOST_REPEATS = 3
_DENIED = "The user does not allow this call."
_REPEATED = (
    "This call was made {} times in a row with the same arguments, so it was not made again: go on"
    " with what is known, or say what is missing."
)

Approve = Callable[[ToolCall], bool | str | Awaitable[bool | str]]
"""Decides on one call: True lets it happen; False, or a text that says why, does not."""


class CallingLLM(Protocol):
    """What the loop asks of a model; every provider has it, and so have fallbacks and mocks."""

    async def request(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> ModelResponse: ...

    def stream(
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        output: Any = None,
        **options: "Unpack[CallKeywords]",
    ) -> TextStream: ...


@dataclass(slots=True, kw_only=True, repr=False)
class ToolResponse(ModelResponse):
    """The last answer of a loop; its `usage`, `cost` and `attempts` are those of all rounds.

    Attributes:
        messages: The turns since the question, the last answer included: to be appended to a memory.
        rounds: How many requests were made.
    """

    messages: tuple[Message, ...] = ()
    rounds: int = 0


class ToolStream(TextStream):
    """The text of all answers of a loop, piece by piece, with an empty line between them."""

    @property
    def response(self) -> ToolResponse:
        """The last answer, and what all rounds took.

        Raises:
            StreamError: The stream has not been read to its end.
        """
        return cast(ToolResponse, super().response)


async def run_tools(
    llm: CallingLLM,
    messages: Messages | None = None,
    *,
    tools: Sequence[Any],
    prompt: str | None = None,
    attachments: Attachments = (),
    max_rounds: int = _MOST_ROUNDS,
    approve: Approve | None = None,
    **options: "Unpack[LoopKeywords]",
) -> ToolResponse:
    """Ask *llm*, run the tools that it calls and tell it their results, until it has an answer.

    The calls of one answer run at the same time, and functions that are not async in a thread. What
    a tool raises is told to the model, but for the errors of models and budgets (`LLMError`).

    Args:
        llm: Any provider, fallback or mock.
        messages: The conversation, or one question.
        tools: What the model may call; see `BaseProvider.request`.
        prompt: One question, instead of `messages`.
        attachments: Pictures, sounds and documents that go with the last question.
        max_rounds: The most requests.
        approve: Decides on each call before it happens.
        **options: The options of each request. A `tool_choice` holds for the first one alone.

    Returns:
        The last answer. It calls tools only where they are the caller's own to run: those that were
        given as a vendor's dict.

    Raises:
        InvalidResponseError: The model calls tools still, or the same one again and again; `partial`
            holds what there is.
        OutputLimitError: The output budget was spent in the middle of a call.
        LLMError: A request failed.
    """
    _check_llm(llm)
    asked = question(messages, {"prompt": prompt, "attachments": attachments})
    loop = _Loop(llm, tools, asked, max_rounds, approve=approve, options=dict(options))
    try:
        while True:
            response = await llm.request(loop.said, **loop.options())
            if not await loop.goes_on(response):
                return loop.result()
    except LLMError as error:
        loop.save_in(error)
        raise


def stream_tools(
    llm: CallingLLM,
    messages: Messages | None = None,
    *,
    tools: Sequence[Any],
    prompt: str | None = None,
    attachments: Attachments = (),
    max_rounds: int = _MOST_ROUNDS,
    approve: Approve | None = None,
    **options: "Unpack[LoopKeywords]",
) -> ToolStream:
    """Do what `run_tools` does, and stream the text of all answers.

    Its arguments and errors are those of `run_tools`.
    """
    _check_llm(llm)
    asked = question(messages, {"prompt": prompt, "attachments": attachments})
    loop = _Loop(llm, tools, asked, max_rounds, approve=approve, options=dict(options))
    state = StreamState()
    return ToolStream(_ToolTexts(llm, loop, state), state)


@dataclass(slots=True, eq=False)
class _ToolTexts(AsyncIterator[str]):
    """The pieces of all answers; a class, since streams are generators, which must not be nested."""

    llm: CallingLLM
    loop: "_Loop"
    state: StreamState
    _context: Context = field(default_factory=copy_context)
    _stream: TextStream | None = None
    _last: TextStream | None = None
    _has_said: bool = False  # something, in the rounds before this one
    _is_over: bool = False

    async def __anext__(self) -> str:
        while not self._is_over:
            try:
                if (piece := await self._next()) is not None:
                    return piece
            except BaseException as error:
                await self.aclose()
                if isinstance(error, LLMError):
                    self.loop.save_in(error)
                raise
        raise StopAsyncIteration

    async def _next(self) -> str | None:
        """Return the next piece, or None between two answers."""
        if (stream := self._stream) is None:
            options = self.loop.options()
            stream = self._context.run(self.llm.stream, self.loop.said, **options)
            self._stream = self._last = stream
            await stream
            if self.state.announce:
                self.state.announce = False
                return ""
        try:
            piece = await anext(stream)
        except (StopAsyncIteration, LLMError) as error:
            await self._end_round(stream, error)
            return None
        if self._has_said:
            self._has_said = False
            return f"\n\n{piece}"
        return piece

    async def _end_round(self, stream: TextStream, error: Exception) -> None:
        self._stream = None
        try:
            response = stream.response
        except StreamError:
            raise error from None  # it broke off
        wants_more = bool(response.tool_calls) or response.finish_reason == "pause"
        if isinstance(error, LLMError) and not wants_more:
            raise error
        self._has_said |= bool(response.text.strip())
        if not await self.loop.goes_on(response):
            self._is_over = True
            self.state.response = self.loop.result()

    def partial(self) -> Any:
        """Return the output that was asked for as far as it has come."""
        return None if self._last is None else self._last.partial()

    async def aclose(self) -> None:
        self._is_over = True
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()


class _Loop:
    """What was said and spent so far, and the rules by which it goes on."""

    def __init__(
        self,
        llm: CallingLLM,
        tools: Sequence[Any],
        messages: Messages,
        max_rounds: int,
        *,
        approve: Approve | None,
        options: Json,
    ) -> None:
        choice = options.get("tool_choice")
        given: Json = (
            {"tools": tools} if isinstance(choice, Mapping) else options | {"tools": tools}
        )
        self._offered = read_tool_options(given)[0]
        if not is_whole(max_rounds, least=1):
            raise ConfigurationError(f"max_rounds is {shown(max_rounds)}: give 1 or more")
        for name in options:  # they would be sent to the model, and hold nothing back
            if meant := close_matches(name, _KEYWORDS, cutoff=_NEAR_MISS):
                raise InvalidRequestError(f"{name!r} is not known: did you mean {meant[0]!r}?")
        if approve is not None and not callable(approve):
            raise ConfigurationError(f"approve is {shown(approve)}: give a callable")
        self.said = read_messages(messages)
        self._asked = len(self.said)
        self._tools = {tool.name: tool for tool in self._offered if isinstance(tool, Tool)}
        self._has_dicts = len(self._tools) < len(self._offered)
        self._max_rounds = max_rounds
        self._approve = approve
        self._options = options
        self._observers = Observers(getattr(llm, "observers", ()))
        self._responses: list[ModelResponse] = []
        self._last_calls: list[tuple[str | None, Json]] = []
        self._repeats = 0

    def options(self) -> Json:
        """Return the options of the next request; what it offers never changes."""
        options = self._options | {"tools": self._offered}
        if self._responses:  # were a call forced each time, there would be no end
            options.pop("tool_choice", None)
        return options

    async def goes_on(self, response: ModelResponse) -> bool:
        """Take the answer of a round, and run what it calls; return whether there is another round.

        Raises:
            LLMError: There should be one, but may not.
        """
        self._responses.append(response)
        self.said.append(response.to_message())
        calls = response.tool_calls
        if response.finish_reason == "length" and calls:
            why = f"the output limit was reached in a call of {calls[-1].name}: raise max_tokens"
            self._fail(OutputLimitError, why)
        if response.finish_reason in ("content_filter", "error", "length"):
            return False
        if self._has_dicts and any(call.name not in self._tools for call in calls):
            return False  # the caller runs it
        if not calls:
            if response.finish_reason == "pause":
                self._check_rounds("pauses")
            return response.finish_reason == "pause"
        self._check_rounds("calls tools")
        try:
            await self._run(calls)
        except LLMError as error:
            error.partial = self.result()  # what a tool's own loop has done is not this one's
            raise
        return True

    def save_in(self, error: LLMError) -> None:
        """Keep in *error*, which ends the loop, what was said and done before it."""
        if self._responses and not isinstance(error.partial, ToolResponse):
            error.partial = self.result(error.partial)

    def result(self, broken: ModelResponse | None = None) -> ToolResponse:
        """Return the last answer, which may be a *broken* one, and what all rounds took."""
        responses = [*self._responses, broken] if broken is not None else self._responses
        last = responses[-1]
        values = {item.name: getattr(last, item.name) for item in fields(last)}
        values |= totals_of(responses)
        values |= {"messages": tuple(self.said[self._asked :]), "rounds": len(responses)}
        return ToolResponse(**values)

    def _check_rounds(self, does: str) -> None:
        if len(self._responses) >= self._max_rounds:
            rounds = f"{self._max_rounds} round{'s'[: self._max_rounds > 1]}"
            why = f"after {rounds} the model still {does}: raise max_rounds"
            self._fail(InvalidResponseError, why)

    def _fail(self, kind: type[LLMError], message: str) -> NoReturn:
        partial = self.result()
        raise kind(
            message,
            provider=partial.provider,
            model=partial.model,
            request_id=partial.request_id,
            attempts=partial.attempts,
            partial=partial,
        )

    async def _run(self, calls: Sequence[ToolCall]) -> None:
        """Say the result of each of *calls*, in their order."""
        same = [(call.name, arguments_of(call)) for call in calls]
        self._repeats = self._repeats + 1 if same == self._last_calls else 1
        self._last_calls = same
        if self._repeats > _MOST_REPEATS:
            name = calls[0].name
            self._fail(InvalidResponseError, f"the model calls {name} again and again, all alike")
        if self._repeats == _MOST_REPEATS:
            text = _REPEATED.format(_MOST_REPEATS - 1)
            self.said += [error_of(call, text).to_message() for call in calls]
            return
        ready = [await self._prepared(call) for call in calls]
        if any(call.tool.sequential for call in ready if isinstance(call, ReadyCall)):
            for call in ready:
                self.said.append((await self._result(call)).to_message())
            return
        tasks: list[asyncio.Task[ToolResult]] = []
        try:
            async with asyncio.TaskGroup() as group:
                tasks += [group.create_task(self._result(call)) for call in ready]
        except BaseExceptionGroup as errors:
            first: BaseException = errors
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            raise first from None
        finally:  # also those that came before another tool's error
            have_ended = (t for t in tasks if not t.cancelled() and t.exception() is None)
            self.said += [task.result().to_message() for task in have_ended]

    async def _result(self, ready: "ReadyCall | ToolResult") -> ToolResult:
        """Return the result of a call, of which observers are told if it happens."""
        observers = self._observers
        if isinstance(ready, ToolResult) or not observers.given:
            return await result_of_call(ready)
        asked = self._responses[-1]
        facts: Json = {"provider": str(asked.provider), "model": asked.model, "call": ready.call}
        facts |= {"operation": "execute_tool", "id": os.urandom(8).hex()}
        observers.tell(ToolStarted, **facts)
        began, result, error = time.monotonic(), None, None
        try:
            with observers.enter(ToolStarted(**facts)):
                result = await result_of_call(ready)
        except BaseException as failure:
            error = type(failure).__name__
            raise
        else:
            error = ToolError.__name__ if result.is_error else None
            return result
        finally:
            duration = time.monotonic() - began
            observers.tell(ToolFinished, result=result, error=error, duration=duration, **facts)

    async def _prepared(self, call: ToolCall) -> "ReadyCall | ToolResult":
        """Return *call* with its arguments, or why it does not happen."""
        tool = self._tools.get(call.name or "")
        if tool is None:
            known = ", ".join(self._tools)
            return error_of(call, f"The tool {call.name!r} does not exist: the tools are {known}.")
        try:
            args, kwargs = read_arguments(tool, call)
        except ValueError as error:
            return error_of(call, str(error))
        if self._approve is not None:
            decision = self._approve(call)
            if inspect.isawaitable(decision):
                decision = await decision
            if isinstance(decision, str) or not decision:
                return error_of(call, decision or _DENIED)
        return ReadyCall(call, tool, args, kwargs)


def _check_llm(llm: object) -> None:
    if isinstance(llm, type) or not hasattr(llm, "request"):
        raise ConfigurationError(
            f"the model is {shown(llm)}: give a provider, as LLMFactory.create returns it"
        )
    if isinstance(llm, SyncLLM):
        raise ConfigurationError(
            "the model is a SyncLLM: give the model itself, as run_sync(run_tools(llm, ...))"
        )
