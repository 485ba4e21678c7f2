"""What the distribution's entry points bring, as pyproject.toml names them."""

import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
import structlog
from bruno_core.base.assistant import BaseAssistant
from bruno_core.interfaces import MemoryInterface
from bruno_core.models import ConversationContext, Message, SessionContext, UserContext
from bruno_core.registry.llm_registry import LLMProviderRegistry
from bruno_llm_base import LLMFactory
from bruno_llm_testing import MockLLM

PROJECT = Path(__file__).parents[2] / "packages" / "bruno-llm-testing" / "pyproject.toml"


@pytest.fixture(autouse=True)
def _quiet():
    """bruno-core logs to stdout unless told otherwise."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _installed(tmp_path, monkeypatch):
    """The distribution's metadata, where it is not installed: a wheel has the same."""
    if entry_points(group="bruno.llm_providers", name="mock"):
        return
    project = tomllib.loads(PROJECT.read_text())["project"]
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    folder = tmp_path / "bruno_llm_testing-0.3.0.dist-info"
    folder.mkdir()
    (folder / "entry_points.txt").write_text("\n".join(lines))
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: bruno-llm-testing\nVersion: 0\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_the_registry_builds_a_mock_of_nothing():
    registry = LLMProviderRegistry()
    registry.discover_plugins()
    llm = registry.get_instance("mock")
    assert isinstance(llm, MockLLM)
    assert llm.get_model_info()["provider"] == "mock"


async def test_the_factory_knows_it():
    llm = LLMFactory.create("mock", replies=["one"], model="m")
    assert await llm.generate("a") == "one"
    assert llm.calls[0].model == "m"
    assert "mock" in [info.name for info in LLMFactory.providers() if info.error is None]


async def test_an_assistant_of_bruno_core_talks_to_it():
    memory = AsyncMock(spec=MemoryInterface)
    memory.get_context.return_value = ConversationContext(
        user=UserContext(user_id="u"), session=SessionContext(user_id="u")
    )
    llm = MockLLM(["Good morning."], system_prompt="You are Bruno.")
    assistant = BaseAssistant(llm=llm, memory=memory)
    await assistant.initialize()
    message = Message(role="user", content="Hello")
    assert (await assistant.process_message(message, user_id="u")).text == "Good morning."
    assert llm.calls[0].messages[0] == ("system", "You are Bruno.")


def test_all_public_names_are_there():
    import bruno_llm_testing

    assert set(bruno_llm_testing.__all__) <= set(dir(bruno_llm_testing))
    for name in bruno_llm_testing.__all__:
        assert getattr(bruno_llm_testing, name)
    with pytest.raises(AttributeError, match="no attribute 'Nobody'"):
        _ = bruno_llm_testing.Nobody
