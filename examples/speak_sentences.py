"""Speak an answer sentence by sentence while the rest is still being written.

    BRUNO_LLM_PROVIDER=gemini python examples/speak_sentences.py "Tell me a story."

Speaking is `print` here, which takes as long as it would to say it with `--aloud`.
"""

import asyncio
import sys

from bruno_llm import LLMFactory

WORDS_PER_SECOND = 2.5


async def speak(sentences: "asyncio.Queue[str | None]", *, aloud: bool) -> None:
    """Say what is in the queue, one sentence after the other."""
    while (sentence := await sentences.get()) is not None:
        print(f"({len(sentence.split())} words) {sentence.strip()}", flush=True)
        if aloud:
            await asyncio.sleep(len(sentence.split()) / WORDS_PER_SECOND)


async def main(question: str, *, aloud: bool) -> None:
    """Speak and listen at once."""
    sentences: asyncio.Queue[str | None] = asyncio.Queue()
    async with LLMFactory.from_env() as llm, asyncio.TaskGroup() as group:
        group.create_task(speak(sentences, aloud=aloud))
        try:
            async for sentence in llm.stream(question).sentences():
                await sentences.put(sentence)
        finally:
            await sentences.put(None)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--aloud"]
    asyncio.run(main(" ".join(words) or "Tell me a story.", aloud="--aloud" in sys.argv))
