"""Ask about pictures, sounds and documents: files, or addresses.

    BRUNO_LLM_PROVIDER=gemini python examples/media.py "What do these have in common?" a.jpg b.pdf

What the model makes, such as a picture, is saved here.
"""

import asyncio
import sys

from bruno_llm import LLMFactory, MediaError


async def main(question: str, files: list[str]) -> None:
    """Ask, and print the answer and what it took."""
    async with LLMFactory.from_env() as llm:
        counted = await llm.count_tokens(question, attachments=files)
        print(f"[about {counted.tokens} tokens]")
        answer = await llm.request(question, attachments=files)
        print(answer.text)
        for number, made in enumerate(answer.media, 1):
            name = f"made-{number}.{(made.type or '').rpartition('/')[2]}"
            made.save(name)
            print(f"[saved {name}]")


if __name__ == "__main__":
    asked, *named = sys.argv[1:] or ["Hello."]
    try:
        asyncio.run(main(asked, named))
    except MediaError as error:
        print(f"[{error.media}: {error.description}]")
