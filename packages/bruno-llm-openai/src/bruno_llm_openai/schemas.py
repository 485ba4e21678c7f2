"""Tools in the words of Chat Completions, and the JSON schemas that OpenAI can hold a model to."""

from collections.abc import Sequence

from bruno_llm_base import Json, Tool
from bruno_llm_base.schemas import SchemaSubset, has_optional
from bruno_llm_base.tools import strict_parameters

# https://platform.openai.com/docs/guides/structured-outputs, "Supported schemas"
STRICT = SchemaSubset(
    keywords=frozenset(
        (
            *("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"),
            *("maxItems", "minItems", "pattern"),
        )
    ),
    formats=frozenset(
        (
            *("date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time"),
            "uuid",
        )
    ),
    is_closed=True,
    all_required=True,
    refs_stand_alone=True,
)


def build_tools(
    tools: Sequence[Tool | Json], *, choice: str | None, parallel: bool | None, is_own: bool
) -> Json:
    """Return the fields of a body that offer *tools*; few servers of one's own know strict ones."""
    declared = [t if isinstance(t, dict) else _declared(t, is_own=is_own) for t in tools]
    fields: Json = {"tools": declared} if declared else {}
    if choice is not None:
        named = {"type": "function", "function": {"name": choice}}
        fields["tool_choice"] = choice if choice in ("auto", "none", "required") else named
    if parallel is not None:
        fields["parallel_tool_calls"] = parallel
    return fields


def _declared(tool: Tool, *, is_own: bool) -> Json:
    function: Json = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    # nulls for what is left out are for a tool that asks for them: not every reader knows them
    may_be_strict = tool.strict or not (is_own or has_optional(tool.parameters))
    strict = strict_parameters(tool, STRICT) if may_be_strict else None
    if strict is not None:
        function |= {"parameters": strict, "strict": True}
    return {"type": "function", "function": function}
