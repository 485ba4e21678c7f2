"""Vendor batches, at the wire of OpenAI's fake, through both of its APIs."""

import json
import pickle
import re
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import openai
import pytest
from bruno_llm_base import (
    AuthenticationError,
    Budget,
    BudgetExceededError,
    ConfigurationError,
    ContentBlockedError,
    CostTracker,
    InvalidRequestError,
    LLMError,
    LLMTimeoutError,
    OutputInvalidError,
    Price,
    ServiceUnavailableError,
    ToolCall,
    Usage,
)
from bruno_llm_base.batch.vendor_rows import own_key, parts_of, sent_key
from bruno_llm_base.events import BatchSubmitted, RequestFinished
from bruno_llm_openai import OpenAIProvider
from bruno_llm_openai.batches import OpenAIBatches
from bruno_llm_testing import FakeAnswer, FakeError, Fault
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

MODEL = "gpt-4.1"
ROWS = {"a": "one", "b": "two", "c": "three"}


class City(BaseModel):
    name: str


@pytest.fixture(params=["chat", "responses"])
def api(request):
    return request.param


def provider(server, api="chat", **settings):
    return OpenAIProvider(MODEL, api=api, **server.connection(), **settings)


async def items_of(batch):
    return {item.key: item async for item in batch.results()}


async def texts_of(batch):
    return {key: item.text for key, item in (await items_of(batch)).items()}


# Sent, waited for, read


async def test_rows_are_answered_by_their_keys(server, api):
    server.say(*(FakeAnswer(text=text) for text in ("eins", "zwei", "drei")))
    async with provider(server, api) as llm:
        batch = await llm.batch(ROWS, temperature=0.5)
        assert batch.state.status == "waiting"
        state = await batch.wait(0)
        assert (state.status, state.counts.total, state.counts.succeeded) == ("ended", 3, 3)
        assert state.expires_at.tzinfo is UTC
        items = await items_of(batch)
    assert {key: item.text for key, item in items.items()} == {
        "a": "eins",
        "b": "zwei",
        "c": "drei",
    }
    assert items["a"].response.provider == "openai"
    assert items["a"].response.request_id
    (made,) = server.batches.made
    assert {body["temperature"] for body in made.rows.values()} == {0.5}
    assert (
        made.details["asked"]["endpoint"]
        == {
            "chat": "/v1/chat/completions",
            "responses": "/v1/responses",
        }[api]
    )


async def test_another_process_knows_a_batch_by_its_id(server, api):
    async with provider(server, api) as llm:
        batch = await llm.batch(ROWS)
        known = llm.batch_from(json.loads(json.dumps(batch.id)))
        assert known.state is None
        assert (await known.refresh()).status == "ended"
        assert await texts_of(known) == await texts_of(batch)


def test_a_batch_pickles(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
    llm = OpenAIProvider(MODEL, base_url=server.connection()["base_url"])
    batch = llm.batch_from("openai:batch_1,batch_2", output=City)
    assert pickle.loads(pickle.dumps(batch)).id == "openai:batch_1,batch_2"
    assert repr(batch) == "Batch('openai:batch_1,batch_2')"


async def test_an_answer_of_a_type_is_read_and_one_that_does_not_fit_is_an_error(server, api):
    server.say(FakeAnswer(text='{"name": "Paris"}'), FakeAnswer(text='{"nom": 1}'))
    async with provider(server, api) as llm:
        batch = await llm.batch({1: "where?", 2: "where?"}, output=City)
        items = await items_of(llm.batch_from(batch.id, output=City))
    assert items[1].response.output == City(name="Paris")
    assert isinstance(items[2].error, OutputInvalidError)
    assert items[2].error.partial.usage.input_tokens
    assert items[2].text is None


async def test_messages_may_have_all_shapes_and_rows_may_be_pairs(server):
    asked = {"role": "user", "content": "three"}
    rows = (row for row in [("a", "one"), ("b", [asked]), ("c", asked)])
    async with provider(server, system_prompt="Be brief.") as llm:
        await llm.batch(rows)
    bodies = server.batches.made[0].rows
    assert [body["messages"][-1]["content"] for body in bodies.values()] == [
        "one",
        "three",
        "three",
    ]
    assert {body["messages"][0]["content"] for body in bodies.values()} == {"Be brief."}


async def test_tool_calls_and_blocked_answers(server):
    def weather(place: str) -> str:
        """Tell the weather."""

    server.say(FakeAnswer(text="", tool_calls=(ToolCall("1", "weather", "{}"),)))
    server.say(FakeAnswer(finish_reason="content_filter"))
    async with provider(server) as llm:
        items = await items_of(await llm.batch({"a": "1", "b": "2"}, tools=[weather]))
    assert items["a"].response.tool_calls[0].name == "weather"
    assert isinstance(items["b"].error, ContentBlockedError)
    assert items["b"].error.partial.usage.output_tokens


async def test_a_client_of_the_users_is_used(server):
    async with openai.AsyncOpenAI(**server.connection()) as client:
        llm = OpenAIProvider(MODEL, client=client)
        batch = await llm.batch(ROWS)
        assert len(await texts_of(batch)) == 3


async def test_a_large_file_arrives_whole(server):
    async with provider(server) as llm:
        batch = await llm.batch(dict.fromkeys(range(6), "x" * 300000))
        assert len(await texts_of(batch)) == 6
    sizes = [len(row["messages"][0]["content"]) for row in server.batches.made[0].rows.values()]
    assert sizes == [300_000] * 6


# What is wrong is told before anything is sent


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({}, "the batch is empty"),
        ([("a", "1"), ("b", "2"), ("a", "3")], "two rows have the key 'a'"),
        ([("a", "1"), ("b", "")], "the prompt is empty.*it is the row 'b'"),
        ("rows", "give a dict of keys and messages"),
        (["ab"], "row 0 is 'ab': give a key and its messages"),
        ({None: "1"}, "a key is None"),
        ({True: "1"}, "a key is True"),
        ({"k" * 600: "1"}, "too long"),
    ],
)
async def test_rows_that_are_wrong(server, rows, said):
    async with provider(server) as llm:
        with pytest.raises(InvalidRequestError, match=said):
            await llm.batch(rows)
    assert server.received == []


@pytest.mark.parametrize("name", ["messages", "prompt", "attachments"])
async def test_what_belongs_into_the_rows_is_no_option(server, name):
    async with provider(server) as llm:
        with pytest.raises(InvalidRequestError, match=f"batch takes no {name}"):
            await llm.batch(ROWS, **{name: "x"})


@pytest.mark.parametrize("name", ["claude:batch_1", "batch_1", "", 7])
def test_an_id_of_something_else(server, name):
    with pytest.raises(InvalidRequestError, match=r"openai:\.\.\."):
        provider(server).batch_from(name)


async def test_a_vendor_without_batches_says_so():
    groq = OpenAIProvider(MODEL, base_url="https://api.groq.com/openai/v1", api_key="k")
    with pytest.raises(InvalidRequestError, match="takes no batches"):
        await groq.batch(ROWS)
    assert "batch" in OpenAIProvider.capabilities


async def test_results_are_not_there_before_the_end(server):
    server.batches.hold()
    async with provider(server) as llm:
        batch = await llm.batch(ROWS)
        with pytest.raises(InvalidRequestError, match="the batch is running"):
            await items_of(batch)
        with pytest.raises(InvalidRequestError, match="nothing to send again"):
            await batch.retry()


# Batches that do not end well


async def test_rows_that_failed_are_errors_and_are_sent_again(server, api):
    server.say(FakeAnswer(text="eins"), FakeError(kind="server_error"), FakeError(kind="quota"))
    async with provider(server, api) as llm:
        batch = await llm.batch(ROWS)
        items = await items_of(batch)
        assert items["a"].text == "eins"
        assert isinstance(items["b"].error, ServiceUnavailableError)
        assert items["b"].error.status_code == 500
        assert items["b"].error.provider == "openai"
        for before in (batch, llm.batch_from(batch.id)):  # that one asks OpenAI what was sent
            again = await before.retry()
            assert set(await texts_of(again)) == {"b", "c"}
    first, *others = [made.rows for made in server.batches.made]
    for again in others:
        assert again == {key: first[key] for key in ("b", "c")}


async def test_all_rows_failed(server, api):
    server.say(*[FakeError(kind="server_error")] * 3)
    async with provider(server, api) as llm:
        batch = await llm.batch(ROWS)
        items = await items_of(batch)
    assert batch.state.counts.failed == 3
    assert all(isinstance(item.error, ServiceUnavailableError) for item in items.values())


@pytest.mark.parametrize("known", [True, False])
async def test_a_batch_that_expired(server, known):
    server.batches.hold()
    async with provider(server) as llm:
        batch = await llm.batch(ROWS)
        server.batches.answer(1)
        server.batches.expire()
        items = await items_of(batch if known else llm.batch_from(batch.id))
        assert items["a"].text
        assert isinstance(items["b"].error, LLMTimeoutError)
        assert "expired" in str(items["b"].error)
        again = await batch.retry()
    assert list(server.batches.made[-1].rows) == ["b", "c"]
    assert again.id != batch.id


async def test_a_batch_that_was_cancelled(server):
    server.batches.hold()
    async with provider(server) as llm:
        batch = await llm.batch(ROWS)
        server.batches.answer(1)
        await batch.cancel()
        await batch.cancel()  # which is over
        state = await batch.wait(0)
        assert (state.status, state.counts.succeeded, state.counts.cancelled) == ("ended", 1, 2)
        items = await items_of(batch)
    assert items["a"].text
    assert "cancelled" in str(items["c"].error)


@pytest.mark.parametrize("known", [True, False])
async def test_a_batch_that_failed_as_a_whole(server, known):
    server.batches.hold()
    async with provider(server) as llm:
        batch = await llm.batch(ROWS)
        server.batches.fail("No capacity.")
        items = await items_of(batch if known else llm.batch_from(batch.id))
        assert set(items) == set(ROWS)
        assert "no row was asked: No capacity." in str(items["a"].error)
        await batch.retry()
    assert server.batches.made[0].rows == server.batches.made[1].rows


async def test_problems_of_single_lines_are_told_by_their_keys(server):
    server.batches.hold()
    async with provider(server) as llm:
        batch = await llm.batch(ROWS)
        problem = {"code": "invalid_url", "line": 2, "message": "Not this one.", "param": "url"}
        server.batches.made[0].details["errors"] = [problem]
        server.batches.fail("")
        items = await items_of(batch)
    assert str(items["b"].error).startswith("Not this one.")
    assert items["b"].error.code == "invalid_url"
    assert "no row was asked: Not this one." in str(items["c"].error)
    assert all(isinstance(item.error, InvalidRequestError) for item in items.values())


async def test_a_wrong_key_is_told_and_nothing_is_sent_twice(server):
    async with OpenAIProvider(
        MODEL, base_url=server.connection()["base_url"], api_key="wrong"
    ) as llm:
        with pytest.raises(AuthenticationError):
            await llm.batch(ROWS)
    assert server.batches.made == []


async def test_a_refused_request_is_sent_again_but_not_one_that_may_have_made_a_batch(server):
    server.say(FakeError(kind="server_error"), to="batches")

    def lose_the_answer(event):
        if isinstance(event, RequestFinished) and event.operation == "batch":
            server.say(Fault(FakeError(kind="server_error"), then="close"), to="batches")

    async with provider(server, observers=[lose_the_answer]) as llm:
        with pytest.raises(ServiceUnavailableError, match="may have carried it out"):
            await llm.batch(ROWS)
    assert [request.path for request in server.received] == ["/v1/files"] * 2 + ["/v1/batches"]


# In parts


def small(monkeypatch, rows=2):
    monkeypatch.setattr(OpenAIBatches, "max_rows", rows)


async def test_what_exceeds_a_batch_goes_out_in_parts(server, monkeypatch):
    small(monkeypatch)
    events = []
    async with provider(server, observers=[events.append]) as llm:
        batch = await llm.batch(dict.fromkeys(range(5), "x"))
        names = [made.id for made in server.batches.made]
        assert batch.id == f"openai:{','.join(names)}"
        state = await batch.wait(0)
        assert state.counts == (5, 5, 0, 0, 0)
        assert set(await texts_of(llm.batch_from(batch.id))) == set(range(5))
    told = [(event.batch, event.rows) for event in events if isinstance(event, BatchSubmitted)]
    assert told == list(zip([f"openai:{name}" for name in names], (2, 2, 1), strict=True))


async def test_parts_that_were_taken_are_not_lost_if_one_is_refused(server, monkeypatch, tmp_path):
    small(monkeypatch)

    def refuse_next(event):
        if isinstance(event, BatchSubmitted):
            server.say(FakeError(kind="quota"), to="batches")

    cost = CostTracker(tmp_path / "costs.db")
    budget = Budget(1)
    settings = {"cost": cost, "budget": budget, "price_name": "openai"}
    async with provider(server, observers=[refuse_next], **settings) as llm:
        with pytest.raises(LLMError) as caught:
            await llm.batch(dict.fromkeys(range(4), "x"), max_tokens=1000)
        known = llm.batch_from(caught.value.batch)
        assert repr(caught.value.batch) in str(caught.value)
        assert Decimal("0.99") < budget.left() < Decimal("0.993")  # two rows, of 0.004 USD each
        assert set(await texts_of(known)) == {0, 1}
        assert budget.left() == 1 - budget.spent()


async def test_a_row_that_no_batch_can_hold(server, monkeypatch):
    monkeypatch.setattr(OpenAIBatches, "max_bytes", 1000)
    async with provider(server) as llm:
        with pytest.raises(InvalidRequestError, match=r"row 'b' has 1,\d\d\d bytes"):
            await llm.batch({"a": "x", "b": "x" * 1000})
    assert server.received == []


@given(st.lists(st.integers(1, 40), min_size=1), st.integers(1, 5), st.integers(40, 100))
def test_parts_hold_every_row_once_in_order_and_within_the_limits(sizes, most_rows, most_bytes):
    rows = [SimpleNamespace(key=str(place), size=size) for place, size in enumerate(sizes)]
    parts = parts_of(rows, SimpleNamespace(max_rows=most_rows, max_bytes=most_bytes))
    assert [row for part in parts for row in part] == rows
    for part in parts:
        assert 0 < len(part) <= most_rows
        assert sum(row.size for row in part) <= most_bytes


@given(st.text(max_size=10) | st.sampled_from(["b64-", "int-5", "b64-é", "int-"]) | st.integers())
def test_keys_are_what_vendors_take_and_find_their_way_back(key):
    taken = re.compile(r"[a-zA-Z0-9_-]{1,64}")
    sent = sent_key(key, taken)
    assert taken.fullmatch(sent)
    assert own_key(sent) == key


@pytest.mark.parametrize("key", ["b64-", "b64-%", "int-x", "b64-_w", "plain"])
def test_keys_that_others_have_sent_stay(key):
    assert own_key(key) in (key, "")


# Money


async def test_prices_are_those_of_batches_and_never_guessed(server):
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    server.say(*[FakeAnswer(text="x", usage=usage)] * 9)
    own = {MODEL: Price(input=3, output=4, batch=Price(input=1, output=1.5))}
    bare = {MODEL: Price(input=3, output=4)}
    costs = []
    for settings in (
        {"price_name": "openai"},
        {"cost": CostTracker(prices=own)},
        {"cost": CostTracker(prices=bare)},
        {"free": True},
    ):
        async with provider(server, **settings) as llm:
            (item,) = (await items_of(await llm.batch({"a": "x"}))).values()
            costs.append(item.response.cost and item.response.cost.total)
    assert costs == [5, Decimal("2.5"), None, 0]  # half of 2 + 8, as genai-prices lists it


async def test_what_lists_do_not_tell_is_unknown_in_another_process_too(server):
    async with provider(server, price_name="openai") as llm:
        batch = await llm.batch({"a": "x"}, web_search_options={})
        assert batch.id.endswith("#web_search_options")
        for each in (batch, llm.batch_from(batch.id)):
            assert (await items_of(each))["a"].response.cost is None


async def test_a_budget_without_a_price_of_batches_says_what_to_give(server):
    cost = CostTracker(prices={MODEL: Price(input=3, output=4)})
    async with provider(server, cost=cost, budget=Budget(1)) as llm:
        with pytest.raises(ConfigurationError, match=r"in batches is unknown.*batch=Price"):
            await llm.batch(ROWS, max_tokens=10)
    assert server.received == []


async def test_a_budget_refuses_the_batch_before_anything_is_sent(server):
    async with provider(server, budget=Budget("0.01"), price_name="openai") as llm:
        with pytest.raises(BudgetExceededError):
            await llm.batch(ROWS, max_tokens=1000)
        await llm.batch({"a": "x"}, max_tokens=1000)
    assert len(server.batches.made) == 1


async def test_reading_twice_books_once_and_under_the_labels_of_the_batch(server):
    server.say(FakeAnswer(text="x"), FakeError(kind="server_error"))
    budget, cost = Budget(1, of={"tag": "nightly"}), CostTracker()
    async with provider(server, cost=cost, budget=budget, price_name="openai") as llm:
        with cost.label(tag="nightly"):
            batch = await llm.batch(ROWS, max_tokens=1000)
        assert budget.left() < Decimal("0.99")
        assert budget.spent() == 0
        for _ in range(2):
            async for _ in batch.results():
                break
        items = list((await items_of(batch)).values()) + list((await items_of(batch)).values())
        paid = sum(item.response.cost.total for item in items if item.response) / 2
    assert cost.total().requests == cost.total(tag="nightly").requests == 2
    assert budget.spent() == paid == 1 - budget.left()


KILLED = """
import asyncio, os, signal, sys
from bruno_llm_base import Budget, CostTracker
from bruno_llm_openai import OpenAIProvider

async def main(address, key, path):
    llm = OpenAIProvider("gpt-4.1", base_url=address, api_key=key, price_name="openai",
                         cost=CostTracker(path), budget=Budget(1))
    batch = await llm.batch({number: "x" for number in range(4)}, max_tokens=1000)
    print(batch.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_process_that_is_killed_loses_neither_answers_nor_money(server, tmp_path):
    connection, path = server.connection(), tmp_path / "costs.db"
    words = [connection["base_url"], connection["api_key"], str(path)]
    killed = subprocess.run(  # noqa: ASYNC221 - the server has its own thread
        [sys.executable, "-c", KILLED, *words], stdout=subprocess.PIPE, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    now = datetime.now(UTC)
    cost, budget = CostTracker(path, clock=lambda: now), Budget(1)
    async with provider(server, cost=cost, budget=budget, price_name="openai") as llm:
        assert Decimal("0.98") < budget.left() < Decimal("0.985")  # 4 rows of 0.004 USD and a bit
        items = await items_of(llm.batch_from(killed.stdout.strip()))
        assert set(items) == set(range(4))
        await items_of(llm.batch_from(killed.stdout.strip()))
    assert cost.total().requests == 4
    assert budget.left() == 1 - cost.total().cost


async def test_the_requests_about_a_batch_are_told_as_such_and_cost_nothing(server):
    events = []
    async with provider(server, observers=[events.append]) as llm:
        batch = await llm.batch(ROWS)
        await batch.wait(0)
    counted = Counter((type(event).__name__, event.operation) for event in events)
    assert counted["RequestFinished", "batch"] == 3  # the file, the batch, and how it stands
    assert not any(operation == "chat" for _, operation in counted)


async def test_a_status_that_is_not_known_is_no_end(server):
    async with provider(server) as llm:
        document = {"id": "batch_1", "status": "new_word", "input_file_id": "file-1"}
        assert llm.adapter.make_batches(llm.access).read(document).status == "running"
