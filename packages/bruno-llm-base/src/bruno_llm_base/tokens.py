"""Counting tokens without asking anyone."""

__all__ = ["estimate_tokens"]

_BYTES_PER_TOKEN = 4


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of *text*: one per four UTF-8 bytes, at least one for any text.

    Four bytes per token is the vendors' rule of thumb for English
    (https://platform.openai.com/tokenizer).
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    return -(-size // _BYTES_PER_TOKEN)
