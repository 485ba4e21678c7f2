"""Counting tokens without asking anyone."""

from dataclasses import dataclass

from bruno_llm_base.conversation import Conversation, Text
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.types import ToolCall
from bruno_llm_base.values import shown

__all__ = ["TokenCount", "estimate_conversation", "estimate_tokens"]

_BYTES_PER_TOKEN = 4
_PER_PART = 4  # what marks where a part begins and ends, and who speaks


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCount:
    """How many tokens something takes.

    Attributes:
        tokens: The count, or the best guess.
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


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of *text*: one per four UTF-8 bytes, at least one for any text.

    Four bytes per token is the vendors' rule of thumb for English
    (https://platform.openai.com/tokenizer).

    Raises:
        InvalidRequestError: It is no text.
    """
    if not isinstance(text, str):
        raise InvalidRequestError(f"text is {shown(text)}: give a text")
    size = len(text.encode("utf-8", "surrogatepass"))
    return -(-size // _BYTES_PER_TOKEN)


def estimate_conversation(conversation: Conversation) -> int:
    """Estimate the tokens of all that is said in *conversation*."""
    texts = [conversation.system] if conversation.system else []
    for turn in conversation.turns:
        for part in turn.parts:
            if isinstance(part, Text):
                texts.append(part.text)
            elif isinstance(part, ToolCall):
                texts.append(f"{part.name}{part.arguments}")
            else:
                texts.append(part.content)
    return sum(_PER_PART + estimate_tokens(text) for text in texts)
