"""A model of another author behind the bare `LLMInterface`, with what ours have beyond it."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn, Protocol, runtime_checkable

from bruno_core.interfaces import LLMInterface
from bruno_core.utils import exceptions as core

from bruno_llm_base.events import Diagnosis
from bruno_llm_base.exceptions import (
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    MediaTypeError,
    ServiceUnavailableError,
    StreamError,
)
from bruno_llm_base.messages import Conversation, Messages, question, read_messages
from bruno_llm_base.options import TOOL_OPTIONS, check_options
from bruno_llm_base.parts import Json, Text
from bruno_llm_base.response import ModelResponse, TokenCount
from bruno_llm_base.stream import StreamState, TextStream, answer_text
from bruno_llm_base.values import digest

_CHECK_SECONDS = 5.0
_COUNT_ERROR = 0.5  # what it counts by is not known, nor what stands around its messages


@runtime_checkable
class FullLLM(Protocol):
    """What every model of ours offers beyond bruno-core's interface, and what is used of that."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def capabilities(self) -> frozenset[str]: ...

    async def generate(self, messages: Messages | None = None, **kwargs: Any) -> str: ...
    def stream(self, messages: Messages | None = None, **kwargs: Any) -> TextStream: ...
    async def request(self, messages: Messages | None = None, **kwargs: Any) -> ModelResponse: ...
    async def list_models(self) -> list[str]: ...
    async def diagnose(self) -> Diagnosis: ...
    async def aclose(self) -> None: ...
    async def fingerprint(self, messages: Messages | None = None, **kwargs: Any) -> str: ...
    async def count_tokens(self, messages: Messages | None = None, **kwargs: Any) -> TokenCount: ...
    def get_token_count(self, text: str) -> int: ...
    def get_model_info(self) -> dict[str, Any]: ...
    def set_system_prompt(self, prompt: str) -> None: ...
    def get_system_prompt(self) -> str | None: ...


class NoBatches:
    """What stands around models: a vendor works on a batch for a day, and nothing is done meanwhile."""

    async def batch(self, *rows: Any, **options: Any) -> NoReturn:
        """Refuse.

        Raises:
            InvalidRequestError: It says whom to ask.
        """
        raise InvalidRequestError(
            f"a batch is one vendor's, and {type(self).__name__} sends none: call batch() and"
            " batch_from() of one of the providers"
        )

    def batch_from(self, batch_id: str, *, output: Any = None) -> NoReturn:
        """Refuse.

        Raises:
            InvalidRequestError: It says whom to ask.
        """
        raise InvalidRequestError(
            f"a batch is one vendor's, and {type(self).__name__} has none: call batch_from() of the"
            " provider that sent it"
        )


def in_full(llm: LLMInterface) -> FullLLM:
    """Return *llm* with all that ours offer, itself if it is one of ours."""
    return llm if isinstance(llm, FullLLM) else _BareLLM(llm)


class _BareLLM:
    """A bare `LLMInterface` with the methods of ours; bruno-core's errors become ours."""

    capabilities = frozenset({"chat", "streaming"})

    def __init__(self, llm: LLMInterface) -> None:
        self._llm = llm
        info = llm.get_model_info()
        self.name = str(info.get("provider") or type(llm).__name__)
        self.model = str(info.get("model") or "")
        self.get_token_count = llm.get_token_count
        self.get_system_prompt = llm.get_system_prompt
        self.set_system_prompt = llm.set_system_prompt

    async def generate(self, messages: Messages | None = None, **kwargs: Any) -> str:
        output = kwargs.get("output")
        response = await self.request(messages, **kwargs)
        if output is None:
            return answer_text(response, self.name)
        from bruno_llm_base.output import output_text

        return output_text(response, output)

    async def request(self, messages: Messages | None = None, **kwargs: Any) -> ModelResponse:
        if (output := kwargs.pop("output", None)) is not None:
            return await self._request_output(messages, kwargs, output)
        arguments = _arguments(messages, kwargs)
        with self.errors_of_ours():
            text = await self._llm.generate(**arguments)
        if not isinstance(text, str):
            raise InvalidResponseError(f"generate() returned a {type(text).__name__}")
        return self.response(text)

    def stream(self, messages: Messages | None = None, **kwargs: Any) -> TextStream:
        if (output := kwargs.pop("output", None)) is not None:
            from bruno_llm_base.output import Output, typed_stream

            output = Output.of(output)
            said = output.told(question(messages, kwargs))
            return typed_stream(self.stream(said, **kwargs), output)
        state = StreamState()
        opener = partial(self._llm.stream, **_arguments(messages, kwargs))
        return TextStream(_BareTexts(self, opener, state), state)

    async def _request_output(
        self, messages: Messages | None, kwargs: Json, given: Any
    ) -> ModelResponse:
        from bruno_llm_base.output import Output, request_output

        output = Output.of(given)
        asked = question(messages, kwargs)
        return await request_output(
            lambda said: self.request(output.told(said), **dict(kwargs)), asked, output
        )

    async def fingerprint(self, messages: Messages | None = None, **kwargs: Any) -> str:
        if (output := kwargs.pop("output", None)) is not None:
            from bruno_llm_base.output import Output

            messages = Output.of(output).told(question(messages, kwargs))
        called = _arguments(messages, kwargs)
        said = [[each.role.value, each.content, each.metadata] for each in called["messages"]]
        asked = [self.name, self.model, self.get_system_prompt(), called | {"messages": said}]
        try:
            return digest(asked)
        except TypeError:
            raise InvalidRequestError("an option or the metadata of a message is no JSON") from None

    async def list_models(self) -> list[str]:
        with self.errors_of_ours():
            return list(await self._llm.list_models())

    async def diagnose(self) -> Diagnosis:
        reason = "check_connection() says no"
        try:
            if await asyncio.wait_for(self._llm.check_connection(), _CHECK_SECONDS):
                return Diagnosis(ok=True)
        except Exception as caught:  # noqa: BLE001 - whatever it raises, it cannot be used
            reason = f"check_connection() raised {type(caught).__name__}"
        error = ServiceUnavailableError(reason, provider=self.name, model=self.model or None)
        return Diagnosis(ok=False, reason=str(error), error=error)

    async def aclose(self) -> None:
        if hasattr(self._llm, "aclose"):
            await self._llm.aclose()

    async def count_tokens(self, messages: Messages | None = None, **kwargs: Any) -> TokenCount:
        said = [message.content for message in _arguments(messages, kwargs)["messages"]]
        tokens = sum(map(self.get_token_count, (self.get_system_prompt() or "", *said)))
        source = f"{self.name}, get_token_count"
        return TokenCount(tokens=tokens, exact=False, source=source, error=_COUNT_ERROR)

    def get_model_info(self) -> dict[str, Any]:
        # The rest of its own may be anything: objects, addresses with a login, keys.
        return {"provider": self.name, "model": self.model}

    def response(self, text: str) -> ModelResponse:
        """Return *text* as an answer; more is not known of it."""
        return ModelResponse(parts=(Text(text),), model=self.model or None, provider=self.name)

    @contextmanager
    def errors_of_ours(self) -> Iterator[None]:
        """Raise ours in place of bruno-core's; its text may quote a key, so it stays in the cause."""
        try:
            yield
        except LLMError:
            raise
        except (core.LLMError, core.StreamError) as error:
            kind = StreamError if isinstance(error, core.StreamError) else LLMError
            message = f"{type(error).__name__} was raised: see its cause"
            raise kind(message, provider=self.name, cause=error) from error

    def __repr__(self) -> str:
        return f"{type(self._llm).__name__}(model={self.model!r})"


@dataclass(slots=True, eq=False)
class _BareTexts(AsyncIterator[str]):
    """The pieces of an answer that a bare interface streams.

    A class, since most read a generator: when a loop ends, asyncio closes all of them at once.
    """

    llm: _BareLLM
    opener: Callable[[], Any]
    state: StreamState
    _texts: list[str] = field(default_factory=list)
    _source: Any = None
    _pieces: AsyncIterator[str] | None = None
    _held: str = ""
    _ended: bool = False

    async def __anext__(self) -> str:
        if self._ended:
            raise StopAsyncIteration
        piece, self._held = self._held, ""
        try:
            with self.llm.errors_of_ours():
                pieces = self._pieces = self._pieces or await self._open()
                while not piece:
                    piece = await anext(pieces)
        except BaseException as error:
            await self.aclose()
            response = self.llm.response("".join(self._texts))
            if isinstance(error, StopAsyncIteration):
                self.state.response = response
                answer_text(response, self.llm.name)
            elif isinstance(error, LLMError) and self._texts:
                error.partial = error.partial or response
            raise
        if self.state.announce:  # only a piece shows that the request was accepted
            self.state.announce, self._held = False, piece
            return ""
        self._texts.append(piece)
        return piece

    async def _open(self) -> AsyncIterator[str]:
        self._source = self.opener()
        if inspect.isawaitable(self._source):
            # declared as bruno-core declares it, it returns an iterator
            self._source = await self._source
        return aiter(self._source)

    async def aclose(self) -> None:
        self._ended = True
        source, self._source, self._pieces = self._source, None, None
        if hasattr(source, "aclose"):
            await source.aclose()


def _arguments(messages: Messages | None, given: Json) -> Json:
    """Return what to call a bare interface with: what is set, and messages even for a question."""
    if not all(isinstance(tool, Mapping) for tool in given.get("tools") or ()):
        raise InvalidRequestError(
            "a bare LLMInterface takes no functions as tools", another_may_answer=True
        )
    given.pop("refresh", None)  # what is asked here is always new
    said = question(messages, given)
    conversation = Conversation.of(said)  # what ours would refuse, whichever provider is asked
    for turn in conversation.turns:  # results and answers tell in words what they hold
        if turn.role == "user" and (media := Conversation(None, (turn,)).media):
            raise MediaTypeError(
                f"a bare LLMInterface takes no media, such as {media[0].label}",
                media=media[0].label,
            )
    options = {name: value for name, value in given.items() if value is not None}
    return {"messages": read_messages(said), **options, **check_options(given, TOOL_OPTIONS)}
