"""The loop in which a model calls tools until it has an answer."""

import asyncio
import threading
from contextvars import ContextVar
from decimal import Decimal
from typing import Annotated

import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import (
    BudgetExceededError,
    ConfigurationError,
    ContentBlockedError,
    CostTracker,
    FallbackLLM,
    InvalidRequestError,
    InvalidResponseError,
    ModelResponse,
    OutputLimitError,
    Price,
    RateLimitError,
    Reasoning,
    StreamError,
    Text,
    Tool,
    ToolCall,
    ToolError,
    ToolResponse,
    Usage,
    run_tools,
    stream_tools,
)
from bruno_llm_testing import MockLLM
from pydantic import AfterValidator, BaseModel


class Place(BaseModel):
    name: str
    country: str = "Italy"


def weather(city: str, days: int = 1) -> str:
    """Tell the weather."""
    return f"{city}: sun for {days}"


async def lookup(place: Place) -> dict[str, str]:
    """Look a place up."""
    await asyncio.sleep(0)
    return {"name": place.name, "in": place.country}


def call(name, arguments="{}", **more):
    return ToolCall(name=name, arguments=arguments, **more)


ROME = call("weather", '{"city": "Rome"}')


async def in_one_go(llm, *args, **kwargs):
    return await run_tools(llm, *args, **kwargs)


async def streamed(llm, *args, **kwargs):
    stream = stream_tools(llm, *args, **kwargs)
    pieces = [piece async for piece in stream]
    assert all(pieces)
    assert "".join(pieces).endswith(stream.response.text)
    return stream.response


@pytest.fixture(params=[in_one_go, streamed])
def run(request):
    """Both ways to run the loop."""
    return request.param


def results(response):
    return [m.content for m in response.messages if m.role is MessageRole.TOOL]


async def test_tools_are_called_until_there_is_an_answer(run):
    llm = MockLLM([[ROME, call("lookup", '{"place": {"name": "Pisa"}}')], ROME, "Sunny."])
    answer = await run(llm, "Weather?", tools=[weather, lookup])
    assert isinstance(answer, ToolResponse)
    assert answer.text == "Sunny."
    assert answer.rounds == 3
    assert results(answer) == [
        "Rome: sun for 1",
        '{"name":"Pisa","in":"Italy"}',
        "Rome: sun for 1",
    ]
    roles = [message.role.value for message in answer.messages]
    assert roles == ["assistant", "tool", "tool", "assistant", "tool", "assistant"]
    first, second, third = llm.calls
    assert first.options["tools"] == second.options["tools"] == third.options["tools"]
    turns = third.conversation.turns
    assert turns[:3] == second.conversation.turns
    assert [turn.role for turn in turns] == ["user", "assistant", "tool", "assistant", "tool"]


async def test_the_turns_may_be_remembered(run):
    llm = MockLLM([ROME, "Sunny.", "Yes."])
    asked = [Message(role="user", content="Weather?")]
    answer = await run(llm, asked, tools=[weather])
    assert len(asked) == 1
    await llm.request([*asked, *answer.messages, Message(role="user", content="Sure?")])
    assert [turn.role for turn in llm.calls[-1].conversation.turns] == [
        *("user", "assistant", "tool", "assistant", "user"),
    ]


async def test_what_all_rounds_took_is_summed(run):
    tracker = CostTracker(prices={"mock-model": Price(input=1, output=2)})
    usage = Usage(input_tokens=100, output_tokens=10)
    replies = [ModelResponse(parts=(call("weather", '{"city": "Rome"}', id="c"),), usage=usage)]
    replies.append(ModelResponse(parts=(Text("Sunny."),), usage=usage))
    answer = await run(MockLLM(replies, cost=tracker), "Weather?", tools=[weather])
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (200, 20)
    assert answer.cost.total == sum(answer.cost.parts.values()) == Decimal("0.00024")
    assert len(answer.attempts) == 2


async def test_calls_of_one_answer_run_at_the_same_time(run):
    here, there = threading.Barrier(2, timeout=5), asyncio.Event()

    def first() -> str:
        """Wait for the second."""
        here.wait()
        return "first"

    def second() -> str:
        """Wait for the first."""
        here.wait()
        return "second"

    async def third() -> str:
        """Wait for the fourth."""
        await asyncio.wait_for(there.wait(), 5)
        return "third"

    async def fourth() -> str:
        """Let the third go on."""
        there.set()
        return "fourth"

    names = ["first", "second", "third", "fourth"]
    llm = MockLLM([[call(name) for name in names], "done"])
    answer = await run(llm, "go", tools=[first, second, third, fourth])
    assert results(answer) == names


async def test_a_tool_may_want_to_be_alone(run):
    busy = []

    async def work(number: int) -> int:
        """Work."""
        busy.append(number)
        await asyncio.sleep(0)
        assert busy == [number]
        busy.clear()
        return number

    llm = MockLLM([[call("work", f'{{"number": {n}}}') for n in range(3)], "done"])
    answer = await run(llm, "go", tools=[Tool(work, sequential=True)])
    assert results(answer) == ["0", "1", "2"]


async def test_what_goes_wrong_in_a_tool_is_told_to_the_model(run, caplog):
    never = asyncio.Event()

    def broken() -> str:
        """Break."""
        raise KeyError("secret")

    async def unwilling() -> str:
        """Refuse."""
        raise ToolError("no such file: try another")

    async def slow() -> str:
        """Wait."""
        await never.wait()

    async def cancelled() -> str:
        """Give up."""
        raise asyncio.CancelledError

    def exhausted() -> str:
        """Take what is not there."""
        return next(iter(()))

    def odd() -> object:
        """Return what is no JSON."""
        return threading.Lock()

    async def late() -> str:
        """Run out of its own time."""
        raise TimeoutError("of its own")

    tools = [broken, unwilling, cancelled, exhausted, odd, late, weather]
    calls = [call(tool.__name__) for tool in tools[:-1]]
    calls += [
        call("slow"),
        call("missing"),
        call("weather", '{"city": 5, "x": 1}'),
        call("weather", '{"city": "Ro'),
        ROME,
    ]
    llm = MockLLM([calls, "done"])
    answer = await run(llm, "go", tools=[*tools, Tool(slow, timeout=0.01)])
    told = results(answer)
    assert told[:4] == [
        "KeyError: 'secret'",
        "no such file: try another",
        "CancelledError",
        "RuntimeError: StopIteration",
    ]
    assert told[4].startswith("PydanticSerializationError: ")
    assert told[5:7] == ["TimeoutError: of its own", "It took longer than 0.01 s."]
    assert told[7].startswith("The tool 'missing' does not exist: the tools are broken, unwilling")
    assert told[8].startswith("the arguments of weather do not fit: city: Input should be a valid")
    assert "x: Unexpected keyword argument" in told[8]
    assert told[9].startswith("the arguments of weather are not a JSON object")
    assert told[10] == "Rome: sun for 1"
    sent = llm.calls[1].conversation.turns[-1].tool_results
    assert [result.is_error for result in sent] == [True] * 10 + [False]
    assert "secret" not in caplog.text


async def test_what_a_tool_returns_is_told_as_text(run):
    values = [None, "", "x\ud800y", Place(name="Rome"), [1, None], {"a": (1, 2)}, 5]

    def tell(number: int) -> object:
        """Tell."""
        return values[number]

    calls = [call("tell", f'{{"number": {n}}}') for n in range(len(values))]
    answer = await run(MockLLM([calls, "done"]), "go", tools=[tell])
    assert results(answer) == [
        *("(no result)", "(no result)", "x?y", '{"name":"Rome","country":"Italy"}'),
        *("[1,null]", '{"a":[1,2]}', "5"),
    ]


async def test_nulls_for_what_is_left_out_are_not_handed_over(run):
    calls = [call("weather", '{"city": "Rome", "days": null}')]
    calls.append(call("lookup", '{"place": {"name": "Pisa", "country": null}}'))
    answer = await run(MockLLM([calls, "done"]), "go", tools=[weather, lookup])
    assert results(answer) == ["Rome: sun for 1", '{"name":"Pisa","in":"Italy"}']


async def test_a_tool_of_a_schema_gets_what_the_model_wrote(run):
    async def take(**given):
        return sorted(given)

    schema = {"type": "object", "properties": {"a": {}, "b": {}}}
    tool = Tool(take, "take", parameters=schema)
    answer = await run(MockLLM([call("take", '{"b": 1, "a": {}}'), "done"]), "go", tools=[tool])
    assert results(answer) == ['["a","b"]']


async def test_errors_of_models_are_not_the_models_to_read(run):
    finished = []

    async def ask() -> str:
        """Ask another model."""
        raise BudgetExceededError("nothing left")

    async def wait() -> str:
        """Wait for ever."""
        try:
            await asyncio.Event().wait()
        finally:
            finished.append(True)

    with pytest.raises(BudgetExceededError, match="nothing left"):
        await run(MockLLM([[call("wait"), call("ask")], "done"]), "go", tools=[ask, wait])
    assert finished == [True]
    assert len(asyncio.all_tasks()) == 1


async def test_cancellation_leaves_no_task(run):
    started, left = asyncio.Event(), []

    async def wait() -> str:
        """Wait for ever."""
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.append(True)

    async with asyncio.TaskGroup() as group:
        llm = MockLLM([[call("wait"), call("wait")]])
        task = group.create_task(run(llm, "go", tools=[wait]))
        await started.wait()
        task.cancel()
    assert task.cancelled()
    assert left == [True, True]
    assert len(asyncio.all_tasks()) == 1


async def test_a_choice_holds_for_the_first_round(run):
    for choice in ("required", "weather", {"type": "any"}):
        llm = MockLLM([ROME, "done"])
        await run(llm, "go", tools=[weather], tool_choice=choice, temperature=0.5)
        assert [sent.options.get("tool_choice") for sent in llm.calls] == [choice, None]
        assert [sent.options["temperature"] for sent in llm.calls] == [0.5, 0.5]


async def test_rounds_are_limited(run):
    replies = [call("weather", f'{{"city": "c{n}"}}') for n in range(9)]
    with pytest.raises(InvalidResponseError, match="after 1 round the model"):
        await run(MockLLM(replies), "go", tools=[weather], max_rounds=1)
    with pytest.raises(
        InvalidResponseError, match="after 3 rounds the model still calls"
    ) as caught:
        await run(MockLLM(replies), "go", tools=[weather], max_rounds=3)
    partial = caught.value.partial
    assert partial.rounds == 3
    assert results(partial) == ["c0: sun for 1", "c1: sun for 1"]
    llm = MockLLM("Fine.")
    await llm.request([Message(role="user", content="go"), *partial.messages])
    assert llm.calls[0].conversation.turns[-1].tool_results[0].content == "(no result)"
    assert (await run(MockLLM([ROME, "done"]), "go", tools=[weather], max_rounds=2)).rounds == 2


async def test_a_model_that_goes_round_in_circles_is_told_once(run):
    done = []

    def work(n: int) -> str:
        """Work."""
        done.append(n)
        return "ok"

    same, other = call("work", '{"n": 1}'), call("work", '{"n": 2}')
    answer = await run(MockLLM([same, same, same, other, same, "done"]), "go", tools=[work])
    assert results(answer)[2].startswith("This call was made 2 times in a row")
    assert done == [1, 1, 2, 1]
    with pytest.raises(InvalidResponseError, match="calls work again and again") as caught:
        await run(MockLLM([same] * 9), "go", tools=[work])
    assert caught.value.partial.rounds == 4


async def test_an_error_keeps_what_was_done_before_it(run):
    llm = MockLLM([[ROME, call("lookup", '{"place": {"name": "Po"}}')], RateLimitError("later")])
    with pytest.raises(RateLimitError) as caught:
        await run(llm, "hi", tools=[weather, lookup])
    partial = caught.value.partial
    assert results(partial) == ["Rome: sun for 1", '{"name":"Po","in":"Italy"}']
    assert partial.rounds == 1
    assert partial.usage == Usage(input_tokens=1, output_tokens=7)


async def test_a_tool_that_ends_the_loop_keeps_the_results_of_the_others(run):
    first_is_done = asyncio.Event()

    async def first() -> str:
        first_is_done.set()
        return "paid"

    async def second() -> str:
        await first_is_done.wait()
        await asyncio.sleep(0.01)
        raise BudgetExceededError("over")

    for alone in (False, True):
        tools = [first, Tool(second, sequential=alone)]
        with pytest.raises(BudgetExceededError) as caught:
            await run(MockLLM([[call("first"), call("second")]]), "hi", tools=tools)
        assert results(caught.value.partial) == ["paid"]


async def test_of_loops_in_loops_an_error_keeps_the_outer_one(run):
    async def ask() -> str:
        """Ask another model."""
        answer = await run_tools(MockLLM([ROME, RateLimitError("later")]), "in", tools=[weather])
        return answer.text

    with pytest.raises(RateLimitError) as caught:
        await run(MockLLM([call("ask")]), "hi", tools=[ask])
    assert [c.name for c in caught.value.partial.tool_calls] == ["ask"]
    assert results(caught.value.partial) == []


@pytest.mark.parametrize("name", ["aprove", "max_round", "approval", "approved"])
async def test_a_misspelt_keyword_lets_nothing_happen(run, name):
    llm = MockLLM([ROME, "done"])
    with pytest.raises(InvalidRequestError, match=f"{name!r} is not known: did you mean"):
        await run(llm, "hi", tools=[weather], **{name: 3})
    assert llm.calls == []


async def test_a_validator_that_fails_is_told_to_the_model(run):
    def check(value: int) -> int:
        return {}[value]

    def pay(sum_: Annotated[int, AfterValidator(check)]) -> str:
        """Pay."""

    response = await run(MockLLM([call("pay", '{"sum_": 5}'), "done"]), "hi", tools=[pay])
    assert results(response) == ["the arguments of pay do not fit: KeyError: 5"]


async def test_a_call_that_was_cut_is_not_made(run):
    cut = ModelResponse(
        parts=(call("weather", '{"city": "Rome"}', id="c"),), finish_reason="length"
    )
    with pytest.raises(OutputLimitError, match="in a call of weather: raise max_tokens") as caught:
        await run(MockLLM([cut]), "go", tools=[weather])
    assert caught.value.partial.tool_calls


async def test_a_pause_is_gone_on_from(run):
    pause = ModelResponse(parts=(Text("So far "),), finish_reason="pause")
    silent = ModelResponse(parts=(Reasoning("hm"),), finish_reason="pause")
    llm = MockLLM([pause, silent, "so good."])
    answer = await run(llm, "go", tools=[weather])
    assert (answer.text, answer.rounds) == ("so good.", 3)
    with pytest.raises(InvalidResponseError, match="after 2 rounds the model still pauses"):
        await run(MockLLM([pause] * 2), "go", tools=[weather], max_rounds=2)


async def test_calls_may_be_allowed_or_not(run):
    asked = []

    def decide(call):
        asked.append((call.name, call.parsed))
        return {"a": True, "b": False, "c": "not on Sundays", "d": None}[call.parsed["city"]]

    async def decide_later(call):
        await asyncio.sleep(0)
        return decide(call)

    calls = [call("weather", f'{{"city": "{letter}"}}') for letter in "abcd"]
    calls += [call("weather", "{}"), call("missing")]
    for approve in (decide, decide_later):
        asked.clear()
        answer = await run(MockLLM([calls, "done"]), "go", tools=[weather], approve=approve)
        denied = "The user does not allow this call."
        assert results(answer)[:4] == ["a: sun for 1", denied, "not on Sundays", denied]
        assert asked == [("weather", {"city": letter}) for letter in "abcd"]


async def test_calls_of_tools_that_are_the_callers_end_the_loop(run):
    theirs = {"type": "function", "function": {"name": "mine"}}
    llm = MockLLM([ROME, [ROME, call("mine", id="m")]])
    if run is streamed:
        answer = (stream := stream_tools(llm, "go", tools=[weather, theirs])) and stream
        assert [piece async for piece in stream] == []
        answer = stream.response
    else:
        answer = await run(llm, "go", tools=[weather, theirs])
    assert [each.name for each in answer.tool_calls] == ["weather", "mine"]
    assert results(answer) == ["Rome: sun for 1"]


async def test_a_blocked_answer_is_as_it_would_be_without_tools():
    blocked = ModelResponse(parts=(ROME,), finish_reason="content_filter")
    answer = await run_tools(MockLLM([blocked]), "go", tools=[weather])
    assert (answer.finish_reason, answer.rounds) == ("content_filter", 1)
    stream = stream_tools(
        MockLLM([ModelResponse(parts=(Text("no"),), finish_reason="content_filter")]),
        "go",
        tools=[weather],
    )
    with pytest.raises(ContentBlockedError):
        [piece async for piece in stream]


async def test_any_model_will_do(run):
    dead = MockLLM([ConnectionError("down")] * 2)
    llm = FallbackLLM([dead, MockLLM([ROME, "Sunny."])])
    assert (await run(llm, "go", tools=[weather])).text == "Sunny."


async def test_a_stream_tells_every_text_and_can_be_opened_and_left():
    first = ModelResponse(parts=(Text("Let me look."), ROME))
    llm = MockLLM([first, ROME, "It is sunny."] * 3)
    async with stream_tools(llm, "go", tools=[weather]) as stream:
        assert len(llm.calls) == 1
        assert "".join([p async for p in stream]) == "Let me look.\n\nIt is sunny."
        assert stream.response.text == "It is sunny."
    stream = await stream_tools(llm, prompt="go", tools=[weather])
    assert [s async for s in stream.sentences()] == ["Let me look.\n\n", "It is sunny."]
    async with stream_tools(llm, "go", tools=[weather]) as stream:
        assert await anext(stream) == "Let"
    with pytest.raises(StreamError, match="not complete"):
        _ = stream.response
    assert len(asyncio.all_tasks()) == 1


async def test_a_stream_that_breaks_off_is_an_error():
    llm = MockLLM([ROME, ["Sun", StreamError("cut")]])
    stream = stream_tools(llm, "go", tools=[weather])
    assert await anext(stream) == "Sun"
    with pytest.raises(StreamError, match="cut"):
        await anext(stream)
    await stream.aclose()
    with pytest.raises(RuntimeError, match="can be read once"):
        aiter(stream)


WHERE = ContextVar("where", default="nowhere")


async def test_tools_run_where_the_call_is_made(run):
    def where() -> str:
        """Tell where."""
        return WHERE.get()

    WHERE.set("here")
    assert results(await run(MockLLM([call("where"), "done"]), "go", tools=[where])) == ["here"]


@pytest.mark.parametrize(
    ("settings", "kind", "complaint"),
    [
        ({"max_rounds": 0}, ConfigurationError, "max_rounds is 0"),
        ({"approve": True}, ConfigurationError, "approve is True"),
        ({"tools": [weather, weather]}, InvalidRequestError, "two of the tools"),
        ({"tools": [5]}, ConfigurationError, "a int"),
        ({"tool_choice": "wether"}, InvalidRequestError, "did you mean 'weather'"),
        ({"messages": None}, InvalidRequestError, "give either messages or prompt"),
        ({"messages": []}, InvalidRequestError, "messages is empty"),
    ],
)
async def test_what_makes_no_sense_is_refused_first(settings, kind, complaint):
    llm = MockLLM([])
    for run in (run_tools, stream_tools):
        with pytest.raises(kind, match=complaint):
            await run(llm, **{"messages": "go", "tools": [weather]} | settings)
    assert llm.calls == []


async def test_the_last_answer_may_be_typed(run):
    llm = MockLLM([ROME, '{"name": "Rome"}'])
    answer = await run(llm, "go", tools=[weather], output=Place)
    assert answer.output == Place(name="Rome")
    assert answer.rounds == 2


@pytest.mark.parametrize("llm", ["claude", None, MockLLM])
@pytest.mark.parametrize("start", [run_tools, stream_tools])
async def test_what_is_no_model_is_refused(start, llm):
    with pytest.raises(ConfigurationError, match=r"the model is .*: give a provider"):
        await start(llm, "hi", tools=[])


async def test_a_sync_model_is_told_to_be_given_itself():
    with pytest.raises(ConfigurationError, match="give the model itself, as run_sync"):
        await run_tools(MockLLM(["hi"]).sync, "hi", tools=[print])
