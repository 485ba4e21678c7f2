"""Counting tokens without asking anyone."""

from bruno_llm_base.conversation import Conversation, Text
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.types import ToolCall
from bruno_llm_base.values import shown

__all__ = ["estimate_conversation", "estimate_tokens"]

_BYTES_PER_TOKEN = 4
_PER_PART = 4  # what marks where a part begins and ends, and who speaks


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
