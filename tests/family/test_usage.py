"""Usage against the wire: what vendors and gateways have been seen to send, and what it means.

Each document in `recorded/` names its source, the whole answer, the same answer as a stream, and
the `Usage` that both must become. What a source does not tell was made up, and says so.
"""

import json
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path

import genai_prices
import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import Json, LLMError, Usage
from bruno_llm_base.cost.price import Price
from bruno_llm_testing import Fault, RawReply

SAID = [Message(role=MessageRole.USER, content="Hello?")]


@dataclass(frozen=True)
class Case:
    provider: str
    name: str
    source: str
    whole: Json
    stream: list[Json]
    usage: Usage


def read(path: Path) -> Case:
    document = json.loads(path.read_text(encoding="utf-8"))
    usage = Usage(**document.pop("usage"))
    return Case(provider=path.parent.name, name=path.stem, usage=usage, **document)


CASES = [read(path) for path in sorted((Path(__file__).parent / "recorded").glob("*/*.json"))]


def label(case):
    return f"{case.provider}-{case.name}"


@pytest.fixture(params=CASES, ids=label)
def case(request):
    return request.param


@pytest.fixture
def name(case):
    """The provider, for the fixtures that depend on it."""
    return case.provider


@pytest.fixture
async def llm(kind, server):
    async with kind(max_retries=0, **server.connection()) as llm:
        yield llm


def body(case):
    """Return the stream as the vendor frames it."""
    dumped = [json.dumps(document) for document in case.stream]
    if case.provider == "ollama":
        return "".join(f"{line}\n" for line in dumped).encode()
    names = [f"event: {d['type']}\n" if case.provider == "claude" else "" for d in case.stream]
    events = "".join(f"{name}data: {line}\n\n" for name, line in zip(names, dumped, strict=True))
    return (events + ("data: [DONE]\n\n" if case.provider == "openai" else "")).encode()


# -- over a socket ----------------------------------------------------------------------------------


async def streamed(llm):
    """Return the answer, whether or not there is a text to return at its end."""
    stream = llm.stream(SAID)
    try:
        async for _ in stream:
            pass
    except LLMError:
        pass  # a refusal, a block, a spent budget: the answer is complete all the same
    return stream.response


def reported(response):
    """Return the usage without what is our estimate: of these answers only ever the input."""
    usage = response.usage
    return replace(usage, input_tokens=None) if response.usage_estimated else usage


async def test_a_whole_answer(llm, server, case):
    server.say(RawReply(body=json.dumps(case.whole).encode()))
    assert reported(await llm.request(SAID)) == case.usage


@pytest.mark.parametrize("split", [None, 150], ids=["at once", "piece by piece"])
async def test_a_streamed_answer(llm, server, case, split):
    server.say(Fault(RawReply(body=body(case)), split=split))
    assert reported(await streamed(llm)) == case.usage


# -- what it costs ----------------------------------------------------------------------------------

PRICE = Price(
    input="3",
    output="15",
    cache_read="0.3",
    cache_write="3.75",
    cache_write_1h="6",
    cache_read_audio="0.5",
    input_audio="40",
    input_image="5",
    output_audio="80",
    output_image="120",
)


def by_hand(usage):
    """Return what *usage* costs at `PRICE`, in USD."""
    known = {name: count or 0 for name, count in asdict(usage).items()}
    hour, heard = known["cache_write_1h_tokens"], known["cache_read_audio_tokens"]
    read, five = known["cache_read_tokens"], known["cache_write_tokens"] - hour
    audio, seen = known["input_audio_tokens"] - heard, known["input_image_tokens"]
    spoken, drawn = known["output_audio_tokens"], known["output_image_tokens"]
    fresh = usage.input_tokens - read - five - hour - audio - seen
    cents = 300 * fresh + 30 * (read - heard) + 375 * five + 600 * hour
    cents += 4000 * audio + 50 * heard + 500 * seen
    cents += 1500 * (usage.output_tokens - spoken - drawn) + 8000 * spoken + 12000 * drawn
    return Decimal(cents) / 10**8


async def test_both_modes_cost_the_same_and_the_parts_sum_to_it(llm, server, case):
    server.say(RawReply(body=json.dumps(case.whole).encode()), RawReply(body=body(case)))
    whole, pieces = await llm.request(SAID), await streamed(llm)
    assert PRICE.cost(pieces.usage) == (cost := PRICE.cost(whole.usage))
    assert pieces.usage_estimated == whole.usage_estimated == (case.usage.input_tokens is None)
    assert cost.total == sum(cost.parts.values()) == by_hand(whole.usage)


# -- beside another reader ----------------------------------------------------------------------------

OTHER_READER = {
    "claude": ("anthropic", "default"),
    "gemini": ("google", "default"),
    "openai": ("openai", "chat"),
    # servers of OpenAI's protocol have readers of their own, which are found by the model
    "openai deepseek": ("deepseek", "chat"),
    "openai gemini": ("google", "chat"),
    "openai grok": ("x-ai", "chat"),
    "openai voxtral": ("mistral", "default"),
}
DIFFERENCES = {
    # what Gemini by OpenAI's protocol says in its total only, it does not read
    "openai-reasoning_apart_only": Usage(input_tokens=21, output_tokens=0),
    "openai-reasoning_hidden": Usage(input_tokens=20, output_tokens=424),
    # nor what Mistral's Voxtral has heard
    "openai-voxtral": Usage(input_tokens=6, output_tokens=2),
    "openai-voxtral_seconds_only": Usage(input_tokens=4, output_tokens=635),
    # it does not read what a compaction cost
    "claude-compaction": Usage(input_tokens=23000, output_tokens=1000),
    "claude-compaction_and_cache": Usage(input_tokens=24550, output_tokens=1000),
    # it does not read the total, which alone tells of these thoughts
    "gemini-implicit_cache": Usage(input_tokens=19588, output_tokens=69),
}


@pytest.mark.parametrize("case", [c for c in CASES if c.provider != "ollama"], ids=label)
def test_the_totals_are_those_of_genai_prices(case):
    family = f"{case.provider} {case.whole.get('model', '').partition('-')[0]}"
    provider, flavor = OTHER_READER.get(family) or OTHER_READER[case.provider]
    theirs = genai_prices.extract_usage(case.whole, provider_id=provider, api_flavor=flavor).usage
    expected = DIFFERENCES.get(label(case), case.usage)
    totals = (theirs.input_tokens, theirs.output_tokens)
    assert totals == (expected.input_tokens, expected.output_tokens)


def test_every_difference_is_one_and_has_its_case():
    usages = {label(case): case.usage for case in CASES}
    for name, theirs in DIFFERENCES.items():
        ours = usages[name]
        assert (ours.input_tokens, ours.output_tokens) != (
            theirs.input_tokens,
            theirs.output_tokens,
        )


def test_every_document_names_its_source():
    assert all(case.source for case in CASES)
    assert {case.provider for case in CASES} == {"openai", "claude", "gemini", "ollama"}
