"""What a mock is told to answer."""

import inspect
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING, Any

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.messages import Conversation
from bruno_llm_base.parts import Media, Reasoning, Text, ToolCall
from bruno_llm_base.parts import Part as AnswerPart
from bruno_llm_base.response import ModelResponse
from bruno_llm_base.values import shown
from pydantic import BaseModel
from pydantic_core import to_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
else:
    DataclassInstance = Any

DEFAULT = "Hello from the mock."
"""What a mock answers that was told nothing."""

_WORD = re.compile(r"\s*\S+|\s+")
_KINDS = (
    "a text, a ToolCall, Media, a ModelResponse, a pydantic model or a dataclass as typed output, an"
    " exception, a list of these as pieces of a stream, or a callable"
)

Part = ModelResponse | Exception
"""What a reply is made of: parts of an answer, and an error that ends it."""

_Piece = str | ToolCall | Media | ModelResponse | Exception

MockReply = (
    str
    | ToolCall
    | Media
    | ModelResponse
    | BaseModel
    | DataclassInstance
    | Exception
    | Sequence[_Piece]
    | Callable[[Conversation], "MockReply | Awaitable[MockReply]"]
)
"""One reply of a mock.

- A text is streamed word by word.
- `Media` are what it has made.
- A `ToolCall` asks for a tool; one without an id is given one. Several at once are a list of them.
- A `ModelResponse` says all there is to say. What it leaves open, such as usage, is filled in.
- A pydantic model, or a dataclass, is written as JSON: an answer to a request for typed output.
- An exception is raised.
- A list of these is streamed piece by piece as it stands; an exception in it breaks the stream off.
- A callable, which may be async, is given the conversation and returns any of the others.
"""


class NoReplyError(ConfigurationError):
    """A mock was asked more often, or something else, than its test foresaw.

    It says that the test is wrong, so no `FallbackLLM` turns to another model for it.
    """


def words(text: str) -> list[str]:
    """Return *text* word by word, each with the white space before it, nothing lost."""
    return _WORD.findall(text)


class Script:
    """The replies of a mock, in order."""

    def __init__(
        self, replies: "MockReply | Sequence[MockReply] | Mapping[str, MockReply] | None"
    ) -> None:
        """Take what `MockLLM` was given.

        Raises:
            ConfigurationError: Something in it is not a reply.
        """
        self._queue: deque[Any] = deque()
        self._scripted = 0
        self._always: Any = None
        self._patterns: list[tuple[re.Pattern[str], Any]] = []
        if isinstance(replies, Mapping):
            self._patterns = [_rule(*item) for item in replies.items()]
        elif isinstance(replies, list | tuple):
            self.say(replies)
        elif replies is not None:
            _check("replies", replies)
            self._always = replies
        self._bounded = isinstance(replies, list | tuple)

    def say(self, replies: Sequence[Any]) -> None:
        """Say *replies* next, each once.

        Raises:
            ConfigurationError: One is not a reply.
        """
        for place, reply in enumerate(replies):
            _check(f"replies[{place}]", reply)
        self._queue.extend(replies)
        self._scripted += len(replies)
        self._bounded = True

    async def reply(self, conversation: Conversation) -> list[Part]:
        """Return what is said next, in parts.

        Raises:
            NoReplyError: There is nothing left to say.
            ConfigurationError: What a callable returned is not a reply.
        """
        reply = self._next(conversation)
        if callable(reply):
            try:
                reply = reply(conversation)
                if inspect.isawaitable(reply):
                    reply = await reply
            except AssertionError as error:
                raise NoReplyError(f"the callable's own assertion failed: {error}") from error
            _check("what the callable returned", reply)
            if callable(reply):
                raise ConfigurationError("the callable returned a callable: call it there")
        return parts_of(reply)

    def _next(self, conversation: Conversation) -> Any:
        if self._queue:
            return self._queue.popleft()
        if self._always is not None:
            return self._always
        if self._patterns:
            return self._matching(conversation.turns[-1].text if conversation.turns else "")
        if not self._bounded:
            return DEFAULT
        raise NoReplyError(
            f"the mock was given {self._scripted} replies, and all of them were used: give it"
            " more, or a single one outside of a list, which answers every request"
        )

    def _matching(self, text: str) -> Any:
        for pattern, reply in self._patterns:
            if pattern.search(text):
                return reply
        known = ", ".join(repr(pattern.pattern) for pattern, _ in self._patterns)
        raise NoReplyError(f"{shown(text)} matches no pattern of the mock's: {known}")


def _rule(pattern: object, reply: object) -> tuple[re.Pattern[str], object]:
    if not isinstance(pattern, str):
        raise ConfigurationError(
            f"the pattern {shown(pattern)} is not a text: give a pattern of `re`"
        )
    _check(f"replies[{pattern!r}]", reply)
    try:
        return re.compile(pattern, re.IGNORECASE), reply
    except re.error as error:
        raise ConfigurationError(f"{pattern!r} is not a pattern of `re`: {error}") from None


def _check(name: str, reply: object) -> None:
    if isinstance(reply, list | tuple):
        for place, piece in enumerate(reply):
            if not isinstance(piece, _Piece):
                raise ConfigurationError(
                    f"{name}[{place}] is {shown(piece)}: give a text, a ToolCall, Media, a ModelResponse"
                    " or an exception"
                )
    elif isinstance(reply, type) or not (
        isinstance(reply, str | ToolCall | ModelResponse | BaseModel | Exception)
        or is_dataclass(reply)
        or callable(reply)
    ):
        raise ConfigurationError(f"{name} is {shown(reply)}: give {_KINDS}")


def parts_of(reply: Any) -> list[Part]:
    """Return *reply*, which is not a callable, in the parts in which it is streamed."""
    if isinstance(reply, Exception):
        return [reply]
    is_ours = isinstance(reply, ToolCall | Media | ModelResponse)
    if isinstance(reply, BaseModel) or (is_dataclass(reply) and not is_ours):
        reply = to_json(reply).decode()
    if isinstance(reply, str):
        return [_said(word) for word in words(reply)]
    if isinstance(reply, ModelResponse):
        pieces = [piece for part in reply.parts for piece in _pieces(part)]
        return [*(ModelResponse(parts=(piece,)) for piece in pieces), replace(reply, parts=())]
    pieces = [reply] if is_ours else reply
    return [_part(piece, place) for place, piece in enumerate(pieces)]


def _part(piece: _Piece, place: int) -> Part:
    if isinstance(piece, ToolCall):
        return ModelResponse(parts=(replace(piece, id=piece.id or f"call_{place + 1}"),))
    if isinstance(piece, Media):
        return ModelResponse(parts=(piece,))
    return _said(piece) if isinstance(piece, str) else piece


def _said(text: str) -> ModelResponse:
    return ModelResponse(parts=(Text(text),))


def _pieces(part: AnswerPart) -> list[AnswerPart]:
    """Return *part* as it is streamed: words one by one, and anything else whole."""
    if isinstance(part, Text | Reasoning):
        first, *rest = words(part.text) or [""]
        return [replace(part, text=first), *(type(part)(word) for word in rest)]
    return [part]
