"""The seam that a provider fills: how one API spells things.

An adapter is class data and pure functions over plain JSON. It holds nothing but settings, never
changes, never touches the network, and needs no `try`: the base reports documents that do not fit.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from bruno_llm_base.access import Access
from bruno_llm_base.error_mapping import ErrorFacts, read_error_document
from bruno_llm_base.exceptions import InvalidRequestError, LLMError
from bruno_llm_base.lenient import read_models
from bruno_llm_base.limits import LimitState
from bruno_llm_base.media_rules import MediaRules
from bruno_llm_base.messages import Conversation
from bruno_llm_base.parts import Json, Media
from bruno_llm_base.response import FinishReason, ModelResponse, TokenCount
from bruno_llm_base.values import is_whole

if TYPE_CHECKING:
    from bruno_llm_base.tools import Tool

_MEDIA_TOKENS = 5_000  # more than any vendor counts for a picture
_UNSUPPORTED = ("unsupported_parameter", "unsupported_value")


class Adapter(ABC):
    """What the adapters of all endpoints have in common.

    Attributes:
        models_path: The endpoint that lists the models; None where there is none.
        reserved_fields: Fields of a body that belong to the request itself: no option may set them.
        error_kinds: What the vendor's own codes, types and reasons of errors stand for.
    """

    __slots__ = ()

    models_path: str | None
    reserved_fields: ClassVar[frozenset[str]]
    error_kinds: ClassVar[Mapping[str, type[LLMError]]] = {}

    @classmethod
    def at(cls, access: Access) -> Self:
        """Return the adapter for the server at *access*."""
        del access
        return cls()

    def build_probe(self, model: str) -> tuple[str, Json] | None:
        """Return the path and body of a request that is refused as malformed, so that it costs nothing.

        That refusal tells that the key and *model* are right. It is needed where no list of models
        tells so.
        """
        return None

    def parse_models(self, data: Json) -> list[str]:
        """Read the names of the models on offer."""
        return [row["id"] for row in read_models(data)]

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        """Read an error document, of which a list or a text is the field `error`.

        Most spellings are known; an API with codes of its own names them in `error_kinds`. What
        neither tells, the HTTP status decides.
        """
        return read_error_document(status, data, self.error_kinds)

    def read_limits(self, headers: Mapping[str, str]) -> LimitState | None:
        """Read what the server says of its own rate limits; None if nothing."""
        return None

    def advice(self, error: LLMError) -> str:
        """Return what the user may do about *error*; "" for nothing."""
        return ""

    def missing_model(self, model: str, offered: Sequence[str]) -> str:
        """Return what is wrong if *model* is not among those *offered*, else ""."""
        return ""

    def max_output(self, body: Json) -> int | None:
        """Return how many tokens *body* lets the model generate, reasoning included; None: any."""
        return 0  # of endpoints that only read

    def unpriced_field(self, body: Json) -> str | None:
        """Return the field of *body* for which the vendor charges what no list of prices tells."""
        return None

    def window_requests(self, model: str) -> tuple[tuple[str, str, Json | None], ...]:
        """Return what else tells a model's window: method, path and body of requests."""
        return ()

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int | None]:
        """Read context windows, in tokens, from the list of models or an answer to `window_requests`."""
        return {}


class ChatAdapter(Adapter):
    """How one API of chat spells things.

    Attributes:
        chat_path: The endpoint of chat.
        stream_path: The endpoint of streamed chat, where that is another one.
        count_path: The endpoint that counts the tokens of a request, where there is one.
        count_error: How far its count may be from what the request will take, as a fraction of
            it; 0 where the vendor documents it as exact.
        option_names: The portable names of options in the vendor's spelling, dots for nesting.
        answers_field: The field that says how many answers are wanted, dots for nesting.
        own_options: Its own fields that are spelled nearly like a portable option.
        finish_reasons: What the vendor's words for the end of an answer mean, where they are its
            own; see `lenient.py` for those that all vendors use.
        window_option: The option that asks for a context window, where that can be asked.
        conversation_codes: Codes of errors that lie in one conversation: how its body was amended is
            not remembered for others.
        cuts_prompts: Whether a server may read a part of the conversation only, and not say so.
        json_mode: The fields that ask for any JSON, for models that know no schemas; none if none.
        wraps_output: Whether the root of an output must be an object.
        media: What pictures, sounds and documents it takes; none if it does not say.
    """

    __slots__ = ()

    chat_path: ClassVar[str]
    stream_path: ClassVar[str | None] = None
    count_path: ClassVar[str | None] = None
    count_error: ClassVar[float] = 0.0
    option_names: ClassVar[Mapping[str, str]] = {}
    answers_field: ClassVar[str] = "n"
    own_options: ClassVar[frozenset[str]] = frozenset()
    reserved_fields: ClassVar[frozenset[str]] = frozenset({"messages", "model", "stream"})
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = {}
    window_option: ClassVar[str | None] = None
    conversation_codes: ClassVar[frozenset[str]] = frozenset()
    cuts_prompts: ClassVar[bool] = False
    json_mode: ClassVar[Json] = {}
    wraps_output: ClassVar[bool] = True
    media: ClassVar[MediaRules] = MediaRules()

    def adapter_for(self, model: str, options: Json) -> "ChatAdapter":
        """Return the adapter that asks *model* with *options*: of another API, where the vendor has several.

        Options have their portable names here, or the vendor's own.
        """
        return self

    @abstractmethod
    def build(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        """Return the body that asks for the next turn.

        The *options*, the model among them, belong in it; they are in the vendor's spelling.
        """

    @abstractmethod
    def parse(self, data: Json) -> ModelResponse:
        """Read a whole answer."""

    @abstractmethod
    def parse_event(self, data: Json) -> ModelResponse:
        """Read one document of a stream: a part of the answer, or `NOTHING`."""

    def media_for(self, model: str) -> MediaRules:
        """Return what media *model* takes; `build` then sees no others, and those have been read."""
        return self.media

    def media_tokens(self, media: Media, model: str) -> int:
        """Return the most tokens that *model* may read *media* as, which has been read."""
        return _MEDIA_TOKENS

    def build_tools(
        self,
        tools: "Sequence[Tool | Json]",
        *,
        choice: str | None,
        parallel: bool | None,
        model: str,
    ) -> Json:
        """Return the fields of a body that offer *tools* to the model.

        Args:
            tools: What it may call; dicts are in the vendor's words, and go out as they are.
            choice: "auto", "none", "required", or the name of the tool to call; None for the
                vendor's own default.
            parallel: Whether it may call several at once; None for the vendor's own default.
            model: The model that is asked.

        Raises:
            InvalidRequestError: The API has no words for that.
        """
        given = {"tools": tools, "tool_choice": choice, "parallel_tool_calls": parallel}
        if not all(isinstance(tool, dict) for tool in tools):
            raise InvalidRequestError(
                f"{type(self).__name__} has no build_tools: give tools as the vendor's own dicts"
            )
        return {name: value for name, value in given.items() if value not in (None, [])}

    def build_output(self, schema: Json, model: str) -> Json | None:
        """Return the fields that ask for JSON that fits *schema*, or None where *model* cannot.

        The model is then asked in words.
        """
        return None

    def build_reasoning(
        self, wanted: str | int, model: str, max_tokens: int | None
    ) -> tuple[Json, str | int] | None:
        """Return the fields that let *model* think, and how much that is; None where it takes none.

        Args:
            wanted: A level of `reasoning.LEVELS`, or a number of tokens.
            model: The model that is asked.
            max_tokens: The most tokens of the answer, where that is set; thoughts count.
        """
        return None

    def parse_reasoning(self, data: Json) -> Mapping[str, Any]:
        """Read from the list of models how each may think, where the server tells it.

        It is handed to `build_told_reasoning`, when that model is asked.
        """
        return {}

    def build_told_reasoning(
        self, wanted: str | int, model: str, max_tokens: int | None, told: Any
    ) -> tuple[Json, str | int] | None:
        """Return what `build_reasoning` does, for a model of which the server has *told* how it may think."""
        return self.build_reasoning(wanted, model, max_tokens)

    def mark_cache(self, body: Json, keep: str | None) -> Json:
        """Return *body* so that the server keeps what the next request will begin with.

        *keep* is one of `options.CACHE_TIMES`, or None for the vendor's usual time. Where a server
        keeps it anyway, or never, that is *body* itself.
        """
        return body

    def shows_schema(self, model: str) -> bool:
        """Whether the server shows the schema to *model*; else the model is told in words too."""
        return True

    def text_tokens(self, text: str, model: str) -> TokenCount | None:
        """Count *text* by the vocabulary of *model*; None where it is not known.

        It may take long, but asks no server and never fails.
        """
        return None

    def conversation_tokens(self, conversation: Conversation, model: str) -> TokenCount | None:
        """Count *conversation* by the vocabulary of *model*, as `text_tokens` counts a text."""
        return None

    def vocabulary(self, model: str) -> str | None:
        """Return the name of the vocabulary by which the two count for *model*; None: they do not."""
        return None

    def build_count(self, conversation: Conversation, body: Json) -> Json | None:
        """Return the body that asks `count_path` how many tokens the request with *body* takes.

        None where this server, or this request, is not to be asked about.
        """
        return None

    def parse_count(self, data: Json) -> int:
        """Read how many tokens a request takes."""
        tokens: int = data["input_tokens"]
        return tokens

    def max_output(self, body: Json) -> int | None:
        """Return how many tokens *body* lets the model generate, reasoning included; None: any."""
        names = ("max_tokens", self.option_names.get("max_tokens", "max_tokens"))
        limits = [n for name in names if (n := _number(body, name, least=0)) is not None]
        answers = _number(body, self.answers_field, least=1) or 1
        return max(limits) * answers if limits else None

    def requested_window(self, body: Json) -> int | None:
        """Return the context window that *body* itself asks for, in tokens; None if none."""
        return None

    def make_batches(self, access: Access) -> Any:
        """Return the `batch.adapter.BatchAdapter` of the server at *access*; None if it takes no batches."""
        return None

    def refused_options(self, model: str, options: Json) -> frozenset[str]:
        """Return the portable names of those *options* that *model* refuses."""
        return frozenset()

    def amend(self, body: Json, code: str, field: str) -> Json | None:
        """Return *body* in a way that the API takes, or None, after it has refused *field* with *code*.

        Dots in a field lead into nested objects, or to one of the words in a list.
        """
        outer, _, inner = field.partition(".")
        if code not in _UNSUPPORTED or outer in self.reserved_fields:
            return None
        kept = {name: value for name, value in body.items() if name != outer}
        if not inner:
            return kept
        nested = body.get(outer)
        if not isinstance(nested, dict | list) or inner not in nested:
            return None
        rest: Any
        if isinstance(nested, list):
            rest = [word for word in nested if word != inner]
        else:
            rest = {name: value for name, value in nested.items() if name != inner}
        return body | {outer: rest} if rest else kept


def _number(body: Json, name: str, *, least: int) -> int | None:
    value: object = body
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int) and is_whole(value, least=least) else None


@dataclass(slots=True, kw_only=True, repr=False)
class EmbeddingResponse(ModelResponse):
    """What a model answers to a request for embeddings: vectors, and no text.

    Attributes:
        vectors: One vector for each text, in the order of the texts.
    """

    vectors: list[list[float]] = field(default_factory=list, repr=False)


class EmbeddingAdapter(Adapter):
    """How one API of embeddings spells things.

    Attributes:
        embeddings_path: The endpoint of embeddings.
        dimensions: How many numbers the vectors of each model have, as far as that is known.
        max_batch: The most texts that the vendor takes in one request; None if any number.
        max_request_tokens: The most tokens that the vendor takes in one request, all texts
            together; None if any number.
    """

    __slots__ = ()

    embeddings_path: ClassVar[str]
    dimensions: ClassVar[Mapping[str, int]] = {}
    max_batch: ClassVar[int | None] = None
    max_request_tokens: ClassVar[int | None] = None
    reserved_fields: ClassVar[frozenset[str]] = frozenset({"input", "model"})

    @abstractmethod
    def build(self, texts: Sequence[str], options: Json, dimensions: int | None) -> Json:
        """Return the body that asks for the vectors of *texts*, with the user's *options* in it.

        *dimensions* is how many numbers a vector shall have; None where the model is to decide.
        """

    @abstractmethod
    def parse(self, data: Json) -> EmbeddingResponse:
        """Read the vectors, in the order of the texts, and what the server says of the tokens."""

    def own_dimension(self, model: str) -> int | None:
        """Return how many numbers the vectors of *model* have unless fewer are asked for."""
        return self.dimensions.get(model)
