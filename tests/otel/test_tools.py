"""Spans of tools."""

import asyncio
import json

import pytest
from bruno_llm_base import FallbackLLM, RateLimitError, Tool, ToolCall, run_tools, stream_tools
from bruno_llm_testing import MockLLM
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

SECRET = "the launch code is 0000"


def call(name="look", **arguments):
    return ToolCall(id="c1", name=name, arguments=json.dumps(arguments))


@pytest.fixture
def make(told):
    return lambda *replies, **settings: MockLLM([*replies], observers=[told.telemetry(**settings)])


def tools_of(told):
    return [span for span in told.spans if span.name.startswith("execute_tool")]


async def test_a_tool_is_a_span_beside_the_requests(make, told):
    seen = []

    def look(where: str) -> str:
        """Look."""
        seen.append(trace.get_current_span().name)
        with told.tracer.start_as_current_span("inside"):
            return where

    with told.tracer.start_as_current_span("caller"):
        await run_tools(make(call(where=SECRET), "Done."), "hi", tools=[look])
    assert seen == ["execute_tool look"]
    assert [(span.name, told.parent(span)) for span in told.spans] == [
        ("chat mock-model", "caller"),
        ("inside", "execute_tool look"),
        ("execute_tool look", "caller"),
        ("chat mock-model", "caller"),
        ("caller", None),
    ]
    (span,) = tools_of(told)
    assert span.kind is SpanKind.INTERNAL
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "look",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "c1",
    }
    assert span.status.status_code is StatusCode.UNSET
    (point,) = told.points("gen_ai.execute_tool.duration")
    assert (point.count, point.attributes["gen_ai.tool.name"]) == (1, "look")


async def test_tools_of_a_stream_are_spans(make, told):
    async def look() -> str:
        """Look."""
        return "grass"

    async for _ in stream_tools(make(call(), "Done."), "hi", tools=[look]):
        assert not trace.get_current_span().get_span_context().is_valid
    assert len(tools_of(told)) == 1


async def test_what_a_model_asks_of_another_is_a_child_of_the_tool(make, told):
    inner = make("grass")

    async def look() -> str:
        """Look."""
        return await inner.generate("What is there?")

    await run_tools(make(call(), "Done."), "hi", tools=[look])
    assert sorted(str(told.parent(span)) for span in told.spans) == [
        *["None"] * 3,
        "execute_tool look",
    ]


async def test_a_tool_that_fails(make, told):
    def look() -> str:
        """Look."""
        raise ValueError(SECRET)

    await run_tools(make(call(), "Done."), "hi", tools=[look])
    (span,) = tools_of(told)
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "ToolError"
    assert SECRET not in span.to_json()
    (point,) = told.points("gen_ai.execute_tool.duration")
    assert point.attributes["error.type"] == "ToolError"


async def test_a_tool_that_ends_the_loop(make, told):
    def look() -> str:
        """Look."""
        raise RateLimitError("no")

    with pytest.raises(RateLimitError):
        await run_tools(make(call()), "hi", tools=[look])
    assert tools_of(told)[0].attributes["error.type"] == "RateLimitError"


async def test_a_tool_that_is_cancelled(make, told):
    runs = asyncio.Event()

    async def look() -> str:
        """Look."""
        runs.set()
        await asyncio.sleep(60)
        return ""

    task = asyncio.create_task(run_tools(make(call()), "hi", tools=[look]))
    await runs.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tools_of(told)[0].attributes["error.type"] == "CancelledError"


@pytest.mark.parametrize("sequential", [True, False])
async def test_a_call_that_does_not_happen_is_no_span(make, told, sequential):
    def look() -> str:
        """Look."""
        return "grass"

    tools = [Tool(look, sequential=sequential)]
    await run_tools(make(call(), "Done."), "hi", tools=tools, approve=lambda _: False)
    assert tools_of(told) == []


async def test_what_a_tool_is_given_and_answers_is_told_where_it_is_wanted(make, told):
    def look(where: str) -> str:
        """Look."""
        return f"seen: {where}"

    llm = make(call(where=SECRET), "Done.", content=lambda text: text.replace("0000", "****"))
    await run_tools(llm, "hi", tools=[look])
    (span,) = tools_of(told)
    assert span.attributes["gen_ai.tool.call.arguments"] == '{"where": "the launch code is ****"}'
    assert span.attributes["gen_ai.tool.call.result"] == '"seen: the launch code is ****"'


async def test_tools_of_a_fallback_are_told_to_its_observers(told):
    def look() -> str:
        """Look."""
        return "grass"

    llm = FallbackLLM([MockLLM([call(), "Done."])], observers=[told.telemetry()])
    await run_tools(llm, "hi", tools=[look])
    assert len(tools_of(told)) == 1
