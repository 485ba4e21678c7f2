"""Tools at OpenAI's own address."""

import json
from typing import Annotated

import openai.types.responses.response_create_params as responses
import pytest
from bruno_llm_base import InvalidRequestError, Retry, Tool, ToolCall, run_tools, stream_tools
from bruno_llm_openai import OpenAIProvider
from bruno_llm_openai.schemas import build_tools
from bruno_llm_testing import FakeAnswer, FakeOpenAI, RawReply
from pydantic import Field


def search(query: Annotated[str, Field(max_length=9)], page: int) -> str:
    """Search."""


def look(query: str, page: int = 1) -> str:
    """Look."""


def function(tool):
    return build_tools([tool], choice=None, parallel=None, strict=True)["tools"][0]["function"]


def test_a_tool_is_strict_where_no_null_has_to_be_added():
    told = function(Tool(search))
    assert told["strict"] is True
    assert told["parameters"] == {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "(maxLength: 9)"},
            "page": {"type": "integer"},
        },
        "required": ["query", "page"],
        "additionalProperties": False,
    }
    assert "strict" not in function(Tool(look))
    assert "strict" not in function(Tool(search, strict=False))


def test_a_tool_that_insists_takes_null_for_what_is_left_out():
    told = function(Tool(look, strict=True))
    assert told["strict"] is True
    assert told["parameters"]["required"] == ["query", "page"]
    assert told["parameters"]["properties"]["page"] == {
        "anyOf": [{"type": "integer"}, {"type": "null"}],
        "description": "(default: 1)",
    }


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_a_schema_that_is_refused_is_told_alone(api):
    error = {
        "message": "Invalid schema for function 'search': it is nested too deeply.",
        "type": "invalid_request_error",
        "param": "tools[0].function.parameters",
        "code": "invalid_function_parameters",
    }
    refused = RawReply(status=400, body=json.dumps({"error": error}).encode())
    theirs = {"type": "function", "name": "x", "parameters": {"type": "object"}, "strict": False}
    with FakeOpenAI() as server:
        settings = server.connection() | {"api": api, "retry": Retry(attempts=1)}
        async with OpenAIProvider(**settings) as llm:
            server.say(refused)
            tools = [Tool(search, strict=True)]
            assert (await llm.request("hi", tools=tools)).text
            assert (await llm.request("hi", tools=tools)).text
            sent = [body["tools"][0] for body in server.bodies]
            assert [tool.get("function", tool)["strict"] for tool in sent] == [True, False, False]
            server.say(refused)  # which is none of our doing
            with pytest.raises(InvalidRequestError, match="nested too deeply"):
                await llm.request("hi", tools=[theirs])


KINDS = {
    False: responses.ResponseCreateParamsNonStreaming,
    True: responses.ResponseCreateParamsStreaming,
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("choice", [None, "required", "search", "none"])
async def test_tools_of_the_responses_api_fit_its_types(fits, choice, streamed):
    call = ToolCall(id="c1", name="search", arguments='{"query": "x", "page": 1}')
    with FakeOpenAI() as server:
        server.say(FakeAnswer(text="", tool_calls=(call,), finish_reason="tool_call"))
        async with OpenAIProvider(api="responses", **server.connection()) as llm:
            options = {"tools": [search, Tool(look, strict=True)], "parallel_tool_calls": False}
            options["tool_choice"] = choice
            if streamed:
                stream = stream_tools(llm, "go", **options)
                assert "".join([piece async for piece in stream])
                answer = stream.response
            else:
                answer = await run_tools(llm, "go", **options)
        assert answer.rounds == 2
        assert {request.path.rpartition("/")[2] for request in server.received} == {"responses"}
        first, second = server.bodies
    for body in (first, second):
        fits(KINDS[streamed], body)
    assert [(tool["name"], tool["strict"]) for tool in first["tools"]] == [
        *(("search", False), ("look", True)),
    ]
    named = {"type": "function", "name": "search"}
    assert first.get("tool_choice") == (named if choice == "search" else choice)
    assert "tool_choice" not in second
    assert second["input"][-1] == {
        "type": "function_call_output",
        "call_id": "c1",
        "output": "(no result)",
    }
