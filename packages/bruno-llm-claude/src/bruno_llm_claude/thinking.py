"""How much Claude thinks: by effort, or by a budget of tokens for older models.

See https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking and /extended-thinking.
"""

import re
from typing import NamedTuple

from bruno_llm_base import Json
from bruno_llm_base.parts import object_in
from bruno_llm_base.reasoning import level_of, snapped, tokens_of

_LEAST_BUDGET, _ROOM = 1024, 16_000
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


class _Rule(NamedTuple):
    """What a model takes.

    Attributes:
        efforts: The efforts; none where it thinks by a budget.
        off: What lets it think not at all; None where nothing does.
        most_output: The most tokens of an answer, where it thinks by a budget.
    """

    efforts: tuple[str, ...] = _EFFORTS
    off: str | None = "disabled"
    most_output: int = 64_000


# The first that fits is the model's; what fits none is newer than all of them.
_RULES: tuple[tuple[str, _Rule | None], ...] = (
    (r"claude-(\d(?!-7)|instant)", None),
    (r"claude-opus-4(-[01]\b|-20|@|$)", _Rule((), most_output=32_000)),
    (r"claude-3-7|claude-(opus|sonnet|haiku)-4(-[015]\b|-20|@|$)", _Rule(())),
    (r"claude-(opus|sonnet|haiku)-4-6", _Rule(("low", "medium", "high", "max"))),
    (r"claude-sonnet-5-5", _Rule(off="between_tools")),
    (r"claude-(opus-5-5|fable|mythos)", _Rule(off=None)),
    (r"claude-", _Rule()),
)


def has_budget(model: str) -> bool:
    """Whether *model* thinks by a budget."""
    rule = _rule(model)
    return rule is not None and not rule.efforts


def _rule(model: str) -> _Rule | None:
    name = model[max(model.find("claude-"), 0) :]  # Bedrock's begin with "us.anthropic."
    return next((rule for pattern, rule in _RULES if re.match(pattern, name)), _Rule())


def _told_rule(model: str, capabilities: Json) -> _Rule | None:
    """Return the rule that the API itself says about *model*; what it leaves out is as in the table."""
    rule = _rule(model)
    thinking, effort = (object_in(capabilities.get(n)) for n in ("thinking", "effort"))
    types = object_in(thinking.get("types"))
    if not (types and effort):
        return rule

    def takes(where: Json, name: str) -> bool:
        return object_in(where.get(name)).get("supported") is True

    efforts = tuple(level for level in _EFFORTS if takes(effort, level))
    off = next((kind for kind in ("disabled", "between_tools") if takes(types, kind)), None)
    if efforts and takes(types, "adaptive"):
        return _Rule(efforts, off)
    if takes(types, "enabled"):
        return _Rule((), most_output=(rule or _Rule()).most_output)
    return None


def build(
    wanted: str | int, model: str, max_tokens: int | None, told: Json | None = None
) -> tuple[Json, str | int] | None:
    """Return the fields that let *model* think, and how much that is; None if it cannot.

    What the API has *told* of its capabilities counts more than the table.
    """
    rule = _rule(model) if told is None else _told_rule(model, told)
    if rule is None:
        return None
    level = level_of(wanted)
    if not rule.efforts:
        return _budget(wanted, max_tokens, rule.most_output)
    used = snapped(wanted, rule.efforts if rule.off is None else ("none", *rule.efforts))
    if used == "none":
        return {"thinking": {"type": rule.off}}, used
    thinking = {"type": "adaptive", "display": "summarized"}
    fields = {"thinking": thinking, "output_config": {"effort": used}}
    return fields, wanted if used == level else used


def _budget(
    wanted: str | int, max_tokens: int | None, most_output: int
) -> tuple[Json, str | int] | None:
    """Return a budget, which counts as output: it stays below *max_tokens*, and leaves room for the answer."""
    off: Json = {"thinking": {"type": "disabled"}}
    budget = min(tokens_of(wanted), most_output - _ROOM)
    if budget < _LEAST_BUDGET:
        return off, "none"
    if max_tokens is not None and budget >= max_tokens:
        budget = max_tokens - 1
        if budget < _LEAST_BUDGET:
            return off, "none"
    fields: Json = {"thinking": {"type": "enabled", "budget_tokens": budget}}
    if max_tokens is None:
        fields["max_tokens"] = budget + _ROOM
    return fields, wanted if budget == tokens_of(wanted) else budget
