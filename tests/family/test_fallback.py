"""Each provider's own failures, with another provider behind it."""

import pytest
from bruno_llm_base import FallbackLLM, InvalidRequestError, LLMFactory, Retry, StreamError
from bruno_llm_testing import FakeAnswer, FakeError, FakeOpenAI, Fault

HELP = FakeAnswer(text="from another")


@pytest.fixture
def other():
    with FakeOpenAI() as server:
        server.say(*[HELP] * 3)
        yield server


@pytest.fixture
async def llm(name, server, other):
    preferred = {"provider": name, "retry": Retry(attempts=1), **server.connection()}
    members = [preferred, {"provider": "openai", **other.connection()}]
    async with LLMFactory.fallback(members) as llm:
        assert isinstance(llm, FallbackLLM)
        yield llm


async def collect(stream, pieces):
    async for piece in stream:
        pieces += [piece]


@pytest.mark.parametrize(
    "kind", ["authentication", "rate_limit", "overloaded", "server_error", "context_length"]
)
async def test_another_provider_helps(llm, server, kind):
    server.say(*[FakeError(kind=kind)] * 3)
    assert await llm.generate("hi") == HELP.text
    assert (await llm.request("hi")).text == HELP.text
    stream = await llm.stream("hi")
    assert "".join([piece async for piece in stream]) == HELP.text
    assert stream.response.text == HELP.text


async def test_a_bad_request_goes_nowhere_else(llm, server, other):
    server.say(FakeError(kind="invalid_request"))
    with pytest.raises(InvalidRequestError):
        await llm.generate("hi")
    assert other.bodies == []


async def test_no_text_is_said_twice(llm, server, other):
    server.say(Fault(FakeAnswer(text="one two three four five six"), after=6, then="close"))
    pieces = []
    with pytest.raises(StreamError) as caught:
        await collect(llm.stream("hi"), pieces)
    assert pieces
    assert caught.value.partial.text == "".join(pieces)
    assert other.bodies == []
