"""A model that answers from a cache what it was asked before."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

from bruno_core.interfaces import LLMInterface

from bruno_llm_base.events import Diagnosis, Observer
from bruno_llm_base.exceptions import (
    ConfigurationError,
    InvalidRequestError,
    LLMError,
)
from bruno_llm_base.language_model import LanguageModel
from bruno_llm_base.log import Observers
from bruno_llm_base.messages import Messages
from bruno_llm_base.parts import Json
from bruno_llm_base.response import ModelResponse, TokenCount
from bruno_llm_base.stream import StreamState, TextStream, answer_text
from bruno_llm_base.values import shown
from bruno_llm_base.wrappers.bare import NoBatches, in_full
from bruno_llm_base.wrappers.cache_lookup import Lookup, open_cache
from bruno_llm_base.wrappers.cache_store import CacheStore

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bruno_llm_base.call_keywords import RequestKeywords

_PIECE = 20  # characters of a kept answer that is streamed


class CachedLLM(NoBatches, LanguageModel):
    """Answers what was asked before as it was answered then, at no cost; all else the model behind it.

    The same is what the vendor would be sent the same body for. Whole answers are kept, never a refusal,
    an error, or one that was cut; a streamed one if it is read to its end. Of calls that ask the same at
    the same time, one asks, and the others wait for its answer. An answer that was kept says so: its
    `cached` is True, and its `cost` 0. `refresh=True` asks the model all the same.
    """

    def __init__(
        self,
        llm: LLMInterface,
        *,
        store: CacheStore | str | PathLike[str] | None = None,
        max_age: float | None = None,
        namespace: str | None = None,
    ) -> None:
        """Set it up.

        Args:
            llm: The model; any `LLMInterface` will do. It is closed with this one.
            store: Where answers are kept: a file, which processes may share; a URL such as
                "redis://localhost/0", for what is installed; an object with the methods of `CacheStore`.
                In the memory of this process if None, at most 64 MiB.
            max_age: For how many seconds an answer is good; for ever if None.
            namespace: Keeps its answers apart from those of others in the same store.

        Raises:
            ConfigurationError: A value is wrong, or the store cannot be opened.
        """
        if not isinstance(llm, LLMInterface):
            raise ConfigurationError(f"llm is {shown(llm)}: give an LLMInterface")
        self._given = llm
        self._settings: Json = {"store": store, "max_age": max_age, "namespace": namespace}
        self._llm = in_full(llm)
        self._cache = open_cache(
            **self._settings,
            observers=Observers(self.observers),
            provider=self._llm.name,
            operation="chat",
        )

    @property
    def llm(self) -> LLMInterface:
        """The model behind the cache."""
        return self._given

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Those of the model, who also hear of answers from the cache."""
        return getattr(self._given, "observers", ())

    @property
    def name(self) -> str:
        """The provider's name."""
        return self._llm.name

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self._llm.model

    @property
    def capabilities(self) -> frozenset[str]:
        """What the model can do."""
        return self._llm.capabilities - {"batch"}

    def _check_options(self, call: Json) -> None:
        if isinstance(self._llm, LanguageModel):
            self._llm._check_options(call)  # noqa: SLF001 - it is one of ours

    async def _answer(
        self, messages: Messages | None, output: Any, call: Json
    ) -> ModelResponse[Any]:
        lookup = await self._lookup(messages, output, call, refresh=_refresh(call))
        if (found := await lookup.find(output)) is not None:
            return found
        try:
            response = await self._llm.request(messages, output=output, **call)
        except BaseException as error:
            await lookup.fail(error)
            raise
        await lookup.keep(response)
        return response

    def _stream(self, messages: Messages | None, output: Any, call: Json) -> TextStream:
        look = partial(self._lookup, messages, output, call, refresh=_refresh(call))
        state = StreamState()
        texts = _CachedTexts(
            partial(look, context=copy_context()),
            lambda: self._llm.stream(messages, output=output, **call),
            output,
            state,
        )
        return TextStream(texts, state)

    async def _lookup(
        self,
        messages: Messages | None,
        output: Any,
        call: Json,
        *,
        refresh: bool,
        context: Context | None = None,
    ) -> Lookup:
        key = None
        with suppress(LLMError):  # the model says what is wrong when it is asked
            key = await self.fingerprint(messages, output=output, **call)
        model = call.get("model") or self.model or None
        return Lookup(self._cache, key, model, refresh=refresh, context=context)

    async def fingerprint(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> str:
        """Return the key of an answer in the store; the arguments are those of `generate`.

        Raises:
            LLMError: There is none: an argument is wrong.
        """
        key = await self._llm.fingerprint(messages, output=output, **options)
        namespace = self._settings["namespace"]
        return f"{namespace}:{key}" if namespace else key

    async def count_tokens(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> TokenCount:
        """Count the input tokens of a request, as the model does."""
        return await self._llm.count_tokens(messages, output=output, **options)

    def get_token_count(self, text: str) -> int:
        """Count the tokens of *text*, as the model does."""
        return self._llm.get_token_count(text)

    async def diagnose(self) -> Diagnosis:
        """Find out whether the model can be used."""
        return await self._llm.diagnose()

    async def list_models(self) -> list[str]:
        """Return the names of the models on offer."""
        return await self._llm.list_models()

    def get_model_info(self) -> dict[str, Any]:
        """Describe the model: plain JSON, no secrets, no network."""
        return self._llm.get_model_info()

    def set_system_prompt(self, prompt: str) -> None:
        """Begin every conversation with *prompt*; an empty one removes it."""
        self._llm.set_system_prompt(prompt)

    def get_system_prompt(self) -> str | None:
        """Return the system prompt."""
        return self._llm.get_system_prompt()

    async def aclose(self) -> None:
        """Close the model and the store; they are opened again when needed."""
        try:
            await self._llm.aclose()
        finally:
            await self._cache.store.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._llm!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the model and where answers are kept; what is in memory stays here."""
        return partial(type(self), self._given, **self._settings), ()


@dataclass(slots=True, eq=False)
class _CachedTexts(AsyncIterator[str]):
    """The pieces of an answer, kept or new; a class for `_BareTexts`' reason.

    The model is asked in the context of the call, whose labels hold wherever the stream is read.
    """

    look: Callable[[], Awaitable[Lookup]]
    question: Callable[[], TextStream]
    output: Any
    state: StreamState
    _context: Context = field(default_factory=copy_context)
    _lookup: Lookup | None = None
    _stream: TextStream | None = None
    _ended: bool = False

    async def __anext__(self) -> str:
        if self._ended:
            raise StopAsyncIteration
        try:
            if self._stream is None:
                self._stream = stream = await self._open()
                await stream
                if self.state.announce:
                    self.state.announce = False
                    return ""
            return await anext(self._stream)
        except BaseException as error:
            await self._end(error)
            raise

    async def _open(self) -> TextStream:
        self._lookup = lookup = await self.look()
        found = await lookup.find(self.output)
        return self._context.run(self.question) if found is None else _replay(found, self.output)

    def partial(self) -> Any:
        """Return the output that was asked for as far as it has come."""
        return None if self._stream is None else self._stream.partial()

    async def _end(self, error: BaseException) -> None:
        self._ended = True
        response = None if self._stream is None else self._stream.complete
        self.state.response = response
        if (lookup := self._lookup) is None:
            return
        calls_tools = isinstance(error, LLMError) and response is not None and response.tool_calls
        if response is not None and (isinstance(error, StopAsyncIteration) or calls_tools):
            await lookup.keep(response)
        else:
            await lookup.fail(error)

    async def aclose(self) -> None:
        is_open, self._ended = not self._ended, True
        if self._stream is not None:
            await self._stream.aclose()
        if is_open and self._lookup is not None:
            await self._lookup.fail(GeneratorExit())

    def __del__(self) -> None:
        if not self._ended and self._lookup is not None:
            self._lookup.leave()


def _replay(response: ModelResponse[Any], output: Any) -> TextStream:
    state = StreamState()
    stream = TextStream(_pieces(response, state), state)
    if output is None:
        return stream
    from bruno_llm_base.output import Output, typed_stream

    return typed_stream(stream, Output.of(output))


async def _pieces(response: ModelResponse[Any], state: StreamState) -> AsyncGenerator[str, None]:
    if state.announce:
        state.announce = False
        yield ""
    text = response.text
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]
    state.response = response
    answer_text(response, str(response.provider))


def _refresh(call: Json) -> bool:
    """Return whether the model is asked even if there is an answer; a cache behind this one is told too."""
    refresh = call.get("refresh", False)
    if not isinstance(refresh, bool):
        raise InvalidRequestError(f"refresh is {shown(refresh)}: give True or False")
    return refresh
