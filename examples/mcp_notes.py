"""Give a model the tools of an MCP server, which this file is too.

    pip install "bruno-llm-base[mcp]"
    BRUNO_LLM_PROVIDER=claude python examples/mcp_notes.py "Note that I need bread."

Name another server by its command, such as `["npx", "-y", "..."]`, or its URL.
"""

import asyncio
import sys

from bruno_llm import LLMFactory, mcp_tools, run_tools


def serve() -> None:
    """Be a server that keeps notes, on standard input and output."""
    from mcp.server.mcpserver import MCPServer

    server, notes = MCPServer("notes"), list[str]()

    @server.tool()
    def add_note(text: str) -> str:
        """Keep a note."""
        if not text:
            raise ValueError("an empty note")
        notes.append(text)
        return f"{len(notes)} notes"

    @server.tool()
    def list_notes() -> list[str]:
        """List all notes."""
        return notes

    server.run("stdio")


async def main(task: str) -> None:
    """Do a task with the server's tools."""
    async with (
        LLMFactory.from_env() as llm,
        mcp_tools([sys.executable, __file__, "serve"]) as tools,
    ):
        print(f"[tools: {', '.join(tool.name for tool in tools)}]")
        answer = await run_tools(llm, task, tools=tools)
        print(answer.text)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        asyncio.run(main(" ".join(sys.argv[1:]) or "Note that I need bread."))
