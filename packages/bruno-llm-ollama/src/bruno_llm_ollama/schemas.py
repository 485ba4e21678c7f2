"""Tools in the words of Ollama's chat, and the JSON schemas that it takes."""

import json
from collections.abc import Sequence
from typing import Any

from bruno_llm_base import InvalidRequestError, Json, Tool
from bruno_llm_base.schemas import SchemaSubset, changed, fit_schema, inlined
from bruno_llm_base.tools import told_parameters

_SUBSET = SchemaSubset()
# What it reads of a schema, and nothing beside it: api/types.go, `ToolProperty`.
_READ = ("anyOf", "description", "enum", "items", "properties", "required", "type")


def build_tools(tools: Sequence[Tool | Json], choice: str | None) -> Json:
    """Return the field of a body that offers *tools*.

    Ollama has no field for the choice, so tools that are not to be called are left out.
    """
    declared = [tool if isinstance(tool, dict) else _declared(tool) for tool in tools]
    if choice not in (None, "auto", "required"):
        declared = [t for t in declared if t.get("function", {}).get("name") == choice]
    return {"tools": declared} if declared else {}


def _declared(tool: Tool) -> Json:
    if tool.strict:
        raise InvalidRequestError(
            f"the tool {tool.name} is strict, but Ollama holds no model to a schema: leave that out"
        )
    parameters = told_parameters(tool, _fitted)
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def _fitted(schema: Json) -> Json:
    # nothing but an object is expected there
    return {"properties": {}} | changed(fit_schema(inlined(schema), _SUBSET), _readable)


def _readable(schema: Json) -> Json:
    """Return what Ollama reads of *schema*, and the rest of it in words."""
    kept: dict[str, Any] = {name: schema[name] for name in _READ if name in schema}
    if "const" in schema:
        kept["enum"] = [schema["const"]]
    if isinstance(inner := schema.get("additionalProperties"), dict):
        rest = f"(any names, each with {json.dumps(inner, ensure_ascii=False)})"
        kept["description"] = f"{kept.get('description', '')} {rest}".lstrip()
    return kept
