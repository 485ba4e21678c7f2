"""A summary in place of what does not fit."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial

import pytest
from bruno_core.models import Message
from bruno_llm_base import Conversation, InvalidRequestError, RateLimitError
from bruno_llm_base.context.trim import summarize as summarized
from bruno_llm_base.context.trim import trim
from hypothesis import given
from hypothesis import strategies as st

TITLE = "Summary of the conversation so far: "


def conversation(exchanges=3, system="s"):
    messages = [Message(role="system", content=system)] if system else []
    for number in range(exchanges):
        messages.append(Message(role="user", content=f"u{number}"))
        messages.append(Message(role="assistant", content=f"a{number}"))
    return Conversation.of([*messages, Message(role="user", content="last")])


async def shortened(summarize, *, said=None, cost=100, room=600, count=len):
    said = said or conversation()
    costs = [cost] * len(said.turns)
    return await summarized(said, summarize, costs=costs, room=room, count=count)


async def brief(text):
    return "b"


async def test_what_fits_needs_no_summary():
    said = conversation()
    cut = await shortened(None, said=said, room=700)
    assert cut.conversation is said


async def test_where_the_last_question_alone_is_too_long_nobody_is_asked():
    cut = await shortened(None, room=99)
    assert [turn.text for turn in cut.conversation.turns] == ["last"]
    assert cut.tokens == 100


async def test_the_summary_stands_at_the_end_of_the_system_text():
    cut = await shortened(brief)
    assert cut.conversation.system == f"s\n\n{TITLE}b"
    cut = await shortened(brief, said=conversation(system=""))
    assert cut.conversation.system == f"{TITLE}b"


async def test_a_quarter_of_the_room_is_kept_free_for_it():
    cut = await shortened(brief)
    assert [turn.text for turn in cut.conversation.turns] == ["a1", "u2", "a2", "last"]
    assert [turn.text for turn in cut.left_out] == ["u0", "a0", "u1"]
    assert cut.tokens == 400 + len(f"{TITLE}b")


async def test_what_is_left_out_is_told_in_words():
    call = {"id": "1", "name": "weather", "arguments": {"city": "Oslo"}}
    stray = {"id": "2", "name": "time"}
    said = Conversation.of(
        [
            Message(role="user", content="Is it cold?"),
            Message(role="assistant", content="I look.", metadata={"tool_calls": [call, stray]}),
            Message(role="tool", content="2 C", metadata={"tool_call_id": "1"}),
            Message(role="assistant", content="Yes."),
            Message(role="user", content="last"),
        ]
    )
    told = []

    async def summarize(text):
        told.append(text)
        return "It is cold."

    await shortened(summarize, said=said, room=400)
    assert told[0].splitlines() == [
        "user: Is it cold?",
        "assistant: I look.",
        'assistant: calls weather({"city": "Oslo"})',
        "assistant: calls time({})",
        "tool: weather: 2 C",
        "tool: time: (no result)",
    ]


class Summarizer:
    async def __call__(self, text):
        return "b"


async def test_it_may_be_any_function():
    async def with_size(size, text):
        return "b" * size

    for summarize in (
        brief,
        lambda _: "b",
        lambda text: brief(text),  # noqa: PLW0108 - it returns an awaitable
        partial(with_size, 1),
        Summarizer(),
    ):
        cut = await shortened(summarize)
        assert cut.conversation.system == f"s\n\n{TITLE}b"


class NoThreads(ThreadPoolExecutor):
    def submit(self, *args, **kwargs):
        raise AssertionError("a thread is asked for")


async def test_an_async_function_needs_no_thread():
    """One that is given up while a thread calls it would leave a coroutine that nobody awaits."""
    asyncio.get_running_loop().set_default_executor(NoThreads())
    for summarize in (brief, partial(brief)):
        assert (await shortened(summarize)).left_out


async def test_a_plain_function_may_block():
    label = ContextVar("label")
    label.set("mine")
    loop, waiting, went_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def summarize(text):
        loop.call_soon_threadsafe(waiting.set)
        assert went_on.wait(120)
        return label.get()

    task = asyncio.create_task(shortened(summarize))
    await waiting.wait()  # the loop runs while the function blocks
    went_on.set()
    assert (await task).conversation.system.endswith("mine")


async def test_a_request_that_is_given_up_waits_for_no_summary():
    begun = asyncio.Event()

    async def summarize(text):
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(shortened(summarize))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("kind", [ValueError, StopIteration, RateLimitError, StopAsyncIteration])
async def test_what_the_function_raises_is_a_clear_error(kind):
    def plain(text):
        raise kind("secret")

    async def later(text):
        raise kind("secret")

    for summarize in (plain, later, partial(plain), lambda text: later(text)):  # noqa: PLW0108
        with pytest.raises(InvalidRequestError, match=r"summarize failed \(\w+\)") as caught:
            await asyncio.wait_for(shortened(summarize), 120)
        assert caught.value.__cause__ is caught.value.cause
        assert "secret" not in str(caught.value)
        assert not caught.value.retryable


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (None, "returned a NoneType: have it return a text"),
        (5, "returned a int"),
        (b"text", "returned a bytes"),
        (" \n", "returned an empty text"),
        ("secret \ud800", "returned a text with half of a surrogate pair"),
    ],
)
async def test_what_is_no_summary_is_named(answer, complaint):
    with pytest.raises(InvalidRequestError, match=complaint) as caught:
        await shortened(lambda _: answer)
    assert "secret" not in str(caught.value)


async def test_a_summary_may_take_all_that_is_left():
    cut = await shortened(lambda _: "x" * (200 - len(TITLE)))
    assert cut.tokens == 600


async def test_a_summary_that_is_too_long_is_refused_with_figures():
    size = len(TITLE) + 200
    with pytest.raises(InvalidRequestError, match=f"takes {size} tokens.* 200 left") as caught:
        await shortened(lambda _: "x" * 200)
    assert (caught.value.limit, caught.value.actual) == (200, size)


@given(st.integers(1, 9), st.integers(1, 300), st.integers(0, 3000), st.integers(1, 400))
def test_with_its_summary_it_fits_or_says_why_not(exchanges, cost, room, length):
    said = conversation(exchanges)
    whole, size = cost * len(said.turns), len(TITLE) + length
    asked = []

    async def summarize(text):
        asked.append(text)
        return "x" * length

    shortening = shortened(summarize, said=said, cost=cost, room=room)
    kept = trim(said, "summarize", costs=[cost] * len(said.turns), room=room - room // 4)
    if cost <= room < whole and kept.tokens + size > room:
        with pytest.raises(InvalidRequestError, match="return a shorter one"):
            asyncio.run(shortening)
        return
    cut = asyncio.run(shortening)
    assert len(asked) == (cost <= room < whole)
    assert cut.tokens <= max(room, cost)
    if asked:
        assert cut.tokens == cost * len(cut.conversation.turns) + size < whole
        costs = [cost] * len(cut.conversation.turns)
        again = trim(cut.conversation, "summarize", costs=costs, room=room)
        assert again.conversation is cut.conversation
