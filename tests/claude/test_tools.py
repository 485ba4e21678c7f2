"""Strict tools of Claude, whose number and size are limited."""

import json

import pytest
from bruno_llm_base import InvalidRequestError, Retry, Tool
from bruno_llm_claude import ClaudeProvider
from bruno_llm_claude.schemas import build_tools, can_be_strict
from bruno_llm_testing import FakeClaude, RawReply


def plain(a: str) -> str:
    """Do."""


def optional(a: int = 1, b: int = 1, c: int = 1, d: int = 1, e: int = 1) -> str:
    """Do."""


def union(a: int | str, b: int | str, c: int | str, d: int | str, e: int | str) -> str:
    """Do."""


def strict(tools, model="claude-sonnet-5-5"):
    declared = build_tools(tools, choice=None, parallel=None, model=model)["tools"]
    return [tool["name"] for tool in declared if tool.get("strict")]


@pytest.mark.parametrize(("function", "most"), [(plain, 20), (optional, 4), (union, 3)])
def test_no_more_tools_are_strict_than_the_api_takes(function, most):
    tools = [Tool(function, f"t{n}") for n in range(25)]
    assert strict(tools) == [f"t{n}" for n in range(most)]
    last = Tool(function, "last", strict=True)
    assert strict([*tools, last]) == [*(f"t{n}" for n in range(most - 1)), "last"]


@pytest.mark.parametrize(
    ("model", "can"),
    [
        *[(f"claude-{m}", False) for m in ("3-5-haiku-latest", "2.1", "sonnet-4-20250514")],
        *[(f"claude-{m}", False) for m in ("opus-4-0", "sonnet-4", "opus-4@20250514")],
        *[(f"claude-{m}", True) for m in ("sonnet-4-5", "opus-4-1-20250805", "fable-6")],
        ("deepseek-chat", False),
    ],
)
def test_models_that_do_not_know_strict_tools_get_none(model, can):
    assert can_be_strict(model) == can
    assert strict([Tool(plain)], model) == (["plain"] if can else [])
    assert strict([Tool(plain, strict=True)], model) == ["plain"]


@pytest.mark.parametrize(
    "message", ["Schema is too complex for compilation.", "The compiled grammar is too large."]
)
async def test_a_schema_that_is_too_complex_is_told_alone(message):
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    refused = RawReply(status=400, body=json.dumps(error).encode())
    with FakeClaude() as server:
        llm = ClaudeProvider("claude-sonnet-5-5", retry=Retry(attempts=1), **server.connection())
        server.say(refused)
        assert (await llm.request("hi", tools=[plain])).text
        assert (await llm.request("hi", tools=[plain])).text
        assert ["strict" in body["tools"][0] for body in server.bodies] == [True, False, False]
        server.say(refused)  # which is none of our doing
        with pytest.raises(InvalidRequestError, match=r"(?i)too (complex|large)"):
            await llm.request("hi", tools=[{"name": "x", "input_schema": {"type": "object"}}])


@pytest.mark.parametrize(
    ("model", "choice", "thinks"),
    [
        ("claude-sonnet-4-5", "required", False),
        ("claude-sonnet-4-5", "plain", False),
        ("claude-sonnet-4-5", {"type": "any"}, False),
        ("claude-sonnet-4-5", "auto", True),
        ("claude-sonnet-5-5", "required", True),
    ],
)
async def test_a_call_is_not_forced_while_a_budget_is_thought_by(model, choice, thinks):
    with FakeClaude() as server:
        server.models = (*server.models, model)
        llm = ClaudeProvider(model, **server.connection())
        await llm.request("hi", tools=[plain], tool_choice=choice, reasoning="high")
        assert ("thinking" in server.bodies[0]) == thinks
        assert "tool_choice" in server.bodies[0]
        strict = ClaudeProvider(model, strict=True, **server.connection())
        if not thinks:
            with pytest.raises(InvalidRequestError, match="does not accept reasoning"):
                await strict.request("hi", tools=[plain], tool_choice=choice, reasoning="high")
