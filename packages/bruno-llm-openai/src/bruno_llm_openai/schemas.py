"""Tools in the words of Chat Completions, and the JSON schemas that OpenAI can hold a model to."""

import re
from collections.abc import Sequence
from contextlib import suppress

from bruno_llm_base import Json, Tool
from bruno_llm_base.schemas import (
    SchemaSubset,
    fit_schema,
    has_optional,
    without_titles,
)
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


# OpenAI's own models of before there were schemas.
_KNOWS_NO_SCHEMA = re.compile(
    r"gpt-3|gpt-4(?![.o\d])|gpt-4o-2024-05-13|chatgpt-4o|o1-(mini|preview)"
)
_REFUSED_IN_NAMES, _LONGEST_NAME = re.compile(r"[^a-zA-Z0-9_-]+"), 64


def dialect_of(model: str) -> str:
    """Return how *model*, of OpenAI's own, is asked for an output; see `VendorRow.schemas`."""
    return "json_object" if _KNOWS_NO_SCHEMA.match(model) else "strict"


def build_output(schema: Json, *, strict: bool) -> Json:
    """Return the format of an output, without what Chat Completions puts around it.

    It is *strict* where the schema can be.
    """
    name = _REFUSED_IN_NAMES.sub("_", str(schema.get("title", "output")))[:_LONGEST_NAME]
    if strict:
        with suppress(ValueError):
            return {"name": name, "schema": fit_schema(schema, STRICT), "strict": True}
    return {"name": name, "schema": without_titles(schema), "strict": False}


def build_tools(
    tools: Sequence[Tool | Json], *, choice: str | None, parallel: bool | None, strict: bool
) -> Json:
    """Return the fields of a body that offer *tools*; few servers of one's own know *strict* ones."""
    declared = [t if isinstance(t, dict) else _declared(t, strict=strict) for t in tools]
    fields: Json = {"tools": declared} if declared else {}
    if choice is not None:
        named = {"type": "function", "function": {"name": choice}}
        fields["tool_choice"] = choice if choice in ("auto", "none", "required") else named
    if parallel is not None:
        fields["parallel_tool_calls"] = parallel
    return fields


def _declared(tool: Tool, *, strict: bool) -> Json:
    function: Json = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    if tool.strict or strict:
        make = _strict if tool.strict else _strict_without_nulls
        parameters = strict_parameters(tool, make)
        if parameters is not None:
            function |= {"parameters": parameters, "strict": True}
    return {"type": "function", "function": function}


def _strict(schema: Json) -> Json:
    return fit_schema(schema, STRICT)


def _strict_without_nulls(schema: Json) -> Json | None:
    """Return *schema* as a strict one, unless null has to stand for what is left out.

    That is for a tool that asks for it: not every reader of arguments knows it.
    """
    return None if has_optional(schema) else _strict(schema)
