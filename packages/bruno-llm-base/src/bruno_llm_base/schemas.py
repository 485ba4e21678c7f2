"""JSON schemas, rewritten into what a vendor takes: pure functions, which change no schema in place."""

from collections.abc import Callable

from bruno_llm_base.parts import Json

__all__ = ["changed", "without_titles"]

_MAPS = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_ONES = (
    *("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"),
    *("unevaluatedItems", "unevaluatedProperties"),
)


def changed(schema: Json, change: Callable[[Json], Json]) -> Json:
    """Return *schema* with what *change* makes of each schema in it, the innermost ones first."""
    new: Json = {}
    for name, value in schema.items():
        if name in _MAPS and isinstance(value, dict):
            new[name] = {key: _inner(inner, change) for key, inner in value.items()}
        elif name in _LISTS and isinstance(value, list):
            new[name] = [_inner(inner, change) for inner in value]
        else:
            new[name] = _inner(value, change) if name in _ONES else value
    return change(new)


def _inner(value: object, change: Callable[[Json], Json]) -> object:
    return changed(value, change) if isinstance(value, dict) else value  # true and false are too


def without_titles(schema: Json) -> Json:
    """Return *schema* without the titles that pydantic gives everything: a model learns the names anyway."""
    return changed(schema, lambda one: {n: v for n, v in one.items() if n != "title"})
