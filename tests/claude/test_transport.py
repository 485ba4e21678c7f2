"""How the SDK is used."""

import subprocess
import sys

import anthropic
import pytest
from bruno_llm_base import ConfigurationError
from bruno_llm_claude import ClaudeProvider


async def test_a_server_of_ones_own_needs_no_key(server, monkeypatch, tmp_path):
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "a-secret-of-anthropic")
    monkeypatch.setenv("ANTHROPIC_PROFILE", "nowhere")
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    async with ClaudeProvider(base_url=server.address) as llm:
        assert not await llm.check_connection()  # the fake does want a key
    assert server.received[0].headers["authorization"] == "Bearer none"


def test_a_missing_key_is_told_at_once():
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        ClaudeProvider()


async def test_key_and_address_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", server.api_key)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.address)
    async with ClaudeProvider() as llm:
        assert await llm.generate("Hi")


async def test_a_given_key_goes_out_alone(server, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of-another-account")  # which older SDKs would send too
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "of-yet-another")
    async with ClaudeProvider(**server.connection()) as llm:
        assert await llm.generate("Hi")
    headers = server.received[0].headers
    assert headers["authorization"] == f"Bearer {server.api_key}"
    assert "x-api-key" not in headers
    assert "of-" not in str(headers)


async def test_a_client_of_ones_own(server):
    headers = {"anthropic-version": "2023-06-01"}
    async with anthropic.AsyncAnthropic(**server.connection(), default_headers=headers) as client:
        async with ClaudeProvider(client=client, options={"temperature": 0.5}) as llm:
            assert await llm.generate("Hi")
            assert "".join([piece async for piece in llm.stream("Hi")])
        assert not client.is_closed()
    assert [body["temperature"] for body in server.bodies] == [0.5, 0.5]


async def test_all_models_are_asked_for_at_once(llm, server):
    assert await llm.list_models() == list(server.models)
    assert server.received[0].query == {"limit": "1000"}


def test_the_sdk_is_not_imported_with_the_module():
    code = "import sys, bruno_llm_testing; sys.exit('anthropic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
