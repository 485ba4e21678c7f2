"""Tools: what a model is told of a function, and what is refused."""

import functools
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from bruno_llm_base import (
    ConfigurationError,
    FallbackLLM,
    InvalidRequestError,
    Tool,
    ToolCall,
    ToolResult,
)
from bruno_llm_base.signatures import read_docstring, read_signature
from bruno_llm_testing import MockLLM
from pydantic import BaseModel, Field


class Place(BaseModel):
    """A place on earth."""

    name: str
    country: str = "Italy"


@dataclass
class Money:
    amount: float


def weather(
    city: str,
    days: int = 3,
    *,
    unit: Annotated[Literal["C", "F"], Field(description="Of temperatures.")] = "C",
    where: Place | None = None,
) -> str:
    """Tell the weather.

    It is always fine.

    Args:
        city: The city,
            by its English name.
        days (int): How many days: today included.
        unit: Not this, but what `Annotated` says.

    Returns:
        A sentence.
    """
    return f"{city} {days} {unit} {where}"


async def offered(*tools, **options):
    llm = MockLLM("ok")
    await llm.request("hi", tools=list(tools), **options)
    return llm.calls[0].options


async def test_a_function_tells_what_it_does():
    (told,) = (await offered(weather))["tools"]
    assert told["name"] == "weather"
    assert told["description"] == (
        "Tell the weather.\n\nIt is always fine.\n\nReturns:\n    A sentence."
    )
    schema = told["parameters"]
    assert schema["required"] == ["city"]
    assert schema["additionalProperties"] is False
    assert schema["properties"] == {
        "city": {"type": "string", "description": "The city, by its English name."},
        "days": {
            "type": "integer",
            "default": 3,
            "description": "How many days: today included.",
        },
        "unit": {
            "type": "string",
            "enum": ["C", "F"],
            "default": "C",
            "description": "Of temperatures.",
        },
        "where": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}], "default": None},
    }
    assert schema["$defs"]["Place"]["properties"]["name"] == {"type": "string"}
    assert "title" not in str(schema)


async def test_a_parameter_may_be_called_title():
    def name(title: str) -> None:
        """Give a title."""

    (told,) = (await offered(name))["tools"]
    assert told["parameters"]["properties"] == {"title": {"type": "string"}}


async def test_methods_coroutines_and_callables_are_functions_too():
    class Shop:
        def price(self, article: str) -> Money:
            """Tell a price."""
            return Money(1.0)

        async def order(self, article: str, count: int) -> None:
            """Order something."""

        @classmethod
        def close(cls) -> None:
            """Close it."""

        @staticmethod
        def open(at: "int") -> None:
            """Open it."""

        def __call__(self, question: str) -> str:
            """Ask."""
            return question

    shop = Shop()
    ask = Tool(shop.__call__, name="ask")
    told = (await offered(shop.price, shop.order, shop.close, shop.open, ask))["tools"]
    assert [tool["name"] for tool in told] == ["price", "order", "close", "open", "ask"]
    assert [list(tool["parameters"]["properties"]) for tool in told] == [
        ["article"],
        ["article", "count"],
        [],
        ["at"],
        ["question"],
    ]


async def test_what_a_tool_says_of_itself_wins():
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    tools = [
        Tool(weather, name="forecast", description="Look ahead."),
        Tool(lambda **given: given, "search", parameters=schema),
    ]
    first, second = (await offered(*tools))["tools"]
    assert (first["name"], first["description"]) == ("forecast", "Look ahead.")
    assert first["parameters"] == Tool(weather).parameters
    assert second == {"name": "search", "description": "", "parameters": schema}


def test_a_method_without_its_object_is_refused_though_the_bound_one_was_read():
    class Station:
        def measure(self, city: str) -> str:
            """Measure."""
            return city

    read_signature(Station().measure)
    with pytest.raises(ConfigurationError, match="'self' of the tool measure has no annotation"):
        Tool(Station.measure)


def test_a_function_is_read_once():
    assert read_signature(weather) is read_signature(weather)

    class Shop:
        def price(self, article: str) -> None:
            """Tell a price."""

    one, other = Shop(), Shop()
    assert read_signature(one.price) is read_signature(other.price)


def any_number(*cities: str) -> None: ...
def any_names(**cities: str) -> None: ...
def by_place(city: str, /) -> None: ...
def bare(city) -> None: ...
def foreign(city: object, lock: "threading.Lock") -> None: ...  # noqa: F821
def unfit(city: str, tool: functools.partial) -> None: ...


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (any_number, "'cities' of the tool any_number takes any number of values"),
        (any_names, "'cities' of the tool any_names takes any names"),
        (by_place, "'city' of the tool by_place has no name"),
        (bare, "'city' of the tool bare has no annotation"),
        (foreign, "the tool foreign cannot be told to a model: name 'threading'"),
        (unfit, "'tool' of the tool unfit cannot be told to a model"),
        (lambda: None, "give a function with a name"),
        (functools.partial(weather, "Rome"), "give a function with a name"),
        (len, "give a function with a name"),
        (Place, "give a function with a name"),
    ],
)
async def test_what_cannot_be_told_is_refused(function, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        Tool(function)
    llm = MockLLM("ok")
    with pytest.raises(ConfigurationError, match=complaint):
        await llm.request("hi", tools=[function])
    assert llm.calls == []


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"name": "two words"}, "the tool's name is 'two words'"),
        ({"name": "4u"}, "the tool's name is '4u'"),
        ({"name": "x" * 65}, "the tool's name is"),
        ({"description": 5}, "the description of weather is not a text"),
        ({"timeout": 0}, "the timeout of weather is 0"),
        ({"timeout": "5"}, "the timeout of weather is '5'"),
        ({"parameters": {"type": "array"}}, "the parameters of weather are"),
        ({"parameters": {"type": "object", "x": {1, 2}}}, "the parameters of weather are"),
        ({"parameters": {"type": "object", "properties": {"x": 3}}}, r": properties\.x is 3"),
        ({"strict": "yes"}, "strict of weather is 'yes'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        Tool(weather, **settings)


THEIRS = {"type": "function", "function": {"name": "weather"}}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"tools": [weather, weather]}, "two of the tools are called 'weather'"),
        ({"tools": [weather, THEIRS]}, "two of the tools are called 'weather'"),
        ({"tools": [weather, {"name": "weather"}]}, "two of the tools are called 'weather'"),
        ({"tools": [{"functionDeclarations": [{"name": "a"}, {"name": "a"}]}]}, "called 'a'"),
        ({"tools": weather}, "tools is"),
        ({"tools": "weather"}, "tools is 'weather'"),
        ({"tools": THEIRS}, "tools is"),
        ({"tools": [weather], "tool_choice": "wether"}, "did you mean 'weather'"),
        ({"tools": [weather], "tool_choice": 5}, "tool_choice is 5"),
        ({"tools": [weather], "parallel_tool_calls": "no"}, "parallel_tool_calls is 'no'"),
        ({"tool": [weather]}, "did you mean 'tools'"),
        ({"ouput": {"type": "object"}}, "did you mean 'output'"),
        ({"tool_choice": "required"}, "tool_choice is 'required' without any tools"),
        ({"tools": [], "tool_choice": "weather"}, "tool_choice is 'weather'"),
    ],
)
async def test_a_call_that_makes_no_sense_is_refused(options, complaint):
    for llm in (MockLLM("ok"), FallbackLLM([MockLLM("ok")])):
        with pytest.raises(InvalidRequestError, match=complaint):
            await llm.request("hi", **options)


async def test_a_thing_that_is_no_tool_is_named():
    with pytest.raises(ConfigurationError, match=r"tools\[1\] is a int"):
        await MockLLM("ok").request("hi", tools=[weather, 5])


async def test_no_tools_are_none():
    for tools in ([], None, ()):
        llm = MockLLM("ok")
        await llm.request("hi", tools=tools, tool_choice="auto" if tools is None else None)
        assert "tools" not in llm.calls[0].options


async def test_a_dict_in_the_vendors_words_goes_out_as_it_is():
    theirs = {"type": "web_search_20260318", "name": "web_search"}
    options = await offered(weather, theirs, tool_choice={"type": "any"})
    assert options["tools"][1] == theirs
    assert options["tool_choice"] == {"type": "any"}


async def test_tools_are_offered_in_every_mode():
    llm = MockLLM(["one", "two"])
    assert await llm.generate("hi", tools=[weather]) == "one"
    assert "".join([piece async for piece in llm.stream("hi", tools=[weather])]) == "two"
    assert [len(call.options["tools"]) for call in llm.calls] == [1, 1]
    assert (await llm.count_tokens("hi", tools=[weather])).tokens > 20


async def test_tools_of_one_call_are_not_those_of_the_next():
    llm = MockLLM("ok")
    await llm.request("hi", tools=[weather])
    await llm.request("hi")
    assert "tools" not in llm.calls[1].options


def test_a_docstring_is_read_leniently():
    assert read_docstring("") == ("", {})
    assert read_docstring("One line.") == ("One line.", {})
    assert read_docstring("Args:\n    *a: b\n\n    c: d: e\n        f: g") == (
        "",
        {"a": "b", "c": "d: e f: g"},
    )
    text = "Do.\n\nArguments:\n  a (str, optional): first\n  nonsense\nRaises:\n  X: y"
    assert read_docstring(text) == ("Do.\n\nRaises:\n  X: y", {"a": "first nonsense"})


def test_arguments_are_parsed():
    assert ToolCall(name="f", arguments='{"a": [1]}').parsed == {"a": [1]}
    assert ToolCall(name="f").parsed == {}
    for wrong in ('{"a": 1', "[1]", "null"):
        with pytest.raises(ValueError, match="the arguments of f are not a JSON object"):
            _ = ToolCall(name="f", arguments=wrong).parsed


async def test_a_mock_calls_tools():
    llm = MockLLM([ToolCall(name="f"), [ToolCall(name="f"), ToolCall(name="g")], "done"])
    answer = await llm.request("hi")
    assert answer.finish_reason == "tool_call"
    assert answer.tool_calls == (ToolCall(id="call_1", name="f", arguments="{}"),)
    assert not answer.usage_estimated
    stream = llm.stream("hi")
    with pytest.raises(Exception, match="only calls tools"):
        await anext(stream)
    assert [(c.id, c.name) for c in stream.response.tool_calls] == [
        ("call_1", "f"),
        ("call_2", "g"),
    ]
    assert await llm.generate("hi") == "done"


def test_an_empty_result_says_that_it_is_empty():
    assert ToolResult("1", "weather", " ").to_message().content == "(no result)"


async def test_a_failed_result_says_so():
    llm = MockLLM("ok")
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "name": "f"}]}
    result = {"role": "tool", "content": "no", "tool_call_id": "c", "metadata": {"is_error": True}}
    await llm.request([{"role": "user", "content": "hi"}, call, result])
    turn = llm.calls[0].conversation.turns[-1]
    assert turn.tool_results == [ToolResult("c", "f", "no", is_error=True)]
