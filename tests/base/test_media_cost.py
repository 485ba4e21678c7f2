"""Media against money, limits and windows: reckoned with before anything is sent, exact afterwards."""

import struct
from contextlib import nullcontext
from decimal import Decimal

import pytest
from bruno_core.models import Message
from bruno_llm_base import (
    Budget,
    BudgetExceededError,
    ContextPolicy,
    CostTracker,
    InvalidRequestError,
    LLMError,
    Media,
    Price,
    RateLimit,
    RateLimitError,
    Retry,
    Usage,
)
from bruno_llm_base.events import ContextTrimmed
from bruno_llm_base.exceptions import ContextLengthExceededError
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeClaude, FakeGemini, FakeOpenAI, Fault

A_PICTURE = 1120  # tokens, at most
PRICE = Price(
    input=1,
    output=2,
    cache_read="0.1",
    cache_read_audio="0.5",
    input_audio=30,
    input_image=5,
    output_audio=40,
    output_image=60,
)


def png(number=0):
    return (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 800, 600 + number) + b"\x08\x02\0\0\0"
    )


def wav(seconds):
    data = b"\0" * 16_000 * seconds
    head = struct.pack("<IHHIIHH", 16, 1, 1, 8_000, 16_000, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + head + b"data" + data


def pictures(count):
    return [Media(data=png(number)) for number in range(count)]


@pytest.fixture
def server():
    with FakeGemini() as server:
        yield server


@pytest.fixture
async def make(server):
    made = []

    def make(**keywords):
        keywords = {"retry": Retry(attempts=1)} | server.connection() | keywords
        made.append(GeminiProvider(**keywords))
        return made[-1]

    yield make
    for llm in made:
        await llm.aclose()


async def read(stream):
    async for _ in stream:
        pass
    return stream.response


def tracker(price=PRICE):
    return CostTracker(prices={"gemini-3.8-flash": price})


# -- before it is sent ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["whole", "stream"])
async def test_a_cent_refuses_a_request_whose_pictures_alone_cost_more(server, make, mode):
    budget = Budget("0.01")
    llm = make(cost=tracker(), budget=budget, max_tokens=1)

    async def ask(media):
        if mode == "whole":
            return await llm.request("What are these?", attachments=media)
        return await read(llm.stream("What are these?", attachments=media))

    await ask(pictures(1))
    spent = budget.spent()
    with pytest.raises(BudgetExceededError, match="may cost up to") as caught:
        await ask(pictures(2))
    assert 2 * A_PICTURE * 5 <= caught.value.needed * 1_000_000 < 2 * A_PICTURE * 5 + 1_000
    assert len(server.received) == 1
    assert budget.spent() == spent


async def test_sound_is_held_at_its_own_price(server, make):
    llm = make(cost=tracker(), budget=Budget("0.01"), max_tokens=1)
    await llm.request("What is said?", attachments=[Media(data=b"words " * 300)])  # 1,800 at most
    with pytest.raises(BudgetExceededError) as caught:
        await llm.request("What is said?", attachments=[Media(data=wav(20))])
    assert 20 * 32 * 30 <= caught.value.needed * 1_000_000 < 22 * 32 * 30 + 1_000
    assert len(server.received) == 1


async def test_what_may_be_made_is_held_at_its_own_price(make):
    llm = make(cost=tracker(), budget=Budget("0.01"))
    with pytest.raises(BudgetExceededError) as caught:
        await llm.request("Draw.", max_tokens=1_000)
    assert caught.value.needed * 1_000_000 >= 60 * 1_000


async def test_the_encoded_bytes_are_no_tokens(server, make):
    """A large file is not reckoned with by its bytes: what its vendor counts is."""
    llm = make(cost=tracker(), budget=Budget("0.01"), max_tokens=1)
    await llm.request("What is this?", attachments=[Media(data=png() + b"\0" * 100_000)])
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("kind", "fake"),
    [
        (OpenAIProvider, FakeOpenAI),
        (ClaudeProvider, FakeClaude),
        (GeminiProvider, FakeGemini),
    ],
)
async def test_a_text_is_held_whether_it_goes_as_words_or_encoded(kind, fake):
    words = b"some words " * 2_000  # about 4,000 tokens
    with fake() as server:
        llm = kind(**server.connection(), max_tokens=1)
        costs = CostTracker(prices={llm.model: Price(input=1, output=1)})
        for budget, is_sent in (("0.003", False), ("0.1", True)):
            llm = kind(**server.connection(), max_tokens=1, cost=costs, budget=Budget(budget))
            with nullcontext() if is_sent else pytest.raises(BudgetExceededError):
                await llm.generate("What is this about?", attachments=[Media(data=words)])
            await llm.aclose()
            assert len(server.received) == is_sent


async def test_a_limit_of_tokens_counts_pictures(server, make):
    llm = make(rate_limit=RateLimit(tokens_per_minute=3_000, max_wait=0))
    server.say(FakeAnswer(usage=Usage(input_tokens=1_130, output_tokens=9)), times=3)
    await llm.generate("What is this?", attachments=pictures(1))
    with pytest.raises(RateLimitError, match="our own rate limit"):
        await llm.generate("And these?", attachments=pictures(2))
    with pytest.raises(InvalidRequestError, match="tokens_per_minute is 3000"):
        await llm.generate("And these?", attachments=pictures(3))
    await read(llm.stream("And this?", attachments=pictures(1)))
    assert len(server.received) == 2


# -- windows -----------------------------------------------------------------------------------------


def said(turns):
    conversation = []
    for number in range(turns):
        asked = {"media": [Media(data=png(number))]}
        conversation.append(Message(role="user", content=f"picture {number}", metadata=asked))
        conversation.append(Message(role="assistant", content=f"answer {number}"))
    return [*conversation, Message(role="user", content="And all in all?")]


def words(body):
    return [part.get("text", "png") for content in body["contents"] for part in content["parts"]]


async def test_the_oldest_pictures_leave_with_their_turns(server, make):
    told = []
    llm = make(
        context=ContextPolicy(strategy="sliding_window", window=5_000, reserve_output=100),
        observers=[told.append],
    )
    await llm.generate(said(6))
    shown = words(server.bodies[-1])
    kept = shown.count("png")
    assert 0 < kept < 5
    assert kept * A_PICTURE <= 4_900
    turns = [line for n in range(6 - kept, 6) for line in ("png", f"picture {n}", f"answer {n}")]
    assert shown == [*turns, "And all in all?"]
    (trimmed,) = [event for event in told if isinstance(event, ContextTrimmed)]
    assert trimmed.left_out == 2 * (6 - kept)


async def test_what_is_left_out_is_not_paid_or_counted(server, make):
    llm = make(
        context=ContextPolicy(strategy="sliding_window", window=5_000, reserve_output=100),
        rate_limit=RateLimit(tokens_per_minute=5_000, max_wait=0),
        budget=Budget("0.03"),
        cost=tracker(),
        max_tokens=1,
    )
    await llm.generate(said(6))  # all six would take 6,720 tokens
    assert len(server.received) == 1


async def test_words_that_fit_alone_are_sent_though_their_pictures_may_not_fit(server, make):
    """How much media take is an upper bound, so nothing is refused for it here."""
    llm = make(context=ContextPolicy(strategy="oldest_first", window=1_000))
    await llm.generate("What is this?", attachments=pictures(1))
    assert words(server.bodies[-1]) == ["png", "What is this?"]
    with pytest.raises(ContextLengthExceededError):
        await llm.generate("word " * 5_000, attachments=pictures(1))
    assert len(server.received) == 1


async def test_a_count_is_flagged_as_inexact_where_no_server_counts(make):
    llm = make(base_url="http://127.0.0.1:9")
    counted = await llm.count_tokens("What is this?", attachments=pictures(2))
    assert not counted.exact
    assert 2 * A_PICTURE <= counted.tokens < 2 * A_PICTURE + 50


# -- afterwards --------------------------------------------------------------------------------------


async def test_an_answer_costs_what_its_parts_cost(server, make):
    usage = Usage(
        input_tokens=10_000,
        output_tokens=1_500,
        cache_read_tokens=4_000,
        cache_read_audio_tokens=1_000,
        input_audio_tokens=3_000,
        input_image_tokens=1_120,
        output_audio_tokens=100,
        output_image_tokens=1_290,
    )
    server.say(FakeAnswer(usage=usage), times=2)
    costs = tracker()
    llm = make(cost=costs)
    whole = await llm.request("Hello", attachments=pictures(1))
    streamed = await read(llm.stream("Hello", attachments=pictures(1)))
    millionths = {
        "cache_read": Decimal("0.1") * 3_000,
        "cache_read_audio": Decimal("0.5") * 1_000,
        "input_audio": 30 * 2_000,
        "input_image": 5 * 1_120,
        "input": 10_000 - 4_000 - 2_000 - 1_120,
        "output_audio": 40 * 100,
        "output_image": 60 * 1_290,
        "output": 2 * 110,
    }
    for answer in (whole, streamed):
        assert answer.usage == usage
        spent = {name: cost * 1_000_000 for name, cost in answer.cost.parts.items() if cost}
        assert spent == millionths
        assert not answer.cost.estimated
    total = costs.total()
    assert total.cost == 2 * whole.cost.total == 2 * sum(millionths.values()) / 1_000_000
    assert (total.input_tokens, total.output_tokens) == (20_000, 3_000)
    assert (whole.usage + streamed.usage).output_image_tokens == 2_580


async def test_what_got_no_answer_is_estimated_at_its_own_prices(server, make):
    server.say(Fault(then="close"))
    costs = tracker()
    llm = make(cost=costs)
    with pytest.raises(LLMError):
        await llm.request("Hello", attachments=[Media(data=wav(10)), *pictures(1)])
    row = costs.total()
    assert row.estimated == 1
    sound = 11 * 32  # 10 seconds, and a header
    assert row.input_tokens > sound + A_PICTURE
    assert 0 < row.cost * 1_000_000 - 30 * sound - 5 * A_PICTURE < 100
