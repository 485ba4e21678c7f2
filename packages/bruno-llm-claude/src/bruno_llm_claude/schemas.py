"""Tools in the words of the Messages API, and the JSON schemas that it can hold a model to."""

import re
from collections.abc import Sequence

from bruno_llm_base import Json, Tool
from bruno_llm_base.schemas import SchemaSubset, changed, fit_schema
from bruno_llm_base.tools import strict_parameters

# https://platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations"
STRICT = SchemaSubset(
    formats=frozenset(
        (
            *("date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri"),
            "uuid",
        )
    ),
    is_closed=True,
    takes_recursion=False,
    refs_stand_alone=True,
)
_MOST_STRICT, _MOST_OPTIONAL, _MOST_UNIONS = 20, 24, 16  # of all tools of a request
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
# All newer models know strict schemas; other vendors' models behind this protocol may not.
_KNOWS_STRICT = re.compile(r"claude-(?!\d|instant|(?:opus|sonnet)-4(?:-0\b|-20|@|$))")


def can_be_strict(model: str) -> bool:
    """Whether *model* can be held to a schema."""
    return _KNOWS_STRICT.match(model) is not None


def _strict(schema: Json) -> tuple[Json, int, int]:
    """Return *schema* as the API can hold a model to it, how much in it is optional, and how many unions.

    Raises:
        ValueError: It cannot.
    """
    optional = unions = 0

    def count(one: Json) -> Json:
        nonlocal optional, unions
        optional += len(one.get("properties", {}).keys() - set(one.get("required", ())))
        unions += "anyOf" in one or isinstance(one.get("type"), list)
        return one

    return changed(fit_schema(schema, STRICT), count), optional, unions


def build_output(schema: Json, model: str) -> Json | None:
    """Return the field that asks for JSON that fits *schema*, unless an old *model* is asked."""
    if model.startswith("claude-") and not can_be_strict(model):
        return None
    try:
        fitted, optional, unions = _strict(schema)
    except ValueError:
        return None
    if optional > _MOST_OPTIONAL or unions > _MOST_UNIONS:
        return None
    return {"output_config": {"format": {"type": "json_schema", "schema": fitted}}}


def build_tools(
    tools: Sequence[Tool | Json], *, choice: str | None, parallel: bool | None, model: str
) -> Json:
    """Return the fields of a body that offer *tools*."""
    fields: Json = {}
    if tools:
        fields["tools"] = _declared(tools, strict=can_be_strict(model))
    chosen: Json = {}
    if choice is not None:
        kind = _CHOICES.get(choice)
        chosen = {"type": kind} if kind else {"type": "tool", "name": choice}
    if parallel is False and choice != "none":
        chosen = {"type": "auto"} | chosen | {"disable_parallel_tool_use": True}
    return fields | ({"tool_choice": chosen} if chosen else {})


def _declared(tools: Sequence[Tool | Json], *, strict: bool) -> list[Json]:
    """Return *tools*, as many of them strict as the API takes; those that insist come first."""
    read = [t for t in tools if not isinstance(t, dict) and (t.strict or strict)]
    held: dict[int, Json] = {}
    optional = unions = 0
    for tool in sorted(read, key=lambda tool: not tool.strict):
        if (made := strict_parameters(tool, _strict)) is None:
            continue
        schema, *more = made
        fits = optional + more[0] <= _MOST_OPTIONAL and unions + more[1] <= _MOST_UNIONS
        if tool.strict or (fits and len(held) < _MOST_STRICT):
            optional, unions = optional + more[0], unions + more[1]
            held[id(tool)] = schema
    return [t if isinstance(t, dict) else _declaration(t, held.get(id(t))) for t in tools]


def _declaration(tool: Tool, strict: Json | None) -> Json:
    declared: Json = {"name": tool.name}
    if tool.description:
        declared["description"] = tool.description
    if strict is None:
        return declared | {"input_schema": tool.parameters}
    return declared | {"input_schema": strict, "strict": True}
