"""A user's code passes mypy's strictest mode."""

import pytest
from mypy import api

pytestmark = pytest.mark.usefixtures("unmeasured")

PROGRAM = """
import asyncio
from dataclasses import dataclass

from bruno_core.interfaces import EmbeddingInterface, LLMInterface
from bruno_core.models import Message, MessageRole
from bruno_llm import (
    Breaker,
    EmbeddingFactory,
    FallbackLLM,
    LLMFactory,
    ModelResponse,
    OllamaProvider,
    OpenAIEmbeddings,
    OpenAIProvider,
    Retry,
    Timeouts,
)
from bruno_llm_base import Output


@dataclass
class City:
    name: str


async def main() -> None:
    llm = LLMFactory.create("openai", model="gpt-6-luna", retry=Retry(attempts=2))
    other = OpenAIProvider(api_key="k", timeouts=Timeouts(total=3))
    core: LLMInterface = OllamaProvider(model="llama3.2")
    messages = [Message(role=MessageRole.USER, content="hi")]
    text: str = await llm.generate(messages, temperature=0.1, top_p=0.5)
    async for piece in llm.stream(messages, max_tokens=3):
        text += piece
    stream = await other.stream("hi")
    async for piece in stream:
        text += piece
    async with other.stream(prompt="hi") as entered:
        text += await anext(entered)
        answer: ModelResponse = entered.response
    async for piece in await core.stream(messages):
        text += piece
    answer = await llm.request(messages)
    tokens: int | None = answer.usage.output_tokens
    print(text, tokens, await llm.list_models(), (await llm.diagnose()).reason)
    several = FallbackLLM([llm, other, core], breaker=Breaker(failures=3))
    several = LLMFactory.fallback(["openai", {"provider": "ollama", "model": "m"}, other])
    async for piece in await several.stream(messages):
        text += piece
    chosen = await LLMFactory.select(["claude", {"provider": "ollama"}, core], timeout=3)
    answer = await chosen.request(prompt="hi")
    city: City = (await llm.request("hi", output=City)).output
    cities: list[City] = (await other.request("hi", output=list[City])).output
    either: City | int = (await several.request("hi", output=City | int)).output
    either = (await other.request("hi", temperature=0.5, output=Output(City, retries=2))).output
    print(city, cities, either)
    await llm.aclose()
    embeddings: EmbeddingInterface = EmbeddingFactory.create("ollama", dimensions=8)
    async with OpenAIEmbeddings("text-embedding-3-large", batch_size=9) as own:
        vectors: list[list[float]] = await own.embed_texts([text, text])
        alike: float = embeddings.calculate_similarity(*vectors)
        print(alike, own.get_dimension(), await own.embed_message(messages[0]))


asyncio.run(main())
"""

WRONG = """
from bruno_llm import ClaudeProvider, EmbeddingFactory, GeminiProvider, LLMFactory
from bruno_llm import OllamaProvider, OpenAIEmbeddings, OpenAIProvider

OpenAIProvider(modle="x")
ClaudeProvider(max_token=5)
GeminiProvider(temprature=0.5)
OllamaProvider(timeuot=5)
OpenAIEmbeddings(dimension=8)
LLMFactory.create("openai", retires=3)
LLMFactory.from_env("openai", obervers=[])
EmbeddingFactory.create("openai", batchsize=3)
LLMFactory.create("openai", temperature="warm")
"""

OTHER_TYPE = """
from bruno_llm import OpenAIProvider


async def main() -> None:
    answer = await OpenAIProvider().request("hi", output=list[int])
    text: str = answer.output
"""


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    folder = tmp_path_factory.mktemp("typed")  # mypy reads the packages once for all programs
    config = folder / "mypy.ini"
    config.write_text(
        "[mypy]\n[mypy-bruno_core.*]\nfollow_untyped_imports = True\n"
        # which no signature of ours needs, and which take most of the time
        "[mypy-anthropic.*,google.*,httpx.*,httpx2.*,openai.*]\nfollow_imports = skip\n"
    )

    def check(program):
        path = folder / "program.py"
        path.write_text(program)
        out, err, status = api.run(
            ["--strict", "--config-file", str(config), "--cache-dir", str(folder), str(path)]
        )
        assert not err
        return out, status

    return check


def test_the_whole_api_is_typed(check):
    out, status = check(PROGRAM)
    assert status == 0, out


def test_a_misspelt_keyword_is_a_type_error(check):
    out, status = check(WRONG)
    assert status == 1
    wrong = ("modle", "max_token", "temprature", "timeuot", "dimension", "retires", "obervers")
    for name in (*wrong, "batchsize"):
        assert f'"{name}"' in out, name
    assert "warm" in WRONG
    assert out.count("error:") == len(WRONG.strip().splitlines()) - 3


def test_an_output_of_another_type_is_a_type_error(check):
    out, status = check(OTHER_TYPE)
    assert status == 1
    assert out.count("error:") == 1
    assert "list[int]" in out
