"""Attempts, observers and resends, on OpenAI's provider and its fake."""

import asyncio
import contextlib
import logging
import random

import pytest
from bruno_llm_base import (
    InvalidRequestError,
    LLMTimeoutError,
    ModelNotFoundError,
    RateLimitError,
    Retry,
    ServiceUnavailableError,
    StreamError,
    Timeouts,
)
from bruno_llm_base.call import next_wait
from bruno_llm_base.events import (
    AttemptFailed,
    FirstToken,
    OptionDropped,
    RequestAbandoned,
    RequestFailed,
    RequestFinished,
    RequestStarted,
)
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeError, FakeOpenAI, Fault
from hypothesis import given
from hypothesis import strategies as st

AT_ONCE = Retry(attempts=3, wait_initial=0)


@pytest.fixture
def server():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
async def make(server):
    made = []

    def make(**keywords):
        made.append(OpenAIProvider(**{"retry": AT_ONCE} | server.connection() | keywords))
        return made[-1]

    yield make
    for llm in made:
        await llm.aclose()


async def test_each_failed_attempt_is_on_the_error(server, make):
    headers = {"x-request-id": "req_7", "retry-after": "0"}
    server.say(FakeError(kind="rate_limit", headers=headers), times=3)
    with pytest.raises(RateLimitError) as caught:
        await make().generate("hi")
    error = caught.value
    assert [a.error for a in error.attempts] == ["RateLimitError"] * 3
    assert {a.request_id for a in error.attempts} == {"req_7"}
    assert (error.request_id, error.status_code, error.model) == ("req_7", 429, "gpt-6.1-terra")
    assert "request req_7" in str(error)


async def test_a_wait_beyond_the_deadline_is_told_at_once(server, make):
    server.say(FakeError(kind="rate_limit", headers={"retry-after": "3600"}))
    with pytest.raises(RateLimitError) as caught:
        await make().generate("hi")
    assert caught.value.retry_after == 3600
    assert len(server.bodies) == 1


async def test_a_stream_is_sent_again_only_before_its_first_text(server, make):
    server.say(Fault(after=1, then="close"), FakeAnswer(text="whole again"))
    stream = make().stream("hi")
    assert [piece async for piece in stream] == ["whole", " again"]
    assert [a.error for a in stream.response.attempts] == ["StreamError", None]
    server.say(Fault(after=3, then="close"))
    with pytest.raises(StreamError) as caught:
        [piece async for piece in make().stream("hi")]
    assert len(caught.value.attempts) == 1
    assert caught.value.partial.text == "Hello from"


async def test_reasoning_alone_does_not_forbid_a_second_try(server, make):
    server.say(
        Fault(FakeAnswer(reasoning="hm"), after=2, then="close"),
        FakeAnswer(text="yes", reasoning="aha"),
    )
    stream = make().stream("hi")
    assert [piece async for piece in stream] == ["yes"]
    assert stream.response.reasoning == "aha"


@given(
    failed=st.integers(1, 9),
    asked=st.none() | st.floats(0, 500),
    elapsed=st.floats(0, 500),
    initial=st.floats(0, 10),
)
def test_waits_keep_their_bounds(failed, asked, elapsed, initial):
    retry = Retry(attempts=5, wait_initial=initial, wait_max=20, deadline=100)
    error = RateLimitError("slow down", retry_after=asked)
    wait = next_wait(retry, error, failed=failed, elapsed=elapsed)
    if failed >= 5 or elapsed + (asked or 0) > 100:
        assert wait is None
    elif wait is not None:
        assert (asked or 0) <= wait <= (asked or 0) + min(20, initial * 2 ** (failed - 1))
        assert elapsed + wait <= 100
    assert next_wait(retry, InvalidRequestError("no"), failed=1, elapsed=0) is None


async def test_the_users_random_numbers_are_not_disturbed(server, make):
    server.say(FakeError(kind="overloaded"), times=2)
    before = random.getstate()
    assert await make(retry=Retry(attempts=3, wait_initial=0.001)).generate("hi")
    assert len(server.bodies) == 3
    assert random.getstate() == before


async def test_an_option_that_the_api_refuses_is_left_out_once_and_for_all(server, make):
    server.say(FakeError(kind="invalid_request", param="seed"))
    heard = []
    llm = make(seed=7, observers=[heard.append])
    assert (await llm.request("hi")).text
    assert await llm.generate("hi")
    assert ["seed" in body for body in server.bodies] == [True, False, False]
    assert [event.option for event in heard if isinstance(event, OptionDropped)] == ["seed"]
    server.say(FakeError(kind="invalid_request", param="seed"))
    with pytest.raises(InvalidRequestError, match="code unsupported_parameter"):
        await make(seed=7, strict=True).generate("hi")
    server.say(FakeError(kind="invalid_request", param="stream"))
    with pytest.raises(InvalidRequestError):  # no option, and no request does without it
        await make().stream("hi")
    assert len(server.bodies) == 5


async def test_a_refused_max_tokens_is_spelled_the_newer_way(server, make):
    server.say(FakeError(kind="invalid_request", param="max_tokens"))
    await make(max_tokens=9).generate("hi")
    first, second = server.bodies
    assert (first["max_tokens"], second["max_completion_tokens"]) == (9, 9)
    assert "max_tokens" not in second


async def test_another_refused_request_is_not_resent(server, make):
    server.say(FakeError(kind="invalid_request", param="messages[0]"))
    with pytest.raises(InvalidRequestError) as caught:
        await make().generate("hi")
    assert caught.value.param == "messages[0]"
    assert len(server.bodies) == 1


async def test_observers_hear_the_whole_story(server, make):
    heard = []
    llm = make(observers=[heard.append])
    server.say(FakeError(kind="overloaded"))
    assert [piece async for piece in llm.stream("hi")]
    kinds = [RequestStarted, AttemptFailed, FirstToken, RequestFinished]
    assert [type(event) for event in heard] == kinds
    assert heard[1].attempt.error == "ServiceUnavailableError"
    assert heard[3].response.usage.output_tokens == 7
    assert {event.provider for event in heard} == {"openai"}
    heard.clear()
    server.say(FakeError(kind="overloaded"), times=3)
    with pytest.raises(ServiceUnavailableError):
        await llm.request("hi")
    assert [type(event) for event in heard][-1] is RequestFailed
    heard.clear()
    async with llm.stream("hi") as stream:
        delivered = await anext(stream)
    assert [type(event) for event in heard][-1] is RequestAbandoned
    assert heard[-1].response.text == delivered == "Hello"


async def test_an_observer_that_fails_stops_nobody(make, caplog):
    def fail(event):
        raise ZeroDivisionError

    assert await make(observers=[fail]).generate("hi")
    assert "an observer failed" in caplog.text


async def test_a_request_is_logged_with_figures_and_without_words(make, caplog):
    with caplog.at_level(logging.DEBUG, "bruno_llm"):
        await make().generate("the secret question")
    (record,) = [r for r in caplog.records if r.getMessage().startswith("request finished")]
    for fact in ("provider=openai", "model=gpt-6.1-terra", "input_tokens=11", "duration="):
        assert fact in record.getMessage()
    assert getattr(record, "gen_ai.usage.output_tokens") == 7
    own = [r.getMessage() for r in caplog.records if r.name == "bruno_llm"]
    assert not [text for text in own if "secret" in text or "Hello" in text]


async def test_nothing_is_printed_unasked(make, capfd):
    await make().generate("hi")
    with pytest.raises(ModelNotFoundError):
        await make(model="nope").generate("hi")
    assert capfd.readouterr() == ("", "")


@pytest.fixture
async def silence():
    """An address that takes requests and never answers, and an event for when a client leaves."""
    come, left = asyncio.Event(), asyncio.Event()

    async def listen(reader, writer):
        come.set()
        try:
            await reader.read()
        finally:
            writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield {"base_url": f"http://127.0.0.1:{port}"}, come, left
        await asyncio.wait_for(left.wait(), 120)


async def test_silence_ends_in_a_timeout_that_names_it(silence):
    connection, come, _ = silence
    timeouts = Timeouts(first_token=1)
    async with OpenAIProvider(**connection, retry=Retry(attempts=1), timeouts=timeouts) as llm:
        with pytest.raises(LLMTimeoutError, match=r"no first token within 1 s"):
            await llm.generate("hi")
        assert come.is_set()


async def test_cancelling_a_call_closes_its_connection(silence):
    connection, come, left = silence
    heard = []
    async with OpenAIProvider(**connection, observers=[heard.append]) as llm:
        task = asyncio.create_task(llm.generate("hi"))
        await asyncio.wait_for(come.wait(), 120)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(left.wait(), 120)
    assert isinstance(heard[-1], RequestAbandoned)


class _NoList(FakeOpenAI):
    """A server that does not say which models it has."""

    def operation(self, request):
        found = super().operation(request)
        return "unknown" if found == "models" else found


async def test_an_unknown_model_is_told_even_if_the_others_are_not_known():
    with _NoList() as server:
        async with OpenAIProvider(**server.connection(), model="gpt-x") as llm:
            with pytest.raises(ModelNotFoundError) as caught:
                await llm.generate("hi")
            assert caught.value.message == "fake error: model_not_found"
            assert not await llm.check_connection()


async def test_a_connection_that_the_server_had_closed_is_replaced_at_once():
    lives = 0

    async def answer_once(reader, writer):
        """Promise to keep the connection, and close it after one answer."""
        nonlocal lives
        lives += 1
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r")[0]))
        body = b'{"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
        writer.write(b"connection: keep-alive\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        try:
            await reader.read(1)  # until the next request, which then finds it closed
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        patient = Retry(wait_initial=80_000, wait_max=80_000, deadline=80_000)
        async with OpenAIProvider(base_url=f"http://127.0.0.1:{port}", retry=patient) as llm:
            await llm.generate("hi")
            response = await asyncio.wait_for(llm.request("hi"), 120)
    assert [attempt.error for attempt in response.attempts] == ["ServiceUnavailableError", None]
    assert lives == 2


class Around:
    """An observer that notes what happens inside of `around`."""

    def __init__(self):
        self.active = False
        self.story = []

    def __call__(self, event):
        self.story.append((type(event).__name__, event.id, event.operation, self.active))

    @contextlib.contextmanager
    def around(self, request):
        self.active = True
        self.story.append(("around", request.id, request.operation, True))
        yield
        self.active = False


async def test_each_attempt_is_sent_within_around_and_events_share_an_id(server, make):
    watch = Around()
    llm = make(observers=[watch])
    server.say(FakeError(kind="overloaded"))
    async for _ in llm.stream("hi"):
        assert not watch.active
    names = [name for name, *_ in watch.story]
    assert names == [
        *("RequestStarted", "around", "AttemptFailed", "around", "FirstToken", "RequestFinished")
    ]
    assert {operation for _, _, operation, _ in watch.story} == {"chat"}
    assert len({request_id for _, request_id, _, _ in watch.story}) == 1
    first = watch.story[0][1]
    await llm.request("hi")
    assert watch.story[-1][1] != first


async def test_an_around_that_fails_stops_nothing(server, make, caplog):
    class Broken:
        def __call__(self, event):
            pass

        def around(self, request):
            raise ValueError(request.id)

    assert await make(observers=[Broken()]).generate("hi")
    assert "an observer failed" in caplog.text
