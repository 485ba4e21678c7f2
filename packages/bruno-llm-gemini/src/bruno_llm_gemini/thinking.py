"""How much Gemini thinks: by level from Gemini 3 on, by a budget of tokens before.

See https://ai.google.dev/gemini-api/docs/thinking.
"""

import re

from bruno_llm_base import Json
from bruno_llm_base.reasoning import level_of, snapped, tokens_of

_FROM_LOW = ("low", "medium", "high")
# The levels of models, or their smallest and largest budgets. The first that fits is the model's;
# what fits none is newer than all of them.
_RULES: tuple[tuple[str, tuple[str, ...] | tuple[int, int]], ...] = (
    (r"gemma|gemini-[12]\.0|gemini-1|gemini-2\.5-flash-image", ()),
    (r"gemini-2\.5-pro", (128, 32_768)),
    (r"gemini-2\.5", (0, 24_576)),
    (r"gemini-3-pro", ("low", "high")),
    (r"gemini-3\.1-flash-lite-image", ("minimal", "high")),
    (r"gemini-3\.[78]-flash|gemini-3\.1-pro", _FROM_LOW),
    (r"gemini-3", ("minimal", *_FROM_LOW)),
)


def build(wanted: str | int, model: str) -> tuple[Json, str | int] | None:
    """Return the field that lets *model* think, and how much that is; None if it cannot."""
    name = model.rpartition("/")[2]
    rule = next((rule for pattern, rule in _RULES if re.match(pattern, name)), _FROM_LOW)
    if not rule:
        return None
    shows = wanted != "none"
    thinking: Json = {"includeThoughts": True} if shows else {}
    used: str | int
    match rule:
        case (int(least), int(most)):
            used = min(max(tokens_of(wanted), least), most)
            thinking["thinkingBudget"] = used
            is_wanted = used == tokens_of(wanted)
        case _:
            used = snapped(wanted, [str(level) for level in rule])
            thinking["thinkingLevel"] = used.upper()
            is_wanted = used == level_of(wanted)
    fields: Json = {"generationConfig": {"thinkingConfig": thinking}}
    return fields, wanted if is_wanted else used
