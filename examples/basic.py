"""Ask every provider that is installed and set up the same question.

    python examples/basic.py "Why is the sky blue?"

Keys come from OPENAI_API_KEY, ANTHROPIC_API_KEY and GEMINI_API_KEY; Ollama needs none.
"""

import asyncio
import sys

from bruno_llm_base import ConfigurationError, LLMError, LLMFactory


async def ask(name: str, question: str) -> str:
    """Return what the provider *name* answers, or why it does not."""
    try:
        async with LLMFactory.create(name, max_tokens=2_000) as llm:
            answer = await llm.request(question)
    except ConfigurationError as error:
        return f"not set up: {error.description}"
    except LLMError as error:
        return f"{type(error).__name__}: {error}"
    tokens = f"{answer.usage.input_tokens} tokens in, {answer.usage.output_tokens} out"
    return f"{answer.text.strip()}\n[{answer.model}; {tokens}]"


async def main(question: str) -> None:
    """Ask all of them at once, and print the answers in order."""
    names = [provider.name for provider in LLMFactory.providers() if provider.error is None]
    answers = await asyncio.gather(*(ask(name, question) for name in names))
    for name, answer in zip(names, answers, strict=True):
        print(f"{name}: {answer}\n")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Why is the sky blue?"))
