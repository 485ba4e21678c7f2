"""What a user may write: type checkers have nothing against it."""

import asyncio
from dataclasses import dataclass

from bruno_core.interfaces import LLMInterface
from bruno_core.models import Message, MessageRole
from bruno_llm_base import (
    BaseProvider,
    Budget,
    CachedLLM,
    CostTracker,
    FallbackLLM,
    LanguageModel,
    LLMFactory,
    MessageDict,
    ModelResponse,
    RateLimit,
    Retry,
    assistant,
    run_tools,
    system,
    user,
)
from bruno_llm_claude import ClaudeProvider
from bruno_llm_ollama import OllamaEmbeddings, OllamaProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_prompts import Examples, Prompt
from pydantic import BaseModel


class City(BaseModel):
    name: str


@dataclass
class Row:
    text: str


def weather(place: str) -> str:
    """Tell the weather."""
    return f"It rains in {place}."


async def main() -> None:
    tracker = CostTracker("costs.db")
    llm = OpenAIProvider(
        "gpt-6.1-terra",
        temperature=0.3,
        retry=Retry(attempts=2),
        rate_limit=RateLimit(requests_per_minute=60),
        cost=tracker,
        budget=Budget("5.00", per="day"),
    )
    text: str = await llm.generate("hi", 0.5, 100)
    await llm.generate(
        [{"role": "user", "content": "hi"}], max_tokens=5, stop=["x"], reasoning="high"
    )
    await llm.generate([Message(role=MessageRole.USER, content="hi"), ("user", "hi")], cache="1h")
    await llm.generate([system("Be brief."), user("hi", "photo.png"), assistant("Hello.")])
    await llm.generate(prompt="hi", options={"user": "a"}, model="gpt-6.1-luna", seed=7, top_p=0.5)
    conversation: list[Message | MessageDict] = [{"role": "user", "content": "hi"}]
    plain: ModelResponse = await llm.request(conversation)
    conversation.append(plain.to_message())
    conversation.append({"role": "user", "content": "more"})
    said = [user("hi")]
    said += [plain.to_message(), user("more")]
    await llm.generate(conversation)
    await llm.generate(said)
    print(plain.text, plain.usage.output_tokens, plain.cost and plain.cost.total)

    async for piece in llm.stream("hi"):
        print(piece.upper())
    async with llm.stream("hi", attachments=["photo.png"]) as stream:
        async for piece in stream:
            print(piece)
    print(stream.response.finish_reason)

    city: City | None = (await llm.request("hi", output=City)).output
    cities: list[City] | None = (await llm.request("hi", output=list[City])).output
    done = await run_tools(llm, "hi", tools=[weather], tool_choice="auto", temperature=0)
    print(city, cities, done.text, done.rounds)

    made: BaseProvider = LLMFactory.create("claude", max_tokens=5)
    both = FallbackLLM([llm, made, ClaudeProvider(), OllamaProvider(options={"num_ctx": 8192})])
    answer = await both.request("hi", temperature=0.1, output=City)
    print(
        answer.output and answer.output.name,
        await both.generate([{"role": "user", "content": "a"}]),
    )
    kept = CachedLLM(both, store="answers.db", max_age=60)
    print(
        (await kept.request("hi", output=City, refresh=True)).cached, await kept.generate("hi", 0.5)
    )
    anyone: LLMInterface = both
    ours: list[LanguageModel] = [llm, both, kept]
    for each in ours:
        print(each.name, each.model, each.capabilities, (await each.count_tokens("hi")).tokens)
        (await each.request("hi", output=City, refresh=True, max_tokens=5)).output.name.upper()
    print(await anyone.generate([user("hi")]), text)

    async for item in llm.map([Row("a")], "Sum up {text}", concurrency=5, max_tokens=9):
        print(item.key, item.error or item.response)
    summary = Prompt("Sum up {{ text }}", system="Be brief.", name="summary", untrusted={"text"})
    examples = Examples([("2 + 2", "4")], embeddings=OllamaEmbeddings(), file="examples.json")
    asked = [*await examples.near("3 + 3", k=2), *summary(text="hi"), user("In one word.")]
    await llm.generate(asked, **summary.options)
    async for item in llm.map([{"text": "a"}], Prompt.load("summary.md"), key="text"):
        print(item.text)
    by_text, by_number = {"a": "hi"}, {1: [user("hi")]}
    await llm.batch(by_text, output=City)
    await llm.batch(by_number)
    await llm.batch([("a", "hi"), (2, "hi")])
    kept.sync.generate("hi", refresh=True)
    for piece in kept.sync.stream("hi", 0.5, 100, refresh=True, attachments=["photo.png"]):
        print(piece.upper())
    kept.sync.request("hi", output=City, refresh=True, temperature=0.5).output.name.upper()
    vectors: list[list[float]] = await OllamaEmbeddings().embed_texts(["a", "b"])
    print(vectors)


asyncio.run(main())
