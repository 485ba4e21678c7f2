"""Let a model work with files, and ask before it writes one.

    BRUNO_LLM_PROVIDER=claude python examples/tools.py "Sum up notes.txt in summary.txt"

Whatever goes wrong in a tool is told to the model, which may then try something else.
"""

import asyncio
import sys
from pathlib import Path

from bruno_llm import LLMFactory, ToolCall, ToolError, stream_tools

HERE = Path.cwd()


def inside(name: str) -> Path:
    """Return the path of a file in this folder."""
    path = (HERE / name).resolve()
    if not path.is_relative_to(HERE):
        raise ToolError(f"{name} is not in this folder")
    return path


def list_files() -> list[str]:
    """List the files of the folder."""
    return sorted(path.name for path in HERE.iterdir() if path.is_file())


def read_file(name: str) -> str:
    """Read a text file.

    Args:
        name: The file's name.
    """
    return inside(name).read_text()


def write_file(name: str, text: str) -> str:
    """Write a text file; one that is there is replaced.

    Args:
        name: The file's name.
        text: All that it shall hold.
    """
    return f"{inside(name).write_text(text)} characters written"


async def approve(call: ToolCall) -> bool | str:
    """Ask the user whether a file may be written."""
    if call.name != "write_file":
        return True
    question = f"\n[write {call.parsed['name']}? y/n] "
    said = (await asyncio.to_thread(input, question)).strip().lower()
    return said == "y" or "the user does not want this file written"


async def main(task: str) -> None:
    """Do a task."""
    async with LLMFactory.from_env() as llm:
        tools = [list_files, read_file, write_file]
        stream = stream_tools(llm, task, tools=tools, approve=approve)
        async for piece in stream:
            print(piece, end="", flush=True)
        response = stream.response
        print(f"\n[{response.rounds} rounds, {response.usage.total_tokens} tokens]")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Sum up what is in this folder."))
