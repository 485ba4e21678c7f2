"""What goes over the wire, and what is made of the answers."""

import json

import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import (
    ContentBlockedError,
    InvalidRequestError,
    ModelResponse,
    ToolCall,
    Usage,
    VendorBlock,
)
from bruno_llm_base.parts import part_to_json
from bruno_llm_claude import ClaudeProvider
from bruno_llm_testing import FakeAnswer


def user(text):
    return Message(role=MessageRole.USER, content=text)


def assistant(text, **metadata):
    return Message(role=MessageRole.ASSISTANT, content=text, metadata=metadata)


def result(text, **metadata):
    return Message(role=MessageRole.TOOL, content=text, metadata=metadata)


def blocks(body):
    """Return role and kinds of blocks of each message."""
    return [(m["role"], [b["type"] for b in m["content"]]) for m in body["messages"]]


CALLS = [
    {"id": "t1", "name": "weather", "arguments": '{"city": "Paris"}'},
    {"id": "t2", "name": "time", "arguments": ""},
]


async def test_a_plain_request(llm, server):
    llm.set_system_prompt("Be brief.")
    await llm.generate("Hi")
    assert server.bodies == [
        {
            "model": "claude-sonnet-5-5",
            "max_tokens": 16000,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        }
    ]
    headers = server.received[0].headers
    assert headers["authorization"] == "Bearer test-key"
    assert headers["anthropic-version"] == "2026-10-21"


async def test_options(llm, server):
    await llm.generate("Hi", max_tokens=5, stop="END", thinking={"type": "adaptive"})
    body = server.bodies[0]
    assert body["max_tokens"] == 5
    assert body["stop_sequences"] == ["END"]
    assert body["thinking"] == {"type": "adaptive"}
    assert "stop" not in body


async def test_a_server_that_takes_sampling_options_gets_them_as_its_own(server):
    llm = ClaudeProvider(**server.connection(), options={"temperature": 0.5})
    with pytest.raises(InvalidRequestError, match="temperature: Extra inputs"):
        await llm.generate("Hi")
    assert server.bodies[0]["temperature"] == 0.5


async def test_tool_calls_and_results(llm, server):
    await llm.generate(
        [
            user("How is it?"),
            assistant("Let me look.", tool_calls=CALLS),
            user("Hurry."),
            result("sunny", tool_call_id="t1"),
            result("noon", tool_call_id="t2"),
            user("And?"),
        ]
    )
    _, call, results = server.bodies[0]["messages"]
    assert call["content"] == [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "t2", "name": "time", "input": {}},
    ]
    assert results["role"] == "user"
    assert results["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"},
        {"type": "tool_result", "tool_use_id": "t2", "content": "noon"},
        {"type": "text", "text": "Hurry.\n\nAnd?"},
    ]


@pytest.mark.parametrize("arguments", ['{"city": ', "[1]", "null"])
async def test_arguments_that_are_no_json_object(llm, server, arguments):
    call = {"id": "t1", "name": "weather", "arguments": arguments}
    await llm.generate([user("Hi"), assistant("Hm.", tool_calls=[call]), user("Well?")])
    sent = server.bodies[0]["messages"][1]["content"][1]
    assert sent["input"] == {"invalid_json": arguments}


async def test_the_first_turn_is_the_users(llm, server):
    await llm.generate([assistant("Welcome!"), user("Hi")])
    assert [role for role, _ in blocks(server.bodies[0])] == ["user", "assistant", "user"]


FULL = FakeAnswer(
    text="It rains.",
    reasoning="Let me look.",
    tool_calls=(ToolCall(id="t1", name="weather", arguments='{"city": "Orléans"}'),),
    finish_reason="tool_call",
    usage=Usage(
        input_tokens=60,
        output_tokens=20,
        cache_read_tokens=40,
        cache_write_tokens=10,
        cache_write_1h_tokens=4,
        reasoning_tokens=5,
    ),
)


async def test_a_full_answer(llm, server):
    server.say(FULL, times=2)
    whole = await llm.request("Hi")
    stream = llm.stream("Hi")
    assert [piece async for piece in stream] == ["It", " rains."]
    for response in (whole, stream.response):
        assert (response.text, response.reasoning) == ("It rains.", "Let me look.")
        assert response.tool_calls == (
            ToolCall(id="t1", name="weather", arguments='{"city": "Orléans"}'),
        )
        assert response.usage == FULL.usage
        assert (response.finish_reason, response.finish_detail) == ("tool_call", "tool_use")
        assert response.id == "msg_013Zva2CMHLNnXjNJJKqJ2EF"
        assert response.model == "claude-sonnet-5-5"
    assert whole.parts == stream.response.parts


async def test_thoughts_go_back_as_they_came(llm, server):
    server.say(FULL)
    stream = llm.stream("Hi")
    async for _ in stream:
        pass
    message = stream.response.to_message()
    foreign = VendorBlock("openai", {"type": "reasoning", "encrypted_content": "..."})
    message.metadata["parts"].append(part_to_json(foreign))
    message = Message.model_validate(json.loads(message.model_dump_json()))
    await llm.generate([user("Hi"), message, result("sunny", tool_call_id="t1")])
    assert blocks(server.bodies[1])[1] == ("assistant", ["thinking", "text", "tool_use"])
    thought = server.bodies[1]["messages"][1]["content"][0]
    assert thought.keys() == {"type", "thinking", "signature"}
    assert thought["thinking"] == "Let me look."
    assert thought["signature"]


async def test_a_refusal_names_its_category(llm, server):
    refused = FakeAnswer(text="", finish_reason="content_filter")
    server.say(refused, refused)
    with pytest.raises(ContentBlockedError) as caught:
        await llm.generate("Hi")
    assert caught.value.reason == "general_harms"
    stream = llm.stream("Hi")
    with pytest.raises(ContentBlockedError) as caught:
        async for _ in stream:
            pass
    assert caught.value.reason == "general_harms"
    assert stream.response.finish_detail == "general_harms"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "pause"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_call"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_finish_reasons(llm, word, reason):
    data = {"content": [{"type": "text", "text": "x"}], "stop_reason": word, "stop_details": None}
    response = llm.adapter.parse(data)
    assert (response.finish_reason, response.finish_detail) == (reason, word)


def summed(llm, events):
    return ModelResponse.join(llm.adapter.parse_event(event) for event in events)


def test_redacted_thoughts_are_kept(llm):
    block = {"type": "redacted_thinking", "data": "opaque"}
    whole = llm.adapter.parse({"content": [block]})
    begun = {"type": "content_block_start", "index": 0, "content_block": block}
    assert whole.parts == (VendorBlock("anthropic", block),)
    assert summed(llm, [begun]) == whole
    assert not whole.text + whole.reasoning


def test_events_that_say_nothing(llm):
    begun = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
    quiet = [{"type": "ping"}, begun, {"type": "content_block_stop", "index": 0}, {"type": "new"}]
    assert summed(llm, [*quiet, {"type": "message_stop"}]) == ModelResponse()


def test_a_stream_that_reports_the_input_once(llm):
    begun = {"usage": {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 0}}
    stop = {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}
    events = [{"type": "message_start", "message": begun}, {"type": "message_delta", **stop}]
    expected = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=3)
    assert summed(llm, events).usage == expected


def test_a_stream_whose_input_grows(llm):
    cache = {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    begun = {"usage": {"input_tokens": 7, **cache, "output_tokens": 1}}
    counts = {"input_tokens": 900, **cache, "output_tokens": 5}
    events = [
        {"type": "message_start", "message": begun},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": counts},
    ]
    usage = summed(llm, events).usage
    assert (usage.input_tokens, usage.output_tokens) == (900, 5)


def test_what_is_not_reported_stays_unknown(llm):
    assert llm.adapter.parse({"content": []}).usage == Usage()
