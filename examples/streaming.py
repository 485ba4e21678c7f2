"""Chat with one provider; answers appear as they are written.

    BRUNO_LLM_PROVIDER=claude python examples/streaming.py

The conversation is kept; an empty line, or the end of the input, ends it.
"""

import asyncio

from bruno_core.models import Message, MessageRole
from bruno_llm_base import BaseProvider, LLMError, LLMFactory


async def answer(llm: BaseProvider, conversation: list[Message]) -> None:
    """Print the next turn as it comes, and add it to *conversation*."""
    stream = llm.stream(conversation)
    try:
        async for piece in stream:
            print(piece, end="", flush=True)
    except LLMError as error:
        print(f"\n[{type(error).__name__}: {error}]")
        return
    conversation.append(stream.response.to_message())
    print(f"\n[{stream.response.usage.output_tokens} tokens; {stream.response.finish_reason}]")


async def main() -> None:
    """Take turns until there is nothing to say."""
    conversation: list[Message] = []
    async with LLMFactory.from_env(system_prompt="You are brief.") as llm:
        while question := (await asyncio.to_thread(ask)).strip():
            conversation.append(Message(role=MessageRole.USER, content=question))
            await answer(llm, conversation)


def ask() -> str:
    """Return the next line of the input; nothing at its end."""
    try:
        return input("> ")
    except EOFError:
        return ""


if __name__ == "__main__":
    asyncio.run(main())
