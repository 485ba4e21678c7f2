"""bruno-core's own machinery, on each provider and its fake."""

from unittest.mock import AsyncMock

import pytest
import structlog
from bruno_core.base.assistant import BaseAssistant
from bruno_core.interfaces import MemoryInterface
from bruno_core.models import ConversationContext, Message, SessionContext, UserContext
from bruno_core.registry.llm_registry import LLMProviderRegistry
from bruno_llm_base import LLMFactory


@pytest.fixture(autouse=True)
def _quiet():
    """bruno-core logs to stdout unless told otherwise."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@pytest.fixture
def registry():
    registry = LLMProviderRegistry()
    registry.discover_plugins()
    return registry


def test_the_registry_finds_and_builds_all_four(registry, name, monkeypatch):
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(variable, "k")
    assert registry.has_plugin(name)
    llm = registry.get_instance(name)
    assert llm is registry.get_instance(name)
    assert llm.get_model_info()["provider"] == name
    other = registry.get_instance(name, model="special")
    assert other.get_model_info()["model"] == "special"


@pytest.fixture
def memory():
    """As much of a memory as a conversation needs."""
    memory = AsyncMock(spec=MemoryInterface)
    user = UserContext(user_id="u")
    memory.get_context.return_value = ConversationContext(
        user=user, session=SessionContext(user_id="u")
    )
    return memory


async def test_an_assistant_holds_a_conversation(name, server, memory):
    llm = LLMFactory.create(name, **server.connection())
    llm.set_system_prompt("You are Bruno.")
    assistant = BaseAssistant(llm=llm, memory=memory)
    await assistant.initialize()
    for text in ("Hello", "And again"):
        message = Message(role="user", content=text)
        response = await assistant.process_message(message, user_id="u")
        assert response.text == "Hello from the fake server."
    assert (await assistant.health_check())["llm"] == "connected"
    assert assistant.get_metadata()["llm"]["provider"] == name
    assert len(server.bodies) == 2
    assert "You are Bruno." in str(server.bodies[1])
    await llm.aclose()


async def test_an_assistant_says_when_the_model_is_gone(name, memory):
    llm = LLMFactory.create(name, api_key="k", base_url="http://127.0.0.1:9")
    with pytest.raises(Exception, match="initialization failed"):
        await BaseAssistant(llm=llm, memory=memory).initialize()
    await llm.aclose()
