"""Several models behind one, on OpenAI's provider and its fakes."""

import asyncio
import gc
import json
import pickle
import warnings
from contextlib import suppress

import pytest
from bruno_core.interfaces import LLMInterface
from bruno_core.models import Message
from bruno_core.utils import exceptions as core
from bruno_llm_base import (
    AllProvidersFailedError,
    AuthenticationError,
    Breaker,
    CircuitOpenError,
    ConfigurationError,
    ContentBlockedError,
    FallbackLLM,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    Media,
    MediaUnavailableError,
    RateLimitError,
    Retry,
    ServiceUnavailableError,
    StreamError,
    TextStream,
    ToolCall,
    exceptions,
)
from bruno_llm_base.events import (
    FallbackFinished,
    FallbackStarted,
    ProviderAnswered,
    ProviderPassedOver,
)
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeError, FakeOpenAI, Fault, ModelContract, RawReply

ONCE = Retry(attempts=1)
TEXT = FakeAnswer().text
LONG = FakeAnswer(text=("long" * 250 + " ") * 5000)
DOWN = FakeError(kind="server_error")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Bare(LLMInterface):
    """No more than bruno-core asks for, and as a stranger may write it."""

    def __init__(self, pieces=("bare", " text"), error=None, *, coroutine=False, alive=True):
        self.pieces, self.error, self.coroutine, self.alive = pieces, error, coroutine, alive
        self.calls = []
        self.left = False
        self.prompt = None
        self.secret = "sk-canary"

    async def generate(self, messages, temperature=None, max_tokens=None, **kwargs):
        self.calls.append((messages, temperature, max_tokens, kwargs))
        if self.error:
            raise self.error
        return "".join(self.pieces)

    def stream(self, messages, temperature=None, max_tokens=None, **kwargs):
        self.calls.append((messages, temperature, max_tokens, kwargs))
        return self._opened() if self.coroutine else self._texts()

    async def _opened(self):
        return self._texts()

    async def _texts(self):
        try:
            for piece in self.pieces:
                yield piece
            if self.error:
                raise self.error
        except GeneratorExit:
            self.left = True
            raise

    def get_token_count(self, text):
        return 99

    async def check_connection(self):
        if self.error:
            raise self.error
        return self.alive

    async def list_models(self):
        if self.error:
            raise self.error
        return ["bare-1"]

    def get_model_info(self):
        return {"provider": "bare", "model": "bare-1", "client": self, "api_key": self.secret}

    def set_system_prompt(self, prompt):
        self.prompt = prompt

    def get_system_prompt(self):
        return self.prompt


@pytest.fixture
def first():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def second():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def events():
    return []


@pytest.fixture
async def llm(first, second, clock, events):
    members = [
        OpenAIProvider("gpt-5.4", **first.connection(), retry=ONCE),
        OpenAIProvider("gpt-6-luna", **second.connection(), retry=ONCE),
    ]
    breaker = Breaker(failures=2, cooldown=30)
    async with FallbackLLM(members, breaker=breaker, observers=[events.append], clock=clock) as llm:
        yield llm


async def read(stream):
    return "".join([piece async for piece in stream])


async def collect(stream, pieces):
    async for piece in stream:
        pieces += [piece]


# -- who is asked ---------------------------------------------------------------------------------


async def test_a_batch_is_one_vendors(llm):
    with pytest.raises(InvalidRequestError, match="of one of the providers"):
        await llm.batch({"a": "Hi"})
    assert "batch" not in llm.capabilities


async def test_the_first_answers_while_it_can(llm, first, second, events):
    assert await llm.generate("hi") == TEXT
    assert (await llm.request("hi")).model == "gpt-5.4"
    assert await read(llm.stream(prompt="hi")) == TEXT
    assert (len(first.bodies), len(second.bodies)) == (3, 0)
    story = [(FallbackStarted, None), (ProviderAnswered, "gpt-5.4"), (FallbackFinished, None)]
    assert [(type(event), event.model) for event in events] == story * 3
    assert len({event.id for event in events}) == 3


@pytest.mark.parametrize(
    "kind",
    [
        "authentication",
        "permission",
        "quota",
        "rate_limit",
        "overloaded",
        "server_error",
        "model_not_found",
        "context_length",
    ],
)
async def test_another_is_asked_where_it_can_help(llm, first, kind):
    first.say(*[FakeError(kind=kind)] * 3)
    assert await llm.generate("hi") == TEXT
    assert await read(llm.stream("hi")) == TEXT
    assert (await llm.request("hi")).model == "gpt-6-luna"


async def test_who_was_passed_over_and_who_answered_is_told(llm, first, events, caplog):
    first.say(DOWN)
    await llm.generate("hi")
    _, passed, answered, finished = events
    assert (finished.error, len({event.id for event in events})) == (None, 1)
    assert isinstance(passed, ProviderPassedOver)
    assert (passed.provider, passed.model, passed.operation) == ("openai", "gpt-5.4", "chat")
    assert isinstance(passed.error, ServiceUnavailableError)
    assert (answered.model, answered.passed_over) == ("gpt-6-luna", 1)
    assert "provider passed over provider=openai model=gpt-5.4" in caplog.text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_bad_request_is_the_callers_to_mend(llm, first, second, stream):
    first.say(FakeError(kind="invalid_request"))
    with pytest.raises(InvalidRequestError) as caught:
        await (read(llm.stream("hi")) if stream else llm.generate("hi"))
    assert type(caught.value) is InvalidRequestError
    for wrong in ({"temperature": 9}, {"messages": None}, {"prompt": "and"}):
        with pytest.raises(InvalidRequestError):
            await llm.generate(**{"messages": "hi"} | wrong)
    assert second.bodies == []


async def test_a_refusal_is_not_shopped_around(llm, first, second):
    first.say(*[FakeAnswer(finish_reason="content_filter", text="No.")] * 2)
    with pytest.raises(ContentBlockedError):
        await llm.generate("hi")
    stream = llm.stream("hi")
    with pytest.raises(ContentBlockedError):
        await read(stream)
    assert stream.response.finish_reason == "content_filter"
    assert second.bodies == []


async def test_a_spent_output_budget_is_another_models_chance(llm, first):
    spent = FakeAnswer(text="", reasoning="hm", finish_reason="length")
    first.say(spent, spent)
    assert await llm.generate("hi", max_tokens=5) == TEXT
    stream = llm.stream("hi", max_tokens=5)
    assert await read(stream) == TEXT
    assert stream.response.text == TEXT


async def test_an_answer_that_calls_tools_is_an_answer(llm, first, second):
    calls = FakeAnswer(
        text="", tool_calls=(ToolCall(id="1", name="f", arguments="{}"),), finish_reason="tool_call"
    )
    first.say(calls, calls)
    with pytest.raises(InvalidResponseError, match="use request"):
        await llm.generate("hi")
    assert (await llm.request("hi")).tool_calls[0].name == "f"
    assert second.bodies == []


async def test_a_bare_member_without_functions_passes_them_on():
    def weather(city: str) -> str:
        """Tell the weather."""
        return city

    with FakeOpenAI() as server:
        llm = FallbackLLM([Bare(), OpenAIProvider(retry=ONCE, **server.connection())])
        assert (await llm.request("hi", tools=[weather])).text == TEXT
        assert server.bodies[0]["tools"]
        await llm.aclose()


async def test_another_vendor_may_fetch_what_one_could_not(first, second, tmp_path):
    code = "failed_to_download_image"
    error = {"message": "no", "type": "invalid_request_error", "code": code, "param": None}
    first.say(RawReply(status=400, body=json.dumps({"error": error}).encode()))
    llm = FallbackLLM([OpenAIProvider(retry=ONCE, **each.connection()) for each in (first, second)])
    address = Media(url="https://host/a.png")
    assert (await llm.request("What is this?", attachments=[address])).text == TEXT
    with pytest.raises(MediaUnavailableError):
        await llm.request("What is this?", attachments=[tmp_path / "none.png"])
    assert (len(first.bodies), len(second.bodies)) == (1, 1)
    await llm.aclose()


DECIDED = {  # whether another is asked, and whether it counts as a failure of the provider
    "AllProvidersFailedError": (True, False),
    "AuthenticationError": (True, True),
    "BudgetExceededError": (True, False),
    "CircuitOpenError": (True, False),
    "ConfigurationError": (False, False),
    "ContentBlockedError": (False, False),
    "ContextLengthExceededError": (True, False),
    "InvalidRequestError": (False, False),
    "InvalidResponseError": (True, True),
    "LLMError": (True, True),
    "LLMTimeoutError": (True, True),
    "MediaError": (False, False),
    "MediaTooLargeError": (True, False),
    "MediaTypeError": (True, False),
    "MediaUnavailableError": (True, False),  # but for a file that is missing here
    "ModelNotFoundError": (True, True),
    "OutputInvalidError": (True, False),
    "OutputLimitError": (True, False),
    "PermissionDeniedError": (True, True),
    "ProviderNotFoundError": (False, False),
    "QuotaExceededError": (True, True),
    "RateLimitError": (True, True),
    "ServiceUnavailableError": (True, True),
    "StreamError": (True, True),
}


def test_every_kind_of_error_is_decided_on_purpose():
    named = [getattr(exceptions, name) for name in exceptions.__all__]
    kinds = [kind for kind in named if issubclass(kind, LLMError)]
    assert {kind.__name__: (kind.another_may_answer, kind.is_failure) for kind in kinds} == DECIDED


@pytest.mark.parametrize(("retryable", "asked"), [(True, 2), (False, 3)])
async def test_our_own_rate_limit_is_no_failure_of_the_provider(second, retryable, asked):
    limited = Bare(error=RateLimitError("slow down", retryable=retryable))
    breaker = Breaker(failures=2)
    async with FallbackLLM(
        [limited, OpenAIProvider(**second.connection())], breaker=breaker
    ) as llm:
        for _ in range(3):
            assert await llm.generate("hi") == TEXT
    assert len(limited.calls) == asked


async def test_a_bug_is_no_failure_of_the_provider(second):
    broken = Bare(error=ZeroDivisionError())
    llm = FallbackLLM([broken, OpenAIProvider(**second.connection())], breaker=Breaker(failures=1))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await llm.generate("hi")
    assert second.bodies == []


# -- when nobody can ------------------------------------------------------------------------------


async def test_the_causes_are_all_there_in_order(llm, first, second):
    first.say(FakeError(kind="rate_limit", retry_after=7))
    second.say(DOWN)
    with pytest.raises(AllProvidersFailedError) as caught:
        await llm.generate("hi")
    error = caught.value
    assert [type(cause) for cause in error.errors] == [RateLimitError, ServiceUnavailableError]
    assert "openai gpt-5.4 (RateLimitError), openai gpt-6-luna (ServiceUnavail" in str(error)
    assert (error.retryable, error.retry_after, len(error.attempts)) == (True, 7, 2)
    assert "try again in 7 s" in str(error)
    assert error.__cause__ is error.errors[-1]
    copy = pickle.loads(pickle.dumps(error))
    assert [str(cause) for cause in copy.errors] == [str(cause) for cause in error.errors]
    assert (str(copy), copy.retry_after) == (str(error), 7)


async def test_what_no_wait_mends_is_not_retryable(first):
    wrong = first.connection() | {"api_key": "sk-canary"}
    async with FallbackLLM([OpenAIProvider(**wrong), OpenAIProvider(**wrong)]) as llm:
        with pytest.raises(AllProvidersFailedError) as caught:
            await llm.generate("hi")
    assert not caught.value.retryable
    assert caught.value.retry_after is None
    assert "sk-canary" not in f"{caught.value!r} {caught.value.errors} {vars(caught.value)}"


async def test_a_fallback_may_be_a_member(llm, first, second, clock):
    async with FallbackLLM([llm, Bare()], clock=clock) as outer:
        assert outer.get_model_info()["members"][0]["provider"] == "fallback"
        first.say(*[DOWN] * 2)
        second.say(*[DOWN] * 2)
        assert await outer.generate("hi") == "bare text"
        assert await read(outer.stream("hi")) == "bare text"


# -- the circuit breaker --------------------------------------------------------------------------


async def test_a_model_that_fails_again_and_again_is_left_alone(llm, first, second, clock, events):
    first.say(*[DOWN] * 3)
    for _ in range(3):
        assert await llm.generate("hi") == TEXT
    assert (len(first.bodies), len(second.bodies)) == (2, 3)
    skipped = events[-3]
    assert isinstance(skipped.error, CircuitOpenError)
    assert "it is tried again in 30 s" in str(skipped.error)
    clock.now += 30
    await llm.generate("hi")
    assert len(first.bodies) == 3
    clock.now += 30
    assert (await llm.request("hi")).model == "gpt-5.4"
    assert (await llm.request("hi")).model == "gpt-5.4"


async def test_when_all_are_left_alone_the_call_fails_at_once(llm, first, second, clock):
    first.say(*[DOWN] * 2)
    second.say(*[DOWN] * 2)
    for wait in (0, 5):
        clock.now += wait
        with pytest.raises(AllProvidersFailedError):
            await llm.generate("hi")
    clock.now += 10
    for call in (llm.generate("hi"), llm.stream("hi")):
        with pytest.raises(AllProvidersFailedError, match="try again in 20 s") as caught:
            await call
        assert [type(cause) for cause in caught.value.errors] == [CircuitOpenError] * 2
        assert (caught.value.retry_after, caught.value.retryable) == (20, True)
    assert (len(first.bodies), len(second.bodies)) == (2, 2)


async def test_one_probe_at_a_time_while_others_go_on(llm, first, second, clock):
    first.say(*[DOWN] * 2)
    for _ in range(2):
        await llm.generate("hi")
    clock.now += 30
    answers = await asyncio.gather(*(llm.request("hi") for _ in range(5)))
    assert sorted(answer.model for answer in answers) == ["gpt-5.4"] + ["gpt-6-luna"] * 4
    assert len(first.bodies) == 3


async def test_what_says_nothing_about_health_opens_no_circuit(llm, first):
    first.say(*[FakeError(kind="context_length")] * 3)
    for _ in range(3):
        assert (await llm.request("hi")).model == "gpt-6-luna"
    first.say(*[FakeError(kind="invalid_request")] * 3)
    for _ in range(3):
        with pytest.raises(InvalidRequestError):
            await llm.generate("hi")
    assert (await llm.request("hi")).model == "gpt-5.4"


async def test_a_cancelled_probe_leaves_its_place(llm, first, clock):
    first.say(*[DOWN] * 2)
    for _ in range(2):
        await llm.generate("hi")
    clock.now += 30
    task = asyncio.create_task(llm.generate("hi"))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert (await llm.request("hi")).model == "gpt-5.4"


async def test_streams_that_break_off_again_and_again_open_it(llm, first):
    first.say(*[Fault(after=3, then="close")] * 2)
    for _ in range(2):
        with pytest.raises(StreamError):
            await read(llm.stream("hi"))
    assert (await llm.request("hi")).model == "gpt-6-luna"


async def test_a_stream_that_is_left_has_shown_that_the_model_is_well(llm, first, clock):
    first.say(DOWN, LONG, DOWN)
    await llm.generate("hi")
    async for _ in llm.stream("hi"):
        break
    await asyncio.to_thread(first.received[-1].left.wait, 120)
    await llm.generate("hi")
    assert (await llm.request("hi")).model == "gpt-5.4"


# -- streams --------------------------------------------------------------------------------------


async def test_a_stream_moves_on_only_before_its_first_character(llm, first, second):
    first.say(Fault(after=1, then="close"))
    stream = llm.stream("hi")
    assert await read(stream) == TEXT
    assert stream.response.model == "gpt-6-luna"
    first.say(Fault(FakeAnswer(text="one two three four"), after=3, then="close"))
    pieces = []
    stream = llm.stream("hi")
    with pytest.raises(StreamError) as caught:
        await collect(stream, pieces)
    assert pieces
    assert caught.value.partial.text == "".join(pieces)
    assert len(second.bodies) == 1
    with pytest.raises(StreamError, match="not complete"):
        _ = stream.response


@pytest.mark.parametrize("error", [DOWN, FakeError(kind="rate_limit", retry_after=9)])
async def test_awaiting_a_stream_has_moved_on_already(llm, first, second, error):
    first.say(error)
    stream = await llm.stream("hi")
    assert isinstance(stream, TextStream)
    assert (len(first.bodies), len(second.bodies)) == (1, 1)
    assert await read(stream) == TEXT
    async with llm.stream("hi") as stream:
        assert await anext(stream)
    assert await read(await asyncio.create_task(llm.stream("hi"))) == TEXT


async def test_an_awaited_stream_may_still_move_on_before_its_first_character(llm, first):
    first.say(Fault(after=1, then="close"))
    stream = await llm.stream("hi")
    assert [piece async for piece in stream] == FakeAnswer().pieces


async def _break(stream):
    async for _ in stream:
        break


async def _forget(stream):
    await stream


async def _close(stream):
    await anext(stream)
    await stream.aclose()


async def _enter(stream):
    async with stream:
        pass


@pytest.mark.parametrize("leave", [_break, _forget, _close, _enter])
@pytest.mark.parametrize("after", [(), (DOWN,)])
async def test_however_it_is_left_the_server_sees_it(llm, first, second, leave, after, at_once):
    first.say(*after, LONG)
    second.say(LONG)
    asked = second if after else first
    gc.disable()
    try:
        await leave(llm.stream("hi"))
        await at_once(asked.received[0].left.is_set)
    finally:
        gc.enable()


async def test_failures_leave_no_garbage(first):
    first.say(*[DOWN] * 8)
    member = OpenAIProvider(**first.connection(), retry=ONCE)
    llm = FallbackLLM([member, member])
    with suppress(AllProvidersFailedError):
        await llm.generate("hi")
    gc.collect()
    gc.disable()
    try:
        for call in (llm.generate, llm.stream):
            with suppress(AllProvidersFailedError):
                await call("hi")
        await asyncio.sleep(0)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        mine = [thing for thing in gc.garbage if isinstance(thing, LLMError | TextStream)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert mine == []
    await llm.aclose()


async def test_what_the_caller_was_handling_is_left_alone(llm, first):
    async def while_handling(problem):
        try:
            raise problem
        except LookupError:
            return await llm.generate("hi")

    first.say(DOWN)
    problem = LookupError()
    assert await while_handling(problem) == TEXT
    assert problem.__traceback__ is not None


@pytest.mark.parametrize("coroutine", [False, True])
async def test_closing_a_stream_waits_until_the_members_is_closed(coroutine):
    bare = Bare(coroutine=coroutine)
    async with FallbackLLM([FallbackLLM([bare])]).stream("hi") as stream:
        assert await anext(stream) == "bare"
    assert bare.left


async def test_one_that_is_never_read_sends_nothing(llm, first):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        llm.stream("hi")
        await llm.stream("hi").aclose()
        gc.collect()
    assert first.received == []


# -- somebody else's models -----------------------------------------------------------------------


@pytest.mark.parametrize("coroutine", [False, True])
async def test_a_bare_interface_will_do(coroutine):
    bare = Bare(["", "bare", "", " text"], coroutine=coroutine)
    llm = FallbackLLM([bare])
    assert await llm.generate("hi", temperature=0.5) == "bare text"
    assert (await llm.request([Message(role="user", content="hi")], top_p=0.5)).text == "bare text"
    stream = await llm.stream(prompt="hi", max_tokens=3)
    assert [piece async for piece in stream] == ["bare", " text"]
    assert (stream.response.text, stream.response.model) == ("bare text", "bare-1")
    for messages, *_ in bare.calls:
        assert [message.content for message in messages] == ["hi"]
    assert [call[1:] for call in bare.calls] == [
        (0.5, None, {}),
        (None, None, {"top_p": 0.5}),
        (None, 3, {}),
    ]
    assert (await llm.diagnose()).ok
    assert await llm.list_models() == ["bare-1"]
    llm.set_system_prompt("Be brief.")
    assert llm.get_system_prompt() == bare.prompt == "Be brief."
    await llm.aclose()


@pytest.mark.parametrize("coroutine", [False, True])
async def test_leaving_a_bare_stream_closes_it_at_once(coroutine):
    bare = Bare(coroutine=coroutine)
    async for _ in FallbackLLM([bare]).stream("hi"):
        break
    await asyncio.sleep(0.01)
    assert bare.left


async def test_awaiting_a_bare_stream_waits_for_its_first_piece():
    down = ServiceUnavailableError("down")
    with pytest.raises(AllProvidersFailedError):
        await FallbackLLM([Bare((), down), Bare((), down)]).stream("hi")
    answers = await FallbackLLM([Bare((), down), Bare()]).stream("hi")
    assert [piece async for piece in answers] == ["bare", " text"]


@pytest.mark.parametrize("leaves", [False, True])
async def test_what_a_bare_interface_streams_from_is_closed(leaves):
    class Connection:
        is_closed = False

        async def __aiter__(self):
            yield "a"
            yield "b"

        async def aclose(self):
            self.is_closed = True

    connection = Connection()
    bare = Bare()
    bare.stream = lambda *_, **__: connection
    async with FallbackLLM([bare]).stream("hi") as stream:
        async for _ in stream:
            if leaves:
                break
    assert connection.is_closed


@pytest.mark.parametrize(
    "error", [core.LLMError("key sk-canary"), core.StreamError("cut"), RateLimitError("slow")]
)
@pytest.mark.parametrize("coroutine", [False, True])
async def test_the_errors_of_a_bare_interface_move_on_too(second, error, coroutine):
    failing = Bare((), error, coroutine=coroutine)
    async with FallbackLLM([failing, OpenAIProvider(**second.connection())]) as llm:
        assert await llm.generate("hi") == TEXT
        assert await read(await llm.stream("hi")) == TEXT
        assert await llm.list_models() == list(second.models)
        assert (await llm.diagnose()).ok


@pytest.mark.parametrize("error", [core.LLMError("x"), core.StreamError("x"), RateLimitError("x")])
async def test_a_bare_stream_that_breaks_off_holds_what_had_arrived(error):
    llm = FallbackLLM([Bare(error=error), Bare()])
    with pytest.raises(LLMError) as caught:
        await read(llm.stream("hi"))
    assert caught.value.partial.text == "bare text"


async def test_what_a_bare_error_says_is_not_repeated():
    llm = FallbackLLM([Bare(error=core.LLMError("key sk-canary"))])
    with pytest.raises(AllProvidersFailedError, match=r"bare bare-1 \(LLMError\)") as caught:
        await llm.generate("hi")
    assert "sk-canary" not in f"{caught.value!r} {caught.value.errors}"
    assert "sk-canary" in str(caught.value.errors[0].__cause__)
    assert b"sk-canary" not in pickle.dumps(caught.value)


async def test_a_bare_interface_that_says_nothing_has_not_answered(second):
    async with FallbackLLM([Bare([]), OpenAIProvider(**second.connection())]) as llm:
        assert await llm.generate("hi") == TEXT
        assert await read(await llm.stream("hi")) == TEXT
    wrong = Bare()
    wrong.generate = lambda **_: asyncio.sleep(0, None)
    with pytest.raises(AllProvidersFailedError, match="InvalidResponseError"):
        await FallbackLLM([wrong]).generate("hi")


@pytest.mark.parametrize(
    "wrong", [{}, {"messages": "a", "prompt": "b"}, {"prompt": "", "seed": "x"}]
)
async def test_a_bare_interface_is_called_as_documented(wrong):
    bare = Bare()
    with pytest.raises(InvalidRequestError):
        await FallbackLLM([bare]).generate(**wrong)
    assert bare.calls == []


# -- all the rest of an LLM -----------------------------------------------------------------------


class TestItIsAnLLM(ModelContract):
    provider = FallbackLLM

    @pytest.fixture
    def keywords(self, first, second):
        return {"servers": [first, second]}

    def make(self, keywords, **more):
        first, second = keywords["servers"]
        first.say(DOWN)
        return FallbackLLM(
            [OpenAIProvider(**server.connection(), retry=ONCE) for server in (first, second)],
            **more,
        )


async def test_a_model_in_a_call_is_refused(llm, first):
    for call in (llm.generate, llm.request, llm.stream):
        with pytest.raises(InvalidRequestError, match="model is 'x', but several providers"):
            await call("hi", model="x")
    assert await llm.generate("hi", model=None) == TEXT


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ([], "members is empty: give at least one model"),
        ("openai", "members is a str: give a list of models"),
        ({"api_key": "sk-canary"}, "members is a dict"),
        (["openai"], r"members\[0\] is a str: .* LLMFactory.fallback"),
    ],
)
def test_members_of_the_wrong_kind_are_named(members, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        FallbackLLM(members)


def test_policies_of_the_wrong_kind_are_named():
    with pytest.raises(ConfigurationError, match="breaker is 3: give Breaker"):
        FallbackLLM([Bare()], breaker=3)
    with pytest.raises(ConfigurationError, match="observers is 3: give a list of callables"):
        FallbackLLM([Bare()], observers=3)


async def test_it_speaks_for_its_members(llm, second):
    assert (llm.name, llm.model) == ("fallback", "gpt-5.4")
    assert [member.model for member in llm.members] == ["gpt-5.4", "gpt-6-luna"]
    info = llm.get_model_info()
    assert [member["model"] for member in info["members"]] == ["gpt-5.4", "gpt-6-luna"]
    assert {"chat", "streaming"} <= set(info["capabilities"])
    llm.set_system_prompt("Be brief.")
    assert [member.get_system_prompt() for member in llm.members] == ["Be brief."] * 2
    assert FallbackLLM([*llm.members, Bare()]).get_token_count("hi") == 99
    assert repr(llm).startswith("FallbackLLM([OpenAIProvider(model='gpt-5.4'")
    assert await llm.list_models() == list(second.models)


def test_a_model_of_a_stranger_gets_all_that_ours_have():
    llm = FallbackLLM([Bare()])
    with llm.sync as plain:
        assert plain.generate("hi") == plain.request("hi").text == "bare text"
        assert "".join(plain.stream("hi")) == "bare text"
        assert [item.text for item in plain.map(["a"], "{row}")] == ["bare text"]
        assert plain.count_tokens("hi").tokens > 0
        assert plain.fingerprint("hi") != plain.fingerprint("ho")
        assert (plain.name, plain.model) == (llm.name, llm.model)
        assert plain.diagnose().ok


def test_a_strangers_secrets_stay_his():
    llm = FallbackLLM([Bare()])
    assert llm.get_model_info()["members"] == [{"provider": "bare", "model": "bare-1"}]
    assert repr(llm) == "FallbackLLM([Bare(model='bare-1')])"


async def test_it_is_well_while_one_member_is(second):
    gone = OpenAIProvider(api_key="k", base_url="http://127.0.0.1:9", retry=ONCE)
    async with FallbackLLM([gone, OpenAIProvider(**second.connection())]) as llm:
        diagnosis = await llm.diagnose()
        assert (diagnosis.ok, diagnosis.reason) == (True, None)
        assert diagnosis.models == tuple(second.models)
        assert await llm.check_connection()
        assert await llm.list_models() == list(second.models)


@pytest.mark.parametrize(
    ("bare", "reason"),
    [(Bare(alive=False), "says no"), (Bare(error=ValueError()), "raised ValueError")],
)
async def test_it_says_what_is_wrong_with_each(bare, reason):
    wrong = OpenAIProvider(api_key="k", base_url="http://127.0.0.1:9", retry=ONCE)
    async with FallbackLLM([wrong, bare]) as llm:
        diagnosis = await llm.diagnose()
        assert not diagnosis.ok
        assert "openai: " in diagnosis.reason
        assert f"bare: check_connection() {reason}" in diagnosis.reason
        assert len(diagnosis.error.errors) == 2
        assert not await llm.check_connection()


async def test_models_that_nobody_lists_are_an_error(second):
    wrong = second.connection() | {"api_key": "wrong"}
    async with FallbackLLM([OpenAIProvider(**wrong), Bare(error=core.LLMError("x"))]) as llm:
        with pytest.raises(
            AllProvidersFailedError, match=r"\(AuthenticationError\), bare"
        ) as caught:
            await llm.list_models()
    assert isinstance(caught.value.errors[0], AuthenticationError)


async def test_it_closes_all_its_members():
    class Closing(Bare):
        closed = False

        async def aclose(self):
            self.closed = True
            raise LookupError

    members = [Closing(), Closing()]
    with pytest.raises(LookupError):
        await FallbackLLM(members).aclose()
    assert all(member.closed for member in members)


def test_it_pickles_with_its_members(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    llm = FallbackLLM([OpenAIProvider("a"), OpenAIProvider("b")], breaker=Breaker(failures=1))
    copy = pickle.loads(pickle.dumps(llm))
    assert repr(copy) == repr(llm)
    assert copy._breaker == Breaker(failures=1)


def test_a_loop_that_ends_while_a_bare_stream_is_read_says_nothing():
    class Slow(Bare):
        async def stream(self, messages, **options):
            try:
                while True:
                    yield "word "
            finally:
                await asyncio.sleep(0.01)
                closed.append(True)

    async def leave():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: said.append(context))
        pieces = aiter(FallbackLLM([Slow()]).stream("hi"))
        kept.append(pieces)
        assert await anext(pieces) == "word "

    kept, closed, said = [], [], []
    for _ in range(3):  # asyncio closes what is open in any order
        asyncio.run(leave())
    assert (len(closed), said) == (3, [])


async def test_a_bare_interface_is_given_no_functions():
    def now() -> str:
        """Tell the time."""

    bare = Bare()
    for tools in ([now], [{"name": "x"}, now]):
        with pytest.raises(AllProvidersFailedError) as caught:
            await FallbackLLM([bare]).generate("hi", tools=tools)
        assert "takes no functions as tools" in str(caught.value.errors[0])
    assert await FallbackLLM([bare]).generate("hi", tools=[{"name": "x"}])
    assert len(bare.calls) == 1
