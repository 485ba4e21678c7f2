"""Prompt caching at OpenAI (https://developers.openai.com/api/docs/guides/prompt-caching).

It caches by itself. What helps: one key for all requests with the same beginning, and from GPT-5.6 on
marks behind what stays the same, and how long the cache is to live.
"""

import hashlib
import json

from bruno_llm_base import Json

from bruno_llm_openai import models


def marked(body: Json, keep: str | None, *, takes_12h: bool) -> Json:
    """Return *body*, of either API, with what lets it be found in the cache."""
    name, kind = ("input", "input_text") if "input" in body else ("messages", "text")
    first, *rest = body[name]
    system = first["content"] if first.get("role") == "system" else ""
    beginning = json.dumps([system, body.get("tools")], sort_keys=True).encode()
    key = hashlib.sha256(beginning).hexdigest()[:32]
    whole: Json = {"prompt_cache_key": key, **body}
    if "prompt_cache_options" in whole or not models.takes_marks(whole["model"]):
        return whole
    whole["prompt_cache_options"] = {"ttl": "12h" if keep == "12h" and takes_12h else "30m"}
    if system and isinstance(system, str):
        piece = {"type": kind, "text": system} | models.CACHE_BREAKPOINT
        whole[name] = [first | {"content": [piece]}, *rest]
    return whole
