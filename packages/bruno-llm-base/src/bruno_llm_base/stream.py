"""The handle of a streamed answer."""

from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self

from bruno_llm_base.exceptions import (
    ContentBlockedError,
    ContextLengthExceededError,
    InvalidResponseError,
    LLMError,
    OutputLimitError,
    StreamError,
)
from bruno_llm_base.response import ModelResponse

if TYPE_CHECKING:  # its patterns take long to load, and few streams are cut
    from bruno_llm_base.speech import Pieces

_FULL_WINDOW = ("context_length", "context_window")  # in the vendor's word


class Texts(Protocol):
    """The pieces of an answer: an asynchronous generator, or what can be used like one."""

    def __aiter__(self) -> AsyncIterator[str]:
        """Return what to iterate over."""

    def __anext__(self) -> Coroutine[Any, Any, str]:
        """Return the next piece."""

    async def aclose(self) -> None:
        """Close what they are read from."""


@dataclass(slots=True, eq=False)
class StreamState:
    """What a stream's generator and its handle both know.

    They share this instead of each other: a handle in a reference cycle would keep the connection
    open until the garbage collector comes by.

    Attributes:
        announce: Whether the generator is to say, with an empty text, that the answer has begun.
        response: The whole answer, once it is complete.
    """

    announce: bool = False
    response: ModelResponse | None = None


class TextStream(AsyncIterator[str], Coroutine[Any, Any, "TextStream"]):
    """The text of an answer, piece by piece, as it arrives.

    It may be used in three ways, and iterates once:

        async for text in llm.stream(messages): ...
        stream = await llm.stream(messages)        # sent, and accepted by the server
        async with llm.stream(messages) as stream: ...

    Leaving an `async for` over a call to `stream()` closes the connection at once. A stream that is
    kept in a variable stays open until the `async with` ends, `aclose()`, or the name is gone.
    """

    def __init__(self, texts: Texts, state: StreamState) -> None:
        self._texts = texts
        self._state = state
        self._started = False
        self._taken = False
        self._steps: Generator[Any, Any, Self] | None = None

    @property
    def response(self) -> ModelResponse:
        """The whole answer: text, usage, finish reason, model, id.

        Raises:
            StreamError: The stream has not been read to its end.
        """
        if self._state.response is None:
            raise StreamError("the answer is not complete: read the stream to its end first")
        return self._state.response

    @property
    def complete(self) -> ModelResponse | None:
        """The whole answer, or None before the end of the stream."""
        return self._state.response

    def partial(self) -> Any:
        """Return the output that was asked for as far as it has come, as JSON that is not validated.

        It may be asked for at any time while the stream is read; None before the output begins.

        Raises:
            RuntimeError: No output was asked for.
        """
        partial: Callable[[], Any] | None = getattr(self._texts, "partial", None)
        if partial is None:
            raise RuntimeError("no output was asked for: call stream(..., output=...)")
        return partial()

    def __aiter__(self) -> AsyncIterator[str]:  # noqa: PYI034 - see the docstring
        """Hand out the pieces; the handle itself is not needed while they are read.

        Raises:
            RuntimeError: They were handed out already, or the stream is closed.
        """
        if self._taken:
            raise RuntimeError("a stream can be read once, until it is closed: call stream() again")
        self._started = self._taken = True
        return self._texts

    def __iter__(self) -> NoReturn:
        raise TypeError(
            "a stream is asynchronous: use `async for`, or for over llm.sync.stream(...)"
        )

    async def __anext__(self) -> str:
        """Return the next piece."""
        self._started = True
        return await anext(self._texts)

    def __await__(self) -> Generator[Any, Any, Self]:
        """Send the request, wait for the server to accept it, and return this stream."""
        if not self._started:
            if self._taken:
                raise RuntimeError("the stream is closed: call stream() again")
            self._started = self._state.announce = True
            yield from self._texts.__anext__().__await__()
        return self

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def words(self) -> "Pieces":
        """Yield the text word by word, each with the white space behind it, nothing lost.

        In place of the pieces as they come; for speech output and typing effects.

        Raises:
            RuntimeError: The stream is being read already, or closed.
        """
        from bruno_llm_base.speech import Pieces, WordCutter

        return Pieces(aiter(self), WordCutter())

    def sentences(self, *, max_chars: int = 300) -> "Pieces":
        """Yield the text sentence by sentence, each as early as its end is certain, nothing lost.

        In place of the pieces as they come; for speech output.

        Args:
            max_chars: The longest piece of a text without an end in sight, in characters.

        Raises:
            ConfigurationError: `max_chars` is not a whole number above 0.
            RuntimeError: The stream is being read already, or closed.
        """
        from bruno_llm_base.speech import Pieces, SentenceCutter

        return Pieces(aiter(self), SentenceCutter(max_chars))

    async def aclose(self) -> None:
        """Close the connection, if it is still open."""
        self._taken = True
        await self._texts.aclose()

    def __dir__(self) -> list[str]:
        """Return what users call, and not what makes a coroutine of it."""
        return [n for n in super().__dir__() if n not in ("close", "send", "throw")]

    def __repr__(self) -> str:
        """Return how far it has been read."""
        if self._state.response is not None:
            said = f"read to its end: {self._state.response!r}"
        else:
            said = "being read, or closed" if self._started or self._taken else "not read yet"
        return f"<{type(self).__name__}, {said}>"

    # bruno-core declares `stream` as a coroutine, so the handle is one: `asyncio.create_task` and
    # `wait_for` drive it by these three.

    def send(self, value: Any) -> Any:
        """Go on with opening, as a coroutine."""
        return self._open(lambda steps: steps.send(value))

    def throw(self, *error: Any) -> Any:
        """Raise *error* where opening waits, as a coroutine."""
        return self._open(lambda steps: steps.throw(*error))

    def close(self) -> None:
        """Do nothing: `aclose` closes the connection."""

    def _open(self, step: Callable[[Generator[Any, Any, Self]], Any]) -> Any:
        steps = self._steps = self._steps or self.__await__()
        try:
            return step(steps)
        except BaseException:  # it is open, or cannot be opened: the next one is told so again
            self._steps = None
            raise


# What an answer has in place of text, by why it ended.
_INSTEAD_OF_TEXT: dict[str | None, tuple[type[LLMError], str]] = {
    "content_filter": (ContentBlockedError, "the answer was blocked: {detail}"),
    "full window": (
        ContextLengthExceededError,
        (
            "the context window was full before any text: shorten the conversation, or see"
            " ContextPolicy"
        ),
    ),
    "length": (
        OutputLimitError,
        (
            "the output limit was reached before any text (reasoning counts as output): raise"
            " max_tokens or lower the reasoning effort"
        ),
    ),
    "pause": (
        InvalidResponseError,
        (
            "the model paused before any text ({detail}): use request(), and send its to_message()"
            " back to let it go on"
        ),
    ),
    "calls": (
        InvalidResponseError,
        "the answer only calls tools: use request() to read them, or run_tools() to run them",
    ),
    "media": (
        InvalidResponseError,
        "the answer holds media and no text: use request(), whose answer has them as `media`",
    ),
}
_NO_TEXT = (InvalidResponseError, "the answer holds no text")


def answer_text(response: ModelResponse, provider: str) -> str:
    """Return the text of an answer of *provider*.

    Raises:
        ContentBlockedError: The model refused, or a filter took the answer.
        OutputLimitError: The output budget was spent before any text.
        InvalidResponseError: It only calls tools, or says nothing.
    """
    text, reason, detail = response.text, response.finish_reason, response.finish_detail
    blocked = reason == "content_filter"
    if text.strip() and not blocked:
        return text
    is_full = reason == "length" and any(map((detail or "").lower().count, _FULL_WINDOW))
    why: str | None = "full window" if is_full else reason
    if why not in _INSTEAD_OF_TEXT and response.tool_calls:
        why = "calls"
    elif why not in _INSTEAD_OF_TEXT and response.media:
        why = "media"
    kind, message = _INSTEAD_OF_TEXT.get(why, _NO_TEXT)
    raise kind(
        message.format(detail=detail),
        provider=provider,
        model=response.model,
        request_id=response.request_id,
        reason=detail if blocked else None,
        attempts=response.attempts,
        partial=response,
    )
