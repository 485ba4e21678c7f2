"""The fake's batches are what the official SDK expects."""

import anthropic
import pytest
from bruno_llm_base import ConfigurationError
from bruno_llm_testing import FakeAnswer, FakeError

MODEL = "claude-sonnet-5-5"
PARAMS = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
async def client(server):
    async with anthropic.AsyncAnthropic(
        **server.connection(), max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture
def batches(client):
    return client.messages.batches


def row(key, **params):
    return {"custom_id": key, "params": PARAMS | params}


async def results(batches, name):
    return {line.custom_id: line.result async for line in await batches.results(name)}


async def test_a_batch_ends_at_once(batches, server):
    server.say(FakeAnswer(text="one"), FakeAnswer(text="zwei 世界\u2028"))
    made = await batches.create(requests=[row("a"), row("b", model="claude-haiku-5-5")])
    assert (made.processing_status, made.request_counts.processing) == ("in_progress", 2)
    assert made.results_url is None
    ended = await batches.retrieve(made.id)
    assert (ended.processing_status, ended.request_counts.succeeded) == ("ended", 2)
    assert ended.created_at < ended.ended_at < ended.expires_at
    done = await results(batches, made.id)
    assert list(done) == ["b", "a"]  # in no order that may be relied on
    message = done["b"].message
    assert (message.content[0].text, message.model) == ("zwei 世界\u2028", "claude-haiku-5-5")
    assert message.usage.service_tier == "batch"
    assert list(server.batches.made[0].rows) == ["a", "b"]


async def test_rows_fail_one_by_one(batches, server):
    server.say(FakeAnswer(), FakeError(kind="overloaded"))
    rows = [row("good"), row("bad"), row("worse", messages=[]), row("streamed", stream=True)]
    made = await batches.create(requests=[*rows, row("unknown", model="gpt-6")])
    counts = (await batches.retrieve(made.id)).request_counts
    assert (counts.succeeded, counts.errored) == (1, 4)
    done = await results(batches, made.id)
    assert done.pop("good").type == "succeeded"
    assert {key: result.error.error.type for key, result in done.items()} == {
        "bad": "overloaded_error",
        "worse": "invalid_request_error",
        "streamed": "invalid_request_error",
        "unknown": "not_found_error",
    }


@pytest.mark.parametrize("state", ["expired", "canceled"])
async def test_what_was_done_stays_when_a_batch_ends_early(batches, server, state):
    server.batches.hold()
    made = await batches.create(requests=[row("a"), row("b"), row("c")])
    server.batches.answer(1)
    with pytest.raises(anthropic.AnthropicError, match="results_url"):
        await batches.results(made.id)
    with pytest.raises(anthropic.BadRequestError, match="processing"):
        await batches.delete(made.id)
    if state == "expired":
        server.batches.expire()
    else:
        cancelled = await batches.cancel(made.id)
        assert cancelled.processing_status == "canceling"
        assert cancelled.cancel_initiated_at is not None
    ended = await batches.retrieve(made.id)
    counts = ended.request_counts
    assert (ended.processing_status, counts.succeeded, getattr(counts, state)) == ("ended", 1, 2)
    done = await results(batches, made.id)
    assert {key: result.type for key, result in done.items()} == {
        "a": "succeeded",
        "b": state,
        "c": state,
    }
    with pytest.raises(anthropic.BadRequestError):
        await batches.cancel(made.id)


async def test_a_held_batch_ends_when_the_test_says_so(batches, server):
    server.batches.hold()
    made = await batches.create(requests=[row("a"), row("b")])
    assert (await batches.retrieve(made.id)).processing_status == "in_progress"
    with pytest.raises(ConfigurationError, match="only single rows"):
        server.batches.fail()
    server.batches.finish()
    assert len(await results(batches, made.id)) == 2


async def test_what_is_refused_at_once(client, batches, server):
    server.batches.most_rows, server.batches.most_bytes = 2, 1000
    for rows in (
        [],
        [row("a"), row("b"), row("c")],
        [row("a"), row("a")],
        [row("a b")],
        [row("a" * 65)],
        [{"custom_id": "a"}],
    ):
        with pytest.raises(anthropic.BadRequestError, match="requests"):
            await batches.create(requests=rows)
    with pytest.raises(anthropic.APIStatusError, match="413"):
        await batches.create(requests=[row("a", system="x" * 1000)])
    with pytest.raises(anthropic.NotFoundError):
        await batches.retrieve("msgbatch_1")
    with pytest.raises(anthropic.AuthenticationError):
        await client.with_options(api_key="wrong").messages.batches.retrieve("msgbatch_1")
    server.say(FakeError(kind="rate_limit"), to="batches")
    with pytest.raises(anthropic.RateLimitError):
        await batches.create(requests=[row("a")])
    assert server.batches.made == []


async def test_batches_are_listed_and_deleted(batches):
    made = [(await batches.create(requests=[row("a")])).id for _ in range(3)]
    assert [batch.id async for batch in batches.list(limit=2)] == made[::-1]
    assert (await batches.delete(made[0])).id == made[0]
    assert [batch.id async for batch in batches.list()] == made[:0:-1]
