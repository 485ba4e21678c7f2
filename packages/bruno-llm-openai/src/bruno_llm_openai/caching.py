"""Prompt caching at OpenAI (https://developers.openai.com/api/docs/guides/prompt-caching).

It caches by itself. What helps: one key for all requests with the same beginning, and from GPT-5.6 on
a mark behind the system text, and how long the cache is to live.
"""

import hashlib
import json
import re
from typing import Any

from bruno_llm_base import Json

_TAKES_MARKS = re.compile(r"gpt-5\.([6-9]|\d\d)|gpt-[6-9]|gpt-\d\d")
_MARK = {"mode": "explicit"}


def marked(body: Json, keep: str | None, *, takes_12h: bool) -> Json:
    """Return *body*, of either API, with what lets it be found in the cache."""
    name = "input" if "input" in body else "messages"
    first, *rest = body[name]
    system = first["content"] if first.get("role") == "system" else ""
    beginning = json.dumps([system, body.get("tools")], sort_keys=True).encode()
    key = hashlib.sha256(beginning).hexdigest()[:32]
    whole: Json = {"prompt_cache_key": key, **body}
    if "prompt_cache_options" in whole or not _TAKES_MARKS.match(whole["model"]):
        return whole
    whole["prompt_cache_options"] = {"ttl": "12h" if keep == "12h" and takes_12h else "30m"}
    if system and isinstance(system, str):
        kind = "input_text" if name == "input" else "text"
        piece: dict[str, Any] = {"type": kind, "text": system, "prompt_cache_breakpoint": _MARK}
        whole[name] = [first | {"content": [piece]}, *rest]
    return whole
