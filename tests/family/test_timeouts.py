"""`timeout=`: one bound over all attempts and waits of a request, on every provider."""

import asyncio

import pytest
from bruno_llm_base import LLMTimeoutError, ModelNotFoundError, RateLimit, Retry, Timeouts
from bruno_llm_base.observe import AttemptFailed, RequestAbandoned
from bruno_llm_base.testing import FakeAnswer, FakeError, Fault

pytestmark = pytest.mark.usefixtures("few_certificates")


async def whole(llm):
    return await llm.generate("hi")


async def streamed(llm):
    return "".join([piece async for piece in llm.stream("hi")])


@pytest.fixture(params=[whole, streamed])
def ask(request):
    return request.param


async def test_it_bounds_all_attempts_together(kind, server, ask):
    server.say(Fault(then="stall"), times=50)
    keywords = {
        "timeouts": Timeouts(call=1, first_token=0.2),
        "retry": Retry(attempts=50, wait_initial=0),
    }
    async with kind(**server.connection(), **keywords) as llm:
        with pytest.raises(LLMTimeoutError, match="within 1 s") as caught:
            await ask(llm)
    assert 1 < len(caught.value.attempts) < 50
    assert {attempt.error for attempt in caught.value.attempts} == {"LLMTimeoutError"}
    assert caught.value.provider == kind.name


async def test_a_wait_that_does_not_fit_is_not_begun(kind, server, ask):
    heard = []
    server.say(FakeError(kind="rate_limit", headers={"retry-after": "60"}))
    async with kind(**server.connection(), timeout=30, observers=[heard.append]) as llm:
        with pytest.raises(LLMTimeoutError, match="within 30 s; the last attempt: ") as caught:
            await asyncio.wait_for(ask(llm), 20)
    assert caught.value.retry_after >= 60
    assert [attempt.error for attempt in caught.value.attempts] == ["RateLimitError"]
    assert type(caught.value.__cause__).__name__ == "RateLimitError"
    assert not any(isinstance(event, AttemptFailed) for event in heard)


async def test_it_bounds_the_wait_in_the_line_of_a_limit(kind, server, ask):
    server.say(Fault(after=0, then="stall"))
    limit = RateLimit(max_concurrent=1)
    async with (
        kind(**server.connection(), rate_limit=limit) as one,
        kind(**server.connection(), rate_limit=limit, timeout=0.2) as other,
    ):
        async with one.stream("hi"):
            with pytest.raises(LLMTimeoutError, match=r"within 0\.2 s"):
                await ask(other)
        assert await one.generate("hi")  # whoever left the line has taken no place
    assert len(server.bodies) == 2


async def test_what_had_arrived_is_on_the_error(kind, server):
    server.say(Fault(FakeAnswer(text="one two three four"), after=4, then="stall"))
    async with kind(**server.connection(), timeout=1) as llm:
        with pytest.raises(LLMTimeoutError, match="within 1 s") as caught:
            await streamed(llm)
    assert caught.value.partial.text.startswith("one")
    assert len(caught.value.attempts) == 1


async def test_each_attempt_has_its_own_total(kind, server, ask):
    server.say(Fault(then="stall"), FakeAnswer(text="the second was in time"))
    keywords = {"timeouts": Timeouts(call=60, total=0.7), "retry": Retry(wait_initial=0)}
    async with kind(**server.connection(), **keywords) as llm:
        assert await ask(llm) == "the second was in time"


async def test_naming_the_closest_models_takes_no_more_time_than_is_left(kind, server):
    heard = []
    server.say(Fault(then="stall"), to="models")
    server.say(FakeError(kind="model_not_found"))
    async with kind(**server.connection(), timeout=1, observers=[heard.append]) as llm:
        with pytest.raises(ModelNotFoundError):
            await llm.generate("hi")
    (left,) = [event for event in heard if isinstance(event, RequestAbandoned)]
    assert left.operation == "models"
