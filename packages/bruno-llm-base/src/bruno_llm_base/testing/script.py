"""What a fake server is told to answer, in words that fit every vendor."""

import re
from dataclasses import dataclass, field
from typing import Literal

from bruno_llm_base.types import FinishReason, ToolCall, Usage

__all__ = ["ErrorKind", "FakeAnswer", "FakeError"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeAnswer:
    """An answer, as a vendor's model would give it.

    Attributes:
        text: The answer.
        reasoning: What is thought before it.
        tool_calls: The tools called after it.
        finish_reason: Why it stops.
        usage: The tokens it is said to cost.
        cut_after: In a stream, break the connection after this many events.
    """

    text: str = "Hello from the fake server."
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "stop"
    usage: Usage = field(default_factory=lambda: Usage(input_tokens=11, output_tokens=7))
    cut_after: int | None = None

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
