"""What a model answers, and what is said about it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from functools import reduce
from io import StringIO
from operator import add, attrgetter
from typing import TYPE_CHECKING, Any, Generic, Literal

from bruno_core.models import Message, MessageRole
from typing_extensions import TypeVar

from bruno_llm_base.exceptions import Attempt
from bruno_llm_base.parts import (
    Json,
    Media,
    Part,
    Reasoning,
    Text,
    ToolCall,
    check_types,
    join_parts,
    part_to_json,
    text_of,
)
from bruno_llm_base.values import INT64, is_whole, shown

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

FinishReason = Literal["stop", "length", "content_filter", "tool_call", "pause", "error"]

# What an assistant's message says where there are no words: bruno-core's messages need some.
TOOL_CALL_PLACEHOLDER, NO_TEXT_PLACEHOLDER = "(tool call)", "(no text)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of a request, as the server reports them, or of several.

    Totals are inclusive: input counts what the prompt cache held, output the reasoning, both count
    sound and pictures, `cache_read_tokens` the sound in the cache, and `cache_write_tokens` what is kept
    for 1 hour or 12. None means that the server did not say, never 0.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    cache_write_12h_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_read_audio_tokens: int | None = None
    input_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_audio_tokens: int | None = None
    output_image_tokens: int | None = None

    @property
    def total_tokens(self) -> int | None:
        """Input and output together; None if either is unknown."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        """Return what two requests took together; what only one of them counts is of that one."""
        pairs = zip(_counts(self), _counts(other), strict=True)
        return _usage(b if a is None else a + (b or 0) for a, b in pairs)

    def updated(self, later: "Usage") -> "Usage":
        """Return this report with what a *later* one of the same request says in its place.

        A later count of 0 says nothing where there was one. Neither does a smaller input without
        the cached tokens of before: some servers leave them out at the end, of the total as well.
        """
        ours, news = _counts(self), _counts(later)
        kept = [b or (b if a is None else a) for a, b in zip(ours, news, strict=True)]
        if kept == [*news]:  # some vendors repeat the count in every chunk
            return later
        both = _usage(kept)
        lacks_cache = (self.cache_read_tokens and later.cache_read_tokens is None) or (
            self.cache_write_tokens and later.cache_write_tokens is None
        )
        if lacks_cache and (both.input_tokens or 0) < (self.input_tokens or 0):
            return replace(both, input_tokens=self.input_tokens)
        return both

    def __repr__(self) -> str:
        """Return what is known."""
        known = zip(_COUNTS, _counts(self), strict=True)
        return f"Usage({', '.join(f'{name}={n}' for name, n in known if n is not None)})"


_COUNTS = tuple(item.name for item in fields(Usage))
_counts = attrgetter(*_COUNTS)
_NO_USAGE = Usage()


def _usage(counts: Iterable[int | None]) -> Usage:
    return Usage(**dict(zip(_COUNTS, counts, strict=True)))


@dataclass(frozen=True, slots=True)
class Cost:
    """What one answer cost, in USD.

    Attributes:
        parts: What its parts cost, which sum to `total`: the names of the prices in `Price`, of which
            "input" and "output" (reasoning included) are what has no other name; or "reported" alone,
            where the server said what it cost.
        source: Whose prices these are, such as "genai-prices 0.2.3", or who said what it cost.
        as_of: The day on which the list of prices was fetched, or which you gave with a price of your
            own; None where the version that `source` names is all that is known of their age.
        estimated: Whether the server did not count all the tokens.
    """

    total: "Decimal"
    parts: "Mapping[str, Decimal]" = field(hash=False)
    source: str
    as_of: "date | None" = None
    estimated: bool = False

    def __add__(self, other: "Cost") -> "Cost":
        """Return what two answers cost together, as of the earlier day."""
        parts = dict(self.parts)
        for name, cost in other.parts.items():
            parts[name] = parts[name] + cost if name in parts else cost
        sources = dict.fromkeys((*self.source.split("; "), *other.source.split("; ")))
        return Cost(
            total=self.total + other.total,
            parts=parts,
            source="; ".join(filter(None, sources)),
            as_of=min(self.as_of, other.as_of) if self.as_of and other.as_of else None,
            estimated=self.estimated or other.estimated,
        )

    def __str__(self) -> str:
        """Return the total, such as "$0.0021"."""
        return _usd(self.total)

    def __repr__(self) -> str:
        parts = [f"{name}={_usd(cost)}" for name, cost in self.parts.items() if cost]
        parts += [f"source={self.source!r}"]
        parts += [f"as_of={self.as_of}"] if self.as_of else []
        parts += ["estimated=True"] if self.estimated else []
        return f"Cost({', '.join([str(self), *parts])})"


def _usd(amount: "Decimal") -> str:
    return f"${amount.normalize():f}"


class Outcome(Enum):
    """How far an attempt has come, which decides what it costs and what it takes of a limit.

    What was never seen is never assumed, though the server may bill it.
    """

    NOT_SENT = "the server has not seen the request"  # free, and its place in a limit is given back
    REFUSED = "the server has answered with an error"  # free, and a request of no tokens
    NO_ANSWER = "it was sent, and nothing came back"  # its estimated input, flagged
    PARTIAL = "some of an answer has come"  # its input, and what has arrived
    ANSWERED = "the answer is complete"  # what the server has counted


_Output = TypeVar("_Output", default=Any)


@dataclass(slots=True, kw_only=True, repr=False)
class ModelResponse(Generic[_Output]):
    """A model's answer, or what one document of a stream says of it.

    The documents of a stream sum to the answer. `+` joins the parts; of everything else the later
    report wins, except that nothing outranks a block, and only a block an error.

    Attributes:
        parts: The answer, in the order in which it was said.
        finish_reason: Why it stopped; "pause" where the vendor wants it sent back to go on.
        finish_detail: Why it stopped, in the vendor's own word.
        usage: Tokens, as the server counted them.
        cost: What it cost, at the prices of its time, once the answer has ended; 0 where it is free.
            None means that the model's price is unknown (one warning says so), or the usage is.
        usage_estimated: Whether some of the tokens are our estimate: the server did not say.
        model: The model that answered, which may be a dated version of the one asked.
        id: The vendor's name for the answer.
        request_id: The vendor's name for the request.
        provider: The provider that answered, such as "openai".
        attempts: Each attempt, the successful one last; none of an answer that was kept.
        cached: Whether it was kept by a `CachedLLM`: `usage` is what it took then, and it costs nothing.
        is_last: Whether this is the vendor's last word on the answer. For adapters.
        error: The vendor's error document where one stands inside the answer. For adapters.
    """

    parts: tuple[Part, ...] = ()
    finish_reason: FinishReason | None = None
    finish_detail: str | None = None
    usage: Usage = _NO_USAGE
    cost: Cost | None = None
    usage_estimated: bool = False
    model: str | None = None
    id: str | None = None
    request_id: str | None = None
    provider: str | None = None
    attempts: tuple[Attempt, ...] = ()
    cached: bool = False
    is_last: bool = field(default=False, repr=False, compare=False)
    error: Json | None = field(default=None, repr=False, compare=False)
    _output: tuple[_Output] | None = field(default=None, repr=False)

    @property
    def output(self) -> _Output:
        """What was asked for as `output`, of that type.

        Raises:
            RuntimeError: It was not asked for, or the answer calls tools first.
        """
        if self._output is None:
            raise RuntimeError(
                "the answer calls tools, or pauses, before its output: send the results back"
                if self.tool_calls or self.finish_reason == "pause"
                else "the answer has no output: ask for one with request(..., output=...)"
            )
        return self._output[0]

    @property
    def text(self) -> str:
        """The answer in words."""
        return text_of(self.parts)

    @property
    def reasoning(self) -> str:
        """What the model thought aloud, kept apart from the answer."""
        return "".join([part.text for part in self.parts if isinstance(part, Reasoning)])

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that it wants called."""
        return tuple([part for part in self.parts if isinstance(part, ToolCall)])

    @property
    def media(self) -> tuple[Media, ...]:
        """The pictures and sounds that the model has made."""
        return tuple([part for part in self.parts if isinstance(part, Media)])

    def __add__(self, later: "ModelResponse") -> "ModelResponse":
        """Return the sum of two neighbouring parts."""
        return ModelResponse.join((self, later))

    @classmethod
    def join(cls, parts: "Iterable[ModelResponse]") -> "ModelResponse":
        """Return the sum of *parts*, in time linear in their size."""
        answer = Answer()
        for part in parts:
            answer.add(part)
        return answer.total()

    def to_message(self) -> Message:
        """Return the answer as the assistant's turn of a conversation, to be sent to any provider.

        Its text is the message's content, and `metadata["parts"]` holds whatever is more than text.
        """
        content = self.text.strip()
        is_bare = self.parts in ((), (Text(content),))
        metadata = {} if is_bare else {"parts": [part_to_json(part) for part in self.parts]}
        content = content or (TOOL_CALL_PLACEHOLDER if self.tool_calls else NO_TEXT_PLACEHOLDER)
        return Message(role=MessageRole.ASSISTANT, content=content, metadata=metadata)

    def __dir__(self) -> list[str]:
        """Return what users read, and not what adapters write."""
        return [n for n in object.__dir__(self) if n not in ("error", "is_last", "join")]

    def __repr__(self) -> str:
        """Return what a reader wants to see first: the beginning of the text, tokens and cost."""
        facts = {
            "text": self.text,
            "tool_calls": [call.name for call in self.tool_calls],
            "media": len(self.media),
            "finish_reason": self.finish_reason,
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
            "usage_estimated": self.usage_estimated,
            "model": self.model,
            "provider": self.provider,
            "cached": self.cached,
        }
        told = [
            f"{n}={shown(v)}" for n, v in facts.items() if n == "text" or v not in (None, 0, [])
        ]
        told += [] if self.cost is None else [f"cost={self.cost}"]
        return f"{type(self).__name__}({', '.join(told)})"


NOTHING = ModelResponse()
"""What an event that says nothing about the answer, such as a ping, is read as."""

_RANKS: dict[FinishReason | None, int] = {"error": 1, "content_filter": 2}


@dataclass(slots=True, eq=False)
class Answer:
    """An answer under construction.

    Text that goes on is written behind what there is of it: an object for each of its pieces would
    be one more for the garbage collector to visit, and thousands of streams have millions.

    Attributes:
        parts: The fragments so far, the last one perhaps without its latest text.
        is_settled: Whether the model has said why it stopped, and the server then what it cost. More
            may follow; earlier counts do not settle it, since some servers count with every chunk.
    """

    parts: list[Part] = field(default_factory=list)
    is_settled: bool = False
    _last: ModelResponse = field(default_factory=ModelResponse)
    _kind: type[Part] | None = None  # of the last of the parts
    _index: int | None = None
    _more: StringIO | None = None  # its text behind what it has already

    def add(self, part: ModelResponse) -> None:  # noqa: C901, PLR0912 - flat, and fast
        """Take the next part."""
        last = self._last
        pieces: Sequence[Any] = part.parts
        for piece in pieces:
            kind = type(piece)
            if (
                kind is self._kind
                and piece.index == self._index
                and (kind is Text or (kind is Reasoning and piece.state is None))
            ):
                if self._more is None:
                    self._more = StringIO()
                self._more.write(piece.text)
                continue
            if self._more is not None:
                self._write_out(self._more)
            self.parts.append(piece)
            self._kind, self._index = kind, piece.index
        reason = part.finish_reason
        if reason is not None and _RANKS.get(reason, 0) >= _RANKS.get(last.finish_reason, 0):
            last.finish_reason, last.finish_detail = reason, part.finish_detail
        if part.usage is not _NO_USAGE:
            counted = last.usage
            last.usage = part.usage if counted is _NO_USAGE else counted.updated(part.usage)
            last.usage_estimated = part.usage_estimated
            if part.cost is not None:
                last.cost = part.cost
            if last.finish_reason is not None and part.usage.output_tokens is not None:
                self.is_settled = True
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

    def total(self) -> ModelResponse:
        """Return the sum of the parts so far, to which more may be added."""
        if self._more is not None:
            self._write_out(self._more)
        return replace(self._last, parts=join_parts(self.parts))

    def finished(self) -> ModelResponse:
        """Return the answer, to which nothing is added any more, in one shape for every vendor.

        A call without a name is left out; arguments that were left out are `{}`; a stop is a call
        where there are calls.
        """
        if self._more is not None:
            self._write_out(self._more)
        response = self._last
        response.parts = join_parts(self.parts)
        named = [p for p in response.parts if not isinstance(p, ToolCall) or p.name]
        response.parts = tuple(named)
        for call in response.tool_calls:
            call.arguments = call.arguments or "{}"
            if response.finish_reason == "stop":
                response.finish_reason = "tool_call"
        return response

    def _write_out(self, more: StringIO) -> None:
        last: Any = self.parts[-1]  # the reader of the stream has it too
        self.parts[-1] = replace(last, text=last.text + more.getvalue())
        self._more = None


_Response = TypeVar("_Response", bound=ModelResponse[Any])
_MOST_DIGITS = 19


def checked(part: _Response) -> _Response:
    """Return *part* with None for counts that are none; a TypeError says that else it is unsound."""
    # spelled out, since it runs for every chunk
    for piece in part.parts:
        if (
            type(piece) is not Text
            or type(piece.text) is not str
            or (piece.index is not None and type(piece.index) is not int)
        ):
            check_types(piece)
    if part.usage is not _NO_USAGE:
        counts = _counts(part.usage)
        for count in counts:
            if count is not None and (type(count) is not int or not 0 <= count <= INT64):
                part.usage = _usage(map(_whole, counts))
                break
    name, model, detail = part.id, part.model, part.finish_detail
    if (
        (name is not None and type(name) is not str)
        or (model is not None and type(model) is not str)
        or (detail is not None and type(detail) is not str)
    ):
        raise TypeError("name")
    return part


def _whole(count: object) -> int | None:
    """Return *count* where it is one; some servers say 5.0 or "5"."""
    if isinstance(count, str) and count.isdecimal() and len(count) < _MOST_DIGITS:
        count = int(count)
    if isinstance(count, float) and count.is_integer():
        count = int(count)
    return count if isinstance(count, int) and is_whole(count, least=0) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCount:
    """How many tokens something takes.

    Attributes:
        exact: Whether it is what the server will count, to the token.
        source: Who counted, such as "tiktoken, o200k_base".
        error: How far the truth may be from `tokens`, as a fraction of it; 0 where it is exact.
    """

    tokens: int
    exact: bool
    source: str
    error: float = 0.0

    @property
    def least(self) -> int:
        """The fewest tokens that it can be."""
        return int(self.tokens / (1 + self.error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a server says of its work, such as fetching a model: `done` of `total` bytes of `part`."""

    step: str
    part: str | None = None
    done: int | None = None
    total: int | None = None


def totals_of(responses: Sequence[ModelResponse]) -> Json:
    """Return the fields of a response that say what all *responses*, of which there is one, took."""
    costs = [each.cost for each in responses]
    known = [cost for cost in costs if cost is not None]
    return {
        "usage": sum((each.usage for each in responses), Usage()),
        "usage_estimated": any(each.usage_estimated for each in responses),
        "cost": reduce(add, known) if len(known) == len(costs) else None,
        "attempts": tuple(attempt for each in responses for attempt in each.attempts),
    }
