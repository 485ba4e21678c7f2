"""Vendor batches: what holds for every vendor that takes them."""

import asyncio

import pytest
from bruno_llm_base import (
    Budget,
    BudgetExceededError,
    ConfigurationError,
    CostTracker,
    InvalidRequestError,
    LLMError,
    LLMTimeoutError,
    RateLimitError,
    Retry,
    ServiceUnavailableError,
    ToolCall,
    Usage,
)
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider, batches
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeClaude, FakeError, FakeGemini, FakeOpenAI, Fault
from pydantic import BaseModel

VENDORS = {
    "openai": (OpenAIProvider, FakeOpenAI, {"api": "responses"}),
    "openai-chat": (OpenAIProvider, FakeOpenAI, {"api": "chat"}),
    "claude": (ClaudeProvider, FakeClaude, {}),
    "gemini": (GeminiProvider, FakeGemini, {}),
    "gemini-file": (GeminiProvider, FakeGemini, {}),
}
ROWS = {"a": "one", "b": "two", "c": "three"}
USAGE = Usage(input_tokens=1_000_000, output_tokens=100_000)


class City(BaseModel):
    name: str


@pytest.fixture(params=VENDORS)
def vendor(request, monkeypatch):
    if request.param == "gemini-file":
        monkeypatch.setattr(batches, "_MOST_INLINE_ROWS", 0)
    return request.param


@pytest.fixture
def server(vendor):
    with VENDORS[vendor][1]() as server:
        yield server


@pytest.fixture
async def connect(vendor, server):
    """Make a provider; what holds here is the same for all of one process or of many."""
    kind, _, settings = VENDORS[vendor]
    made = []

    def connect(**more):
        given = {"price_name": kind.price_name, "retry": Retry(attempts=1), **settings, **more}
        made.append(kind(**server.connection(), **given))
        return made[-1]

    yield connect
    for llm in made:
        await llm.aclose()


@pytest.fixture
def llm(connect):
    return connect()


async def items_of(batch):
    return {item.key: item async for item in batch.results()}


async def test_answers_come_by_the_keys_of_the_user(llm, server):
    texts = ["eins", "zwei 世界\u2028", "drei", "vier"]
    server.say(*(FakeAnswer(text=text) for text in texts))
    rows = {"a": "1", "Zeile ü, 2": "2", 7: "3", "x" * 64: "4"}
    batch = await llm.batch(rows, max_tokens=50)
    assert batch.state.status != "ended"
    state = await batch.wait(0)
    assert (state.status, state.counts.total, state.counts.succeeded) == ("ended", 4, 4)
    items = await items_of(batch)
    assert {key: item.text for key, item in items.items()} == dict(zip(rows, texts, strict=True))
    response = items["a"].response
    assert (response.usage.input_tokens, response.finish_reason) == (11, "stop")
    assert len(server.batches.made) == 1


async def test_they_cost_half_and_are_booked_once(connect, server):
    tracker = CostTracker()
    server.say(FakeAnswer(usage=USAGE))
    alone = (await connect().request("one")).cost.total
    server.say(FakeAnswer(usage=USAGE), times=3)
    llm = connect(cost=tracker)
    batch = await llm.batch(ROWS)
    await batch.wait(0)
    for known in (batch, batch, connect(cost=tracker).batch_from(batch.id)):
        items = await items_of(known)
        assert {item.response.cost.total for item in items.values()} == {alone / 2}
    assert tracker.total().cost == 3 * alone / 2
    tracker.close()


async def test_rows_fail_one_by_one(llm, server):
    server.say(FakeAnswer(), FakeError(kind="overloaded"), FakeError(kind="invalid_request"))
    batch = await llm.batch(ROWS)
    counts = (await batch.refresh()).counts
    assert (counts.succeeded, counts.failed) == (1, 2)
    items = await items_of(batch)
    assert items["a"].error is None
    assert isinstance(items["b"].error, ServiceUnavailableError)
    assert isinstance(items["c"].error, InvalidRequestError)
    assert items["c"].error.model == llm.model
    server.say(FakeAnswer(text="now"))
    again = await batch.retry()
    assert {key: item.text for key, item in (await items_of(again)).items()} == {
        "b": "now",
        "c": FakeAnswer().text,
    }


async def test_all_rows_fail(connect, server):
    budget = Budget("10.00")
    server.say(FakeError(kind="quota"), times=3)
    batch = await connect(budget=budget).batch(ROWS, max_tokens=10)
    assert 0 < budget.left() < 10  # dearest: what all rows may cost
    assert (await batch.wait(0)).counts.failed == 3
    items = await items_of(batch)
    assert [isinstance(item.error, LLMError) for item in items.values()] == [True] * 3
    assert budget.left() == 10


@pytest.mark.parametrize("state", ["expired", "cancelled"])
async def test_what_was_done_before_the_end_is_kept_and_paid(connect, server, vendor, state):
    tracker = CostTracker()
    server.batches.hold()
    batch = await connect(cost=tracker).batch(ROWS)
    assert (await batch.refresh()).status != "ended"
    with pytest.raises(InvalidRequestError, match="no results yet"):
        await items_of(batch)
    server.batches.answer(1)
    if state == "expired":
        server.batches.expire()
    else:
        await batch.cancel()
    assert getattr((await batch.wait(0)).counts, state) == 2
    items = await items_of(batch)
    assert items.keys() == ROWS.keys()
    error = LLMTimeoutError if state == "expired" else LLMError
    assert all(isinstance(items[key].error, error) for key in ("b", "c"))
    assert state in str(items["b"].error)
    if vendor.startswith("gemini") and state == "expired":  # Google keeps nothing then
        assert tracker.total().cost == 0
    else:
        assert items["a"].text == FakeAnswer().text
        assert tracker.total().cost > 0
    tracker.close()


async def test_a_batch_may_fail_as_a_whole(llm, server, vendor):
    server.batches.hold()
    batch = await llm.batch(ROWS)
    if vendor == "claude":  # whose batches never do
        with pytest.raises(ConfigurationError):
            server.batches.fail()
        return
    server.batches.fail("It rained.")
    assert (await batch.wait(0)).status == "ended"
    items = await items_of(batch)
    assert items.keys() == ROWS.keys()
    assert all("It rained." in str(item.error) for item in items.values())


async def test_what_is_refused_is_raised(connect, server):
    server.say(FakeError(kind="rate_limit"), to="batches")
    with pytest.raises(RateLimitError):
        await connect().batch(ROWS)
    assert not server.batches.made
    with pytest.raises(BudgetExceededError):
        await connect(budget=Budget("0.000001")).batch(ROWS, max_tokens=10)
    assert not server.batches.made


async def test_a_batch_that_may_have_arrived_is_not_sent_again(connect, server, vendor):
    before = {"claude": 0, "gemini": 0, "gemini-file": 2}.get(vendor, 1)  # steps of an upload
    server.say(*[FakeAnswer()] * before, Fault(after=0, then="close"), to="batches")
    with pytest.raises(LLMError):
        await connect(retry=Retry(attempts=3, wait_initial=0)).batch(ROWS)
    assert len(server.batches.made) == 1
    server.say(FakeError(kind="overloaded"), to="batches")  # which has not: it says so
    await connect(retry=Retry(attempts=3, wait_initial=0)).batch(ROWS)
    assert len(server.batches.made) == 2


async def test_results_that_break_off_are_read_again(connect, server, vendor):
    tracker = CostTracker()
    llm = connect(cost=tracker)
    batch = await llm.batch(ROWS)
    await batch.wait(0)
    server.say(Fault(after=1, then="close"), to="batches")
    with pytest.raises(LLMError):
        await items_of(llm.batch_from(batch.id) if vendor == "gemini" else batch)
    items = await items_of(batch)
    assert tracker.total().cost == sum(item.response.cost.total for item in items.values())
    tracker.close()


async def test_typed_answers_and_tools(llm, server):
    server.say(FakeAnswer(text='{"name": "Oslo"}'), FakeAnswer(text="Oslo"))
    batch = await llm.batch({"a": "The largest?", "b": "And?"}, output=City)
    items = await items_of(batch)
    assert items["a"].response.output == City(name="Oslo")
    assert isinstance(items["b"].error, LLMError)

    def weather(city: str) -> str:
        """Tell the weather."""
        return city

    call = ToolCall(id="call_1", name="weather", arguments='{"city": "Rome"}')
    server.say(FakeAnswer(text="", tool_calls=(call,), finish_reason="tool_call"))
    items = await items_of(await llm.batch({"a": "Weather?"}, tools=[weather]))
    assert [call.name for call in items["a"].response.tool_calls] == ["weather"]


async def test_what_is_no_batch_of_the_provider_is_refused(llm):
    name = llm.name
    wrong = (
        "ollama:1",
        "1",
        None,
        f"{name}:",
        f"{name}:a,",
        f"{name}:a/cancel",
        f"{name}:a?b",
        f"{name}:a#",
    )
    for each in wrong:
        with pytest.raises(InvalidRequestError, match="the id is"):
            llm.batch_from(each)
    assert llm.batch_from(f"{name}:a,b#tools\n").id == f"{name}:a,b#tools"
    with pytest.raises(LLMError):
        await llm.batch_from(f"{llm.name}:batch_none").refresh()


@pytest.mark.parametrize("poll", [-1, float("nan"), "15"])
async def test_a_wrong_time_between_looks_is_refused(llm, poll):
    with pytest.raises(ConfigurationError, match="poll is"):
        await llm.batch_from(f"{llm.name}:a").wait(poll)


async def test_why_a_batch_was_refused_is_told_where_its_keys_are_not_known(llm, server, vendor):
    if vendor == "claude":  # whose batches never are
        return
    server.batches.hold()
    batch = await llm.batch(ROWS)
    server.batches.fail("It rained.")
    if vendor.startswith("openai"):  # the user has deleted what was sent
        server.batches.files.clear()
    elsewhere = llm.batch_from(batch.id)
    with pytest.raises(LLMError, match=r"It rained\."):
        await items_of(elsewhere)
    with pytest.raises(InvalidRequestError, match="does not tell what was sent"):
        await elsewhere.retry()


async def test_what_is_held_is_released_where_the_keys_of_rows_are_not_known(
    connect, server, vendor
):
    budget = Budget("10.00")
    llm = connect(budget=budget)
    server.batches.hold()
    batch = await llm.batch(ROWS, max_tokens=10)
    server.batches.expire()
    if vendor.startswith("openai"):
        server.batches.files.pop(server.batches.made[0].details["asked"]["input_file_id"])
    await items_of(llm.batch_from(batch.id))
    assert budget.left() == 10


async def test_two_read_the_results_at_once(connect, tmp_path):
    trackers = [CostTracker(tmp_path / "costs.db") for _ in range(2)]
    one, other = (connect(cost=tracker) for tracker in trackers)
    batch = await one.batch(ROWS)
    await batch.wait(0)
    await asyncio.gather(items_of(batch), items_of(other.batch_from(batch.id)), items_of(batch))
    assert [tracker.total().requests for tracker in trackers] == [3, 3]
    for tracker in trackers:
        tracker.close()
