"""Abilities as tools: those of bruno-core, and those of bruno-abilities, which have a shape of their own.

They are known by what they have, so neither package needs to be installed.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from bruno_core.models.ability import AbilityRequest
from pydantic_core import to_json

from bruno_llm_base.exceptions import ToolError
from bruno_llm_base.parts import Json

# What their words for types are in JSON Schema; those of bruno-abilities' own schemas are not.
_TYPES: dict[str, Json] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "float": {"type": "number"},
    "boolean": {"type": "boolean"},
    "list": {"type": "array", "items": {}},
    "array": {"type": "array", "items": {}},
    "dict": {"type": "object"},
    "object": {"type": "object"},
    "any": {},
    "datetime": {"type": "string", "format": "date-time"},
    "duration": {"type": "string"},
}
_RULES = {
    "min": "minimum",
    "max": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
    "choices": "enum",
    "enum": "enum",
}


def is_ability(thing: object) -> bool:
    """Whether *thing* is an ability of either kind."""
    return hasattr(thing, "execute") and (
        hasattr(thing, "get_metadata") or hasattr(thing, "metadata")
    )


def describe(ability: Any, user_id: str) -> Json:
    """Return what a `Tool` of *ability* is made of; it acts for the user *user_id*."""
    is_of_core = hasattr(ability, "get_metadata")
    metadata = ability.get_metadata() if is_of_core else ability.metadata
    properties = {row.name: _schema(row) for row in metadata.parameters}
    required = [row.name for row in metadata.parameters if row.required]
    if is_of_core and "action" not in properties and len(actions := _actions(ability)) > 1:
        properties = {"action": {"type": "string", "enum": actions}} | properties
        required.insert(0, "action")
    run = _core_runner(ability, user_id) if is_of_core else _runner(ability, user_id)
    return {
        "function": run,
        "name": re.sub(r"[^A-Za-z0-9_-]", "_", metadata.name),
        "description": metadata.description,
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
    }


def _actions(ability: Any) -> list[str]:
    """Return what it can do; bruno-core's own assistant says "execute" where that is not told."""
    return list(ability.get_supported_actions()) or ["execute"]


def _schema(row: Any) -> Json:
    """Return the JSON schema of one parameter."""
    kind = getattr(row, "param_type", None) or row.parameter_type
    schema = dict(_TYPES.get(str(getattr(kind, "value", kind)), {}))
    told = row.description
    for name, value in row.constraints.items():
        if name in _RULES:
            schema[_RULES[name]] = value
        else:
            told += f" ({name}: {value})"
    if examples := getattr(row, "examples", None):
        schema["examples"] = list(examples)
    if row.default is not None:
        schema["default"] = row.default
    return schema | {"description": told}


def _core_runner(ability: Any, user_id: str) -> Any:
    async def run(**given: Any) -> str:
        name = ability.get_metadata().name
        action = given.pop("action", None) or _actions(ability)[0]
        request = AbilityRequest(
            ability_name=name, action=action, parameters=given, user_id=user_id
        )
        response = await ability.execute(request)
        if not response.success:
            raise ToolError(response.error or response.message or "it failed")
        return _told(response.message, response.data)

    return run


@dataclass(frozen=True, slots=True)
class _Context:
    """What bruno-abilities' abilities are told of a call: the fields of its `AbilityContext`."""

    user_id: str
    session_id: str | None = None
    conversation_id: str | None = None
    metadata: Json = field(default_factory=dict)


def _runner(ability: Any, user_id: str) -> Any:
    async def run(**given: Any) -> str:
        result = await ability.execute(given, _Context(user_id))
        if not result.success:
            raise ToolError(result.error or "it failed")
        return _told(None, result.data)

    return run


def _told(message: str | None, data: Any) -> str:
    if isinstance(data, str):
        return data
    found = to_json(data, fallback=str).decode() if data else ""
    return "\n".join(filter(None, (message, found)))
