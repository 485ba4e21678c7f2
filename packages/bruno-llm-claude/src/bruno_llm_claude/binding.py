"""Thoughts that are bound to the conversation before them.

Claude's newer models refuse a signed thought that is sent back behind another system text, other
tools or other messages than those it was thought after, as when a conversation was cut to fit. Asked
to, the API drops such thoughts instead
(https://platform.claude.com/docs/en/build-with-claude/preserved-thinking).
"""

import re
from collections.abc import Mapping

from bruno_llm_base import Json

__all__ = ["MISMATCH", "drop_unbound", "headers"]

MISMATCH = re.compile(r"bound to a different conversation")
"""What a refusal says of such a thought; no field tells it."""

_BETA = "thinking-binding-controls-2026-08-01"
_DROP = {"prefix_mismatch_behavior": "drop_block"}
_THOUGHTS = ("thinking", "redacted_thinking")


def drop_unbound(body: Json) -> Json | None:
    """Return *body* with the wish to drop what is not bound to it; None where that cannot be.

    A user's own `block_binding` is left as it is, and other kinds of thinking have none. All models
    that bind thoughts think adaptively where nothing else is said.
    """
    thinking = body.get("thinking") or {}
    if "block_binding" in thinking or thinking.get("type", "adaptive") != "adaptive":
        return None
    if not any(_thinks(message) for message in body["messages"]):
        return None
    return body | {"thinking": {"type": "adaptive", **thinking, "block_binding": _DROP}}


def _thinks(message: Json) -> bool:
    return any(block["type"] in _THOUGHTS for block in message["content"])


def headers(body: Json) -> Mapping[str, str]:
    """Return the header without which the API does not know `block_binding`."""
    thinking = body.get("thinking")
    bound = isinstance(thinking, dict) and "block_binding" in thinking
    return {"anthropic-beta": _BETA} if bound else {}
