"""Typed output on every provider: what is sent fits the vendor's types, and answers are checked."""

import asyncio
import json
import pickle
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Literal

import anthropic.types
import google.genai.types
import openai.types.chat.completion_create_params
import openai.types.responses.response_create_params
import pytest
from bruno_core.interfaces import LLMInterface
from bruno_llm_base import (
    ContentBlockedError,
    FallbackLLM,
    InvalidRequestError,
    LLMError,
    Output,
    OutputInvalidError,
    OutputLimitError,
    ToolCall,
    Usage,
    run_tools,
    stream_tools,
)
from bruno_llm_base.schemas import resolved
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeOpenAI, MockLLM, RawReply
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypedDict

adapter_of = cache(TypeAdapter)  # of the SDKs' types, which are slow to make


class City(BaseModel):
    """A city."""

    name: str = Field(min_length=2, description="Its name")
    founded: date | None = None
    people: int = 5


@dataclass
class River:
    name: str
    length: float


class Lake(TypedDict):
    depth: int


class Node(BaseModel):
    value: int
    children: list["Node"] = []


SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
CASES: dict[str, tuple[Any, str, Any]] = {
    "model": (City, '{"name": "Rome", "founded": null, "people": null}', City(name="Rome")),
    "dataclass": (River, '{"name": "Po", "length": 652}', River("Po", 652.0)),
    "typed dict": (Lake, '{"depth": 3}', {"depth": 3}),
    "union": (City | River, '{"name": "Po", "length": 652}', River("Po", 652.0)),
    "list": (list[Lake], '[{"depth": 1}, {"depth": 2}]', [{"depth": 1}, {"depth": 2}]),
    "number": (int, "42", 42),
    "words": (Literal["yes", "no"], '"no"', "no"),
    "open": (dict[str, int], '{"a": 1}', {"a": 1}),
    "recursive": (
        Node,
        '{"value": 1, "children": [{"value": 2, "children": []}]}',
        Node(value=1, children=[Node(value=2)]),
    ),
    "schema": (SCHEMA, '{"x": 1}', {"x": 1}),
}


def format_of(name, body):
    """Return the schema that was asked for, checked by the vendor's own types; None if there is none."""
    if name == "openai":
        params = openai.types.chat.completion_create_params
        streamed = "Streaming" if body.get("stream") else "NonStreaming"
        adapter_of(getattr(params, f"CompletionCreateParams{streamed}")).validate_python(body)
        return body["response_format"]["json_schema"]["schema"]
    if name == "claude":
        params = anthropic.types.message_create_params
        streamed = "Streaming" if body.get("stream") else "NonStreaming"
        adapter_of(getattr(params, f"MessageCreateParams{streamed}")).validate_python(body)
        return body.get("output_config", {}).get("format", {}).get("schema")
    if name == "gemini":
        config = body["generationConfig"]
        google.genai.types.GenerateContentConfig.model_validate(config)
        assert config["responseMimeType"] == "application/json"
        return config["responseJsonSchema"]
    return body["format"]


def said(text, name, kind):
    """Return what a model writes that is held to the schema."""
    is_wrapped = name in ("openai", "claude") and kind in ("union", "list", "number", "words")
    return f'{{"result": {text}}}' if is_wrapped else text


@pytest.fixture
def llm(kind, server):
    return kind(**server.connection())


@pytest.mark.parametrize("case", CASES)
def test_each_type_is_asked_for_and_read(llm, server, name, case):
    kind, text, value = CASES[case]
    server.say(FakeAnswer(text=said(text, name, case)), times=3)

    async def ask():
        async with llm:
            stream = llm.stream("Which?", output=kind)
            parts = [stream.partial() async for _ in stream]
            asked = await llm.request("Which?", output=kind)
            return asked, stream, parts, json.loads(await llm.generate("Which?", output=kind))

    response, stream, parts, written = asyncio.run(ask())
    assert response.output == stream.response.output == value
    assert TypeAdapter(object).dump_python(written) == json.loads(text) or case == "model"
    if case == "list":
        assert parts[-1] == value
    for body in server.bodies:
        schema = format_of(name, body)
        assert schema or (name == "claude" and case in ("recursive", "open", "schema"))
        if name in ("openai", "claude") and schema:
            assert schema["type"] == "object"
    prompted = "JSON alone" in json.dumps(server.bodies[0])
    is_asked = format_of(name, server.bodies[0]) is not None
    assert prompted == (not is_asked or name in ("openai", "ollama"))


def test_responses_is_asked_in_its_own_words():
    with FakeOpenAI() as server:
        llm = OpenAIProvider(**server.connection(), api="responses")
        server.say(FakeAnswer(text='{"result": [{"depth": 1}]}'))
        response = asyncio.run(llm.request("Which?", output=list[Lake]))
    assert response.output == [{"depth": 1}]
    (body,) = server.bodies
    kind = openai.types.responses.response_create_params.ResponseCreateParamsNonStreaming
    adapter_of(kind).validate_python(body)
    asked = body["text"]["format"]
    assert (asked["type"], asked["strict"]) == ("json_schema", True)
    assert asked["schema"]["required"] == ["result"]


def test_what_does_not_fit_is_asked_for_again(llm, server, name):
    usage = Usage(input_tokens=10, output_tokens=5)
    server.say(FakeAnswer(text='{"name": "R"}', usage=usage))
    server.say(FakeAnswer(text='{"name": "Rome"}', usage=usage))
    response = asyncio.run(llm.request("Which?", output=City))
    assert response.output == City(name="Rome")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (20, 10)
    assert len(response.attempts) == 2
    again = json.dumps(server.bodies[1])
    assert "name: String should have at least 2 characters" in again
    assert "does not fit" in again
    server.say(FakeAnswer(text="Rome, of course.", usage=usage), times=3)
    with pytest.raises(OutputInvalidError, match="does not fit City: the answer: ") as caught:
        asyncio.run(llm.request("Which?", output=Output(City, retries=2)))
    error = caught.value
    assert error.partial.text == "Rome, of course."
    assert error.partial.usage.total_tokens == 45
    assert len(error.attempts) == 3
    assert error.errors
    assert error.provider == name


def test_refusals_and_cut_answers_have_errors_of_their_own(llm, server, name):
    server.say(FakeAnswer(text='{"name": "Ro', finish_reason="length"), times=2)
    with pytest.raises(OutputLimitError, match="raise max_tokens") as caught:
        asyncio.run(llm.request("Which?", output=City))
    assert caught.value.partial.text == '{"name": "Ro'
    assert len(server.bodies) == 1

    async def read():
        stream = llm.stream("Which?", output=City)
        with pytest.raises(OutputLimitError):
            [piece async for piece in stream]
        return stream.partial()

    assert asyncio.run(read()) == {"name": "Ro"}
    if name == "ollama":
        return  # it does not say so
    server.say(FakeAnswer(text="I will not.", finish_reason="content_filter"))
    with pytest.raises(ContentBlockedError):
        asyncio.run(llm.request("Which?", output=City))


def test_a_stream_that_does_not_fit_is_an_error_at_its_end(llm, server):
    server.say(FakeAnswer(text='{"name": "Rome", "people": "many"}'))

    async def read():
        stream = await llm.stream("Which?", output=City)
        with pytest.raises(OutputInvalidError, match="people: Input should be"):
            [piece async for piece in stream]
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        return stream.response.text

    assert asyncio.run(read()) == '{"name": "Rome", "people": "many"}'


def test_a_server_that_knows_no_schemas_is_asked_in_words(llm, server, name):
    """A refusal of the field leads to JSON mode, and then to words; it is remembered."""
    message = "response_format is not supported: schema and format unknown"
    refusal = RawReply(status=400, body=json.dumps({"error": {"message": message}}).encode())
    ways = 1 if name == "claude" else 2
    server.say(*[refusal] * ways, *[FakeAnswer(text='```json\n{"name": "Rome"}\n```')] * 2)
    for _ in range(2):
        response = asyncio.run(llm.request("Which?", output=City))
        assert response.output == City(name="Rome")
    bodies = server.bodies
    assert len(bodies) == ways + 2
    for field in ("response_format", "output_config", "generationConfig", "format"):
        assert field not in bodies[-1]
        assert field not in bodies[-2]
    assert json.dumps(bodies[-1]).count("JSON alone") == 1
    if name == "openai":
        assert bodies[1]["response_format"] == {"type": "json_object"}
    if name == "ollama":
        assert bodies[1]["format"] == "json"


def test_another_refusal_is_told_as_it_is(llm, server):
    refusal = RawReply(status=400, body=b'{"error": {"message": "no such thing"}}')
    server.say(refusal)
    with pytest.raises(InvalidRequestError, match="no such thing"):
        asyncio.run(llm.request("Which?", output=City))
    assert len(server.bodies) == 1


def test_calls_come_before_the_output(llm, server):
    def people(city: str) -> int:
        """Count the people of a city."""
        return len(city)

    calls = (ToolCall(id="call_1", name="people", arguments='{"city": "Rome"}'),)
    answer = FakeAnswer(text="", tool_calls=calls, finish_reason="tool_call")
    server.say(answer)
    first = asyncio.run(llm.request("Which?", output=City, tools=[people]))
    assert first.tool_calls
    with pytest.raises(RuntimeError, match="calls tools"):
        first.output
    server.say(answer, FakeAnswer(text='{"name": "Rome", "people": 4}'))
    last = asyncio.run(run_tools(llm, "Which?", output=City, tools=[people]))
    assert last.output == City(name="Rome", people=4)
    server.say(answer, FakeAnswer(text='{"name": "Rome", "people": 4}'))

    async def read():
        stream = stream_tools(llm, "Which?", output=City, tools=[people])
        parts = [stream.partial() async for _ in stream]
        return parts[-1], stream.response.output

    assert asyncio.run(read()) == ({"name": "Rome", "people": 4}, last.output)


def test_no_answer_is_too_odd_to_be_told_of():
    odd = ["[" * 5000, '{"name": "\\ud800"}', "", "{", "```json\n{}\n```", '{"name": NaN}', "null"]
    for text in odd:
        llm = MockLLM(text or " ")
        with pytest.raises(LLMError):
            asyncio.run(llm.request("Which?", output=Output(City, retries=0)))


def test_the_users_own_fields_win(llm, server, name):
    own = {
        "openai": {"response_format": {"type": "text"}},
        "claude": {"output_config": {"effort": "low"}},
        "gemini": {"generationConfig": {"responseMimeType": "text/plain"}},
        "ollama": {"format": "json"},
    }[name]
    server.say(FakeAnswer(text='{"name": "Rome"}'))
    asyncio.run(llm.request("Which?", output=City, **own))
    (field,) = own
    sent = server.bodies[0][field]
    assert sent == own[field] or own[field].items() <= sent.items()


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        (object(), "of which there is no JSON schema"),
        ({"not": "a schema"}, "give a JSON schema, or a type"),
        ({"type": "object", "x": {1, 2}}, "not JSON"),
        ("City", "of which there is no JSON schema"),
        ("", "output is '', of which there is no JSON schema"),
        (City(name="Rome"), r"output is City\(name='Rome', .*\): give its type, City"),
        (asyncio.run, "output is the function .*: give a type"),
        ({"type": "object", "properties": 3}, "not a JSON schema: properties is 3"),
        ({"type": "array", "items": 3}, "not a JSON schema: items is 3"),
        ({"anyOf": [{"required": "x"}]}, "not a JSON schema: anyOf.0.required is 'x'"),
    ],
    ids=[
        *("object", "dict", "set", "text", "nothing", "instance", "function", "properties"),
        *("items", "required"),
    ],
)
def test_what_is_no_type_is_refused(llm, server, output, complaint):
    with pytest.raises(InvalidRequestError, match=complaint):
        asyncio.run(llm.request("Which?", output=output))
    with pytest.raises(InvalidRequestError, match="retries is -1"):
        Output(City, retries=-1)
    assert not server.received


def test_a_list_may_hold_lists_like_itself():
    schema = {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"$ref": "#"}]}}
    form = Output(schema).form
    whole = form.wrapped()
    assert resolved({"$ref": "#/properties/result"}, whole)["type"] == "array"
    assert whole["properties"]["result"]["items"]["anyOf"][1] == {"$ref": "#/properties/result"}
    assert form.data('{"result": [1, [2]]}') == [1, [2]]


def test_a_plain_answer_has_no_output(llm):
    response = asyncio.run(llm.request("Hi"))
    with pytest.raises(RuntimeError, match="ask for one"):
        response.output
    with pytest.raises(RuntimeError, match="no output was asked for"):
        llm.stream("Hi").partial()


class Bare(LLMInterface):
    """A model that knows nothing of types."""

    def __init__(self):
        self.asked = []

    async def generate(self, messages, temperature=0.7, max_tokens=None, **kwargs):
        self.asked.append((messages, kwargs))
        return 'Sure: {"name": "Rome"}'

    async def stream(self, messages, temperature=0.7, max_tokens=None, **kwargs):
        self.asked.append((messages, kwargs))
        for piece in ('{"name"', ': "Rome"}'):
            yield piece

    def get_token_count(self, text):
        return len(text)

    async def check_connection(self):
        return True

    async def list_models(self):
        return []

    def get_model_info(self):
        return {}

    def set_system_prompt(self, prompt):
        pass

    def get_system_prompt(self):
        return None


def test_fallbacks_ask_every_member():
    mock, bare = MockLLM(["no"] * 4), Bare()
    llm = FallbackLLM([mock, bare])

    async def ask():
        asked = await llm.request("Which?", output=City)
        text = await llm.generate("Which?", output=City)
        stream = FallbackLLM([bare]).stream("Which?", output=City)
        parts = [stream.partial() async for _ in stream]
        return asked.output, text, parts, stream.response.output

    output, text, parts, streamed = asyncio.run(ask())
    assert output == streamed == City(name="Rome")
    assert json.loads(text) == {"name": "Rome"}
    assert parts[-1] == {"name": "Rome"}
    assert mock.calls[0].options["output"]["title"] == "City"
    assert all("JSON alone" in said[0].content for said, _ in bare.asked)
    assert not any("output" in kwargs for _, kwargs in bare.asked)


def test_an_invalid_output_goes_through_pickle():
    error = OutputInvalidError("no", errors=("a: b",))
    again = pickle.loads(pickle.dumps(error))
    assert again.errors == ("a: b",)
    assert isinstance(again, LLMError)


def test_it_goes_with_reasoning_caching_and_tools(kind, server, name):
    def people(city: str) -> int:
        """Count the people of a city."""
        return len(city)

    model = {"ollama": "qwen3:8b"}.get(name)
    llm = kind(model, **server.connection(), system_prompt="You are brief.", cache=True)
    server.say(FakeAnswer(text='{"name": "Rome"}', reasoning="Hm."))
    response = asyncio.run(
        llm.request("Which?", output=City, reasoning="high", tools=[people], temperature=0.5)
    )
    assert response.output == City(name="Rome")
    assert response.reasoning == "Hm."
    (body,) = server.bodies
    assert format_of(name, body)
    assert "high" in json.dumps(body).lower()
    assert "people" in json.dumps(body["tools"])
    if name == "claude":
        assert body["output_config"].keys() == {"effort", "format"}


def test_a_mock_says_typed_outputs():
    mock = MockLLM([City(name="Rome"), River("Po", 652.0), "no", City(name="Paris")])
    assert asyncio.run(mock.request("Which?", output=City)).output == City(name="Rome")
    assert asyncio.run(mock.request("Which?", output=River)).output == River("Po", 652.0)
    response = asyncio.run(mock.request("Which?", output=City))
    assert response.output == City(name="Paris")
    assert "Input is not JSON" in mock.calls[-1].prompt


def test_an_error_about_tools_is_no_refusal_of_the_output(llm, server):
    error = {"message": "Invalid schema for function 'x'", "param": "tools[0].function.parameters"}
    server.say(RawReply(status=400, body=json.dumps({"error": error}).encode()))
    with pytest.raises(InvalidRequestError, match="Invalid schema"):
        asyncio.run(llm.request("Which?", output=City))
    assert len(server.bodies) == 1
