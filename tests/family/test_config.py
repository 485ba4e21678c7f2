"""One configuration, any provider."""

from bruno_core.models.config import LLMConfig
from bruno_llm_base import LLMFactory


async def test_bruno_cores_defaults_are_nobodys_choice(name, server):
    config = LLMConfig(provider=name, model=server.models[0], **server.connection())
    async with LLMFactory.from_config(config) as llm:
        assert await llm.generate("hi")
    sent = str(server.bodies[0])
    assert "0.7" not in sent
    assert "2000" not in sent


async def test_an_explicit_temperature_breaks_no_model(name, server):
    config = LLMConfig(provider=name, model=server.models[0], temperature=0.7, max_tokens=50)
    async with LLMFactory.from_config(config, **server.connection()) as llm:
        assert await llm.generate("hi", temperature=0.3)
    assert "50" in str(server.bodies[0])
