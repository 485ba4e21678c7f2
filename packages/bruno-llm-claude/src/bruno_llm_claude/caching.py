"""Prompt caching at Anthropic (https://platform.claude.com/docs/en/build-with-claude/prompt-caching).

A mark stands behind what is to be kept: tools, system text and messages, in this order. What is kept for
an hour may not stand behind what is kept for five minutes, so all marks are of one time.
"""

from bruno_llm_base import Json
from bruno_llm_base.parts import object_in

from bruno_llm_claude.messages import MOST_MARKS

_MARK = "cache_control"


def marked(body: Json, keep: str | None) -> Json:
    """Return *body* with marks for as long as *keep*; a user's own mark of the whole is left alone.

    The one at the top moves on with the conversation, those behind system text and tools stay where
    it changes. The user's marks go first, of which the API takes no more than four.
    """
    if _MARK in body:
        return body
    system, tools = body.get("system"), body.get("tools") or []
    pieces = [*tools, *(system if isinstance(system, list) else ())]
    own = [piece[_MARK] for piece in map(object_in, pieces) if piece.get(_MARK)]
    is_long = keep in ("1h", "12h") and all(mark.get("ttl") == "1h" for mark in own)
    mark = {"type": "ephemeral", "ttl": "1h" if is_long else "5m"}
    body = body | {_MARK: mark}
    spare = MOST_MARKS - 1 - len(own)
    for block in reversed([b for m in body["messages"] for b in m["content"] if _MARK in b]):
        if spare > 0:
            block[_MARK] = mark
        else:
            del block[_MARK]
        spare -= 1
    if spare > 0 and system and isinstance(system, str):
        body["system"] = [{"type": "text", "text": system, _MARK: mark}]
        spare -= 1
    if spare > 0 and tools and _takes_a_mark(object_in(tools[-1])):
        body["tools"] = [*tools[:-1], tools[-1] | {_MARK: mark}]
    return body


def _takes_a_mark(tool: Json) -> bool:
    is_the_users = tool.get("type") in (None, "custom")
    return is_the_users and bool(tool) and _MARK not in tool and not tool.get("defer_loading")
