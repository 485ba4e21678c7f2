"""One question, four providers: `python3 run.py demo "What is the sea?"`."""

import asyncio
import sys
import time
from typing import Any

from bruno_llm import LLMFactory
from bruno_llm_testing import FakeAnswer, FakeGemini, FakeOllama
from real_model import MODEL, RealModel

REAL = "the real model, on this machine"
FAKE = "a fake server, with no model behind it"
CANNED = FakeAnswer(
    text="This is what a fake server says, whatever you ask. Its counts are made up."
)


async def answer(question: str, provider: str, where: str, **keywords: Any) -> None:
    """Stream one provider's answer, then say what is known about it."""
    async with LLMFactory.create(provider, temperature=0.5, max_tokens=60, **keywords) as llm:
        print(f"\n{type(llm).__name__}, {llm.model}: {where}")
        await llm.check_connection()  # imports the SDK and connects, so that the model is timed
        begun, first = time.perf_counter(), 0.0
        stream = llm.stream(question)
        async for text in stream:
            first = first or time.perf_counter() - begun
            print(text, end="", flush=True)
        usage, reason = stream.response.usage, stream.response.finish_reason
    cached = f" ({usage.cache_read_tokens} cached)" if usage.cache_read_tokens else ""
    print(
        f"\n[{usage.input_tokens} tokens in{cached}, {usage.output_tokens} out;"
        f" finish reason: {reason}; first token after {first * 1000:.0f} ms]"
    )


async def main(question: str) -> None:
    """Ask the real model in two protocols, then the fakes."""
    print(f"Question: {question}")
    with RealModel(api_key="local") as real:
        server = {"model": MODEL, "api_key": "local"}
        await answer(question, "openai", REAL, base_url=f"{real.url}/v1", **server)
        await answer(question, "claude", REAL, base_url=real.url, **server)
    for provider, fake in (("ollama", FakeOllama()), ("gemini", FakeGemini())):
        with fake:
            fake.say(CANNED)
            await answer(question, provider, FAKE, **fake.connection())


if __name__ == "__main__":
    try:
        asyncio.run(main(" ".join(sys.argv[1:]) or "What is the sea?"))
    except KeyboardInterrupt:
        sys.exit(130)
