"""`MockLLM`: what it says, what it heard, and that it is a provider like the others."""

import asyncio
import pickle
import subprocess
import sys

import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import (
    AuthenticationError,
    Budget,
    BudgetExceededError,
    ConfigurationError,
    ContextLengthExceededError,
    ContextPolicy,
    FallbackLLM,
    InvalidRequestError,
    LLMError,
    LLMTimeoutError,
    ModelNotFoundError,
    ModelResponse,
    OutputLimitError,
    RateLimitError,
    Reasoning,
    Retry,
    ServiceUnavailableError,
    StreamError,
    Text,
    Timeouts,
    ToolCall,
    Usage,
    VendorBlock,
)
from bruno_llm_base.cost.price import Price
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_testing import MockLLM, ModelContract, NoReplyError
from hypothesis import given
from hypothesis import strategies as st


class TestAMockIsAProvider(ModelContract):
    provider = MockLLM

    @pytest.fixture
    def keywords(self):
        return {}


def test_it_loads_neither_pytest_nor_a_server():
    program = """
import asyncio, sys
from bruno_llm_testing import MockLLM
assert asyncio.run(MockLLM(["hi"]).generate("hello")) == "hi"
loaded = {"pytest", "aiohttp", "httpx", "yaml.loader"} & set(sys.modules)
assert not loaded - {"yaml.loader"}, loaded
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)


# -- what it says -------------------------------------------------------------------------------------


async def test_a_list_is_said_in_order_and_then_the_test_hears_of_it():
    llm = MockLLM(["first reply", "second"])
    assert await llm.generate("a") == "first reply"
    assert await llm.generate("b") == "second"
    with pytest.raises(NoReplyError, match="was given 2 replies, and all of them were used"):
        await llm.generate("c")
    llm.say("third")
    assert await llm.generate("d") == "third"


async def test_a_single_reply_is_said_always():
    llm = MockLLM("yes")
    assert [await llm.generate("a") for _ in range(3)] == ["yes"] * 3
    llm.say("no")
    assert [await llm.generate("a") for _ in range(2)] == ["no", "yes"]


async def test_nothing_given_is_hello():
    llm = MockLLM()
    assert [await llm.generate("a") for _ in range(2)] == ["Hello from the mock."] * 2
    llm.say("bye")
    assert await llm.generate("a") == "bye"
    with pytest.raises(NoReplyError, match="was given 1 replies"):
        await llm.generate("b")


async def test_patterns_choose_the_reply():
    llm = MockLLM({"weather": "sunny", r"time|clock": "noon"})
    assert await llm.generate("What TIME is it?") == "noon"
    assert await llm.generate("And the weather?") == "sunny"
    with pytest.raises(NoReplyError, match=r"'And you.' matches no pattern of the mock's"):
        await llm.generate("And you?")


async def test_a_callable_hears_the_conversation():
    llm = MockLLM(lambda conversation: conversation.turns[-1].text.upper())

    async def later(conversation):
        await asyncio.sleep(0)
        return ModelResponse(parts=(Text(f"{len(conversation.turns)} turns"),))

    assert await llm.generate("hello") == "HELLO"
    assert await MockLLM([later]).generate("hello") == "1 turns"
    with pytest.raises(ConfigurationError, match="what the callable returned is 5"):
        await MockLLM(lambda _: 5).generate("hello")


async def test_a_text_is_streamed_word_by_word():
    stream = MockLLM("one two\n three").stream("a")
    assert [piece async for piece in stream] == ["one", " two", "\n three"]
    assert stream.response.text == "one two\n three"
    assert stream.response.finish_reason == "stop"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_nothing_of_a_text_is_lost(text):
    async def both():
        llm = MockLLM(text)
        stream = llm.stream("a")
        try:
            pieces = [piece async for piece in stream]
        except LLMError:
            pieces = [stream.response.text]  # there was no text to give
        return "".join(pieces), (await llm.request("a")).text

    assert asyncio.run(both()) == (text, text)


async def test_pieces_are_streamed_as_they_stand():
    reply = [
        "Once upon",
        " a ",
        ModelResponse(parts=(Text("time"),), usage=Usage(output_tokens=50)),
    ]
    stream = MockLLM([reply]).stream("a")
    assert [piece async for piece in stream] == ["Once upon", " a ", "time"]
    assert stream.response.usage.output_tokens == 50
    assert (await MockLLM([reply]).request("a")).text == "Once upon a time"


async def test_a_response_says_all_there_is_to_say():
    call = ToolCall(id="call_1", name="weather", arguments='{"city": "Rome"}')
    usage = Usage(input_tokens=42, output_tokens=7, cache_read_tokens=3)
    said = ModelResponse(
        parts=(
            Reasoning("They ask for Rome.", VendorBlock("mock", {"signature": "x"})),
            Text("Let me look."),
            VendorBlock("mock", {"found": 5}),
            call,
        ),
        usage=usage,
        id="answer-1",
    )
    llm = MockLLM([said, said])
    whole, stream = await llm.request("a"), llm.stream("a")
    async for _ in stream:
        pass
    for response in (whole, stream.response):
        assert (response.text, response.reasoning) == (said.text, said.reasoning)
        assert response.parts == said.parts
        assert response.usage == usage
        assert response.id == "answer-1"
        assert response.finish_reason == "tool_call"
        assert (response.model, response.provider) == ("mock-model", "mock")


async def test_an_empty_answer_is_the_error_that_it_would_be():
    with pytest.raises(OutputLimitError):
        await MockLLM([ModelResponse(finish_reason="length")]).generate("a")
    with pytest.raises(LLMError, match="holds no text"):
        await MockLLM([""]).generate("a")


# -- what goes wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_error_is_raised_at_once(streamed):
    llm = MockLLM([RateLimitError("slow down", retry_after=3)])
    with pytest.raises(RateLimitError, match="slow down") as caught:
        await (llm.stream("a") if streamed else llm.request("a"))
    assert (caught.value.provider, caught.value.model) == ("mock", "mock-model")
    assert caught.value.retry_after == 3
    assert len(caught.value.attempts) == 1


async def test_a_stream_breaks_off_where_the_script_says():
    llm = MockLLM([["Once upon", " a time", StreamError("cut")]])
    pieces = []

    async def read():
        async for piece in llm.stream("a"):
            pieces.append(piece)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(StreamError, match="cut") as caught:
        await read()
    assert pieces == ["Once upon", " a time"]
    assert caught.value.partial.text == "Once upon a time"


async def test_other_exceptions_become_what_they_would():
    with pytest.raises(ServiceUnavailableError):
        await MockLLM([ConnectionResetError()]).generate("a")
    with pytest.raises(StreamError, match="broke off"):
        [piece async for piece in MockLLM([["Once", ConnectionResetError()]]).stream("a")]


async def test_one_error_tells_each_request_its_own_story():
    llm = MockLLM(AuthenticationError("no"), api_key="k")
    messages = []
    for _ in range(2):
        with pytest.raises(AuthenticationError) as caught:
            await llm.generate("a")
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


async def test_retries_are_real_where_they_are_asked_for():
    replies = [RateLimitError("slow down"), ServiceUnavailableError("down"), "ok"]
    llm = MockLLM(replies, retry=Retry(attempts=3, wait_initial=0))
    response = await llm.request("a")
    assert response.text == "ok"
    assert [attempt.error for attempt in response.attempts] == [
        "RateLimitError",
        "ServiceUnavailableError",
        None,
    ]
    assert len(llm.calls) == 3


async def test_an_unknown_model_names_those_on_offer():
    llm = MockLLM([ModelNotFoundError("no such model")], models=["mock-1", "mock-2"])
    assert await llm.list_models() == ["mock-1", "mock-2"]
    with pytest.raises(ModelNotFoundError, match="closest on offer: mock"):
        await llm.generate("a")


def test_delays_are_those_of_a_slow_server(leap):
    async def slow():
        llm = MockLLM(["one two three"] * 2, delay=2.0, timeouts=Timeouts(between_tokens=3))
        began = asyncio.get_running_loop().time()
        pieces = [piece async for piece in llm.stream("a")]
        assert asyncio.get_running_loop().time() - began == pytest.approx(8)  # and the end
        hasty = MockLLM("one two", delay=2.0, timeouts=Timeouts(total=1))
        with pytest.raises(LLMTimeoutError):
            await hasty.generate("a")
        return pieces

    assert leap(slow()) == ["one", " two", " three"]


# -- what it heard ------------------------------------------------------------------------------------


async def test_it_remembers_what_it_was_asked():
    llm = MockLLM("ok", system_prompt="Be brief.", temperature=0.2)
    messages = [
        Message(role=MessageRole.USER, content="Hi"),
        Message(role=MessageRole.ASSISTANT, content="Hello"),
        Message(role=MessageRole.USER, content="Who are you?"),
    ]
    await llm.generate(messages, max_tokens=50, top_k=3)
    async for _ in llm.stream("And again?", model="other"):
        pass
    first, second = llm.calls
    assert first.messages == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Who are you?"),
    ]
    assert first.options == {"temperature": 0.2, "max_tokens": 50, "top_k": 3}
    assert (first.streamed, second.streamed) == (False, True)
    assert (second.prompt, second.model) == ("And again?", "other")


async def test_tool_calls_and_results_are_heard():
    call = ToolCall(id="call_1", name="weather", arguments='{"city": "Rome"}')
    llm = MockLLM([ModelResponse(parts=(call,)), "sunny"])
    asked = [Message(role=MessageRole.USER, content="Weather?")]
    answer = await llm.request(asked)
    result = Message(role=MessageRole.TOOL, content="22", metadata={"tool_call_id": "call_1"})
    assert await llm.generate([*asked, answer.to_message(), result]) == "sunny"
    assert llm.calls[1].messages[1:] == [("assistant", 'weather({"city": "Rome"})'), ("tool", "22")]
    assert llm.calls[1].conversation.turns[1].tool_calls == [call]
    assert llm.calls[1].conversation.turns[2].tool_results[0].name == "weather"


async def test_what_no_provider_would_send_is_refused():
    llm = MockLLM("ok")
    for messages, options in ([[], {}], [" ", {}], ["a", {"temperature": 3}]):
        with pytest.raises(InvalidRequestError):
            await llm.generate(messages, **options)
    assert llm.calls == []


# -- counting, money, windows -------------------------------------------------------------------------


async def test_a_token_is_a_word():
    llm = MockLLM("Fine, and you?", system_prompt="Be brief.")
    assert llm.get_token_count("Why is the sky blue?") == 5
    count = await llm.count_tokens("How are you?")
    response = await llm.request("How are you?")
    assert (count.tokens, count.exact) == (5, True)
    assert response.usage == Usage(input_tokens=5, output_tokens=3)
    assert not response.usage_estimated
    assert response.cost.total == 0


async def test_budgets_can_be_tested():
    tracker = CostTracker(prices={"mock-model": Price(input=1, output=1000)})
    llm = MockLLM("word " * 100, cost=tracker, budget=Budget(0.15), max_tokens=100)
    response = await llm.request("hi")
    assert response.cost.total > 0
    with pytest.raises(BudgetExceededError):
        await llm.request("hi")


async def test_a_refusal_costs_what_a_vendors_does():
    costs = CostTracker(prices={"mock-model": Price(input=1, output=1)})
    replies = [RateLimitError("slow down"), LLMTimeoutError("no first token within 9 s"), "ok"]
    llm = MockLLM(replies, cost=costs, retry=Retry(attempts=3, wait_initial=0))
    assert await llm.generate("a") == "ok"
    assert (costs.total().requests, costs.total().estimated) == (2, 1)  # the refusal is none


async def test_windows_can_be_tested():
    llm = MockLLM("ok", context=ContextPolicy(window=20))
    with pytest.raises(ContextLengthExceededError):
        await llm.generate("word " * 50)
    trimming = ContextPolicy(window=40, strategy="oldest_first", reserve_output=5)
    llm = MockLLM("ok", context=trimming)
    history = [
        Message(role=MessageRole.USER if n % 2 == 0 else MessageRole.ASSISTANT, content="word " * 8)
        for n in range(11)
    ]
    await llm.generate(history)
    assert 0 < len(llm.calls[0].messages) < 11


async def test_an_assertion_in_a_reply_fails_the_test():
    def check(conversation):
        assert conversation.system == "Be brief.", "no system prompt"

    llm = FallbackLLM([MockLLM(check), MockLLM("from the second")])
    with pytest.raises(NoReplyError, match="no system prompt"):
        await llm.generate("hi")


async def test_it_is_a_member_of_a_fallback():
    first, second = MockLLM([RateLimitError("busy")]), MockLLM(["from the second"])
    assert await FallbackLLM([first, second]).generate("hi") == "from the second"
    assert (len(first.calls), len(second.calls)) == (1, 1)


# -- how it is built ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "complaint"),
    [
        ({"replies": 5}, "replies is 5: give a text"),
        ({"replies": ["a", None]}, r"replies\[1\] is None: give a text"),
        ({"replies": [["a", 3]]}, r"replies\[0\]\[1\] is 3: give a text"),
        ({"replies": [RateLimitError]}, r"replies\[0\] is <class"),
        ({"replies": {"(": "a"}}, "'\\(' is not a pattern of `re`"),
        ({"replies": {3: "a"}}, "the pattern 3 is not a text"),
        ({"replies": {"a": 3}}, r"replies\['a'\] is 3"),
        ({"delay": -1}, "delay is -1: give seconds"),
        ({"models": "a"}, "models is 'a': give a list"),
        ({"modle": "a"}, "MockLLM takes no 'modle': did you mean 'model'"),
        ({"max_retries": 1, "retry": Retry()}, "and its short form are given"),
    ],
)
def test_what_makes_no_sense_is_refused(keywords, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        MockLLM(**keywords)


async def test_a_copy_begins_anew():
    llm = MockLLM(["one", "two"], model="m", delay=0.0)
    await llm.generate("a")
    copy = pickle.loads(pickle.dumps(llm))
    assert (copy.calls, copy.model) == ([], "m")
    assert await copy.generate("a") == "one"


def test_it_is_open_in_any_loop():
    llm = MockLLM(["one", "two"])

    async def ask():
        async with llm:
            return await llm.generate("a")

    assert [asyncio.run(ask()) for _ in range(2)] == ["one", "two"]
    assert asyncio.run(llm.check_connection())
