"""Counting the tokens of a request: what is remembered, and when a guess will do."""

import json

from bruno_llm_base.calibration import Calibration
from bruno_llm_base.conversation import Conversation, Text
from bruno_llm_base.exceptions import (
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    ModelNotFoundError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_base.tokens import TokenCount
from bruno_llm_base.types import Json, ToolCall

__all__ = ["Calibrations", "is_large", "may_estimate", "printed", "tool_list", "with_tools"]

_MOST_MODELS = 100  # the models that one process asks are few, unless its users name them
_LARGE = 50_000  # characters, which take some milliseconds to count
_TOOLS_ERROR = 0.5  # vendors rewrite tools in words of their own before the model sees them

_CANNOT_TELL = (
    InvalidResponseError,
    LLMTimeoutError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
_NO_SUCH_ENDPOINT = (404, 405)


class Calibrations:
    """What one provider has learned of its models' tokens."""

    def __init__(self) -> None:
        self._models: dict[str, Calibration] = {}

    def of(self, model: str) -> Calibration:
        """Return what is known of *model*; of too many, the one that came first is forgotten."""
        known = self._models.get(model)
        if known is None:
            if len(self._models) >= _MOST_MODELS:
                self._models.pop(next(iter(self._models)), None)
            known = self._models[model] = Calibration()
        return known


def printed(value: object) -> str:
    """Return *value* as it is printed, None as nothing, and nothing where it cannot be printed."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else str(value)
    except Exception:  # noqa: BLE001 - bruno-core's get_token_count never raises
        return ""


def is_large(conversation: Conversation) -> bool:
    """Whether counting *conversation* takes so long that the event loop should not wait for it."""
    size = len(conversation.system or "")
    for turn in conversation.turns:
        for part in turn.parts:
            if isinstance(part, Text):
                size += len(part.text)
            elif isinstance(part, ToolCall):
                size += len(part.arguments)
            else:
                size += len(part.content)
    return size > _LARGE


def tool_list(body: Json) -> str:
    """Return the tools that a request offers to the model, as text; "" for none."""
    tools = body.get("tools")
    return json.dumps(tools, ensure_ascii=False) if tools else ""


def with_tools(count: TokenCount, tools: TokenCount) -> TokenCount:
    """Return what a conversation takes together with the tools that are offered beside it."""
    return TokenCount(
        tokens=count.tokens + tools.tokens,
        exact=False,
        source=count.source,
        error=max(count.error, _TOOLS_ERROR),
    )


def may_estimate(error: LLMError) -> bool:
    """Whether a guess will do for a count that ended with *error*.

    It will where the server cannot be asked, is too busy or knows no such endpoint; not where it
    refuses the key, the model or the request, which it would refuse the request itself for.
    """
    if isinstance(error, InvalidRequestError) and not isinstance(error, ModelNotFoundError):
        return error.status_code in _NO_SUCH_ENDPOINT
    return isinstance(error, _CANNOT_TELL)
