"""What a model answers, and what is said about it.

A streamed answer is a series of partial `ModelResponse`s whose sum is the answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from bruno_core.models import Message, MessageRole

from bruno_llm_base.values import INT64, is_whole

if TYPE_CHECKING:
    from decimal import Decimal

    from bruno_llm_base.cost.price import Cost
    from bruno_llm_base.pricing import Tariff

__all__ = [
    "NOTHING",
    "TOOL_CALL_PLACEHOLDER",
    "Answer",
    "Attempt",
    "FinishReason",
    "Json",
    "ModelResponse",
    "Outcome",
    "ToolCall",
    "Usage",
    "checked",
]

Json = dict[str, Any]
FinishReason = Literal["stop", "length", "content_filter", "tool_call", "error"]

TOOL_CALL_PLACEHOLDER = "(tool call)"
"""The text of an assistant message that only calls tools: bruno-core's messages need one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of a request, as the server reports them, or of several.

    Totals are inclusive: cached input counts as input, reasoning counts as output. None means that
    the server did not say; it never means 0. `+` adds what two requests took; two reports of one
    request become one with `updated`. The names follow OpenTelemetry's GenAI conventions
    (https://github.com/open-telemetry/semantic-conventions-genai).

    Attributes:
        input_tokens: All input, cached or not.
        output_tokens: All output, reasoning included.
        cache_read_tokens: Input that was read from the vendor's prompt cache.
        cache_write_tokens: Input that was written to the prompt cache.
        cache_write_1h_tokens: The part of it that is kept for an hour.
        reasoning_tokens: Output that was reasoning.
        input_audio_tokens: Input that was audio.
        output_audio_tokens: Output that was audio.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None

    @property
    def total_tokens(self) -> int | None:
        """Input and output together; None if either is unknown."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Self) -> Self:
        """Return what two requests took together; what only one of them counts is of that one."""
        pairs = zip(_COUNTS, _counts(self), _counts(other), strict=True)
        sums = {n: b if a is None else a if b is None else a + b for n, a, b in pairs}
        return replace(self, **sums)

    def updated(self, later: Self) -> Self:
        """Return this report with what a *later* one of the same request says in its place.

        A later count of 0 says nothing where there was one. Neither does a smaller input without
        the cached parts that an earlier report had: some servers leave them out at the end, of the
        total as well.
        """
        ours, news = _counts(self), _counts(later)
        for our, new in zip(ours, news, strict=True):
            if our is not None and not new and (our or new is None):
                break
        else:
            return later  # it reports all that we do: some vendors count anew with every chunk
        kept = [new if new or our is None else our for our, new in zip(ours, news, strict=True)]
        both = replace(self, **dict(zip(_COUNTS, kept, strict=True)))
        lacks_cache = (self.cache_read_tokens and later.cache_read_tokens is None) or (
            self.cache_write_tokens and later.cache_write_tokens is None
        )
        if lacks_cache and (both.input_tokens or 0) < (self.input_tokens or 0):
            return replace(both, input_tokens=self.input_tokens)
        return both


_COUNTS = tuple(item.name for item in fields(Usage))
_counts = attrgetter(*_COUNTS)
_NO_USAGE = Usage()


class Outcome(Enum):
    """How far an attempt has come.

    | outcome   | it costs                                      | a place in a limit                |
    |-----------|-----------------------------------------------|-----------------------------------|
    | NOT_SENT  | nothing                                       | is given back                     |
    | REFUSED   | nothing                                       | counts as a request of no tokens  |
    | NO_ANSWER | its estimated input, flagged                  | counts with that                  |
    | PARTIAL   | its input, and what has arrived               | counts with that                  |
    | ANSWERED  | what the server has counted                   | counts with that                  |

    What was never seen is never assumed: a model may have written more than has arrived, and a
    server may bill it, but no one can say how much.
    """

    NOT_SENT = "the server has not seen the request"
    REFUSED = "the server has answered with an error"
    NO_ANSWER = "it was sent, and nothing came back"
    PARTIAL = "some of an answer has come"
    ANSWERED = "the answer is complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a request.

    Attributes:
        duration: How long it took, in seconds.
        error: The kind of error that ended it; None for success.
        status_code: The HTTP status, where there was one.
        request_id: The server's name for it.
        retry_after: The wait in seconds that the server asked for.
    """

    duration: float
    error: str | None = None
    status_code: int | None = None
    request_id: str | None = None
    retry_after: float | None = None


@dataclass(slots=True, kw_only=True)
class ToolCall:
    """A tool that the model wants called, or a fragment of it.

    Attributes:
        index: What fragments of one call have in common; None for a call that is whole.
        id: The vendor's name for the call, to be given back with the result.
        name: The tool's name.
        arguments: The arguments as JSON text.
    """

    index: int | None = None
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(slots=True, kw_only=True)
class ModelResponse:
    """A model's answer, or one part of it: the parts of a stream sum to the answer.

    Addition joins text, reasoning, tool calls and provider state; of everything else the later
    report wins, except that nothing outranks a block. A stop after a tool call is a tool call.
    Addition is associative, and `ModelResponse()` is its identity.

    Attributes:
        text: The answer.
        reasoning: What the model thought aloud, kept apart from the answer.
        tool_calls: The tools that it wants called.
        finish_reason: Why it stopped, in OpenTelemetry's words.
        finish_detail: Why it stopped, in the vendor's own word.
        usage: Tokens, as the server counted them.
        reported_cost: What it cost, in USD, where the server says so; `cost` has it then.
        usage_estimated: Whether some of them are our estimate, because the server did not say.
        model: The model that answered, which may be a dated version of the one asked.
        id: The vendor's name for the answer.
        request_id: The vendor's name for the request.
        provider: The provider that answered, such as "openai".
        attempts: Each attempt, the successful one last.
        provider_state: Opaque blocks that this vendor wants back with the next turn, such as
            signatures of reasoning. Blocks with one "index" join, those without stand alone.
        pricing: What knows the prices that hold for it; None where no provider of ours answered.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason | None = None
    finish_detail: str | None = None
    usage: Usage = _NO_USAGE
    reported_cost: "Decimal | None" = None
    usage_estimated: bool = False
    model: str | None = None
    id: str | None = None
    request_id: str | None = None
    provider: str | None = None
    attempts: tuple[Attempt, ...] = ()
    provider_state: tuple[Json, ...] = ()
    pricing: "Tariff | None" = field(default=None, repr=False, compare=False)

    @property
    def cost(self) -> "Cost | None":
        """What it cost, in USD, at the prices of its time; worked out when first read.

        None means that nobody knows: the model's price is unknown (one warning says so), the usage
        is, or this is a part of a stream that has not ended. What is free costs 0.
        """
        return None if self.pricing is None else self.pricing.cost(self)

    def __add__(self, later: "ModelResponse") -> "ModelResponse":
        """Return the sum of two neighbouring parts."""
        return ModelResponse.join((self, later))

    @classmethod
    def join(cls, parts: "Iterable[ModelResponse]") -> "ModelResponse":
        """Return the sum of *parts*, in time linear in their size."""
        answer = Answer()
        for part in parts:
            answer.add(part)
        return answer.whole()

    def to_message(self) -> Message:
        """Return the answer as the assistant's turn of a conversation, nothing lost.

        Tool calls and provider state go into the metadata, where every provider reads them back.
        """
        metadata: Json = {}
        if self.tool_calls:
            names = ("id", "name", "arguments")
            calls = [{name: getattr(call, name) for name in names} for call in self.tool_calls]
            metadata["tool_calls"] = calls
        if self.provider_state:
            metadata["provider_state"] = list(self.provider_state)
        text = self.text if self.text.strip() else TOOL_CALL_PLACEHOLDER
        return Message(role=MessageRole.ASSISTANT, content=text, metadata=metadata)


NOTHING = ModelResponse()
"""What an event that says nothing about the answer, such as a ping, is read as."""


class Answer:
    """An answer under construction: add its parts, then take the whole.

    It runs once per streamed chunk, so it collects and joins nothing before the end.
    """

    __slots__ = ("_calls", "_counted", "_last", "_reasoning", "_state", "_texts")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[ToolCall] = []
        self._state: list[Json] = []
        self._last = ModelResponse()
        self._counted = False

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the model stopped, once it has said so."""
        return self._last.finish_reason

    @property
    def complete(self) -> bool:
        """Whether the model has said why it stopped, and the server then what it cost.

        Counts that came before the end do not do: some servers count anew with every chunk.
        """
        return self._counted

    @property
    def begun(self) -> bool:
        """Whether the model has said anything yet."""
        return bool(self._texts or self._reasoning or self._calls or self._state)

    def add(self, part: ModelResponse) -> None:  # noqa: C901, PLR0912 - flat, and fast
        """Take the next part."""
        last = self._last
        if part.text:
            self._texts.append(part.text)
        if part.reasoning:
            self._reasoning.append(part.reasoning)
        if part.tool_calls:
            self._calls += part.tool_calls
        if part.provider_state:
            self._state += part.provider_state
        if part.finish_reason is not None and (
            last.finish_reason != "content_filter" or part.finish_reason == "content_filter"
        ):
            last.finish_reason, last.finish_detail = part.finish_reason, part.finish_detail
        if part.usage is not _NO_USAGE:
            last.usage = last.usage.updated(part.usage)
            last.usage_estimated = part.usage_estimated
            if part.reported_cost is not None:
                last.reported_cost = part.reported_cost
            if last.finish_reason is not None and part.usage.output_tokens is not None:
                self._counted = True
        if part.model is not None:
            last.model = part.model
        if part.id is not None:
            last.id = part.id
        if part.request_id is not None:
            last.request_id = part.request_id
        if part.provider is not None:
            last.provider = part.provider
        if part.attempts:
            last.attempts = part.attempts
        if part.pricing is not None:
            last.pricing = part.pricing

    def whole(self) -> ModelResponse:
        """Return the sum of the parts so far."""
        finish_reason = self._last.finish_reason
        if finish_reason == "stop" and any(call.name for call in self._calls):
            finish_reason = "tool_call"  # some vendors call that a stop
        return replace(
            self._last,
            finish_reason=finish_reason,
            text="".join(self._texts),
            reasoning="".join(self._reasoning),
            tool_calls=_join_tool_calls(self._calls),
            provider_state=_join_state(self._state),
        )


_Response = TypeVar("_Response", bound=ModelResponse)


def checked(part: _Response) -> _Response:
    """Return *part*, made of what it is declared to be made of; counts that are none become None.

    Raises:
        TypeError: Some of it is something else, because the server sent something else.
    """
    if type(part.text) is not str or type(part.reasoning) is not str:
        raise TypeError("text")
    if part.usage is not _NO_USAGE:
        counts = _counts(part.usage)
        for count in counts:
            if count is not None and (type(count) is not int or not 0 <= count <= INT64):
                sound = [count if is_whole(count, least=0) else None for count in counts]
                part.usage = Usage(**dict(zip(_COUNTS, sound, strict=True)))
                break
    for call in part.tool_calls:
        index_is_sound = call.index is None or type(call.index) is int
        if not (index_is_sound and type(call.arguments) is str and _are_words(call.id, call.name)):
            raise TypeError("tool call")
    for block in part.provider_state:
        if type(block) is not dict or type(block.get("index", 0)) is not int:
            raise TypeError("provider state")
    if not _are_words(part.model, part.id, part.finish_detail):
        raise TypeError("name")
    return part


def _are_words(*values: object) -> bool:
    for value in values:  # noqa: SIM110 - it runs for every chunk, and `all` costs three times more
        if value is not None and type(value) is not str:
            return False
    return True


def _join_tool_calls(fragments: list[ToolCall]) -> tuple[ToolCall, ...]:
    groups: dict[object, list[ToolCall]] = {}
    for place, fragment in enumerate(fragments):
        alone = ("alone", place)
        groups.setdefault(alone if fragment.index is None else fragment.index, []).append(fragment)
    return tuple(
        ToolCall(
            index=group[0].index,
            id=next((fragment.id for fragment in group if fragment.id), None),
            name=next((fragment.name for fragment in group if fragment.name), None),
            arguments="".join([fragment.arguments for fragment in group]),
        )
        for group in groups.values()
    )


def _join_state(fragments: list[Json]) -> tuple[Json, ...]:
    blocks: dict[object, dict[str, list[Any]]] = {}
    for place, fragment in enumerate(fragments):
        block = blocks.setdefault(fragment.get("index", ("alone", place)), {})
        for name, value in fragment.items():
            block.setdefault(name, []).append(value)
    return tuple(
        {name: _join_values(name, values) for name, values in block.items()}
        for block in blocks.values()
    )


def _join_values(name: str, values: list[Any]) -> Any:
    if name != "index" and all(isinstance(value, str) for value in values):
        return "".join(values)
    return values[-1]
