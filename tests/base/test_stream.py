"""The handle of a stream, on OpenAI's provider and its fake."""

import asyncio
import contextlib
import gc
import inspect
import warnings

import pytest
from bruno_llm_base import (
    InvalidResponseError,
    ModelResponse,
    Retry,
    StreamError,
    TextStream,
    ToolCall,
)
from bruno_llm_base.stream import answer_text
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeError, FakeOpenAI, Fault


@pytest.fixture
def server():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
async def llm(server):
    async with OpenAIProvider(**server.connection()) as llm:
        yield llm


TEXT = FakeAnswer().text
LONG = FakeAnswer(text=("long" * 250 + " ") * 5000)


async def test_three_ways_to_read(llm):
    assert "".join([piece async for piece in llm.stream("hi")]) == TEXT
    stream = await llm.stream("hi")
    assert "".join([piece async for piece in stream]) == TEXT
    async with llm.stream("hi") as stream:
        first = await anext(stream)
        assert first + "".join([piece async for piece in stream]) == TEXT
    assert stream.response.text == TEXT


async def test_asyncio_takes_it_for_a_coroutine(llm):
    task = asyncio.create_task(llm.stream("hi"))
    gathered = asyncio.gather(llm.stream("hi"), llm.stream("hi"))
    timed = asyncio.wait_for(llm.stream("hi"), 120)
    for stream in (await task, *(await gathered), await timed):
        assert isinstance(stream, TextStream)
        assert "".join([piece async for piece in stream]) == TEXT
    again = llm.stream("hi")
    assert [await asyncio.wait_for(again, 120) for _ in range(2)] == [again, again]
    assert asyncio.iscoroutine(llm.stream("hi"))
    assert not inspect.iscoroutine(llm.stream("hi"))


async def test_awaiting_sends_and_waits_for_the_status(llm, server):
    stream = llm.stream("hi")
    assert server.received == []
    assert await stream is stream
    assert len(server.bodies) == 1
    assert await stream is stream
    assert len(server.bodies) == 1
    await stream.aclose()


async def test_awaiting_raises_what_the_server_says(server):
    llm = OpenAIProvider(**server.connection() | {"api_key": "wrong"})
    for attempt in (llm.stream("hi"), asyncio.create_task(llm.stream("hi"))):
        with pytest.raises(Exception, match="key was refused"):
            await attempt
    await llm.aclose()


async def test_it_reads_once(llm):
    stream = llm.stream("hi")
    with pytest.raises(StreamError, match="not complete"):
        _ = stream.response
    assert [piece async for piece in stream]
    with pytest.raises(RuntimeError, match="can be read once"):
        [piece async for piece in stream]
    assert await stream is stream


async def test_a_closed_one_cannot_be_read(llm, server):
    for stream in (llm.stream("hi"), await llm.stream("hi")):
        await stream.aclose()
        await stream.aclose()
        for use in (aiter, TextStream.words, TextStream.sentences):
            with pytest.raises(RuntimeError, match="closed"):
                use(stream)
    stream = llm.stream("hi")
    await stream.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await stream
    assert len(server.received) == 1


async def test_one_that_is_never_read_sends_nothing(llm, server):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        llm.stream("hi")
        llm.stream("hi").close()
        await llm.stream("hi").aclose()
        gc.collect()
    assert server.received == []


async def _break(stream):
    async for _ in stream:
        break


async def _raise(stream):
    async for _ in stream:
        raise LookupError


async def _linger(stream):
    async for _ in stream:
        await asyncio.sleep(0.01)


async def _close(stream):
    await anext(stream)
    await stream.aclose()


async def _forget(stream):
    await stream


async def _enter(stream):
    async with stream:
        pass


@pytest.mark.parametrize("leave", [_break, _raise, _close, _forget, _enter])
async def test_however_it_is_left_the_server_sees_it(llm, server, leave, at_once):
    server.say(LONG)
    with contextlib.suppress(LookupError):
        await leave(llm.stream("hi"))
    await at_once(server.received[0].left.is_set)


async def test_leaving_a_second_attempt_closes_it_too(server, at_once):
    server.say(FakeError(kind="overloaded"), LONG)
    async with OpenAIProvider(**server.connection(), retry=Retry(wait_initial=0)) as llm:
        gc.disable()
        try:
            async for _ in llm.stream("hi"):
                break
            await at_once(server.received[1].left.is_set)
        finally:
            gc.enable()


async def test_cancelling_the_reader_closes_the_connection(llm, server, at_once):
    server.say(Fault(after=2, then="stall"))
    stream = await llm.stream("hi")
    task = asyncio.create_task(_linger(stream))
    await asyncio.sleep(
        0.1
    )  # it waits for the next piece; in its own sleep, it would keep the stream
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await at_once(server.received[0].left.is_set)


async def test_throwing_into_a_pending_open_closes_it(llm, server):
    stream = llm.stream("hi")
    stream.send(None)
    with pytest.raises(asyncio.CancelledError):
        stream.throw(asyncio.CancelledError())
    assert [piece async for piece in stream] == []


async def test_a_stream_is_read_by_words_or_sentences(server, llm):
    said = FakeAnswer(text="Dr. Who came at 3.14 p.m. He left! 👩‍👩‍👧 早上好。再见。")
    server.say(said, times=3)
    words = [word async for word in llm.stream("hi").words()]
    assert "".join(words) == said.text
    assert words[:2] == ["Dr. ", "Who "]
    stream = await llm.stream("hi")
    sentences = [sentence async for sentence in stream.sentences()]
    assert "".join(sentences) == said.text == stream.response.text
    assert sentences[-3:] == ["He left! ", "👩‍👩‍👧 早上好。", "再见。"]
    with pytest.raises(RuntimeError, match="read once"):
        stream.words()


async def test_leaving_the_sentences_closes_the_connection(server, llm):
    server.say(LONG)
    async for _ in llm.stream("hi").words():
        break
    assert await asyncio.to_thread(server.received[-1].left.wait, 2.0)


@pytest.mark.parametrize(
    ("calls", "reason", "words"),
    [
        ((), "tool_call", "holds no text"),
        ((ToolCall(id="c1", name="f", arguments="{}"),), "stop", "only calls tools"),
    ],
)
def test_tools_are_called_where_there_are_calls(calls, reason, words):
    with pytest.raises(InvalidResponseError, match=words):
        answer_text(ModelResponse(parts=calls, finish_reason=reason), "acme")
