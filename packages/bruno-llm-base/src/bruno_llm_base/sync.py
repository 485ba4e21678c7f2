"""Models and embeddings for programs without an event loop: the same methods, without `await`."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload
from weakref import WeakSet

from bruno_core.interfaces import EmbeddingInterface

from bruno_llm_base.events import Diagnosis
from bruno_llm_base.loop_thread import Pump, run_sync
from bruno_llm_base.messages import Messages
from bruno_llm_base.response import ModelResponse, TokenCount
from bruno_llm_base.stream import TextStream

if TYPE_CHECKING:
    from bruno_core.models import Message
    from typing_extensions import TypeForm, Unpack

    from bruno_llm_base.batch.map import Key, MapItem, Prompt, Rows
    from bruno_llm_base.batch.sync import SyncBatch
    from bruno_llm_base.batch.vendor_rows import BatchRows
    from bruno_llm_base.call_keywords import (
        CallKeywords,
        MapKeywords,
        RequestKeywords,
        RowKeywords,
    )
    from bruno_llm_base.context import Window
    from bruno_llm_base.cost.price import Price
    from bruno_llm_base.events import Observer
    from bruno_llm_base.messages import Conversation
    from bruno_llm_base.output import Output

_T = TypeVar("_T")


class SyncStream(Iterator[str]):
    """The text of an answer, piece by piece, as it arrives.

    Leaving a `for` over a call to `stream()` closes the connection at once; so does the end of a `with`.
    """

    def __init__(self, stream: TextStream) -> None:
        """Read *stream*, as that of `stream_tools(...)`, which nothing has read yet."""
        self._stream = stream
        self._pieces: Pump[str] | None = None
        self._opened: WeakSet[Pump[str]] = WeakSet()  # each is closed when its reader leaves
        self._is_closed = False

    def __next__(self) -> str:
        if self._pieces is None:
            self._pieces = self._pump(lambda: self._stream)
        return next(self._pieces)

    def _pump(self, source: Callable[[], AsyncIterator[str]]) -> Pump[str]:
        if self._is_closed:
            raise RuntimeError("the stream is closed: call stream() again")
        pump = Pump(source())
        self._opened.add(pump)
        return pump

    @property
    def response(self) -> ModelResponse:
        """The whole answer, once it has been read to its end; a `StreamError` before that."""
        return self._stream.response

    def partial(self) -> Any:
        """Return the output that was asked for as far as it has come; see `TextStream.partial`."""
        return self._stream.partial()

    def words(self) -> Iterator[str]:
        """Yield the text word by word, in place of the pieces as they come; see `TextStream.words`."""
        return self._pump(self._stream.words)

    def sentences(self, *, max_chars: int = 300) -> Iterator[str]:
        """Yield the text sentence by sentence; see `TextStream.sentences`."""
        return self._pump(lambda: self._stream.sentences(max_chars=max_chars))

    def close(self) -> None:
        """Close the connection, if it is still open; nothing is sent after that."""
        self._is_closed = True
        for pump in self._opened:
            pump.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._stream!r})"


class _Sync:
    """What models and embeddings have in common; of all methods, those are there that the asked one has."""

    def __init__(self, asked: Any) -> None:
        self._asked = asked

    def _has(self, name: str) -> bool:
        """Whether what is called *name* here can be asked for."""
        return name[0] == "_" or name == "close" or hasattr(self._asked, name)

    def _who_has_more(self) -> str:
        """Return whom to ask for what is lacking."""
        return "the providers have it, use that of one of them"

    if not TYPE_CHECKING:  # which would take any name for one that is there

        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__
            if hasattr(type(self), name) and not found("_has")(name):
                kind = type(found("_asked")).__name__
                raise AttributeError(f"{kind} has no {name}: {found('_who_has_more')()}")
            return found(name)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if self._has(name)]

    @property
    def name(self) -> str:
        """What the provider is called."""
        name: str = self._asked.name
        return name

    @property
    def model(self) -> str:
        """The model that is asked."""
        model: str = self._asked.model
        return model

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do."""
        capabilities: frozenset[str] = self._asked.capabilities
        return capabilities

    @property
    def observers(self) -> "tuple[Observer, ...]":
        """Those who hear of every request."""
        observers: tuple[Observer, ...] = self._asked.observers
        return observers

    def list_models(self) -> list[str]:
        """Return the names of the models on offer."""
        models: list[str] = run_sync(self._asked.list_models())
        return models

    def check_connection(self) -> bool:
        """Say whether the model can be used. Never raises."""
        is_well: bool = run_sync(self._asked.check_connection())
        return is_well

    def diagnose(self) -> Diagnosis:
        """Find out whether the model can be used."""
        diagnosis: Diagnosis = run_sync(self._asked.diagnose())
        return diagnosis

    def warm_up(self) -> None:
        """Load the SDK and open a connection; see `BaseProvider.warm_up`."""
        run_sync(self._asked.warm_up())

    def context_window(self, model: str | None = None) -> "Window | None":
        """Return what is known of the context window of *model*; see `BaseProvider.context_window`."""
        window: Window | None = run_sync(self._asked.context_window(model))
        return window

    def price(self, model: str | None = None) -> "Price | None":
        """Return what *model* costs now; see `BaseProvider.price`."""
        price: Price | None = run_sync(self._asked.price(model))
        return price

    def close(self) -> None:
        """Close the connections, if it has any; they are opened again when needed."""
        if hasattr(self._asked, "aclose"):
            run_sync(self._asked.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._asked!r})"


class SyncLLM(_Sync):
    """A model with the same methods, without `await`: `llm.sync.generate("Hello")`.

    Any number of threads may use it; all requests run in one thread with an event loop, so their
    connections are shared. It also works where a loop runs already, as in a notebook. Ctrl-C, or what
    else ends the wait, cancels the request.
    """

    def __init__(self, llm: Any) -> None:
        """Use *llm*: a provider, `FallbackLLM`, `CachedLLM`, or any other; it has the methods of that one."""
        super().__init__(llm)

    def _who_has_more(self) -> str:
        if not hasattr(self._asked, "request"):
            return "wrap it in FallbackLLM([...]), which adds what all our models have"
        return super()._who_has_more()

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
            self._asked.generate(messages, temperature, max_tokens, output=output, **options)
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
            self._asked.stream(messages, temperature, max_tokens, output=output, **options)
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
            self._asked.request(messages, output=output, **options)
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
        return Pump(self._asked.map(rows, prompt, **call))

    def count_tokens(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> TokenCount:
        """Count the input tokens of a request; see `BaseProvider.count_tokens`."""
        counted: TokenCount = run_sync(self._asked.count_tokens(messages, output=output, **options))
        return counted

    def count_text(self, text: str, model: str | None = None) -> TokenCount:
        """Count the tokens of *text* alone, without asking a server; see `BaseProvider.count_text`."""
        counted: TokenCount = self._asked.count_text(text, model)
        return counted

    def count_conversation(
        self, conversation: "Conversation", model: str | None = None
    ) -> TokenCount:
        """Count the tokens of *conversation*; see `BaseProvider.count_conversation`."""
        counted: TokenCount = self._asked.count_conversation(conversation, model)
        return counted

    def get_token_count(self, text: str) -> int:
        """Count the tokens of *text*, without asking a server. Never raises."""
        tokens: int = self._asked.get_token_count(text)
        return tokens

    def fingerprint(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> str:
        """Return what is the same for all calls that ask the same; see `BaseProvider.fingerprint`."""
        found: str = run_sync(self._asked.fingerprint(messages, output=output, **options))
        return found

    def batch(self, rows: "BatchRows", **options: "Unpack[RowKeywords]") -> "SyncBatch":
        """Send rows that the vendor answers within a day or so; see `BaseProvider.batch`."""
        from bruno_llm_base.batch.sync import SyncBatch  # most programs send none

        return SyncBatch(run_sync(self._asked.batch(rows, **options)))

    def batch_from(self, batch_id: str, *, output: Any = None) -> "SyncBatch":
        """Return the batch with an id; see `BaseProvider.batch_from`."""
        from bruno_llm_base.batch.sync import SyncBatch

        return SyncBatch(self._asked.batch_from(batch_id, output=output))

    def get_model_info(self) -> dict[str, Any]:
        """Describe the model: plain JSON, no secrets, no network."""
        info: dict[str, Any] = self._asked.get_model_info()
        return info

    def set_system_prompt(self, prompt: str) -> None:
        """Begin every conversation with *prompt*; an empty one removes it."""
        self._asked.set_system_prompt(prompt)

    def get_system_prompt(self) -> str | None:
        """Return the system prompt."""
        prompt: str | None = self._asked.get_system_prompt()
        return prompt


class SyncEmbeddings(_Sync):
    """Embeddings with the same methods, without `await`: `embeddings.sync.embed_text("Hello")`."""

    def __init__(self, embeddings: EmbeddingInterface) -> None:
        """Use *embeddings*: a provider's, or `CachedEmbeddings`."""
        super().__init__(embeddings)

    def embed_text(self, text: str) -> list[float]:
        """Return the vector of one text."""
        vector: list[float] = run_sync(self._asked.embed_text(text))
        return vector

    def embed_texts(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors of texts, in their order."""
        vectors: list[list[float]] = run_sync(self._asked.embed_texts(texts))
        return vectors

    def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors of texts: another name of `embed_texts`."""
        vectors: list[list[float]] = run_sync(self._asked.embed_batch(texts))
        return vectors

    def embed_message(self, message: "Message") -> list[float]:
        """Return the vector of what *message* says."""
        vector: list[float] = run_sync(self._asked.embed_message(message))
        return vector

    def calculate_similarity(
        self, embedding1: Sequence[float], embedding2: Sequence[float]
    ) -> float:
        """Return how alike two vectors are, 0 to 1; see `BaseEmbeddings.calculate_similarity`."""
        likeness: float = self._asked.calculate_similarity(embedding1, embedding2)
        return likeness

    def get_dimension(self) -> int:
        """Return how many numbers a vector has; nothing is asked for it."""
        dimension: int = self._asked.get_dimension()
        return dimension

    def get_model_name(self) -> str:
        """Return the model's name."""
        model: str = self._asked.get_model_name()
        return model

    def supports_batch(self) -> bool:
        """Say whether several texts go into one request."""
        supports: bool = self._asked.supports_batch()
        return supports

    def get_max_batch_size(self) -> int | None:
        """Return the most texts that one request has; None if it is not known."""
        most: int | None = self._asked.get_max_batch_size()
        return most

    def fingerprint(self, text: str) -> str:
        """Return what is the same for all who ask for the vector of *text*, in every process."""
        found: str = self._asked.fingerprint(text)
        return found
