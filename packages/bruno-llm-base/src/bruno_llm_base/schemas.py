"""JSON schemas, rewritten into what a vendor takes: pure functions, which change no schema in place."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]
"""A JSON schema that is an object, or a part of one."""

_DEFINITIONS = ("$defs", "definitions")
_MAPS = (*_DEFINITIONS, "dependentSchemas", "patternProperties", "properties")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_ONES = (
    *("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
_BUILT: dict[str, Any] = {
    **dict.fromkeys(_MAPS, dict),
    **dict.fromkeys(_LISTS, list),
    **dict.fromkeys(_ONES, (dict, bool, list)),  # older drafts have lists of items
    "required": list,
    "type": (str, list),
}
# What every vendor takes, beside the schemas inside of a schema.
_COMMON = frozenset(
    (
        *("$defs", "$ref", "additionalProperties", "anyOf", "const", "definitions", "description"),
        *("enum", "items", "properties", "required", "type"),
    )
)
_SILENT = frozenset({"$schema", "discriminator", "title"})  # they tell a model nothing
_NOTES = _SILENT | {"default", "description", "examples"}  # they restrict nothing
_NULL: Schema = {"type": "null"}
_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_LOOKS_AROUND = re.compile(r"\(\?<?[=!]")


def changed(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """Return *schema* with what *change* makes of each schema in it, the innermost ones first."""
    return change(_each(schema, lambda inner: changed(inner, change)))


def _each(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """Return *schema* with what *change* makes of each schema right inside of it."""

    def new(value: Any) -> Any:
        return change(value) if isinstance(value, dict) else value  # true and false are schemas too

    whole: Schema = {}
    for name, value in schema.items():
        if name in _MAPS and isinstance(value, dict):
            whole[name] = {key: new(inner) for key, inner in value.items()}
        elif name in _LISTS and isinstance(value, list):
            whole[name] = [new(inner) for inner in value]
        else:
            whole[name] = new(value) if name in _ONES else value
    return whole


def flaw_in(schema: Schema, place: str = "") -> str:
    """Return what in *schema* is not built as JSON Schema wants it, as `properties is 3`, or ""."""
    for name, value in schema.items():
        path = f"{place}{name}"
        is_sound = isinstance(value, _BUILT.get(name, object))
        if is_sound and name == "required":
            is_sound = all(isinstance(one, str) for one in value)
        if not is_sound:
            return f"{path} is {value!r:.80}"
        for key, one in _inside(path, value, name):
            if not isinstance(one, dict | bool):
                return f"{key} is {one!r:.80}"
            if isinstance(one, dict) and (flaw := flaw_in(one, f"{key}.")):
                return flaw
    return ""


def _inside(path: str, value: Any, name: str) -> list[tuple[str, Any]]:
    """Return the schemas right inside of *value*, with their paths."""
    if name in _MAPS:
        return [(f"{path}.{key}", one) for key, one in value.items()]
    if name in _LISTS:
        return [(f"{path}.{place}", one) for place, one in enumerate(value)]
    return [(path, value)] if name in _ONES and not isinstance(value, list) else []


def without_titles(schema: Schema) -> Schema:
    """Return *schema* without the titles that pydantic gives everything: a model learns the names anyway."""
    return changed(schema, lambda one: {n: v for n, v in one.items() if n != "title"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaSubset:
    """What a vendor takes of JSON Schema, beside types, objects, lists, unions, enums and references.

    Attributes:
        keywords: The other keywords that are sent as they are, such as "pattern" and "default".
        formats: The formats of texts that are sent as they are.
        is_closed: Whether nothing may be left open: every object names its properties, and every
            list what is in it.
        all_required: Whether every property must be required: optional ones become null instead.
        takes_recursion: Whether a schema may refer to itself.
        refs_stand_alone: Whether nothing may stand beside a reference.
    """

    keywords: frozenset[str] = frozenset()
    formats: frozenset[str] = frozenset()
    is_closed: bool = False
    all_required: bool = False
    takes_recursion: bool = True
    refs_stand_alone: bool = False


def fit_schema(schema: Schema, subset: SchemaSubset) -> Schema:
    """Return *schema* as *subset* takes it; what it does not know is told in the descriptions.

    Raises:
        ValueError: It cannot be said in that subset.
    """
    if not subset.takes_recursion:
        inlined(schema)
    if "$ref" in schema:  # so pydantic writes a type that refers to itself
        schema = {**resolved(schema, schema), "$defs": schema.get("$defs", {})}
    return changed(schema, lambda one: _fitted(one, subset))


def _fitted(schema: Schema, subset: SchemaSubset) -> Schema:
    """Return *schema*, of which the inner schemas fit already."""
    kept: Schema = {}
    told: Schema = {}
    for name, value in _merged(schema).items():
        if name == "format":
            (kept if value in subset.formats else told)[name] = value
        elif name == "pattern" and _LOOKS_AROUND.search(str(value)):
            told[name] = value  # no vendor's grammar can
        elif name in _COMMON or name in subset.keywords:
            kept[name] = value
        elif name not in _SILENT and (name, value) != ("default", None):
            told[name] = value
    if subset.is_closed:
        _close(kept, told)
    if subset.all_required and "properties" in kept:
        kept["properties"] = _nullable(kept["properties"], kept.get("required", ()))
        kept["required"] = list(kept["properties"])
    if told:
        rules = ", ".join(f"{n}: {json.dumps(v, ensure_ascii=False)}" for n, v in told.items())
        kept["description"] = f"{kept.get('description', '')} ({rules})".lstrip()
    if subset.refs_stand_alone and "$ref" in kept and len(kept) > 1:
        return {"anyOf": [{"$ref": kept.pop("$ref")}], **kept}
    return kept


def _merged(schema: Schema) -> Schema:
    """Return *schema* with one word for unions, and what its `allOf` says in its place."""
    whole = {name: value for name, value in schema.items() if name not in ("allOf", "oneOf")}
    if "oneOf" in schema:
        whole["anyOf"] = schema["oneOf"]
    for part in schema.get("allOf", ()):
        for name, value in part.items():
            if name == "properties":
                whole[name] = {**whole.get(name, {}), **value}
            elif name == "required":
                whole[name] = [*whole.get(name, []), *value]
            elif whole.setdefault(name, value) != value and name != "description":
                raise ValueError("something must be several things at once (allOf)")
    return whole


def _close(kept: Schema, told: Schema) -> None:
    """Leave nothing open in a schema."""
    if not kept.keys() - _NOTES:
        raise ValueError("something may be anything")
    if "type" not in kept and (kinds := _kinds(kept)):  # vendors insist on it
        kept["type"] = kinds[0] if len(kinds) == 1 else kinds
    if kept.get("type") == "array" and not isinstance(kept.get("items"), dict):
        raise ValueError("a list holds no one kind of thing")
    if kept.get("type") == "object":
        is_open = kept.get("additionalProperties") or "patternProperties" in told
        if is_open or "properties" not in kept:
            raise ValueError("an object has properties of any name")
        kept["additionalProperties"] = False


def _kinds(schema: Schema) -> list[str]:
    """Return the types of what *schema* lists, where it does not name them."""
    if "properties" in schema:
        return ["object"]
    values = schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else []
    return list(dict.fromkeys(_KINDS[type(value)] for value in values if type(value) in _KINDS))


def _nullable(properties: Schema, required: list[str]) -> Schema:
    """Return *properties*, of which null stands for each that is not *required*."""
    nullable: Schema = {}
    for name, schema in properties.items():
        nullable[name] = schema
        if name not in required and not _takes_null(schema):
            notes = {n: v for n, v in schema.items() if n in _NOTES}
            bare = {n: v for n, v in schema.items() if n not in _NOTES}
            options = bare["anyOf"] if bare.keys() == {"anyOf"} else [bare]
            nullable[name] = {"anyOf": [*options, _NULL], **notes}
    return nullable


def _takes_null(schema: Schema) -> bool:
    if not schema or any(map(_takes_null, schema.get("anyOf") or schema.get("oneOf") or ())):
        return True
    if None in schema.get("enum", ()):
        return True
    kind = schema.get("type")
    return "null" in kind if isinstance(kind, list) else kind == "null"


def resolved(schema: Schema, root: Schema) -> Schema:
    """Return what *schema*, a part of *root*, refers to; itself if it refers to nothing.

    Raises:
        ValueError: It refers to something that is not there.
    """
    ref = schema.get("$ref")
    if ref is None:
        return schema
    place, *path = str(ref).split("/")
    found: Any = root if place == "#" else None
    for step in path:
        key = step.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict) or found == schema:
        raise ValueError(f"the schema refers to {ref!r}, which it does not hold")
    beside = {name: value for name, value in schema.items() if name != "$ref"}
    return beside | resolved(found, root) | beside


def inlined(schema: Schema) -> Schema:
    """Return *schema* with what it refers to in the place of each reference.

    Raises:
        ValueError: It refers to itself, or to something that is not there.
    """

    def inline(node: Schema, path: tuple[str, ...]) -> Schema:
        node = {name: value for name, value in node.items() if name not in _DEFINITIONS}
        if (ref := node.get("$ref")) is not None:
            if ref in path:
                raise ValueError(f"the schema refers to itself: {ref}")
            return inline(resolved(node, schema), (*path, ref))
        return _each(node, lambda inner: inline(inner, path))

    return inline(schema, ())


def is_object(schema: Schema) -> bool:
    """Whether only an object fits *schema*, and one kind of it."""
    return resolved(schema, schema).get("type") == "object"


def has_optional(schema: Schema) -> bool:
    """Whether an object in *schema* has a property that may be left out."""
    found: list[object] = []

    def look(one: Schema) -> Schema:
        found.extend(one.get("properties", {}).keys() - set(one.get("required", ())))
        return one

    changed(schema, look)
    return bool(found)


def without_added_nulls(value: Any, schema: Schema) -> Any:
    """Return *value* without each null that stands for an optional property of *schema* left out.

    So answer models that must give every property.
    """
    return _without_nulls(value, schema, schema)


def _without_nulls(value: Any, schema: Any, root: Schema) -> Any:
    if not isinstance(schema, dict):
        return value
    schema = resolved(schema, root)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        fitting = (each for each in options if _could_fit(value, resolved(each, root)))
        return _without_nulls(value, next(fitting, None), root)
    if isinstance(value, list):
        return [_without_nulls(each, schema.get("items"), root) for each in value]
    properties: Schema = schema.get("properties") or {}
    if not isinstance(value, dict) or not properties:
        return value
    optional = properties.keys() - set(schema.get("required", ()))
    return {
        name: _without_nulls(each, properties.get(name), root)
        for name, each in value.items()
        if each is not None or name not in optional or _takes_null(resolved(properties[name], root))
    }


def _could_fit(value: Any, schema: Schema) -> bool:
    """Whether *value* may be meant as what *schema* describes."""
    if isinstance(value, list):
        return schema.get("type") == "array"
    properties = schema.get("properties")
    if not isinstance(value, dict) or not properties or not value.keys() <= properties.keys():
        return False
    return all("const" not in properties[n] or properties[n]["const"] == value[n] for n in value)
