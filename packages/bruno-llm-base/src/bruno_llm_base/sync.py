"""Models and embeddings for programs without an event loop: the same methods, without `await`."""

from collections.abc import Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from bruno_core.interfaces import EmbeddingInterface

from bruno_llm_base.events import Diagnosis
from bruno_llm_base.loop_thread import Pump, run_sync
from bruno_llm_base.messages import Messages
from bruno_llm_base.response import ModelResponse, TokenCount
from bruno_llm_base.stream import TextStream

if TYPE_CHECKING:
    from typing_extensions import TypeForm, Unpack

    from bruno_llm_base.batch.map import Key, MapItem, Prompt, Rows
    from bruno_llm_base.call_keywords import CallKeywords, MapKeywords, RequestKeywords
    from bruno_llm_base.output import Output

_T = TypeVar("_T")


class SyncStream(Iterator[str]):
    """The text of an answer, piece by piece, as it arrives.

    Leaving a `for` over a call to `stream()` closes the connection at once; so does the end of a `with`.
    """

    def __init__(self, stream: TextStream) -> None:
        """Read *stream*, as that of `stream_tools(...)`, which nothing has read yet."""
        self._stream = stream
        self._pump: Pump[str] | None = None

    def __next__(self) -> str:
        if self._pump is None:
            stream = self._stream  # this object is not held, whose end closes the connection
            self._pump = Pump(lambda: stream)
        return next(self._pump)

    @property
    def response(self) -> ModelResponse:
        """The whole answer, once it has been read to its end; a `StreamError` before that."""
        return self._stream.response

    def partial(self) -> Any:
        """Return the output that was asked for as far as it has come; see `TextStream.partial`."""
        return self._stream.partial()

    def words(self) -> Iterator[str]:
        """Yield the text word by word, in place of the pieces as they come."""
        return Pump(self._stream.words)

    def sentences(self, *, max_chars: int = 300) -> Iterator[str]:
        """Yield the text sentence by sentence, in place of the pieces as they come."""
        stream = self._stream
        return Pump(lambda: stream.sentences(max_chars=max_chars))

    def close(self) -> None:
        """Close the connection, if it is still open."""
        if self._pump is not None:
            self._pump.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._stream!r})"


class SyncLLM:
    """A model with the same methods, without `await`: `llm.sync.generate("Hello")`.

    Any number of threads may use it; all requests run in one thread with an event loop, so their
    connections are shared. It also works where a loop runs already, as in a notebook. Ctrl-C, or what
    else ends the wait, cancels the request.
    """

    def __init__(self, llm: Any) -> None:
        """Use *llm*: a provider, `FallbackLLM`, `CachedLLM`, or any other with their methods."""
        self._llm = llm

    def generate(
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        output: Any = None,
        **options: "Unpack[CallKeywords]",
    ) -> str:
        """Return the model's answer; see `BaseProvider.generate`."""
        text: str = run_sync(
            self._llm.generate(messages, temperature, max_tokens, output=output, **options)
        )
        return text

    def stream(
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        output: Any = None,
        **options: "Unpack[CallKeywords]",
    ) -> SyncStream:
        """Return the model's answer piece by piece; see `BaseProvider.stream`."""
        return SyncStream(
            self._llm.stream(messages, temperature, max_tokens, output=output, **options)
        )

    @overload
    def request(
        self,
        messages: Messages | None = ...,
        *,
        output: "Output[_T]",
        **options: "Unpack[RequestKeywords]",
    ) -> ModelResponse[_T]: ...
    @overload
    def request(
        self,
        messages: Messages | None = ...,
        *,
        output: "TypeForm[_T]",
        **options: "Unpack[RequestKeywords]",
    ) -> ModelResponse[_T]: ...
    @overload
    def request(
        self,
        messages: Messages | None = ...,
        *,
        output: None = ...,
        **options: "Unpack[RequestKeywords]",
    ) -> ModelResponse: ...
    def request(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> ModelResponse[Any]:
        """Return the model's answer with all that is known about it; see `BaseProvider.request`."""
        response: ModelResponse[Any] = run_sync(
            self._llm.request(messages, output=output, **options)
        )
        return response

    def map(
        self,
        rows: "Rows",
        prompt: "Prompt",
        *,
        key: "Key | None" = None,
        concurrency: int = 50,
        into: "str | PathLike[str] | None" = None,
        **options: "Unpack[MapKeywords]",
    ) -> "Iterator[MapItem]":
        """Ask the same of each row, and return the answers as they come; see `BaseProvider.map`."""
        call: dict[str, Any] = {"key": key, "concurrency": concurrency, "into": into, **options}
        return Pump(lambda: self._llm.map(rows, prompt, **call))

    def count_tokens(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> TokenCount:
        """Count the input tokens of a request; see `BaseProvider.count_tokens`."""
        counted: TokenCount = run_sync(self._llm.count_tokens(messages, output=output, **options))
        return counted

    def list_models(self) -> list[str]:
        """Return the names of the models on offer."""
        models: list[str] = run_sync(self._llm.list_models())
        return models

    def check_connection(self) -> bool:
        """Say whether the model can be used. Never raises."""
        is_well: bool = run_sync(self._llm.check_connection())
        return is_well

    def diagnose(self) -> Diagnosis:
        """Find out whether the model can be used."""
        diagnosis: Diagnosis = run_sync(self._llm.diagnose())
        return diagnosis

    def close(self) -> None:
        """Close the model's connections; they are opened again when needed."""
        run_sync(self._llm.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._llm!r})"


class SyncEmbeddings:
    """Embeddings with the same methods, without `await`: `embeddings.sync.embed_text("Hello")`."""

    def __init__(self, embeddings: EmbeddingInterface) -> None:
        """Use *embeddings*: a provider's, or `CachedEmbeddings`."""
        self._embeddings: Any = embeddings

    def embed_text(self, text: str) -> list[float]:
        """Return the vector of one text."""
        vector: list[float] = run_sync(self._embeddings.embed_text(text))
        return vector

    def embed_texts(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors of texts, in their order."""
        vectors: list[list[float]] = run_sync(self._embeddings.embed_texts(texts))
        return vectors

    def close(self) -> None:
        """Close their connections; they are opened again when needed."""
        run_sync(self._embeddings.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._embeddings!r})"
