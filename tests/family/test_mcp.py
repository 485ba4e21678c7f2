"""The tools of MCP servers: a real one, started as a program, and the example."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bruno_llm_base import ConfigurationError, ToolCall, mcp_tools, run_tools
from bruno_llm_testing import FakeAnswer, FakeClaude, MockLLM

ROOT = Path(__file__).resolve().parents[2]
NOTES = [sys.executable, str(ROOT / "examples" / "mcp_notes.py"), "serve"]

SERVER = '''
import sys
from mcp.server.mcpserver import MCPServer
from mcp_types import (
    BlobResourceContents, CallToolResult, EmbeddedResource, ImageContent, ResourceLink, TextContent, TextResourceContents
)

server = MCPServer("odd")

@server.tool(name="2.odd/x")
async def odd(count: int = 1) -> CallToolResult:
    """Show everything."""
    return CallToolResult(
        content=[
            TextContent(type="text", text="words"),
            ImageContent(type="image", data="iVBORw0KGgo=", mime_type="image/jpeg"),
            ResourceLink(type="resource_link", name="a", uri="file:///a"),
            EmbeddedResource(
                type="resource", resource=TextResourceContents(uri="file:///b", text="inside")
            ),
            EmbeddedResource(
                type="resource",
                resource=BlobResourceContents(uri="file:///c", blob="?", mime_type="image/x"),
            ),
        ],
    )

@server.tool(structured_output=True)
async def slow() -> dict[str, int]:
    """Wait."""
    import anyio
    await anyio.sleep_forever()

server.run("stdio")
'''


def called(name, **arguments):
    return ToolCall(name=name, arguments=json.dumps(arguments))


def results(llm):
    return [(r.content, r.is_error) for r in llm.calls[-1].conversation.turns[-1].tool_results]


async def test_a_server_is_started_and_its_tools_are_called():
    calls = [called("add_note", text="bread"), called("add_note", text="milk")]
    llm = MockLLM([calls[0], calls[1], called("list_notes"), "Bread and milk."])
    async with mcp_tools(NOTES) as tools:
        add, show = tools
        assert (add.name, add.description) == ("add_note", "Keep a note.")
        assert add.parameters["properties"] == {"text": {"type": "string"}}
        assert show.name == "list_notes"
        answer = await run_tools(llm, "go", tools=tools)
    assert answer.text == "Bread and milk."
    found = [m.content for m in answer.messages if m.role == "tool"]
    assert found[:2] == ["1 notes", "2 notes"]
    assert "bread" in found[2]
    assert "milk" in found[2]
    assert len(asyncio.all_tasks()) == 1


async def test_what_goes_wrong_there_is_told_to_the_model():
    calls = [called("add_note", text=""), called("add_note"), called("n_add_note", text="x")]
    for prefix in ("", "n_"):
        llm = MockLLM([calls, "done"])
        async with mcp_tools(NOTES, prefix=prefix) as tools:
            await run_tools(llm, "go", tools=tools)
        found = results(llm)
        assert [failed for _, failed in found] == (
            [True] * 3 if not prefix else [True, True, False]
        )
        if not prefix:
            assert "add_note" in found[0][0]
            assert "text" in found[1][0]


async def test_what_is_no_text_is_shown_or_told_in_words(tmp_path):
    (tmp_path / "server.py").write_text(SERVER)
    llm = MockLLM([called("_2_odd_x", count=2), called("slow"), "done"])
    async with mcp_tools((sys.executable, tmp_path / "server.py"), timeout=0.5) as tools:
        assert [tool.name for tool in tools] == ["_2_odd_x", "slow"]
        answer = await run_tools(llm, "go", tools=tools)
    first, second = (m.content for m in answer.messages if m.role == "tool")
    assert (
        first == "words\n(image png of 8 bytes)\nfile:///a\ninside\n(image/x, which cannot be read)"
    )
    (image,) = llm.calls[1].conversation.media
    assert (image.data, image.type) == (b"\x89PNG\r\n\x1a\n", "image/png")
    assert second == "It took longer than 0.5 s."


async def test_a_server_that_cannot_be_started_is_an_error():
    with pytest.raises(OSError, match="no-such-command"):
        async with mcp_tools(["no-such-command"]):
            pass


async def test_the_sdk_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(ConfigurationError, match=r"bruno-llm-base\[mcp\]"):
        async with mcp_tools(NOTES):
            pass


def test_the_example_runs():
    call = ToolCall(id="c", name="add_note", arguments='{"text": "bread"}')
    with FakeClaude() as server:
        server.say(FakeAnswer(text="", tool_calls=(call,), finish_reason="tool_call"))
        environment = dict(os.environ) | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "BRUNO_LLM_PROVIDER": "claude",
            "ANTHROPIC_BASE_URL": server.connection()["base_url"],
            "ANTHROPIC_API_KEY": server.api_key,
        }
        done = subprocess.run(
            NOTES[:2],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "[tools: add_note, list_notes]" in done.stdout
        assert "1 notes" in json.dumps(server.bodies[-1])
