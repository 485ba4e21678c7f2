"""Tools in the words of generateContent, and the JSON schemas that it takes."""

from collections.abc import Sequence

from bruno_llm_base import Json, Tool
from bruno_llm_base.schemas import SchemaSubset, changed, fit_schema
from bruno_llm_base.tools import told_parameters

# https://ai.google.dev/gemini-api/docs/structured-output, "JSON Schema support"
SUBSET = SchemaSubset(
    keywords=frozenset(
        (
            *("default", "maxItems", "maximum", "minItems", "minimum", "pattern"),
            *("maxLength", "minLength", "prefixItems"),
        )
    )
)
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def _fitted(schema: Json) -> Json:
    """Return *schema* as Gemini takes it, with an enum for each constant."""

    def change(one: Json) -> Json:
        if "const" not in one:
            return one
        rest = {name: value for name, value in one.items() if name != "const"}
        return rest | {"enum": [one["const"]]}

    return changed(fit_schema(schema, SUBSET), change)


def build_output(schema: Json) -> Json:
    """Return the field that asks for JSON that fits *schema*."""
    wanted = {"responseMimeType": "application/json", "responseJsonSchema": _fitted(schema)}
    return {"generationConfig": wanted}


def build_tools(tools: Sequence[Tool | Json], choice: str | None) -> Json:
    """Return the fields of a body that offer *tools*."""
    fields: Json = {}
    functions = [tool for tool in tools if not isinstance(tool, dict)]
    if tools:
        declared = [{"functionDeclarations": list(map(_declared, functions))}] if functions else []
        fields["tools"] = [*declared, *(tool for tool in tools if isinstance(tool, dict))]
    calling: Json = {}
    if choice in _MODES:
        calling["mode"] = _MODES[choice]
    elif choice is not None:
        calling = {"mode": "ANY", "allowedFunctionNames": [choice]}
    if choice in (None, "auto") and any(tool.strict for tool in functions):
        calling = {"mode": "VALIDATED"}  # of all functions at once
    return fields | ({"toolConfig": {"functionCallingConfig": calling}} if calling else {})


def _declared(tool: Tool) -> Json:
    told: Json = {"name": tool.name, "description": tool.description}
    if tool.parameters.get("properties"):  # a function without parameters has no schema either
        told["parametersJsonSchema"] = told_parameters(tool, _fitted)
    return told
