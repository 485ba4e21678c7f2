"""Answers that are kept, at the wire of OpenAI's fake: what counts is how many requests arrive."""

import asyncio
import gc
import json
import pickle
import threading
import zlib
from contextlib import suppress
from decimal import Decimal

import pytest
from bruno_core.interfaces import LLMInterface
from bruno_llm_base import (
    AuthenticationError,
    Budget,
    CachedLLM,
    ConfigurationError,
    CostTracker,
    FallbackLLM,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    Media,
    ModelResponse,
    Price,
    RateLimit,
    Reasoning,
    ServiceUnavailableError,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    VendorBlock,
    run_tools,
    stream_tools,
)
from bruno_llm_base.events import CacheHit, CacheUnusable
from bruno_llm_base.wrappers.cache_lookup import decoded, encoded
from bruno_llm_base.wrappers.cache_store import MemoryStore
from bruno_llm_claude import ClaudeProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeClaude, FakeError, FakeOpenAI, MockLLM
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

SAID = FakeAnswer().text
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


@pytest.fixture
def server():
    with FakeOpenAI() as server:
        yield server


def provider(server, model="gpt-4.1", **settings):
    return OpenAIProvider(model, api="chat", **server.connection(), **settings)


def cached(server, *, store=None, max_age=None, namespace=None, **given):
    return CachedLLM(provider(server, **given), store=store, max_age=max_age, namespace=namespace)


async def read(stream):
    return [piece async for piece in stream]


async def test_what_was_answered_is_not_asked_again_and_costs_nothing(server):
    told = []
    costs = CostTracker(prices={"gpt-4.1": Price(input=1, output=2)})
    llm = cached(
        server,
        cost=costs,
        budget=Budget(1),
        observers=[told.append],
        rate_limit=RateLimit(requests_per_minute=1, max_wait=0),
    )
    first = await llm.request("hi", temperature=0.5, max_tokens=50)
    spent = costs.total()
    again = await llm.request("hi", temperature=0.5, max_tokens=50)
    assert (first.cached, again.cached) == (False, True)
    assert (again.parts, again.usage, again.finish_reason) == (first.parts, first.usage, "stop")
    assert first.cost.total > 0
    assert (again.cost.total, again.attempts) == (0, ())
    assert costs.total() == spent
    assert len(server.bodies) == 1
    (hit,) = [event for event in told if isinstance(event, CacheHit)]
    assert (hit.provider, hit.model, hit.streamed) == ("openai", "gpt-4.1", False)
    assert 0 <= hit.age < 120
    assert await llm.generate("hi", 0.5, 50) == first.text
    await llm.aclose()


async def test_batches_are_not_for_a_cache(server):
    llm = cached(server)
    with pytest.raises(InvalidRequestError, match="CachedLLM sends none"):
        await llm.batch({"a": "Hi"})
    assert "batch" not in llm.capabilities


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"temperature": 0.5}),
        ({}, {"seed": 1}),
        ({}, {"model": "gpt-4.1-mini"}),
        ({}, {"frequency_penalty": 0.5}),
        ({}, {"output": {"type": "object", "properties": {}}}),
        ({"stop": "a"}, {"stop": "b"}),
        ({}, {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}),
        ({"attachments": [Media(data=PIXEL)]}, {"attachments": [Media(data=PIXEL + b"1")]}),
    ],
)
async def test_another_question_has_another_key(server, one, other):
    llm = cached(server)
    assert await llm.fingerprint("hi", **one) != await llm.fingerprint("hi", **other)
    assert await llm.fingerprint("hi", **one) == await cached(server).fingerprint("hi", **one)


async def test_what_does_not_change_the_answer_is_not_in_the_key(server):
    llm = cached(server)
    plain = await llm.fingerprint("hi")
    for more in (
        *({"user": "ann"}, {"metadata": {"a": "b"}}, {"cache": True}, {"max_tokens": None}),
        *({"refresh": True}, {"refresh": False}),
    ):
        assert await llm.fingerprint("hi", **more) == plain
    assert await llm.fingerprint({"role": "user", "content": "hi"}) == plain
    assert server.bodies == []


async def test_the_provider_its_settings_and_the_namespace_are_in_the_key(server):
    with FakeClaude() as claude:
        llms = [
            cached(server),
            cached(server, system_prompt="brief"),
            cached(server, think_tags=True),
            cached(server, namespace="a"),
            cached(server, namespace="b"),
            CachedLLM(OpenAIProvider("gpt-4.1", api="responses", **server.connection())),
            CachedLLM(OpenAIProvider("gpt-4.1", api="chat", api_key="sk-1")),
            CachedLLM(ClaudeProvider(**claude.connection())),
        ]
        keys = [await llm.fingerprint("hi") for llm in llms]
        assert len({*keys}) == len(keys)


async def test_an_api_version_of_ones_own_client_is_in_the_key():
    import openai

    def llm(version):
        client = openai.AsyncAzureOpenAI(
            api_key="k", api_version=version, azure_endpoint="https://a.example"
        )
        return CachedLLM(OpenAIProvider("gpt-4.1", client=client))

    assert await llm("1").fingerprint("hi") != await llm("2").fingerprint("hi")
    assert await llm("1").fingerprint("hi") == await llm("1").fingerprint("hi")


async def test_a_file_is_told_by_what_is_in_it(server, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PIXEL)
    llm = cached(server)
    first = await llm.request("what?", attachments=[path])
    (tmp_path / "b.png").write_bytes(PIXEL)
    assert (await llm.request("what?", attachments=[path])).cached
    path.write_bytes(PIXEL + b"\0")
    assert not (await llm.request("what?", attachments=[path])).cached
    assert not first.cached


async def test_a_stream_and_a_request_share_their_answers(server):
    llm = cached(server)
    live = await read(llm.stream("hi"))
    again = llm.stream("hi")
    assert "".join(await read(again)) == "".join(live) == SAID
    assert again.response.cached
    assert again.response.cost.total == 0
    assert (await llm.request("hi")).cached
    server.say(FakeAnswer(text="word " * 20))
    await llm.request("more")
    assert len(await read(llm.stream("more"))) == 5
    async with llm.stream("more") as opened:
        assert await anext(opened) == "word word word word "
    assert len(server.bodies) == 2


async def test_a_stream_that_is_left_is_not_kept(server):
    llm = cached(server)
    server.say(FakeAnswer(text="word " * 50), FakeAnswer(text="word " * 50))
    async for _ in llm.stream("hi"):
        break
    async with llm.stream("hi") as stream:
        assert not (await anext(stream)).startswith("word word")
    stream = llm.stream("hi")
    await anext(stream)
    del stream
    gc.collect()
    assert not (await llm.request("hi")).cached
    assert len(server.bodies) == 4


@pytest.mark.parametrize(
    "said",
    [
        FakeAnswer(text="cut", finish_reason="length"),
        FakeAnswer(text="", finish_reason="content_filter"),
        FakeError(kind="invalid_request"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_is_not_whole_is_not_kept(server, said, streamed):
    llm = cached(server, max_retries=0)
    server.say(said)
    with suppress(LLMError):
        await (read(llm.stream("hi")) if streamed else llm.generate("hi"))
    assert not (await llm.request("hi")).cached
    assert (await llm.request("hi")).cached


async def test_refresh_reaches_a_cache_through_all_that_stands_around_it():
    model = MockLLM(["old", "new", "newer", "newest", "last"])
    cached = CachedLLM(model)
    both = FallbackLLM([cached, MockLLM("never")])
    assert await both.generate("hi") == "old"
    assert await both.generate("hi", refresh=True) == "new"
    assert await asyncio.to_thread(cached.sync.generate, "hi", refresh=True) == "newer"
    assert [item.text async for item in both.map(["x"], "hi", refresh=True)] == ["newest"]
    assert await model.generate("hi", refresh=True) == "last"  # it has no cache, and asks
    assert await cached.generate("hi") == "newest"
    assert all("refresh" not in str(call) for call in model.calls)


async def test_refresh_reaches_a_cache_behind_a_cache():
    inner = CachedLLM(MockLLM(["old", "new", "newest"]))
    outer = CachedLLM(inner)
    assert await outer.generate("hi") == "old"
    assert await outer.generate("hi", refresh=True) == "new"
    assert "".join(await read(outer.stream("hi", refresh=True))) == "newest"
    assert await inner.generate("hi") == await outer.generate("hi") == "newest"


async def test_refresh_asks_and_replaces(server):
    llm = cached(server)
    server.say(FakeAnswer(text="old"), FakeAnswer(text="new"), FakeAnswer(text="newest"))
    assert await llm.generate("hi") == "old"
    assert await llm.generate("hi", refresh=True) == "new"
    assert await llm.generate("hi") == "new"
    assert "".join(await read(llm.stream("hi", refresh=True))) == "newest"
    assert await llm.generate("hi") == "newest"
    with pytest.raises(InvalidRequestError, match="refresh"):
        await llm.request("hi", refresh="yes")


async def test_max_age_is_judged_when_an_answer_is_read(server):
    store = MemoryStore()
    await cached(server, store=store).generate("hi")
    assert (await cached(server, store=store, max_age=60).request("hi")).cached
    assert not (await cached(server, store=store, max_age=0).request("hi")).cached


async def test_calls_that_ask_the_same_at_once_are_one_request(server):
    llm = cached(server)
    calls = [llm.request("hi") for _ in range(5)]
    answers = await asyncio.gather(*calls, *(read(llm.stream("hi")) for _ in range(5)))
    assert len(server.bodies) == 1
    assert [answer.cached for answer in answers[:5]].count(False) <= 1
    assert {"".join(pieces) for pieces in answers[5:]} == {SAID}


def test_threads_with_loops_of_their_own_are_one_flight(server):
    llm = cached(server)
    seen = []

    def ask():
        async def main():
            seen.append(await llm.generate("hi"))
            await llm.aclose()

        asyncio.run(main())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [SAID] * 4
    assert len(server.bodies) == 1


class Slow(LLMInterface):
    """A bare model whose answers a test lets through one by one."""

    def __init__(self):
        self.asked = 0
        self.answers = asyncio.Queue()

    async def generate(self, messages, **options):
        self.asked += 1
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def stream(self, messages, **options):
        for piece in ("a", "b"):
            yield piece

    def get_token_count(self, text):
        return 1

    async def check_connection(self):
        return True

    async def list_models(self):
        return ["slow"]

    def get_model_info(self):
        return {"provider": "slow", "model": "slow"}

    def set_system_prompt(self, prompt):
        pass

    def get_system_prompt(self):
        return None


async def test_a_leader_that_is_cancelled_passes_the_lead_on(until):
    slow = Slow()
    llm = CachedLLM(slow)
    first = asyncio.create_task(llm.generate("hi"))
    await until(lambda: slow.asked == 1)
    others = [asyncio.create_task(llm.generate("hi")) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    await until(lambda: slow.asked == 2)
    slow.answers.put_nowait("yes")
    assert await asyncio.gather(*others) == ["yes"] * 3
    assert slow.asked == 2


async def test_a_follower_that_is_cancelled_disturbs_nobody(until):
    slow = Slow()
    llm = CachedLLM(slow)
    leader = asyncio.create_task(llm.request("hi"))
    await until(lambda: slow.asked == 1)
    follower = asyncio.create_task(llm.request("hi"))
    await asyncio.sleep(0.01)
    follower.cancel()
    slow.answers.put_nowait("yes")
    assert (await leader).text == "yes"
    assert (await llm.request("hi")).cached


@pytest.mark.parametrize(
    ("error", "asked"),
    [(AuthenticationError("no"), 1), (ServiceUnavailableError("down"), 4)],
)
async def test_an_error_of_the_question_is_that_of_all_who_ask(until, error, asked):
    slow = Slow()
    llm = CachedLLM(slow)
    leader = asyncio.create_task(llm.request("hi"))
    await until(lambda: slow.asked == 1)
    followers = [asyncio.create_task(llm.request("hi")) for _ in range(3)]
    await asyncio.sleep(0.01)
    for _ in range(asked):
        slow.answers.put_nowait(error)
    found = await asyncio.gather(leader, *followers, return_exceptions=True)
    assert {type(each) for each in found} == {type(error)}
    assert slow.asked == asked


async def test_a_stream_that_is_not_read_on_holds_up_others_for_a_while_only(server, monkeypatch):
    monkeypatch.setattr("bruno_llm_base.wrappers.cache_lookup._PATIENCE", 0.05)
    llm = cached(server)
    async with llm.stream("hi") as stream:
        await anext(stream)
        assert await llm.generate("hi") == SAID
    assert len(server.bodies) == 2


async def test_it_wraps_a_fallback_and_is_wrapped_by_one(server):
    with FakeOpenAI() as second:
        server.say(FakeError(kind="overloaded"))
        inside = FallbackLLM([provider(server, max_retries=0), provider(second)])
        llm = CachedLLM(inside)
        assert await llm.generate("hi") == SAID
        assert (await llm.request("hi")).cached
        assert (len(server.bodies), len(second.bodies)) == (1, 1)
        outside = FallbackLLM([CachedLLM(provider(server)), provider(second)])
        await outside.generate("hello")
        assert (await outside.request("hello")).cached
        assert "".join(await read(outside.stream("hello"))) == SAID
        assert len(server.bodies) == 2


async def test_a_bare_model_is_cached_too(until):
    slow = Slow()
    llm = CachedLLM(slow)
    slow.answers.put_nowait("yes")
    assert await llm.generate("hi") == "yes"
    assert await llm.generate("hi") == "yes"
    assert await read(llm.stream("hi")) == ["yes"]
    assert await read(llm.stream("ho")) == ["a", "b"]
    assert (await llm.request("ho")).cached
    assert (llm.name, llm.model, slow.asked) == ("slow", "slow", 1)


class City(BaseModel):
    name: str


async def test_typed_output_is_read_again_from_what_is_kept(server):
    llm = cached(server)
    server.say(FakeAnswer(text='{"name": "Rome"}'))
    first = await llm.request("where?", output=City)
    again = await llm.request("where?", output=City)
    assert (first.output, again.output, again.cached) == (City(name="Rome"),) * 2 + (True,)
    stream = llm.stream("where?", output=City)
    async for _ in stream:
        pass
    assert stream.response.output == City(name="Rome")
    assert stream.partial() == {"name": "Rome"}
    assert await llm.generate("where?", output=City) == '{"name": "Rome"}'
    assert len(server.bodies) == 1


async def test_what_does_not_fit_a_type_any_more_is_asked_for_again(server):
    told = []
    llm = cached(server, observers=[told.append])
    server.say(*[FakeAnswer(text=f'{{"name": "{name}"}}') for name in ("Rome", "Oslo")])
    await llm.request("where?", output=City)

    def model():
        class City(BaseModel):
            name: str

            @field_validator("name")
            @classmethod
            def is_northern(cls, name):
                if name == "Rome":
                    raise ValueError("too far south")
                return name

        return City

    assert (await llm.request("where?", output=model())).output.name == "Oslo"
    assert (await llm.request("where?", output=City)).output.name == "Oslo"
    assert len([event for event in told if isinstance(event, CacheHit)]) == 1


async def test_tools_run_over_answers_that_are_kept(server):
    ran = []

    def look(where: str) -> str:
        """Look."""
        ran.append(where)
        return "sunny"

    llm = cached(server)
    call = ToolCall(id="c1", name="look", arguments='{"where": "Rome"}')
    server.say(FakeAnswer(text="", tool_calls=(call,)), FakeAnswer(text="It is sunny."))
    first = await run_tools(llm, "weather?", tools=[look])
    again = await run_tools(llm, "weather?", tools=[look])
    assert (first.text, again.text, again.rounds) == ("It is sunny.", "It is sunny.", 2)
    assert (again.cost.total, len(server.bodies), ran) == (0, 2, ["Rome"] * 2)
    stream = stream_tools(llm, "weather?", tools=[look])
    assert "".join(await read(stream)) == "It is sunny."
    assert len(server.bodies) == 2
    with pytest.raises(InvalidResponseError):
        await read(llm.stream("weather?", tools=[look]))


async def test_a_stream_of_tool_calls_is_kept(server):
    llm = cached(server)
    call = ToolCall(id="c1", name="look", arguments="{}")
    server.say(FakeAnswer(text="", tool_calls=(call,)))
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    with pytest.raises(InvalidResponseError):
        await read(llm.stream("weather?", tools=tools))
    again = await llm.request("weather?", tools=tools)
    assert again.cached
    assert again.tool_calls[0].name == "look"


async def test_rows_of_a_map_that_are_kept_cost_nothing(server):
    llm = cached(server)
    await llm.generate("Sum up a")
    items = [item async for item in llm.map(["a", "b"], "Sum up {row}")]
    assert {item.row: item.response.cached for item in items} == {"a": True, "b": False}
    assert len(server.bodies) == 2


class Broken:
    """A store of somebody's own, which is down."""

    def __init__(self):
        self.works = False
        self.store = MemoryStore()

    def __getattr__(self, name):
        async def call(*args):
            if not self.works and name != "aclose":
                raise OSError("no space left on device")
            return await getattr(self.store, name)(*args)

        if name not in ("get", "put", "lead", "release", "aclose"):
            raise AttributeError(name)
        return call


async def test_a_store_that_fails_costs_no_answer_and_one_warning(server):
    told, store = [], Broken()
    llm = cached(server, store=store, observers=[told.append])
    for _ in range(3):
        assert await llm.generate("hi") == SAID
    (event,) = [event for event in told if isinstance(event, CacheUnusable)]
    assert "no space left" in event.reason
    store.works = True
    await llm.generate("hi")
    assert (await llm.request("hi")).cached
    await llm.aclose()


async def test_memory_is_bounded_and_keeps_what_is_used():
    store = MemoryStore(most_bytes=100)
    for name in "abc":
        await store.put(name, bytes(40))
        await store.get("a")
    assert [await store.get(name) is None for name in "abc"] == [False, True, False]
    await store.put("d", bytes(200))
    assert await store.get("d") is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"store": 5}, "store is 5"),
        ({"store": "nosuch://host"}, "nosuch"),
        ({"max_age": "1h"}, "max_age"),
        ({"max_age": -1}, "max_age"),
        ({"max_age": True}, "max_age"),
        ({"namespace": 7}, "namespace is 7"),
        ({"namespace": ""}, "namespace"),
    ],
)
def test_wrong_settings_are_named(server, settings, words):
    with pytest.raises(ConfigurationError, match=words):
        cached(server, **settings)


def test_what_is_cached_is_a_model():
    with pytest.raises(ConfigurationError, match="llm is 'gpt-5'"):
        CachedLLM("gpt-5")


def test_it_is_pickled_by_its_settings_and_shows_no_secret(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    llm = CachedLLM(OpenAIProvider(), max_age=60, namespace="a")
    again = pickle.loads(pickle.dumps(llm))
    assert repr(again) == repr(llm) == f"CachedLLM({OpenAIProvider()!r})"
    assert asyncio.run(again.fingerprint("hi")) == asyncio.run(llm.fingerprint("hi"))
    assert "sk-canary" not in repr(llm)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
BLOCKS = st.builds(
    VendorBlock, TEXTS, st.dictionaries(TEXTS, st.integers(-9, 9) | TEXTS, max_size=2)
)
STATES = st.none() | BLOCKS
MEDIA = st.builds(
    lambda d, s: Media(data=d, type="image/png", state=s), st.binary(min_size=1), STATES
)
RESULTS = st.builds(
    lambda i, n, c, e, p: ToolResult(i, n, c, e, parts=tuple(p)),
    TEXTS,
    TEXTS,
    TEXTS,
    st.booleans(),
    st.lists(MEDIA | st.builds(Text, TEXTS), max_size=2),
)
PARTS = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(Reasoning, TEXTS, STATES),
    st.builds(ToolCall, st.none() | TEXTS, st.none() | TEXTS, TEXTS, STATES),
    MEDIA,
    st.builds(Media, url=st.just("https://host/a.png")),
    RESULTS,
    BLOCKS,
)


@settings(max_examples=50)
@given(
    st.lists(PARTS, max_size=4),
    st.none() | st.integers(0, 2**60),
    st.sampled_from(["stop", "tool_call", None]),
    st.none() | TEXTS,
)
def test_an_answer_is_read_as_it_was_kept(parts, tokens, reason, name):
    response = ModelResponse(
        parts=tuple(parts),
        usage=Usage(input_tokens=tokens, output_tokens=3),
        finish_reason=reason,
        model=name,
        id=name,
        provider=name,
    )
    age, again = decoded(encoded(response, 100.0), 130.0)
    assert (age, again.cached, again.cost.total) == (30.0, True, Decimal(0))
    again.cached, again.cost = False, None
    assert again == response


def kept(**changes):
    said = json.loads(encoded(ModelResponse(parts=(Text("hi"),)), 1.0))
    return json.dumps(said | changes).encode()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"nonsense",
        b"{}",
        b"[]",
        b'{"schema": 1}',
        b"[" * 100_000,
        zlib.compress(b"nonsense"),
        zlib.compress(b"[1]"),
        pickle.dumps({"schema": 1}),
        kept(schema=2),
        kept(time=None),
        kept(time=float("nan")),
        kept(parts=[{"type": "text"}]),
        kept(parts=[{"type": "text", "text": 5}]),
        kept(usage={"nonsense": 1}),
        kept(usage=5),
        kept(model=5),
        kept(finish_reason="nonsense"),
    ],
)
def test_what_cannot_be_read_is_a_miss(value):
    assert decoded(kept(), 1.0) is not None
    assert decoded(value, 1.0) is None


def test_a_long_answer_is_compressed():
    response = ModelResponse(parts=(Text("word " * 1000),))
    value = encoded(response, 1.0)
    assert len(value) < 500
    assert decoded(value, 1.0)[1].text == response.text
