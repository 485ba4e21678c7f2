"""Know what requests cost, by task and by person, and stop before a budget is overspent.

    BRUNO_LLM_PROVIDER=openai python examples/costs.py costs.db

The file keeps sums by day; start it again, and they go on.
"""

import asyncio
import sys

from bruno_llm import Budget, BudgetExceededError, CostTracker, LLMFactory

TASKS = {"greeting": "Say hello.", "summary": "Sum up the story of Faust in two sentences."}


async def main(path: str | None) -> None:
    """Work for two people, and print a report."""
    costs = CostTracker(path)
    budget = Budget("0.50", per="day", by="user")  # USD, for each person
    async with LLMFactory.from_env(cost=costs, budget=budget, max_tokens=2_000) as llm:
        for user in ("ana", "ben"):
            for tag, question in TASKS.items():
                with costs.label(tag=tag, user=user):
                    try:
                        answer = await llm.request(question)
                    except BudgetExceededError as error:
                        print(f"{tag} for {user}: not sent: {error.description}")
                    else:
                        price = "of unknown cost" if answer.cost is None else answer.cost.total
                        print(f"{tag} for {user}: {price} USD")
            print(f"left today for {user}: {budget.left(user)} USD")
    print(costs.report(by=("tag", "user")))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if sys.argv[1:] else None))
