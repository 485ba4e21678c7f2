"""The contract on a real language model, which speaks two of the protocols."""

import asyncio
import json
import os
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from typing import Literal

import pytest
from bruno_core.models import Message
from bruno_llm_base import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidResponseError,
    LLMFactory,
    Media,
    MediaTypeError,
    OutputInvalidError,
    OutputLimitError,
    Retry,
    run_tools,
    stream_tools,
)
from bruno_llm_base.tokens import estimate_tokens
from bruno_llm_claude import ClaudeProvider
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider, Reranker
from bruno_llm_openai.compatible_embeddings import LlamaCppEmbeddings
from bruno_llm_testing import ModelContract
from counting import calibrated, errors, overall, tokenized
from pydantic import BaseModel, Field
from real_model import MODEL, RealModel


@pytest.fixture(scope="module")
def model():
    with RealModel(api_key="local") as model:
        yield model


class Contract(ModelContract):
    short = {"max_tokens": 8}  # noqa: RUF012 - as the contract has it


class TestOpenAI(Contract):
    provider = OpenAIProvider

    @pytest.fixture
    def keywords(self, model):
        return {"base_url": f"{model.url}/v1", "api_key": "local", "model": MODEL}

    def test_a_long_prompt_does_not_fit(self, keywords):
        llm = self.make(keywords)
        with pytest.raises(ContextLengthExceededError) as caught:
            asyncio.run(llm.generate("word " * 9000))
        assert caught.value.limit < caught.value.actual

    def test_a_seed_makes_it_repeat_itself(self, keywords):
        llm = self.make(keywords, seed=7, temperature=0.9, max_tokens=12)
        first, second = (asyncio.run(llm.generate("Tell me a story.")) for _ in range(2))
        assert first == second

    def test_a_stop_text_ends_the_answer(self, keywords):
        llm = self.make(keywords, max_tokens=40, stop=[" "], temperature=0)
        assert " " not in asyncio.run(llm.generate("Say: one two three"))


class TestResponses(Contract):
    provider = OpenAIProvider

    @pytest.fixture
    def keywords(self, model):
        address = {"base_url": f"{model.url}/v1", "api_key": "local"}
        return address | {"model": MODEL, "api": "responses"}

    def test_a_long_prompt_does_not_fit(self, keywords):
        with pytest.raises(ContextLengthExceededError) as caught:
            asyncio.run(self.make(keywords).generate("word " * 9000))
        assert caught.value.limit < caught.value.actual

    def test_an_answer_is_read_back(self, keywords):
        llm = self.make(keywords, max_tokens=12)
        first = asyncio.run(llm.request("Say hello."))
        call = [{"id": "c1", "name": "clock", "arguments": "{}"}]
        told = {"role": "tool", "content": "noon", "tool_call_id": "c1"}
        asked = [
            {"role": "user", "content": "Say hello."},
            first.to_message(),
            {"role": "user", "content": "What time is it?"},
            {"role": "assistant", "content": "I look.", "tool_calls": call},
            told,
        ]
        again = asyncio.run(llm.request(asked))
        assert again.text.strip()
        assert again.usage.input_tokens > first.usage.input_tokens


class TestClaude(Contract):
    provider = ClaudeProvider

    @pytest.fixture
    def keywords(self, model):
        return {"base_url": model.url, "api_key": "local", "model": MODEL}


@pytest.mark.parametrize(("kind", "path"), [(OpenAIProvider, "/v1"), (ClaudeProvider, "")])
def test_a_conversation_of_any_shape_is_answered(model, kind, path):
    llm = kind(base_url=model.url + path, api_key="local", model=MODEL, max_tokens=10)
    llm.set_system_prompt("You are brief.")
    roles = ["assistant", "user", "system", "user", "tool", "assistant", "user"]
    messages = [Message(role=role, content=f"Message {i}") for i, role in enumerate(roles)]
    assert asyncio.run(llm.generate(messages)).strip()
    wrong = kind(base_url=model.url + path, api_key="wrong", model=MODEL)
    with pytest.raises(AuthenticationError):
        asyncio.run(wrong.generate("hi"))


def test_ten_answers_teach_how_the_model_counts(model):
    calibration = asyncio.run(calibrated(model, "local"))
    tokens = tokenized(model, "local")
    learned = errors(lambda text: calibration.count_text(text).tokens, tokens)
    assert overall(learned) < 0.11
    assert overall(errors(estimate_tokens, tokens)) > 0.3  # so there was something to learn
    assert calibration.count_text("Hi").source == "estimate, calibrated by 10 answers"


# -- typed output -----------------------------------------------------------------------------------


class City(BaseModel):
    name: str = Field(max_length=40)
    size: Literal["small", "large"]


# llama.cpp holds a model to a type on OpenAI's chat only
IGNORING = pytest.mark.parametrize(
    ("kind", "path", "options"),
    [
        (OpenAIProvider, "/v1", {"api": "responses", "temperature": 0}),
        (ClaudeProvider, "", {"options": {"temperature": 0}}),
    ],
)


async def test_a_real_model_is_held_to_a_type(model):
    async with OpenAIProvider(
        base_url=f"{model.url}/v1", api_key="local", model=MODEL, temperature=0, max_tokens=100
    ) as llm:
        asked = "Paris is the largest city of France. Which is the largest city of France?"
        city = (await llm.request(asked, output=City)).output
        assert "Paris" in city.name
        assert (await llm.request("Is water wet?", output=Literal["yes", "no"])).output
        stream = llm.stream(asked, output=City)
        parts = [stream.partial() async for _ in stream]
        assert parts[-1] == stream.response.output.model_dump()
        assert any(part and part.keys() == {"name"} for part in parts)


@IGNORING
async def test_a_server_that_ignores_the_type_is_found_out(model, kind, path, options):
    async with kind(
        MODEL, base_url=model.url + path, api_key="local", max_tokens=40, **options
    ) as llm:
        with pytest.raises((OutputInvalidError, OutputLimitError)) as caught:
            await llm.request("Tell me about Paris.", output=City)
        assert caught.value.partial.text


@IGNORING
async def test_where_the_type_is_ignored_words_are_enough(model, kind, path, options):
    async with kind(
        MODEL, base_url=model.url + path, api_key="local", max_tokens=40, **options
    ) as llm:
        told = [("Oslo", "small"), ("Rome", "large")]
        asked = [turn for name, size in told for turn in _example(name, size)]
        answer = await llm.request([*asked, *_example("Paris", "large")[:1]], output=City)
    assert answer.output == City(name="Paris", size="large")
    assert answer.usage.input_tokens > 120  # the schema among them


def _example(name, size):
    answer = City(name=name, size=size).model_dump_json()
    return [
        {"role": "user", "content": f"{name} is a city."},
        {"role": "assistant", "content": answer},
    ]


# -- tools ------------------------------------------------------------------------------------------


def weather(city: Literal["Oslo", "Paris", "Rome"], days: int) -> str:
    """Tell the weather.

    Args:
        city: Where.
        days: For how many days.
    """
    return f"It is sunny in {city} for {days} days."


@pytest.fixture(scope="module")
def caller():
    with RealModel(api_key="local", mode="tools") as model:
        yield model


@pytest.mark.parametrize(
    ("kind", "path", "options"),
    [
        (OpenAIProvider, "/v1", {"api": "chat", "temperature": 0}),
        (OpenAIProvider, "/v1", {"api": "responses", "temperature": 0}),
        (ClaudeProvider, "", {"options": {"temperature": 0}}),  # Claude's own server takes none
    ],
    ids=["chat", "responses", "claude"],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_real_model_calls_a_tool_and_reads_its_result(
    caller, kind, path, options, streamed
):
    async with kind(
        MODEL, base_url=caller.url + path, api_key="local", max_tokens=99, **options
    ) as llm:
        asked = {"messages": "Can you tell me how the weather is in Paris?", "tools": [weather]}
        if streamed:
            stream = stream_tools(llm, **asked)
            text = "".join([piece async for piece in stream])
            answer = stream.response
        else:
            answer = await run_tools(llm, **asked)
            text = answer.text
    assert answer.rounds == 2
    assert text == answer.text
    assert text.strip()
    call, result, _ = answer.messages
    (part,) = call.metadata["parts"]
    arguments = json.loads(part["arguments"])  # which fit the schema, whatever the model thinks
    assert result.content == weather(**arguments)
    assert arguments["city"] in ("Oslo", "Paris", "Rome")
    assert type(arguments["days"]) is int
    assert "is_error" not in result.metadata
    assert answer.usage.input_tokens > 0


# -- eyes -------------------------------------------------------------------------------------------


def picture(red, green, blue, side=64):
    """Return a PNG of one colour."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes((red, green, blue)) * side) * side
    content = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return Media(data=b"\x89PNG\r\n\x1a\n" + content)


PICTURES = {"red": picture(255, 0, 0), "green": picture(0, 255, 0), "blue": picture(0, 0, 255)}
SEEN = pytest.mark.parametrize(
    ("kind", "path", "options"),
    [
        (OpenAIProvider, "/v1", {"api": "chat", "temperature": 0}),
        (OpenAIProvider, "/v1", {"api": "responses", "temperature": 0}),
        (ClaudeProvider, "", {"options": {"temperature": 0}}),
    ],
    ids=["chat", "responses", "claude"],
)


@pytest.fixture(scope="module")
def seeing():
    with RealModel(api_key="local", mode="eyes") as model:
        yield model


@SEEN
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_real_model_sees_what_colour_a_picture_is(seeing, kind, path, options, streamed):
    async with kind(
        MODEL, base_url=seeing.url + path, api_key="local", max_tokens=16, **options
    ) as llm:
        for colour, media in PICTURES.items():
            asked = [{"role": "user", "content": ["Repeat this word: ", media]}]
            if streamed:
                stream = llm.stream(asked)
                text = "".join([piece async for piece in stream])
                answer = stream.response
            else:
                answer = await llm.request(asked)
                text = answer.text
            assert [each for each in PICTURES if each in text.lower()] == [colour]
            assert answer.usage.input_tokens > 0


@SEEN
async def test_a_real_model_without_eyes_says_so(model, kind, path, options):
    async with kind(MODEL, base_url=model.url + path, api_key="local", **options) as llm:
        with pytest.raises(MediaTypeError, match="use a model that reads it") as seen:
            await llm.request("What?", attachments=[replace(PICTURES["red"], name="red.png")])
    assert seen.value.media == "red.png"


# -- embeddings -------------------------------------------------------------------------------------

CAT, KITTEN, MARKET = (
    "The cat is sleeping on the sofa.",
    "A kitten naps on the couch.",
    "Shares fell sharply on Monday after the central bank raised its rates.",
)


@pytest.fixture(scope="module")
def embedder():
    with RealModel(api_key="local", mode="embeddings") as model:
        yield {"base_url": f"{model.url}/v1", "api_key": "local", "model": MODEL}


def test_a_real_model_embeds_what_is_alike_alike(embedder):
    embeddings = LlamaCppEmbeddings(**embedder)
    cat, kitten, market = asyncio.run(embeddings.embed_texts([CAT, KITTEN, MARKET]))
    assert embeddings.get_dimension() == len(cat) == 576
    alike = embeddings.calculate_similarity(cat, kitten)
    assert embeddings.calculate_similarity(cat, market) < alike < 1


def test_a_real_model_keeps_the_order_over_batches(embedder):
    words = ("bread", "war", "rain", "law", "moon")
    texts = [f"Tell me all that you know about {word}." for word in words]

    async def both():
        async with OpenAIEmbeddings(**embedder, batch_size=2) as many:
            return await many.embed_texts(texts), [await many.embed_text(text) for text in texts]

    together, alone = asyncio.run(both())
    compare = OpenAIEmbeddings(**embedder).calculate_similarity
    for place, vector in enumerate(together):
        nearest = max(range(len(texts)), key=lambda other: compare(vector, alone[other]))
        assert nearest == place


def test_a_real_model_packs_its_numbers_too(embedder):
    packed = OpenAIEmbeddings(**embedder, options={"encoding_format": "base64"})
    plain = OpenAIEmbeddings(**embedder)
    first, second = (asyncio.run(each.embed_text(CAT)) for each in (packed, plain))
    assert first == pytest.approx(second, abs=1e-4)


def test_a_real_model_refuses_what_is_too_long(embedder):
    embeddings = OpenAIEmbeddings(**embedder, retry=Retry(attempts=1))
    with pytest.raises(ContextLengthExceededError, match="cut the text into shorter ones"):
        asyncio.run(embeddings.embed_text("word " * 3000))
    wrong = OpenAIEmbeddings(**embedder | {"api_key": "wrong"})
    with pytest.raises(AuthenticationError):
        asyncio.run(wrong.embed_text("hi"))
    assert asyncio.run(embeddings.check_connection())


def test_a_real_model_that_ignores_dimensions_is_found_out(embedder):
    embeddings = OpenAIEmbeddings(**embedder, dimensions=8, options={"dimensions": 8})
    with pytest.raises(InvalidResponseError, match="give dimensions=576"):
        asyncio.run(embeddings.embed_text("hi"))


# -- rerankers --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ranker():
    with RealModel(api_key="local", mode="rerank") as model:
        yield {"base_url": f"{model.url}/v1", "api_key": "local", "model": MODEL}


def test_a_real_server_ranks(ranker):
    documents = [CAT, MARKET, KITTEN, CAT]

    async def ask():
        async with Reranker("llamacpp", **ranker) as reranker:
            assert (await reranker.diagnose()).reason is None
            every = await reranker.rank("Where do cats sleep?", documents)
            best = await reranker.rank("Where do cats sleep?", documents, top=2)
            return every, best

    every, best = asyncio.run(ask())
    assert sorted(result.index for result in every.results) == [0, 1, 2, 3]
    assert all(result.document == documents[result.index] for result in every.results)
    scores = [result.score for result in every.results]
    assert scores == sorted(scores, reverse=True)
    assert len(best.results) == 2
    assert every.usage.input_tokens > 4 * 5
    assert not every.usage_estimated
    assert every.cost is None or every.cost.total == 0


def test_a_real_server_refuses_to_rank_what_is_too_long(ranker):
    reranker = Reranker("llamacpp", **ranker, retry=Retry(attempts=1))
    with pytest.raises(ContextLengthExceededError, match="cut the documents into shorter ones"):
        asyncio.run(reranker.rank("Where?", ["word " * 9000]))
    wrong = Reranker("llamacpp", **ranker | {"api_key": "wrong"})
    with pytest.raises(AuthenticationError):
        asyncio.run(wrong.rank("Where?", ["here"]))


class Colour(BaseModel):
    name: Literal["red", "green"]


async def test_the_row_of_llama_cpp_is_right(model):
    connection = {"base_url": f"{model.url}/v1", "api_key": "local"}
    async with LLMFactory.create("llamacpp", **connection, max_tokens=20) as llm:
        assert (await llm.diagnose()).ok
        for level in ("none", "high"):
            answer = await llm.request("Say hello.", reasoning=level, seed=7)
            assert answer.text
            assert len(answer.attempts) == 1
        answer = await llm.request(
            "Which colour has grass?", output=Colour, temperature=0, max_tokens=99
        )
        assert answer.output.name in ("red", "green")
        assert len(answer.attempts) == 1
        assert (await llm.price()).output == 0


def test_the_command(model, tmp_path):
    """A question that names no one, a typed answer, and what they took."""
    home = {"BRUNO_LLM_HOME": str(tmp_path), "BRUNO_LLM_OPENAI_MODEL": MODEL}
    own = {"OPENAI_BASE_URL": f"{model.url}/v1", "OPENAI_API_KEY": "local", **home}
    command = [sys.executable, "-W", "ignore", "-c", "from bruno_llm_cli import main; main()"]

    def run(*words):
        return subprocess.run(
            [*command, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            text=True,
            env=os.environ | own,
        )

    done = run("Say hello.", "--max-tokens", "12", "-u")
    assert done.stdout.strip()
    assert "tokens in, " in done.stderr
    assert done.stderr.endswith(", $0\n")
    cat = run("--schema", "name, age int", "--max-tokens", "60", "Invent a cat.")
    assert json.loads(cat.stdout).keys() == {"name", "age"}
