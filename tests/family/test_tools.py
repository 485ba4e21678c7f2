"""Tools on every provider: what is sent fits the vendor's own types, and calls come back."""

from functools import partial
from typing import Annotated, Literal

import anthropic.types
import google.genai.types
import openai.types.chat.completion_create_params
import pytest
from bruno_core.models import Message
from bruno_llm_base import (
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    Retry,
    Tool,
    ToolCall,
    stream_tools,
)
from bruno_llm_base.events import ToolCallReady
from bruno_llm_testing import FakeAnswer, Fault
from pydantic import BaseModel, Field, ValidationError


class Place(BaseModel):
    name: str
    country: str = "Italy"


def weather(
    city: Annotated[str, Field(min_length=2, description="The city.")],
    days: int = 3,
    unit: Literal["C", "F"] = "C",
    where: Place | None = None,
) -> str:
    """Tell the weather."""


def now() -> str:
    """Tell the time."""


def check_openai(fits, body):
    params = openai.types.chat.completion_create_params
    streamed = body.get("stream", False)
    kind = "CompletionCreateParamsStreaming" if streamed else "CompletionCreateParamsNonStreaming"
    fits(getattr(params, kind), body)


def check_claude(fits, body):
    kind = anthropic.types.message_create_params.MessageCreateParamsNonStreaming
    fits(kind, body)


def check_gemini(fits, body):
    fields = ("tools", "toolConfig", "systemInstruction")
    google.genai.types.GenerateContentConfig.model_validate(
        {name: body[name] for name in fields if name in body}
    )
    for content in body["contents"]:
        google.genai.types.Content.model_validate(content)


def check_ollama(fits, body):
    """Ollama's own decoder knows these fields of a tool (api/types.go)."""
    for tool in body.get("tools", ()):
        assert tool.keys() == {"type", "function"}
        assert tool["function"].keys() <= {"name", "description", "parameters"}


CHECKS = {
    "openai": check_openai,
    "claude": check_claude,
    "gemini": check_gemini,
    "ollama": check_ollama,
}


@pytest.fixture
def check(name, fits):
    """Check that a body is of the vendor's types."""
    return partial(CHECKS[name], fits)


@pytest.fixture
def llm(kind, server):
    return kind(**server.connection())


def names_in(name, body):
    """Return the names of the tools that *body* offers."""
    tools = body.get("tools", [])
    if name == "gemini":
        return [row["name"] for tool in tools for row in tool["functionDeclarations"]]
    return [tool["name"] if name == "claude" else tool["function"]["name"] for tool in tools]


async def test_what_is_sent_fits_the_vendors_types(check, name, server, llm):
    for choice in (None, "auto", "required", "none", "now"):
        for parallel in (None, True, False):
            options = {"tool_choice": choice, "parallel_tool_calls": parallel}
            await llm.request("hi", tools=[weather, now, Tool(now, "later")], **options)
    assert names_in(name, server.bodies[0]) == ["weather", "now", "later"]
    for body in server.bodies:
        check(body)


@pytest.mark.parametrize("tools", [None, []])
@pytest.mark.parametrize("choice", [None, "auto", "none"])
async def test_without_tools_nothing_is_said_of_their_choice(server, llm, tools, choice):
    # every vendor refuses that
    await llm.request("hi", tools=tools, tool_choice=choice, parallel_tool_calls=True)
    await llm.request("hi")
    assert server.bodies[0] == server.bodies[1]


@pytest.mark.parametrize("option", ["tool_choice", "reasoning"])
async def test_what_one_call_says_in_the_vendors_words_is_not_said_by_the_next(server, llm, option):
    await llm.request("hi", **{option: {"type": "x"}})
    await llm.request("hi")
    assert server.bodies[0][option] == {"type": "x"}
    assert option not in server.bodies[1]


CHOICES = {
    "openai": [
        {"tool_choice": "auto"},
        {"tool_choice": "required"},
        {"tool_choice": "none"},
        {"tool_choice": {"type": "function", "function": {"name": "now"}}},
        {"parallel_tool_calls": False},
    ],
    "claude": [
        {"tool_choice": {"type": "auto"}},
        {"tool_choice": {"type": "any"}},
        {"tool_choice": {"type": "none"}},
        {"tool_choice": {"type": "tool", "name": "now"}},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ],
    "gemini": [
        {"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}},
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
        {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}},
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["now"]}}},
        {},
    ],
    "ollama": [{}, {}, {"tools": None}, {"tools": ["now"]}, {}],
}


async def test_a_choice_is_spelled_as_the_vendor_does(name, server, llm, caplog):
    await llm.request("hi", tools=[weather, now])
    for options in (
        *({"tool_choice": choice} for choice in ("auto", "required", "none", "now")),
        {"parallel_tool_calls": False},
    ):
        await llm.request("hi", tools=[weather, now], **options)
    plain, *others = server.bodies
    for expected, body in zip(CHOICES[name], others, strict=True):
        tools = expected.pop("tools", names_in(name, plain)) or []
        assert names_in(name, body) == tools
        body.pop("tools", None)
        assert body == {n: v for n, v in plain.items() if n != "tools"} | expected
    dropped = [text for text in caplog.messages if "option dropped" in text]
    assert len(dropped) == {"gemini": 1, "ollama": 2}.get(name, 0)


async def test_calls_are_answered_in_the_vendors_words(check, name, server, llm):
    calls = (
        ToolCall(id="c1", name="weather", arguments='{"city": "Rome"}'),
        ToolCall(id="c2", name="now", arguments="{}"),
    )
    server.say(FakeAnswer(text="", tool_calls=calls, finish_reason="tool_call"))
    answer = await llm.request("hi", tools=[weather, now])
    assert [call.parsed for call in answer.tool_calls] == [{"city": "Rome"}, {}]
    first, second = answer.tool_calls
    results = [
        Message(
            role="tool", content="rain", metadata={"tool_call_id": first.id, "name": "weather"}
        ),
        Message(
            role="tool",
            content="no clock",
            metadata={"tool_call_id": second.id, "name": "now", "is_error": True},
        ),
    ]
    await llm.request([Message(role="user", content="hi"), answer.to_message(), *results])
    body = server.bodies[-1]
    check(body)
    said = body["contents" if name == "gemini" else "messages"]
    if name == "claude":
        assert said[-1]["content"] == [
            {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
            {"type": "tool_result", "tool_use_id": "c2", "content": "no clock", "is_error": True},
        ]
    elif name == "gemini":
        answers = [part["functionResponse"]["response"] for part in said[-1]["parts"]]
        assert answers == [{"output": "rain"}, {"error": "no clock"}]
    else:
        assert [message["content"] for message in said[-2:]] == ["rain", "Error: no clock"]


async def test_the_vendors_own_tools_go_out_beside_functions(check, name, server, llm):
    theirs = {
        "openai": {"type": "custom", "custom": {"name": "write"}},
        "claude": {"type": "web_search_20260209", "name": "web_search"},
        "gemini": {"googleSearch": {}},
        "ollama": {"type": "function", "function": {"name": "own", "parameters": {}}},
    }[name]
    await llm.request("hi", tools=[now, theirs])
    assert server.bodies[0]["tools"][-1] == theirs
    assert len(server.bodies[0]["tools"]) == 2
    check(server.bodies[0])


async def test_the_users_own_spelling_wins(name, server, llm):
    theirs = {
        "openai": {"tool_choice": {"type": "function", "function": {"name": "now"}}},
        "claude": {"tool_choice": {"type": "tool", "name": "now"}},
        "gemini": {"toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}},
        "ollama": {"tool_choice": {"x": 1}},
    }[name]
    await llm.request("hi", tools=[now], **theirs)
    assert {n: server.bodies[0][n] for n in theirs} == theirs


def book(city: str, place: Place, *, days: Annotated[int, Field(ge=1)] = 1) -> str:
    """Book a room."""


def greet(name: Annotated[str, Field(min_length=2)]) -> str:
    """Greet someone."""


def count(words: dict[str, int]) -> str:
    """Count words."""


def parameters_in(name, body):
    """Return the schemas of the tools that *body* offers."""
    if name == "gemini":
        return [row["parametersJsonSchema"] for row in body["tools"][0]["functionDeclarations"]]
    tools = body["tools"]
    return [t["input_schema"] if name == "claude" else t["function"]["parameters"] for t in tools]


def strict_in(name, body):
    """Return which of the tools that *body* offers are strict."""
    tools = [tool if name == "claude" else tool["function"] for tool in body["tools"]]
    return [tool.get("strict", False) for tool in tools]


async def test_a_schema_fits_the_vendor_and_loses_nothing(check, name, server, llm):
    await llm.request("hi", tools=[book, greet, count])
    check(server.bodies[0])
    for schema in parameters_in(name, server.bodies[0]):
        assert "title" not in str(schema)
    text = str(server.bodies[0])
    for rule in ("minLength", "minimum", "Italy"):
        assert rule in text, rule


async def test_tools_are_strict_where_that_changes_nothing(name, server, kind):
    if name in ("gemini", "ollama"):
        return
    model = {"openai": "gpt-6.1-terra", "claude": "claude-sonnet-5-5"}[name]
    llm = kind(model, **server.connection())
    await llm.request("hi", tools=[book, greet, count, Tool(greet, "hello", strict=False)])
    # OpenAI would have null in the place of what is left out, and this is a server of one's own
    assert (
        strict_in(name, server.bodies[0])
        == {
            "openai": [False, False, False, False],
            "claude": [True, True, False, False],
        }[name]
    )


async def test_a_tool_may_insist_on_being_strict(check, name, server, llm):
    if name == "ollama":
        with pytest.raises(InvalidRequestError, match="the tool book is strict"):
            await llm.request("hi", tools=[Tool(book, strict=True)])
        return
    await llm.request("hi", tools=[Tool(book, strict=True)])
    body = server.bodies[0]
    check(body)
    if name == "gemini":
        assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
        return
    assert strict_in(name, body) == [True]
    with pytest.raises(InvalidRequestError, match="the tool count cannot be strict"):
        await llm.request("hi", tools=[Tool(count, strict=True)])


class Node(BaseModel):
    value: int
    children: list["Node"] = []


async def test_a_schema_that_refers_to_itself(check, name, server, llm):
    def grow(tree: Node) -> str:
        """Grow a tree."""

    if name == "ollama":
        with pytest.raises(InvalidRequestError, match=r"the tool grow cannot be told: .* itself"):
            await llm.request("hi", tools=[grow])
        return
    await llm.request("hi", tools=[grow])
    assert "$ref" in str(server.bodies[0])
    check(server.bodies[0])


@pytest.mark.parametrize("then", ["close", "garble"])
async def test_a_call_that_breaks_off_is_never_made(name, server, kind, then):
    ran = []

    def delete(path: str) -> str:
        """Delete a file."""
        ran.append(path)

    call = ToolCall(id="c1", name="delete", arguments='{"path": "/tmp/some/where/x"}')
    answer = FakeAnswer(text="", tool_calls=(call,), finish_reason="tool_call")
    llm = kind(**server.connection(), retry=Retry(attempts=1))
    # Gemini and Ollama send a call whole, and then why it ends
    for after in range(1, {"openai": 5, "claude": 6}.get(name, 1)):
        server.say(Fault(answer, after=after, then=then))
        stream = stream_tools(llm, "go", tools=[delete])
        with pytest.raises(LLMError):
            await anext(stream)
    assert ran == []


async def test_observers_hear_of_each_call_as_it_is_complete(name, server, kind):
    calls = (
        ToolCall(id="c1", name="weather", arguments='{"city": "Rome {x}", "days": 2}'),
        ToolCall(id="c2", name="weather", arguments='{"city": "Paris"}'),
        ToolCall(id="c3", name="now", arguments="{}"),
    )
    answer = FakeAnswer(text="", tool_calls=calls, finish_reason="tool_call")
    heard = []
    llm = kind(**server.connection(), observers=[heard.append], retry=Retry(attempts=1))
    server.say(Fault(answer, split=7))
    stream = llm.stream("go", tools=[weather, now])
    with pytest.raises(InvalidResponseError, match="only calls tools"):
        await anext(stream)
    told = [event.call for event in heard if isinstance(event, ToolCallReady)]
    assert [(call.name, call.parsed) for call in told] == [(c.name, c.parsed) for c in calls]
    assert tuple(told) == stream.response.tool_calls
    kinds = [type(event).__name__ for event in heard]
    assert kinds == ["RequestStarted", *["ToolCallReady"] * 3, "RequestFinished"]
    # those before a break are told, and the one that it tears apart is not
    if name in ("openai", "claude"):
        heard.clear()
        server.say(Fault(answer, after={"openai": 5, "claude": 8}[name], then="close"))
        with pytest.raises(LLMError):
            await anext(llm.stream("go", tools=[weather, now]))
        told = [event.call for event in heard if isinstance(event, ToolCallReady)]
        assert [call.parsed for call in told] == [calls[0].parsed]


async def test_a_call_that_is_cut_is_not_told(server, kind):
    call = ToolCall(id="c1", name="now", arguments="{}")
    server.say(FakeAnswer(text="", tool_calls=(call,), finish_reason="length"))
    heard = []
    llm = kind(**server.connection(), observers=[heard.append])
    with pytest.raises(LLMError):
        await anext(llm.stream("go", tools=[now]))
    assert not [event for event in heard if isinstance(event, ToolCallReady)]


async def test_strict_users_are_told_of_what_cannot_be_asked(name, kind, server):
    llm = kind(**server.connection(), strict=True)
    asked = {"messages": "hi", "tools": [now], "parallel_tool_calls": False}
    if name in ("gemini", "ollama"):
        with pytest.raises(InvalidRequestError, match="does not accept parallel_tool_calls"):
            await llm.request(**asked)
    else:
        assert await llm.request(**asked)


def test_what_does_not_fit_is_found(fits):
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    check_claude(fits, asked)
    for wrong in ({"tools": [{"name": 5}]}, {"messages": [{"role": "user"}]}):
        with pytest.raises(ValidationError):
            check_claude(fits, asked | wrong)
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    check_openai(fits, asked)
    with pytest.raises(ValidationError):
        check_openai(
            fits, asked | {"tools": [{"type": "function", "function": {"parameters": {}}}]}
        )
