"""Abilities as tools: bruno-core's, and ones in the shape of bruno-abilities."""

from datetime import UTC, datetime
from enum import Enum
from types import SimpleNamespace

import pytest
from bruno_core.base.ability import BaseAbility
from bruno_core.models.ability import (
    AbilityMetadata,
    AbilityParameter,
    AbilityParameterType,
    AbilityResponse,
)
from bruno_llm_base import ConfigurationError, Tool, ToolCall, run_tools
from bruno_llm_testing import MockLLM


class Timer(BaseAbility):
    """An ability of bruno-core."""

    actions = ("set", "cancel")

    def get_metadata(self):
        parameters = [
            AbilityParameter(
                name="seconds",
                param_type=AbilityParameterType.INTEGER,
                description="How long",
                required=False,
                default=60,
                constraints={"min": 1, "max": 86400, "unit": "seconds"},
            ),
            AbilityParameter(name="tags", param_type="list", description="Words", required=False),
            AbilityParameter(name="more", param_type="any", description="What else"),
            AbilityParameter(
                name="label",
                param_type="string",
                description="A name",
                constraints={"min_length": 1, "max_length": 9, "pattern": "^[a-z]+$"},
            ),
            AbilityParameter(name="loud", param_type="float", description="Volume", required=False),
            AbilityParameter(name="own", param_type="dict", description="Own", required=False),
        ]
        return AbilityMetadata(name="egg timer", description="Set timers.", parameters=parameters)

    def get_supported_actions(self):
        return list(self.actions)

    async def execute_action(self, request):
        asked = {"action": request.action, "user": request.user_id, **request.parameters}
        return AbilityResponse(
            request_id=request.id,
            ability_name=request.ability_name,
            action=request.action,
            success=request.action != "cancel",
            message="Done.",
            data=asked,
            error="there is none",
        )


class Kind(Enum):
    TEXT = "string"
    WHEN = "datetime"
    LONG = "duration"
    MANY = "array"


class Notes:
    """An ability in the shape of bruno-abilities, which is another."""

    @property
    def metadata(self):
        def row(name, kind, **more):
            given = {"description": f"the {name}", "required": False, "default": None}
            given |= {"constraints": {}, "examples": [], "parameter_type": kind}
            return SimpleNamespace(name=name, **given | more)

        parameters = [
            row("action", Kind.TEXT, required=True, examples=["create", "list"]),
            row("at", Kind.WHEN),
            row("long", Kind.LONG),
            row("tags", Kind.MANY, constraints={"choices": ["a"]}),
        ]
        return SimpleNamespace(name="notes", description="Keep notes.", parameters=parameters)

    async def execute(self, parameters, context):
        if parameters["action"] == "lose":
            return SimpleNamespace(success=False, data=None, error="lost")
        data = {
            "user": context.user_id,
            "made": datetime(2026, 1, 1, tzinfo=UTC),
            "odd": context.metadata.keys(),
        }
        return SimpleNamespace(success=True, data=data, error=None)


async def test_an_ability_is_told_in_json_schema():
    timer = Timer()
    llm = MockLLM("ok")
    await llm.request("hi", tools=[timer, Notes()])
    timer, notes = llm.calls[0].options["tools"]
    assert (timer["name"], timer["description"]) == ("egg_timer", "Set timers.")
    assert timer["parameters"] == {
        "type": "object",
        "properties": {
            "action": {"type": "string", "enum": ["set", "cancel"]},
            "seconds": {
                "type": "integer",
                "minimum": 1,
                "maximum": 86400,
                "default": 60,
                "description": "How long (unit: seconds)",
            },
            "tags": {"type": "array", "items": {}, "description": "Words"},
            "more": {"description": "What else"},
            "label": {
                "type": "string",
                "minLength": 1,
                "maxLength": 9,
                "pattern": "^[a-z]+$",
                "description": "A name",
            },
            "loud": {"type": "number", "description": "Volume"},
            "own": {"type": "object", "description": "Own"},
        },
        "required": ["action", "more", "label"],
        "additionalProperties": False,
    }
    assert notes["parameters"]["properties"] == {
        "action": {
            "type": "string",
            "examples": ["create", "list"],
            "description": "the action",
        },
        "at": {"type": "string", "format": "date-time", "description": "the at"},
        "long": {"type": "string", "description": "the long"},
        "tags": {"type": "array", "items": {}, "enum": ["a"], "description": "the tags"},
    }
    assert notes["parameters"]["required"] == ["action"]


def called(name, arguments):
    return ToolCall(name=name, arguments=arguments)


async def results_of(tool, *calls):
    llm = MockLLM([list(calls), "done"])
    await run_tools(llm, "go", tools=[tool])
    return [(r.content, r.is_error) for r in llm.calls[1].conversation.turns[-1].tool_results]


async def test_an_ability_of_bruno_core_runs():
    timer = Timer()
    call = called("egg_timer", '{"action": "set", "more": 1, "label": "tea"}')
    ((text, failed),) = await results_of(timer, call)
    assert failed
    assert "not initialized" in text
    await timer.initialize()
    found = await results_of(
        Tool.of(timer, user_id="ann"),
        call,
        called("egg_timer", '{"action": "cancel", "more": 1, "label": "tea", "seconds": null}'),
    )
    assert found == [
        ('Done.\n{"action":"set","user":"ann","more":1,"label":"tea"}', False),
        ("there is none", True),
    ]


async def test_an_ability_with_one_action_is_not_asked_which():
    class Lamp(Timer):
        actions = ("light",)

    lamp = Lamp()
    await lamp.initialize()
    assert "action" not in Tool.of(lamp).parameters["properties"]
    ((text, _),) = await results_of(lamp, called("egg_timer", '{"more": 1, "label": "a"}'))
    assert '"action":"light","user":"default"' in text


async def test_an_ability_of_bruno_abilities_runs():
    found = await results_of(
        Tool.of(Notes(), user_id="ann", name="memo"),
        called("memo", '{"action": "create"}'),
        called("memo", '{"action": "lose"}'),
    )
    assert found == [
        ('{"user":"ann","made":"2026-01-01T00:00:00Z","odd":"dict_keys([])"}', False),
        ("lost", True),
    ]


def test_what_is_no_ability_is_refused():
    with pytest.raises(ConfigurationError, match="5 is not an ability"):
        Tool.of(5)
