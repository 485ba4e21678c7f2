"""The tools of an MCP server (https://modelcontextprotocol.io), through the official SDK."""

import re
from base64 import b64decode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from pydantic_core import to_json

from bruno_llm_base.exceptions import ConfigurationError, ToolError
from bruno_llm_base.parts import Json, Media
from bruno_llm_base.schemas import without_titles
from bruno_llm_base.tools import Tool

_REFUSED_IN_NAMES, _LONGEST_NAME = re.compile(r"[^A-Za-z0-9_-]"), 64


@asynccontextmanager
async def mcp_tools(
    server: Any, *, prefix: str = "", **settings: Any
) -> AsyncGenerator[list[Tool], None]:
    """Connect to an MCP server, and give its tools until the block is left.

        async with mcp_tools(["npx", "-y", "some-server"]) as tools:
            answer = await run_tools(llm, "...", tools=tools)

    Args:
        server: A command and its arguments, which is started and ended with the block; the URL of
            a server; or whatever else `mcp.Client` takes.
        prefix: What the names of the tools begin with, where those of two servers are alike.
        **settings: The attributes of each `Tool`, such as `timeout`.

    Raises:
        ConfigurationError: The SDK is not installed.
    """
    try:
        from mcp import Client, StdioServerParameters
    except ImportError:
        raise ConfigurationError("MCP needs its SDK: pip install 'bruno-llm-base[mcp]'") from None
    if isinstance(server, list | tuple):
        command, *arguments = map(str, server)
        server = StdioServerParameters(command=command, args=arguments)
    async with Client(server) as client:
        yield [_tool(client, told, prefix, settings) for told in await _listed(client)]


async def _listed(client: Any) -> list[Any]:
    """Return what the server says about its tools, page by page."""
    page = await client.list_tools()
    found: list[Any] = list(page.tools)
    while page.next_cursor:
        page = await client.list_tools(cursor=page.next_cursor)
        found += page.tools
    return found


def _tool(client: Any, told: Any, prefix: str, settings: Json) -> Tool:
    async def call(**given: Any) -> str | list[str | Media]:
        from mcp import MCPError

        try:
            result = await client.call_tool(told.name, given)
        except MCPError as error:
            raise ToolError(str(error)) from error
        found = [_found(block) for block in result.content]
        if any(isinstance(each, Media) for each in found) and not result.is_error:
            return found
        text = "\n".join(each.told if isinstance(each, Media) else each for each in found)
        if not text and result.structured_content is not None:
            text = to_json(result.structured_content).decode()
        if result.is_error:
            raise ToolError(text)
        return text

    name = _REFUSED_IN_NAMES.sub("_", prefix + told.name)
    if name[:1].isdigit():  # Gemini wants a letter or _ first
        name = f"_{name}"
    return Tool(
        call,
        name[:_LONGEST_NAME],
        told.description or told.title or "",
        parameters=without_titles(told.input_schema),
        **settings,
    )


def _found(block: Any) -> str | Media:
    """Return what a server has found, in words or as media."""
    resource = getattr(block, "resource", None)
    if block.type == "text":
        return str(block.text)
    if block.type == "resource_link":
        return str(block.uri)
    if (text := getattr(resource, "text", None)) is not None:
        return str(text)
    kind = getattr(resource or block, "mime_type", None) or "application/octet-stream"
    content: Any = getattr(block, "data", None) or getattr(resource, "blob", "")
    try:
        return Media(data=b64decode(content, validate=True), type=kind)
    except ValueError:
        return f"({kind}, which cannot be read)"
