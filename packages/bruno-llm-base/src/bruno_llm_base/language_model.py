"""What can be asked, behind bruno-core's `LLMInterface`: the words that all models share."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from os import PathLike
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload

from bruno_core.interfaces import LLMInterface

from bruno_llm_base.events import Diagnosis, Observer
from bruno_llm_base.messages import Messages
from bruno_llm_base.parts import Json
from bruno_llm_base.response import ModelResponse, TokenCount
from bruno_llm_base.stream import TextStream, answer_text

if TYPE_CHECKING:
    from typing_extensions import TypeForm, Unpack

    from bruno_llm_base.batch.map import Key, MapItem, Prompt, Rows
    from bruno_llm_base.call_keywords import CallKeywords, MapKeywords, RequestKeywords
    from bruno_llm_base.output import Output
    from bruno_llm_base.sync import SyncLLM

_T = TypeVar("_T")


class LanguageModel(LLMInterface):
    """What can be asked: a provider, a fallback, a cache, all in the same words.

    It is a name for type hints, and not made to be subclassed: a provider of your own is a
    `BaseProvider`, and any other model a bruno-core `LLMInterface`, to which `FallbackLLM([yours])`
    adds what is here.
    """

    if TYPE_CHECKING:  # some have them as plain attributes

        @property
        def name(self) -> str:
            """What the provider is called."""

        @property
        def model(self) -> str:
            """The model that is asked."""

        @property
        def capabilities(self) -> frozenset[str]:
            """What it can do."""

        @property
        def observers(self) -> tuple[Observer, ...]:
            """Those who hear of every request."""

    @property
    def sync(self) -> "SyncLLM":
        """The same methods without `await`, for programs without an event loop."""
        from bruno_llm_base.sync import SyncLLM  # most programs are asynchronous

        return SyncLLM(self)

    async def generate(  # type: ignore[override] # what is misspelt is refused
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        output: Any = None,
        **options: "Unpack[CallKeywords]",
    ) -> str:
        """Return the model's answer, which is never empty.

        Args:
            messages: The conversation, or one question.
            temperature: Sampling temperature, 0 to 2.
            max_tokens: The most tokens to generate, reasoning included.
            output: The type that the answer is to fit, which is then returned as JSON: a pydantic
                model, a dataclass, a union, a list, a JSON schema, or `Output`.
            **options: Those of `CallKeywords`: `prompt` (one question, instead of messages) and
                `attachments`; `tools`, `tool_choice` and `parallel_tool_calls`; `model`, `top_p`,
                `stop`, `seed`, `reasoning` and `cache`; and the vendor's own request fields.

        Raises:
            ContentBlockedError: The model refused, or a filter took the answer.
            OutputLimitError: The output budget was spent before any text, or within the output.
            OutputInvalidError: The answer does not fit the type.
            LLMError: Any other failure; see `bruno_llm_base.exceptions`.
        """
        call: Json = {"temperature": temperature, "max_tokens": max_tokens, **options}
        return await self._answer_text(messages, output, call)

    def stream(  # type: ignore[override]
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        output: Any = None,
        **options: "Unpack[CallKeywords]",
    ) -> TextStream:
        """Return the model's answer piece by piece.

        The arguments are those of `generate`. With `output`, the stream has a method `partial()`,
        and its `response.output` is there at the end; the model is not asked again.

        Raises:
            InvalidRequestError: An argument is wrong. All other errors are raised while reading.
        """
        call: Json = {"temperature": temperature, "max_tokens": max_tokens, **options}
        return self._stream(messages, output, call)

    @overload
    async def request(
        self,
        messages: Messages | None = ...,
        *,
        output: "Output[_T]",
        **options: "Unpack[RequestKeywords]",
    ) -> ModelResponse[_T]: ...
    @overload
    async def request(
        self,
        messages: Messages | None = ...,
        *,
        output: "TypeForm[_T]",
        **options: "Unpack[RequestKeywords]",
    ) -> ModelResponse[_T]: ...
    @overload
    async def request(
        self,
        messages: Messages | None = ...,
        *,
        output: None = ...,
        **options: "Unpack[RequestKeywords]",
    ) -> ModelResponse: ...
    async def request(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> ModelResponse[Any]:
        """Return the model's answer with all that is known about it, whatever its finish reason.

        The arguments are those of `generate`, by name but for the messages. With `output`, the answer
        has an `output` of that type, unless it calls tools first.

        Raises:
            LLMError: The model gave no answer; see `bruno_llm_base.exceptions`.
        """
        return await self._answer(messages, output, {**options})

    def map(
        self,
        rows: "Rows",
        prompt: "Prompt",
        *,
        key: "Key | None" = None,
        concurrency: int = 50,
        into: "str | PathLike[str] | None" = None,
        **options: "Unpack[MapKeywords]",
    ) -> "AsyncGenerator[MapItem, None]":
        """Ask the same of each row, and return the answers as they come.

        A row that fails is an item with an `error`. What no other row would be spared ends the map
        once the rows under way are answered: a spent budget or quota, a wrong key, an unknown model.

        Args:
            rows: Dicts or anything else, from any iterable, asynchronous or not; pulled as needed.
            prompt: A text with the fields of a row in braces, `{row}` for a row that is not a dict; or a
                function that returns the messages for a row.
            key: What a row is called in the file: the name of a field, or a function. By default it is
                a hash of the row, and equal rows are asked once.
            concurrency: How many rows are asked at once.
            into: The file to which each answer is appended, a line of JSON. Rows that have an answer
                in it are not asked again.
            **options: Those of `request`, but for tools; `attachments` is a function of a row.

        Raises:
            InvalidRequestError: An argument is wrong, or a row has no such field.
            ConfigurationError: The file answers another prompt, or cannot be opened.
            BudgetExceededError: The budget is spent: all that was answered has been returned.
            OSError: The file cannot be written: the disk is full.
        """
        from bruno_llm_base.batch.map import map_rows  # most programs map nothing

        items = map_rows(
            cast(Any, self),
            rows,
            prompt,
            key=key,
            concurrency=concurrency,
            into=into,
            options={**options},
        )
        self._check_options({**options})
        return items

    @abstractmethod
    async def count_tokens(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> TokenCount:
        """Count the input tokens of a request, system prompt and tools included."""

    @abstractmethod
    async def fingerprint(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> str:
        """Return what is the same for all calls that ask the same, in every process; nothing is sent."""

    async def check_connection(self) -> bool:
        """Say whether the model can be used; `diagnose` says why not. Never raises."""
        return (await self.diagnose()).ok

    @abstractmethod
    async def diagnose(self) -> Diagnosis:
        """Find out whether the model can be used, without cost."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections; they are opened again when needed."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _check_options(self, call: Json) -> None:
        """Raise an `InvalidRequestError` for what would be wrong in every call with these options."""

    @abstractmethod
    async def _answer(
        self, messages: Messages | None, output: Any, call: Json
    ) -> ModelResponse[Any]:
        """Return the answer to a *call*, its options by name; it is the model's to change."""

    @abstractmethod
    def _stream(self, messages: Messages | None, output: Any, call: Json) -> TextStream:
        """Return the streamed answer to a *call*."""

    async def _answer_text(self, messages: Messages | None, output: Any, call: Json) -> str:
        """Return the text of the answer to a *call*."""
        response = await self._answer(messages, output, call)
        if output is None:
            return answer_text(response, str(response.provider))
        from bruno_llm_base.output import output_text

        return output_text(response, output)
