"""`timeout=`: one bound over all attempts and waits of a request, on every provider."""

import pytest
from bruno_llm_base import LLMTimeoutError, ModelNotFoundError, RateLimit, Retry, Timeouts
from bruno_llm_base.events import AttemptFailed
from bruno_llm_testing import FakeAnswer, FakeError, Fault


async def whole(llm):
    return await llm.generate("hi")


async def streamed(llm):
    return "".join([piece async for piece in llm.stream("hi")])


@pytest.fixture(params=[whole, streamed])
def ask(request):
    return request.param


async def test_it_bounds_all_attempts_together(kind, server, ask, jump):
    server.say(Fault(then="stall"), times=50)
    keywords = {
        "timeouts": Timeouts(call=1000, first_token=250),
        "retry": Retry(attempts=50, wait_initial=0, deadline=1000),
    }
    async with kind(**server.connection(), **keywords) as llm:
        arrivals = [lambda n=n: len(server.bodies) == n for n in range(1, 50)]
        with pytest.raises(LLMTimeoutError, match="within 1000 s") as caught:
            async with jump(250, *arrivals):
                await ask(llm)
    assert len(caught.value.attempts) == 4
    assert {attempt.error for attempt in caught.value.attempts} == {"LLMTimeoutError"}
    assert caught.value.provider == kind.name


async def test_a_wait_that_does_not_fit_is_not_begun(kind, server, ask):
    heard = []
    server.say(FakeError(kind="rate_limit", headers={"retry-after": "60"}))
    async with kind(**server.connection(), timeout=50, observers=[heard.append]) as llm:
        with pytest.raises(LLMTimeoutError, match="within 50 s; the last attempt: ") as caught:
            await ask(llm)
    assert caught.value.retry_after >= 60
    assert [attempt.error for attempt in caught.value.attempts] == ["RateLimitError"]
    assert type(caught.value.__cause__).__name__ == "RateLimitError"
    assert not any(isinstance(event, AttemptFailed) for event in heard)


async def test_it_bounds_the_wait_in_the_line_of_a_limit(kind, server, ask, jump):
    server.say(Fault(after=0, then="stall"))
    limit = RateLimit(max_concurrent=1)
    async with (
        kind(**server.connection(), rate_limit=limit) as one,
        kind(**server.connection(), rate_limit=limit, timeout=50) as other,
    ):
        async with one.stream("hi"):
            with pytest.raises(LLMTimeoutError, match=r"within 50 s"):
                async with jump(50, lambda: limit._queue._waiting):
                    await ask(other)
        assert await one.generate("hi")  # whoever left the line has taken no place
    assert len(server.bodies) == 2


async def test_what_had_arrived_is_on_the_error(kind, server, jump):
    server.say(Fault(FakeAnswer(text="one two three four"), after=4, then="stall"))
    pieces = []

    async def read(llm):
        async for piece in llm.stream("hi"):
            pieces.append(piece)  # noqa: PERF401 - what came before the error counts

    async with kind(**server.connection(), timeout=100) as llm, jump(100, lambda: pieces):
        with pytest.raises(LLMTimeoutError, match="within 100 s") as caught:
            await read(llm)
    assert caught.value.partial.text.startswith("one")
    assert len(caught.value.attempts) == 1


async def test_each_attempt_has_its_own_total(kind, server, ask, jump):
    server.say(Fault(then="stall"), FakeAnswer(text="the second was in time"))
    keywords = {"timeouts": Timeouts(call=600, total=100), "retry": Retry(wait_initial=0)}
    async with kind(**server.connection(), **keywords) as llm, jump(100, lambda: server.bodies):
        assert await ask(llm) == "the second was in time"


async def test_naming_the_closest_models_takes_no_more_time_than_is_left(kind, server, jump):
    server.say(Fault(then="stall"), to="models")
    server.say(FakeError(kind="model_not_found"))
    async with (
        kind(**server.connection(), timeout=100) as llm,
        jump(100, lambda: len(server.received) == 2),
    ):
        with pytest.raises(ModelNotFoundError) as caught:
            await llm.generate("hi")
    assert "closest on offer" not in str(caught.value)
