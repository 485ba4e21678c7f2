"""Vendor batches, at the wire of OpenAI's fake, through both of its APIs."""

import json
import pickle
from datetime import UTC

import pytest
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer
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
        made.details["endpoint"]
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
