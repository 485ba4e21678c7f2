"""The published bruno-abilities beside our providers."""

from bruno_abilities.base.ability_base import AbilityContext
from bruno_abilities.registry.discovery import AbilityDiscovery
from bruno_core.registry.llm_registry import LLMProviderRegistry
from bruno_llm_base import LLMFactory, ToolCall, run_tools
from bruno_llm_testing import FakeAnswer, FakeOllama


async def test_an_ability_runs_beside_a_model_of_ours():
    abilities = AbilityDiscovery.discover_abilities()
    assert {"alarm", "notes", "reminder", "timer", "todo"} <= set(abilities)
    registry = LLMProviderRegistry()
    registry.discover_plugins()
    assert set(registry.list_plugins()) >= {"claude", "gemini", "ollama", "openai"}
    notes = abilities["notes"]()
    context = AbilityContext(user_id="u")
    with FakeOllama() as server:
        server.say(FakeAnswer(text="Buy bread"))
        async with registry.get_instance("ollama", **server.connection()) as llm:
            content = await llm.generate("What shall I remember?")
    made = await notes.execute({"action": "create", "title": "Today", "content": content}, context)
    assert made.success, made.error
    listed = await notes.execute({"action": "list"}, context)
    assert "Today" in str(listed.data)


async def test_abilities_are_tools():
    kinds = AbilityDiscovery.discover_abilities()  # the one for music wants a sound card
    chosen = {name: kinds[name]() for name in ("alarm", "notes", "reminder", "timer", "todo")}
    calls = [
        ToolCall(
            id="c1",
            name="notes",
            arguments='{"action": "create", "title": "Today", "content": "Buy bread"}',
        ),
        ToolCall(id="c2", name="timer", arguments='{"action": "pause", "timer_id": "none"}'),
    ]
    with FakeOllama() as server:
        server.say(FakeAnswer(text="", tool_calls=tuple(calls), finish_reason="tool_call"))
        async with LLMFactory.create("ollama", **server.connection()) as llm:
            answer = await run_tools(llm, "Remember bread.", tools=list(chosen.values()))
    assert answer.rounds == 2
    done, refused = (m for m in answer.messages if m.role == "tool")
    assert "Today" in str(
        await chosen["notes"].execute({"action": "list"}, AbilityContext(user_id="default"))
    )
    assert "is_error" not in done.metadata
    assert refused.metadata["is_error"]
    types = {"string", "integer", "number", "boolean", "array", "object", None}
    for tool in server.bodies[0]["tools"]:
        for name, schema in tool["function"]["parameters"]["properties"].items():
            assert schema.get("type") in types, name
