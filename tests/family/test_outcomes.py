"""What an attempt costs and what place it takes, by how far it came: every provider, over a socket.

Nothing that was never seen is booked. The price is the test's own, so that a fake on this machine
costs something.
"""

import asyncio
import contextlib
import importlib
import json

import bruno_llm_testing
import pytest
from bruno_llm_base import (
    Budget,
    CostTracker,
    LLMError,
    LLMTimeoutError,
    Price,
    RateLimit,
    RateLimitError,
    Retry,
    ServiceUnavailableError,
    StreamError,
    Timeouts,
    Usage,
)
from bruno_llm_testing import FakeAnswer, FakeError, Fault, RawReply

PRICE = Price(input=1, output=1000, source="this test")  # USD per million tokens
COUNTED = Usage(input_tokens=3, output_tokens=2)
SHORT = FakeAnswer(text="one two three", usage=COUNTED)
MOST = 5000  # tokens of an answer: 5 USD


ANSWERS = {
    "openai": {
        "choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    },
    "claude": {
        "content": [{"type": "text", "text": "ok"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    },
    "gemini": {
        "candidates": [{"content": {"parts": [{"text": "ok"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
    },
    "ollama": {
        "message": {"role": "assistant", "content": "ok"},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 3,
        "eval_count": 2,
    },
}


class EveryModel:
    """Knows one price, whatever the model is called."""

    def price(self, provider, model, at):
        return PRICE


async def whole(llm):
    return await llm.generate("How many is it?", max_tokens=MOST)


async def streamed(llm):
    return "".join([piece async for piece in llm.stream("How many is it?", max_tokens=MOST)])


@pytest.fixture(params=[whole, streamed])
def ask(request):
    return request.param


@pytest.fixture
def costs():
    return CostTracker(prices=EveryModel())


def booked(costs):
    row = costs.total()
    return row.requests, row.estimated, row.output_tokens


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_dropped_idle_connection_costs_nothing(kind, server, ask, costs, how):
    limit = RateLimit(requests_per_minute=2, tokens_per_minute=50_000, max_wait=0)
    server.say(SHORT, Fault(then=how), SHORT)
    keywords = {"cost": costs, "rate_limit": limit, "max_retries": 0}
    async with kind(**server.connection(), **keywords) as llm:
        assert await ask(llm)
        with pytest.raises(ServiceUnavailableError, match="broke off"):
            await ask(llm)
        assert await ask(llm)  # its place was given back
        with pytest.raises(RateLimitError, match="our own"):
            await ask(llm)
    assert server.accepted_connections == 2
    assert booked(costs) == (2, 0, 4)


async def test_a_connection_that_breaks_when_it_is_new_costs_the_input(kind, server, ask, costs):
    limit = RateLimit(requests_per_minute=2, max_wait=0)
    server.say(Fault(then="reset"), SHORT)
    keywords = {"cost": costs, "rate_limit": limit, "retry": Retry(wait_initial=0)}
    async with kind(**server.connection(), **keywords) as llm:
        assert await ask(llm)
        with pytest.raises(RateLimitError, match="our own"):
            await ask(llm)
    assert booked(costs) == (2, 1, 2)
    assert 3 < costs.total().input_tokens < 20


async def test_a_new_connection_is_no_idle_one_though_others_were(kind, name, server, costs):
    answer = json.dumps(ANSWERS[name]).encode()
    server.say(RawReply(body=answer, headers={"connection": "close"}), Fault(then="reset"))
    async with kind(**server.connection(), cost=costs, max_retries=0) as llm:
        assert await whole(llm)
        with pytest.raises(ServiceUnavailableError):
            await whole(llm)
    assert booked(costs) == (2, 1, 2)


async def test_what_is_never_answered_costs_the_input(kind, server, ask, costs, until, jump):
    server.say(Fault(then="stall"), times=2)
    timeouts = Timeouts(first_token=50)
    async with (
        kind(**server.connection(), cost=costs, max_retries=0, timeouts=timeouts) as llm,
        jump(50, lambda: server.bodies),
    ):
        with pytest.raises(LLMTimeoutError):
            await ask(llm)
    assert booked(costs) == (1, 1, 0)
    async with kind(**server.connection(), cost=costs) as llm:
        task = asyncio.create_task(ask(llm))
        await until(lambda: len(server.bodies) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert booked(costs) == (2, 2, 0)
    assert 0 < costs.total().cost < PRICE.ceiling(100, 0)


async def test_a_request_without_an_answer_counts_with_its_input(kind, server, ask, jump):
    server.say(Fault(then="stall"), SHORT)
    limit = RateLimit(tokens_per_minute=MOST + 50, max_wait=0)
    keywords = {"rate_limit": limit, "max_retries": 0}
    async with kind(**server.connection(), **keywords, timeouts=Timeouts(first_token=50)) as llm:
        async with jump(50, lambda: server.bodies):
            with pytest.raises(LLMTimeoutError):
                await ask(llm)
        assert await ask(llm)  # of the first, the input alone still counts


async def test_a_whole_answer_that_breaks_off_costs_the_input(kind, server, costs):
    server.say(Fault(SHORT, after=1, then="close"))
    async with kind(**server.connection(), cost=costs, max_retries=0) as llm:
        with pytest.raises(ServiceUnavailableError):
            await whole(llm)
    assert booked(costs) == (1, 1, 0)


async def test_what_has_arrived_of_a_stream_is_paid_for(kind, server, costs):
    long = FakeAnswer(text="word " * 40)
    server.say(Fault(long, after=20, then="reset"), FakeError(kind="overloaded", in_stream=True))
    async with kind(**server.connection(), cost=costs, max_retries=0) as llm:
        for error in (StreamError, LLMError):
            with pytest.raises(error) as caught:
                await streamed(llm)
            usage = caught.value.partial.usage
            assert caught.value.partial.usage_estimated
            assert usage.input_tokens > 3
            assert 0 < usage.output_tokens < 40
    assert costs.total().requests == costs.total().estimated == 2


def refusal(name):
    """Return the body of a 200 that is an error, in both modes."""
    error = {"message": "try again later", "type": "overloaded_error", "code": 503}
    document = {"type": "error", "error": "try again later" if name == "ollama" else error}
    return json.dumps(document).encode()


async def test_an_error_in_place_of_an_answer_costs_nothing(kind, server, ask, costs, name):
    limit = RateLimit(tokens_per_minute=MOST + 200, max_wait=0)
    body = refusal(name)
    framed = body if ask is whole or name == "ollama" else b"event: error\ndata: " + body
    server.say(FakeError(kind="rate_limit"), RawReply(body=framed + b"\n\n"), SHORT)
    keywords = {"cost": costs, "rate_limit": limit, "retry": Retry(wait_initial=0)}
    async with kind(**server.connection(), **keywords) as llm:
        assert await ask(llm)  # the tokens of the two that failed were given back
    assert booked(costs) == (1, 0, 2)


async def silent_tls(reader, writer):
    try:
        await reader.read()  # until the client leaves: no handshake ever ends
    finally:
        writer.close()


async def test_who_leaves_before_there_is_a_connection_pays_nothing(kind, ask, costs):
    server = await asyncio.start_server(silent_tls, "127.0.0.1", 0)
    address = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    limit = RateLimit(requests_per_minute=1, max_wait=0)
    keywords = {"api_key": "k", "cost": costs, "rate_limit": limit, "max_retries": 0}
    async with server:
        async with kind(base_url=address, timeouts=Timeouts(total=0.2), **keywords) as llm:
            with pytest.raises(LLMTimeoutError):
                await ask(llm)
        async with kind(base_url=address, **keywords) as llm:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ask(llm), 0.3)
    assert costs.total().requests == 0


# -- embeddings take the same path ----------------------------------------------------------------


@pytest.fixture(params=["openai", "gemini", "ollama"])
def embeddings_name(request):
    return request.param


@pytest.fixture
def embeddings(embeddings_name):
    """The class of embeddings, and a fake of its vendor."""
    label = {"openai": "OpenAI", "gemini": "Gemini", "ollama": "Ollama"}[embeddings_name]
    module = importlib.import_module(f"bruno_llm_{embeddings_name}")
    fake = getattr(bruno_llm_testing, f"Fake{label}")
    with fake() as server:
        yield getattr(module, f"{label}Embeddings"), server


async def test_embeddings_cost_by_the_same_rule(embeddings, costs):
    kind, server = embeddings
    server.say(SHORT, Fault(then="close"), Fault(then="close"), to="embeddings")
    server.say(FakeError(kind="overloaded"), SHORT, to="embeddings")
    async with kind(**server.connection(), cost=costs, max_retries=0) as llm:
        assert await llm.embed_text("hi there")
        for _ in range(3):  # an idle connection is dropped, a new one, and one request is refused
            with pytest.raises(ServiceUnavailableError):
                await llm.embed_text("hi there")
        assert await llm.embed_text("hi there")
    assert booked(costs) == (3, 1, 0)


# -- a budget outlives bad connections ----------------------------------------------------------------


class Moody:
    """Speaks just enough HTTP: every second request finds its connection closed."""

    def __init__(self, body):
        head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
        self._answer = f"{head}{len(body)}\r\n\r\n".encode() + body
        self.dropped = 0

    async def __call__(self, reader, writer):
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._take(reader)
                writer.write(self._answer)
                await self._take(reader)
                self.dropped += 1
        finally:
            writer.close()

    async def _take(self, reader):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)


async def test_a_budget_survives_a_thousand_dropped_connections(kind, name):
    drops = 1000 if name == "openai" else 20  # the others only have to agree
    costs = CostTracker(prices={kind.default_model: Price(input=1, output=1)})
    moody = Moody(json.dumps(ANSWERS[name]).encode())
    server = await asyncio.start_server(moody, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    keywords = {"api_key": "k", "max_retries": 0, "max_tokens": MOST, "budget": Budget(1)}
    async with server, kind(base_url=address, cost=costs, **keywords) as llm:
        for _ in range(drops):
            assert await llm.generate("hi") == "ok"
            with pytest.raises(ServiceUnavailableError):
                await llm.generate("hi")
    assert moody.dropped == drops
    assert booked(costs) == (drops, 0, 2 * drops)


async def test_a_client_of_the_users_own_is_believed_once_it_was_answered(costs):
    import openai
    from bruno_llm_openai import OpenAIProvider
    from bruno_llm_testing import FakeOpenAI

    with FakeOpenAI() as server:
        server.say(Fault(then="close"), SHORT, Fault(then="close"))
        async with openai.AsyncOpenAI(**server.connection()) as client:
            llm = OpenAIProvider(client=client, cost=costs, max_retries=0)
            with pytest.raises(ServiceUnavailableError):
                await whole(llm)
            assert await whole(llm)
            with pytest.raises(ServiceUnavailableError):
                await whole(llm)
            await llm.aclose()
    assert booked(costs) == (2, 1, 2)
