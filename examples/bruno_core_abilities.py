"""A bruno-core assistant whose model chooses among abilities, on any provider.

    BRUNO_LLM_PROVIDER=ollama python examples/bruno_core_abilities.py

bruno-core's assistant looks for the names of abilities in what the user says. This one offers them to
the model, as tools; those of bruno-abilities go the same way.
"""

import asyncio

from bruno_core.base import BaseAssistant
from bruno_core.base.ability import BaseAbility
from bruno_core.models import Message, MessageRole
from bruno_core.models.ability import (
    AbilityMetadata,
    AbilityParameter,
    AbilityParameterType,
    AbilityRequest,
    AbilityResponse,
)
from bruno_core.models.context import ConversationContext
from bruno_core_assistant import OneConversation
from bruno_llm import LLMFactory, Tool, run_tools


class ShoppingList(BaseAbility):
    """Keeps a list."""

    def __init__(self) -> None:
        super().__init__()
        self.articles: list[str] = []

    def get_metadata(self) -> AbilityMetadata:
        return AbilityMetadata(
            name="shopping_list",
            description="Keep the user's shopping list.",
            parameters=[
                AbilityParameter(
                    name="article",
                    param_type=AbilityParameterType.STRING,
                    description="What to add.",
                    required=False,
                )
            ],
        )

    def get_supported_actions(self) -> list[str]:
        return ["add", "show"]

    async def execute_action(self, request: AbilityRequest) -> AbilityResponse:
        if request.action == "add":
            self.articles.append(request.parameters["article"])
        return AbilityResponse(
            request_id=request.id,
            ability_name=request.ability_name,
            action=request.action,
            data={"articles": self.articles},
        )


class ToolAssistant(BaseAssistant):
    """Lets the model choose the abilities."""

    async def _detect_abilities(
        self, message: Message, context: ConversationContext
    ) -> list[AbilityRequest]:
        return []  # the model does that

    async def _generate_response(self, context: ConversationContext) -> str:
        user = context.user.user_id
        tools = [Tool.of(ability, user_id=user) for ability in self.abilities.values()]
        return (await run_tools(self.llm, context.messages, tools=tools)).text


async def main() -> None:
    """Keep a shopping list."""
    async with LLMFactory.from_env() as llm:
        assistant = ToolAssistant(llm=llm, memory=OneConversation())
        await assistant.initialize()
        await assistant.register_ability(ShoppingList())
        for question in ("I need bread and milk.", "What do I need?"):
            message = Message(role=MessageRole.USER, content=question)
            reply = await assistant.process_message(message, user_id="ana")
            print(f"{question}\n  {reply.text}")
        await assistant.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
