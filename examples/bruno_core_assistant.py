"""A bruno-core assistant on any provider: an LLM of ours, a memory, and two questions.

    BRUNO_LLM_PROVIDER=ollama python examples/bruno_core_assistant.py

bruno-core's assistant takes any `LLMInterface`, so it is given one provider, or a fallback of several.
"""

import asyncio
from typing import Any

from bruno_core.base import BaseAssistant
from bruno_core.interfaces import MemoryInterface
from bruno_core.models import Message, MessageRole
from bruno_core.models.context import ConversationContext, SessionContext, UserContext
from bruno_core.models.memory import MemoryEntry, MemoryQuery
from bruno_llm import ContextPolicy, LLMFactory


class OneConversation(MemoryInterface):
    """Remembers one conversation, as long as the program runs; bruno-memory has real ones."""

    def __init__(self) -> None:
        session = SessionContext(user_id="ana")
        self.context = ConversationContext(user=UserContext(user_id="ana"), session=session)
        self.facts: list[MemoryEntry] = []

    async def store_message(self, message: Message, conversation_id: str) -> None:
        """Do nothing: the assistant adds messages to the context by itself."""

    async def retrieve_messages(
        self, conversation_id: str, limit: int | None = None
    ) -> list[Message]:
        return self.context.messages[-limit:] if limit else self.context.messages

    async def search_messages(
        self, query: str, user_id: str | None = None, limit: int = 10
    ) -> list[Message]:
        return [message for message in self.context.messages if query in message.content][:limit]

    async def store_memory(self, memory_entry: MemoryEntry) -> None:
        self.facts.append(memory_entry)

    async def retrieve_memories(self, query: MemoryQuery) -> list[MemoryEntry]:
        return self.facts

    async def delete_memory(self, memory_id: str) -> None:
        self.facts = [fact for fact in self.facts if str(fact.id) != memory_id]

    async def create_session(
        self, user_id: str, metadata: dict[str, Any] | None = None
    ) -> SessionContext:
        return self.context.session

    async def get_session(self, session_id: str) -> SessionContext | None:
        return self.context.session

    async def end_session(self, session_id: str) -> None:
        self.context.clear_messages()

    async def get_context(self, user_id: str, session_id: str | None = None) -> ConversationContext:
        return self.context

    async def clear_history(self, conversation_id: str, keep_system_messages: bool = True) -> None:
        self.context.clear_messages(keep_system=keep_system_messages)

    async def get_statistics(self, user_id: str) -> dict[str, Any]:
        return {"messages": len(self.context.messages)}


async def main() -> None:
    """Ask two questions of one conversation."""
    llm = LLMFactory.from_env(
        system_prompt="You are a friendly assistant.",
        max_tokens=2_000,  # the assistant itself gives no options, so they belong here
        context=ContextPolicy(strategy="sliding_window"),
    )
    async with llm:
        assistant = BaseAssistant(llm=llm, memory=OneConversation())
        await assistant.initialize()  # checks the connection
        for question in ("My name is Ana. Who are you?", "What is my name?"):
            message = Message(role=MessageRole.USER, content=question)
            reply = await assistant.process_message(message, user_id="ana")
            print(f"{question}\n  {reply.text}")
        await assistant.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
