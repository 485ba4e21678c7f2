"""What a fake server is told to answer, what goes wrong, and what it received: fit for every vendor."""

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, get_args

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.parts import Json, Media, ToolCall
from bruno_llm_base.response import FinishReason, Usage

ErrorKind = Literal[
    "authentication",
    "permission",
    "quota",
    "rate_limit",
    "overloaded",
    "server_error",
    "model_not_found",
    "context_length",
    "invalid_request",
]
Mishap = Literal["stall", "reset", "close", "end", "garble"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeAnswer:
    """An answer, as a vendor's model would give it.

    Attributes:
        text: The answer.
        reasoning: What is thought before it.
        media: The pictures and sounds that are made after it, each with its `data` and `type`.
        tool_calls: The tools called after it.
        finish_reason: Why it stops.
        usage: The tokens it is said to cost.
    """

    text: str = "Hello from the fake server."
    reasoning: str = ""
    media: tuple[Media, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "stop"
    usage: Usage = field(default_factory=lambda: Usage(input_tokens=11, output_tokens=7))

    @property
    def pieces(self) -> list[str]:
        """The text as it is streamed: word by word, nothing lost."""
        return re.findall(r"\s*\S+|\s+", self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeError:
    """An error, in the vendor's own words.

    Attributes:
        kind: What is wrong.
        headers: Headers to send with it.
        retry_after: How many seconds to ask for, where the vendor has a way to say so.
        limit: The limit that was exceeded, in tokens.
        actual: What was sent, in tokens.
        param: The request field complained about.
        in_stream: Whether it comes inside a stream, after a status of 200 and some text.
    """

    kind: ErrorKind
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    limit: int = 1000
    actual: int = 1234
    param: str | None = None
    in_stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RawReply:
    """Any HTTP response, whether the vendor would send it or not: a gateway's page, a redirect.

    Attributes:
        status: The HTTP status.
        headers: The headers. Without a content type, it is labelled as an answer would be.
        body: The bytes, sent as they are.
        repeat: How often the body is sent. More than once makes one body without a stated length,
            of any size, of which only this much is ever in memory.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    repeat: int = 1

    def __post_init__(self) -> None:
        """Check the values."""
        _check(self, "repeat", least=1)


Reply = FakeAnswer | FakeError | RawReply


@dataclass(frozen=True, slots=True)
class Fault:
    """A reply, and what goes wrong on its way.

    A reply that is not streamed is one document: `after=0` is before it, any other number in its
    middle.

    | `then`   | with `after=None`: before the header | with `after=n`: after n events          |
    |----------|--------------------------------------|-----------------------------------------|
    | "stall"  | no answer, until the client leaves   | nothing more, until the client leaves   |
    | "reset"  | the connection is reset (TCP RST)    | the connection is reset (TCP RST)       |
    | "close"  | the connection is closed             | it is closed, in the middle of the body |
    | "end"    | -                                    | the body ends properly, but too early   |
    | "garble" | what comes is not HTTP               | an event that is not JSON, then the rest |

    All times are in seconds and real: keep them to some hundredths.

    Attributes:
        reply: What would be said if nothing went wrong.
        before_header: How long the header is late.
        before_first_event: How long the first event is late, once the header is sent.
        between_events: How long each further event is late.
        pings: In a stream, how often to ping while no event comes. None never pings.
        split: Send the body in packets of this many bytes, about 3,000 a second.
        after: How many events come before `then`. More than there are means after the last one.
        then: What happens then.

    Raises:
        ConfigurationError: A value makes no sense.
    """

    reply: Reply = field(default_factory=FakeAnswer)
    _: KW_ONLY
    before_header: float = 0.0
    before_first_event: float = 0.0
    between_events: float = 0.0
    pings: float | None = None
    split: int | None = None
    after: int | None = None
    then: Mishap | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if not isinstance(self.reply, Reply):
            raise ConfigurationError(
                f"Fault.reply is {self.reply!r}: give a FakeAnswer, FakeError or RawReply"
            )
        for name in ("before_header", "before_first_event", "between_events", "after"):
            _check(self, name, least=0)
        _check(self, "split", least=1)
        if self.pings is not None and not self.pings > 0:
            raise ConfigurationError(f"Fault.pings is {self.pings!r}: give seconds above 0")
        if self.then not in (None, *get_args(Mishap)):
            known = ", ".join(get_args(Mishap))
            raise ConfigurationError(f"Fault.then is {self.then!r}: give one of {known}")
        if self.then is None and self.after is not None:
            raise ConfigurationError(f"Fault.after is {self.after!r}: say what happens `then`")
        if self.then == "end" and self.after is None:
            raise ConfigurationError("Fault.then is 'end': say `after` how many events")


Step = Reply | Fault


@dataclass(slots=True)
class Received:
    """A request that arrived.

    Attributes:
        method: The HTTP method.
        path: The path, without the query.
        query: The query's parameters.
        headers: The headers, by lower-case name.
        body: The JSON that was sent; empty if there was none.
        content: The same, as the bytes that came.
        arrived_at: When its headers arrived, by `time.monotonic()`.
        left: Set when the client leaves before the answer is complete.
        left_at: When that was, by `time.monotonic()`.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json
    content: bytes = field(default=b"", repr=False)
    arrived_at: float = field(default_factory=time.monotonic)
    left: threading.Event = field(default_factory=threading.Event)
    left_at: float | None = None

    def leave(self) -> None:
        """Note that the client has left."""
        self.left_at = time.monotonic()
        self.left.set()


def _check(value: object, name: str, *, least: int) -> None:
    number = getattr(value, name)
    if number is not None and not number >= least:
        raise ConfigurationError(
            f"{type(value).__name__}.{name} is {number!r}: give {least} or more"
        )
