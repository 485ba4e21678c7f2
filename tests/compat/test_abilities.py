"""The published bruno-abilities beside our providers."""

from bruno_abilities.base.ability_base import AbilityContext
from bruno_abilities.registry.discovery import AbilityDiscovery
from bruno_core.registry.llm_registry import LLMProviderRegistry
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
