"""What is asked of each row, and within which limit and budget, whichever engine asks.

Rows are dicts such as {"id": "a", "text": "I love it."}. Of each comes a dict with its "id", and an
"answer" or an "error". Answers are kept, so a row that is asked for again, after a crash or in a
second run, is not paid twice. Wants a provider, such as bruno-llm-openai, bruno-llm-redis, and
bruno-llm-postgres; on a single machine, LEDGER may be a file.
"""

import os

from bruno_llm_base import Budget, CachedLLM, CostTracker, LLMError, LLMFactory, RateLimit

PROMPT = "Is this review good or bad? Answer in one word.\n\n{text}"
AT_ONCE = 25  # rows, by each process
VALKEY = os.environ.get("VALKEY_URL", "redis://localhost:6379/0")
LEDGER = os.environ.get("LEDGER", "postgresql://localhost/costs")
LIMIT = int(os.environ.get("REQUESTS_PER_MINUTE", "500"))
BUDGET = os.environ.get("BUDGET", "5")  # USD


def model() -> CachedLLM:
    """Return a model that shares its limit, budget and answers with those of all other processes."""
    limit = RateLimit(requests_per_minute=LIMIT, max_concurrent=64, store=VALKEY, name="reviews")
    costs, budget = CostTracker(LEDGER), Budget(BUDGET)
    llm = LLMFactory.from_env(rate_limit=limit, cost=costs, budget=budget, max_tokens=100)
    return CachedLLM(llm, store=VALKEY)


async def answers(llm: CachedLLM, rows: list[dict]) -> list[dict]:
    """Return what comes of *rows*, in their order."""
    done, stopped = {}, None
    try:
        async for item in llm.map(rows, PROMPT, key="id", concurrency=AT_ONCE):
            done[item.key] = {"answer": item.text, "error": item.error and str(item.error)}
    except LLMError as error:  # no other row would be spared it: a spent budget, a wrong key
        stopped = {"answer": None, "error": str(error)}
    return [{"id": row["id"], **done.get(row["id"], stopped)} for row in rows]


async def ask(rows: list[dict]) -> list[dict]:
    """Return what comes of *rows*, by a model of their own."""
    async with model() as llm:
        return await answers(llm, rows)
