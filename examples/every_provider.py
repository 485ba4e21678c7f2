"""Ask every provider that is installed and set up the same question.

    python examples/every_provider.py "Why is the sky blue?"

Keys come from OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY and so on; Ollama needs none.
"""

import asyncio
import sys

from bruno_llm import ConfigurationError, LLMError, LLMFactory, ServiceUnavailableError


async def ask(name: str, question: str) -> str | None:
    """Return what the provider *name* answers, or why it does not; None if it is not set up."""
    try:
        async with LLMFactory.create(name, max_tokens=2_000) as llm:
            answer = await llm.request(question)
    except (ConfigurationError, ServiceUnavailableError):
        return None
    except LLMError as error:
        return f"{type(error).__name__}: {error}"
    tokens = f"{answer.usage.input_tokens} tokens in, {answer.usage.output_tokens} out"
    return f"{answer.text.strip()}\n[{answer.model}; {tokens}]"


async def main(question: str) -> None:
    """Ask all of them at once, and print the answers in order."""
    names = [provider.name for provider in LLMFactory.providers() if provider.error is None]
    answers = await asyncio.gather(*(ask(name, question) for name in names))
    others = []
    for name, answer in zip(names, answers, strict=True):
        if answer is None:
            others.append(name)
        else:
            print(f"{name}: {answer}\n")
    print(f"[not set up, or not running: {', '.join(others)}]")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Why is the sky blue?"))
