"""Rate limits and the retry budget on the path of a request, on OpenAI's provider and its fake."""

import asyncio
import pickle
import threading

import pytest
from bruno_llm_base import (
    ConfigurationError,
    InvalidRequestError,
    LLMTimeoutError,
    RateLimit,
    RateLimitError,
    Retry,
    ServiceUnavailableError,
    Timeouts,
    Usage,
)
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeError, FakeOpenAI, Fault

ONCE = Retry(attempts=1)
BIG = FakeAnswer(usage=Usage(input_tokens=400, output_tokens=500))


@pytest.fixture
def server():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
async def make(server):
    made = []

    def make(rate_limit, **keywords):
        keywords = {"retry": ONCE} | server.connection() | keywords
        made.append(OpenAIProvider(rate_limit=rate_limit, **keywords))
        return made[-1]

    yield make
    for llm in made:
        await llm.aclose()


async def read(stream):
    return "".join([piece async for piece in stream])


async def test_what_is_beyond_the_limit_is_not_sent(server, make):
    limit = RateLimit(requests_per_minute=3, max_wait=1)
    one, other = make(limit), make(limit)
    await one.generate("hi")
    await read(other.stream("hi"))
    await other.request("hi")
    for ask in (one.generate, lambda text: read(one.stream(text))):
        with pytest.raises(RateLimitError, match="our own rate limit") as caught:
            await ask("hi")
        assert 55 < caught.value.retry_after <= 60
        assert (caught.value.provider, caught.value.model) == ("openai", "gpt-6.1-terra")
        assert len(caught.value.attempts) == 1
    assert len(server.bodies) == 3


async def test_every_attempt_needs_a_place(server, make):
    server.say(FakeError(kind="overloaded"), times=3)
    llm = make(
        RateLimit(requests_per_minute=2, max_wait=0), retry=Retry(attempts=3, wait_initial=0)
    )
    with pytest.raises(RateLimitError) as caught:
        await llm.generate("hi")
    assert [attempt.error for attempt in caught.value.attempts] == [
        "ServiceUnavailableError",
        "ServiceUnavailableError",
        "RateLimitError",
    ]
    assert len(server.bodies) == 2


@pytest.mark.parametrize("mode", ["whole", "stream"])
async def test_real_usage_takes_the_place_of_the_estimate(server, make, mode):
    server.say(BIG)
    llm = make(RateLimit(tokens_per_minute=1000, max_wait=0))
    ask = llm.generate if mode == "whole" else lambda *a, **k: read(llm.stream(*a, **k))
    await ask("hi", max_tokens=50)  # which it does not keep to
    await ask("hi", max_tokens=50)
    with pytest.raises(RateLimitError):
        await ask("hi", max_tokens=100)
    await ask("hi", max_tokens=20)
    assert len(server.bodies) == 3


async def test_what_can_never_be_sent_is_refused_with_both_figures(server, make):
    llm = make(RateLimit(tokens_per_minute=100))
    with pytest.raises(InvalidRequestError, match="tokens_per_minute is 100") as caught:
        await llm.generate("word " * 400)
    assert caught.value.limit == 100
    assert caught.value.actual > 300  # an estimate of some 400
    assert server.bodies == []


async def test_what_never_reached_the_server_does_not_count(make):
    limit = RateLimit(requests_per_minute=1, max_concurrent=1, max_wait=0)
    llm = make(limit, base_url="http://127.0.0.1:1/v1")
    for _ in range(3):
        with pytest.raises(ServiceUnavailableError, match="cannot be reached"):
            await llm.generate("hi")


async def test_a_place_is_free_again_however_an_attempt_ends(server, make, until, jump):
    loop = asyncio.get_running_loop()
    limit = RateLimit(max_concurrent=1, max_wait=50, clock=lambda: loop.time())  # noqa: PLW0108
    llm = make(limit, timeouts=Timeouts(first_token=100))
    long = FakeAnswer(text="word " * 1000)

    await llm.generate("hi")
    server.say(FakeError(kind="server_error"))
    with pytest.raises(ServiceUnavailableError):
        await llm.generate("hi")
    server.say(Fault(then="stall"))
    async with jump(100, lambda: len(server.bodies) == 3):
        with pytest.raises(LLMTimeoutError):
            await llm.generate("hi")
    server.say(long)
    async for _ in llm.stream("hi"):
        break
    server.say(Fault(then="stall"))
    task = asyncio.create_task(llm.generate("hi"))
    await until(lambda: len(server.bodies) == 5)
    async with jump(50, lambda: limit._queue._waiting):
        with pytest.raises(RateLimitError, match="all places are taken"):
            await llm.generate("hi")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await llm.generate("hi")


async def test_one_who_waits_in_line_may_leave(server, make):
    llm = make(RateLimit(max_concurrent=1))
    first, second, third = (asyncio.create_task(llm.generate(name)) for name in "abc")
    await asyncio.sleep(0)  # all stand in line
    second.cancel()
    await asyncio.gather(first, third)
    assert [body["messages"][0]["content"] for body in server.bodies] == ["a", "c"]


async def test_a_server_that_allows_less_is_believed(server, make):
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "45s",
    }
    server.say(FakeError(kind="invalid_request", headers=headers))
    llm = make(RateLimit(requests_per_minute=100, max_wait=5))
    with pytest.raises(InvalidRequestError):
        await llm.generate("hi")
    with pytest.raises(RateLimitError) as caught:
        await llm.generate("hi")
    assert 40 < caught.value.retry_after <= 45
    assert len(server.bodies) == 1


async def test_a_reset_in_the_headers_is_a_wait(server, make):
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}
    server.say(FakeError(kind="rate_limit", headers=headers))
    with pytest.raises(RateLimitError) as caught:
        await make(None, retry=Retry(attempts=3)).generate("hi")
    assert caught.value.retry_after == 360
    assert len(server.bodies) == 1  # the wait is beyond the deadline


async def test_an_outage_does_not_become_a_storm(server, make):
    server.say(FakeError(kind="overloaded"), times=1000)
    llm = make(None, retry=Retry(attempts=5, wait_initial=0))
    errors = await asyncio.gather(*(llm.generate("hi") for _ in range(100)), return_exceptions=True)
    assert {type(error) for error in errors} == {ServiceUnavailableError}
    assert len(server.bodies) == 120
    assert any("too many requests have failed lately" in str(error) for error in errors)


async def test_a_spent_budget_comes_back_with_answers(server, make):
    llm = make(None, retry=Retry(attempts=2, wait_initial=0))
    server.say(FakeError(kind="overloaded"), times=40)
    for _ in range(20):
        with pytest.raises(ServiceUnavailableError):
            await llm.generate("hi")
    for _ in range(5):
        await llm.generate("hi")
    server.say(FakeError(kind="overloaded"))
    await llm.generate("hi")
    server.say(FakeError(kind="overloaded"))
    with pytest.raises(ServiceUnavailableError, match="not tried again"):
        await llm.generate("hi")


async def test_a_line_reaches_over_threads(server, make):
    server.say(FakeAnswer(), times=20)
    limit = RateLimit(max_concurrent=1)

    async def ask(name):
        async with OpenAIProvider(rate_limit=limit, **server.connection()) as llm:
            await asyncio.gather(*(llm.generate(f"{name}{number}") for number in range(5)))

    threads = [threading.Thread(target=lambda n=n: asyncio.run(ask(n))) for n in "ab"]
    for thread in threads:
        thread.start()
    await ask("c")
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert len(server.bodies) == 15


def test_a_limit_goes_along_to_other_processes(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    llm = OpenAIProvider(rate_limit=RateLimit(requests_per_minute=7))
    again = pickle.loads(pickle.dumps(llm))
    assert repr(again._endpoint.rate_limit) == "RateLimit(requests_per_minute=7)"


def test_a_limit_of_another_kind_is_refused():
    with pytest.raises(ConfigurationError, match="rate_limit is 5: give RateLimit"):
        OpenAIProvider(api_key="k", rate_limit=5)


async def test_the_answer_names_its_provider(make):
    llm = make(None)
    assert (await llm.request("hi")).provider == "openai"
    stream = llm.stream("hi")
    await read(stream)
    assert stream.response.provider == "openai"
