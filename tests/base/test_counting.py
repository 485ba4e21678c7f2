"""What a provider remembers of its models' tokens, and when a guess will do."""

import asyncio
import logging
import threading

import pytest
from bruno_core.interfaces import LLMInterface
from bruno_core.models import Message
from bruno_llm_base import (
    AllProvidersFailedError,
    AuthenticationError,
    Conversation,
    FallbackLLM,
    InvalidRequestError,
    QuotaExceededError,
    RateLimit,
    Retry,
    ServiceUnavailableError,
)
from bruno_llm_base.events import AttemptFailed, CountEstimated, RequestFinished, RequestStarted
from bruno_llm_claude import ClaudeProvider
from bruno_llm_ollama import OllamaProvider
from bruno_llm_testing import FakeAnswer, FakeClaude, FakeError, Fault


@pytest.fixture
def server():
    with FakeClaude() as server:
        yield server


@pytest.fixture
def events():
    return []


@pytest.fixture
async def llm(server, events):
    async with ClaudeProvider(
        **server.connection(), retry=Retry(attempts=2, wait_initial=0), observers=[events.append]
    ) as llm:
        yield llm


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


# -- models ---------------------------------------------------------------------------------------


def test_counting_goes_by_the_model_that_is_named():
    llm = OllamaProvider(model="a")
    asked = Conversation.of("hi")
    llm._calibrations.learn("b", asked, 20)
    assert llm.count_text("hi", "b").source == "estimate, calibrated by 1 answer"
    assert llm.count_conversation(asked, "b").source == "estimate, calibrated by 1 answer"
    assert llm.count_text("hi").source == llm.count_conversation(asked).source == "estimate"


# -- texts ----------------------------------------------------------------------------------------


class Unprintable:
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (None, ""), (12, "12"), (b"a", "b'a'"), (Unprintable(), ""), (10**5000, "")],
    ids=range(6),
)
def test_anything_is_counted_as_it_is_printed(value, text):
    llm = OllamaProvider()
    assert llm.get_token_count(value) == llm.get_token_count(text)


# -- requests -------------------------------------------------------------------------------------


async def test_a_count_is_an_operation_of_its_own(server, llm, events):
    server.say(FakeError(kind="overloaded"), to="count_tokens")
    await llm.count_tokens("hi", model="claude-opus-5-5")
    kinds = [type(event) for event in events]
    assert kinds[:3] == [RequestStarted, AttemptFailed, RequestFinished]
    assert {event.operation for event in events[3:]} == {"models"}  # which tells the window
    del events[3:]
    assert {(event.operation, event.model) for event in events} == {
        ("count_tokens", "claude-opus-5-5")
    }
    assert events[-1].response.usage.input_tokens is None  # nothing was bought


async def test_a_count_takes_no_place_in_a_rate_limit(server):
    limit = RateLimit(requests_per_minute=1, max_wait=0)
    async with ClaudeProvider(**server.connection(), rate_limit=limit) as llm:
        for _ in range(3):
            await llm.count_tokens("hi")
        await llm.generate("hi")


async def test_an_estimate_is_told_with_its_cause(server, llm, events, caplog):
    server.say(FakeError(kind="overloaded"), times=2, to="count_tokens")
    with caplog.at_level(logging.WARNING, "bruno_llm"):
        count = await llm.count_tokens("hi")
    assert not count.exact
    (event,) = of_kind(events, CountEstimated)
    assert isinstance(event.error, ServiceUnavailableError)
    (record,) = [r for r in caplog.records if "tokens estimated" in r.getMessage()]
    assert record.levelname == "WARNING"
    assert "error=ServiceUnavailableError" in record.getMessage()


async def test_a_count_that_takes_too_long_is_estimated(server, events, jump):
    server.say(Fault(then="stall"), to="count_tokens")
    async with (
        ClaudeProvider(
            **server.connection(), timeout=100, max_retries=0, observers=[events.append]
        ) as llm,
        jump(100, lambda: server.received),
    ):
        assert not (await llm.count_tokens("hi")).exact
    assert of_kind(events, CountEstimated)


@pytest.mark.parametrize("answer", [{}, {"input_tokens": -1}, {"input_tokens": "9"}])
async def test_a_count_that_is_none_is_estimated(server, llm, events, answer):
    server.render_count = lambda *_: answer
    assert (await llm.count_tokens("hi")).tokens > 0
    assert of_kind(events, CountEstimated)


async def test_an_empty_budget_does_not_keep_from_counting(server, llm, events):
    server.say(FakeError(kind="quota"), to="count_tokens")
    assert (await llm.count_tokens("hi")).tokens > 0
    (event,) = of_kind(events, CountEstimated)
    assert isinstance(event.error, QuotaExceededError)


async def test_an_unknown_model_names_the_closest(server, llm):
    with pytest.raises(InvalidRequestError, match="closest on offer: claude-opus-5-5"):
        await llm.count_tokens("hi", model="claude-opus-5-6")


async def test_a_wrong_argument_is_told_first(server, llm):
    for wrong in ({}, {"messages": []}, {"prompt": ""}, {"prompt": "hi", "max_tokens": 0}):
        with pytest.raises(InvalidRequestError):
            await llm.count_tokens(**wrong)
    assert server.received == []


async def test_tools_make_a_guess_rougher_and_larger():
    llm = OllamaProvider()
    plain = await llm.count_tokens("hi")
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    more = await llm.count_tokens("hi", tools=tools)
    assert more.tokens > plain.tokens
    assert more.error >= plain.error
    assert more.error >= 0.5


@pytest.mark.parametrize(("size", "beside"), [(10, False), (60_000, True)])
async def test_what_is_large_is_counted_beside_the_event_loop(monkeypatch, size, beside):
    llm, threads = OllamaProvider(), []
    count = llm.count_conversation
    monkeypatch.setattr(
        llm,
        "count_conversation",
        lambda *args: threads.append(threading.current_thread()) or count(*args),
    )
    text = "x" * size
    calls = [{"id": "c1", "name": "f", "arguments": {"a": text}}]
    asked = [
        Message(role="assistant", content="(tool call)", metadata={"tool_calls": calls}),
        Message(role="tool", content=text, metadata={"tool_call_id": "c1"}),
        Message(role="user", content=text),
    ]
    for messages in (asked[:1], asked[:2], asked[2:]):
        await llm.count_tokens(messages)
    assert [thread is not threading.main_thread() for thread in threads] == [beside] * 3


# -- several providers ----------------------------------------------------------------------------


class Bare(LLMInterface):
    """No more than bruno-core's interface."""

    prompt = None

    async def generate(self, messages, **kwargs):
        return "hi"

    async def stream(self, messages, **kwargs):
        yield "hi"

    def get_token_count(self, text):
        return len(text)

    async def check_connection(self):
        return True

    async def list_models(self):
        return []

    def get_model_info(self):
        return {"provider": "bare"}

    def set_system_prompt(self, prompt):
        self.prompt = prompt

    def get_system_prompt(self):
        return self.prompt


async def test_of_several_the_first_that_can_counts(server):
    server.say(FakeAnswer(usage=FakeAnswer().usage), to="count_tokens")
    wrong = ClaudeProvider(**server.connection() | {"api_key": "wrong"})
    right = ClaudeProvider(**server.connection())
    async with FallbackLLM([wrong, right]) as both:
        assert (await both.count_tokens("hi")).tokens == 11
    async with FallbackLLM([wrong, wrong]) as both:
        with pytest.raises(AllProvidersFailedError) as caught:
            await both.count_tokens("hi")
    assert [type(error) for error in caught.value.errors] == [AuthenticationError] * 2


async def test_what_is_wrong_for_all_is_not_passed_on(server):
    llm = ClaudeProvider(**server.connection())
    async with FallbackLLM([llm, llm]) as both:
        with pytest.raises(InvalidRequestError, match="messages is empty"):
            await both.count_tokens([])
        with pytest.raises(InvalidRequestError, match="model is"):
            await both.count_tokens("hi", model="x")
    assert server.received == []


def test_a_bare_interface_counts_what_it_can():
    bare = Bare()
    bare.set_system_prompt("12345")
    count = asyncio.run(FallbackLLM([bare]).count_tokens(prompt="123"))
    assert (count.tokens, count.exact, count.error) == (8, False, 0.5)
    assert count.source == "bare, get_token_count"
