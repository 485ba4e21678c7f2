"""Ask several providers in order: where one cannot answer, the next one is asked.

    python examples/fallback.py ollama claude openai

Those that are not installed or not set up are left out beforehand.
"""

import asyncio
import sys

from bruno_llm import AllProvidersFailedError, Breaker, ConfigurationError, LLMFactory
from bruno_llm_base.events import Event, ProviderPassedOver


def tell(event: Event) -> None:
    """Print who was passed over, and why."""
    if isinstance(event, ProviderPassedOver):
        print(f"[{event.provider} was passed over: {event.error}]")


def usable(names: list[str]) -> list[str]:
    """Return those of *names* that can be built."""
    good = []
    for name in names:
        try:
            LLMFactory.create(name)
        except ConfigurationError as error:
            print(f"[{name} is left out: {error.description}]")
        else:
            good.append(name)
    return good


async def main(names: list[str]) -> None:
    """Ask the first that can answer."""
    breaker = Breaker(failures=3, cooldown=60)
    async with LLMFactory.fallback(usable(names), breaker=breaker, observers=[tell]) as llm:
        try:
            answer = await llm.request("Name three primes.")
        except AllProvidersFailedError as error:
            print(f"no provider answered: {error}")
        else:
            print(f"{answer.provider}: {answer.text}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or ["claude", "openai", "gemini", "ollama"]))
