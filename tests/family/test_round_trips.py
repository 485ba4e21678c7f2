"""What a model said can be sent again: to its own vendor unchanged, and to every other."""

import json
from contextlib import suppress

import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import (
    InvalidResponseError,
    ModelResponse,
    Reasoning,
    Text,
    ToolCall,
    VendorBlock,
)


def user(text):
    return Message(role=MessageRole.USER, content=text)


def result(text, **metadata):
    return Message(role=MessageRole.TOOL, content=text, metadata=metadata)


def saved(message):
    """Return *message* as it comes back from a database."""
    return Message.model_validate_json(message.model_dump_json())


async def ask(llm, how, messages="hi"):
    if how == "request":
        return await llm.request(messages)
    stream = llm.stream(messages)
    with suppress(InvalidResponseError):  # an answer without text
        async for _ in stream:
            pass
    return stream.response


# -- Claude: blocks ----------------------------------------------------------------------------------


def claude_stream(blocks, reason):
    """Return *blocks* as a stream: text and thoughts in halves, arguments as text."""
    yield {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 10}}}
    for index, block in enumerate(blocks):
        empty, pieces = dict(block), []
        for field, kind in (("text", "text_delta"), ("thinking", "thinking_delta")):
            if field in block:
                half = len(block[field]) // 2
                said = (block[field][:half], block[field][half:])
                pieces += [{"type": kind, field: piece} for piece in said]
                empty[field] = ""
        if "citations" in block:
            pieces += [{"type": "citations_delta", "citation": c} for c in empty.pop("citations")]
        if "signature" in block:
            pieces.append({"type": "signature_delta", "signature": block["signature"]})
            empty["signature"] = ""
        if "input" in block:
            written = json.dumps(block["input"])
            pieces += [
                {"type": "input_json_delta", "partial_json": piece}
                for piece in ("", written[:3], written[3:])
            ]
            empty["input"] = {}
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for piece in pieces:
            yield {"type": "content_block_delta", "index": index, "delta": piece}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}}
    yield {"type": "message_stop"}


def claude_says(how, blocks, reason="end_turn"):
    if how == "stream":
        return list(claude_stream(blocks, reason))
    usage = {"input_tokens": 10, "output_tokens": 5}
    return {"id": "m", "model": "m", "content": blocks, "stop_reason": reason, "usage": usage}


OK = claude_says("request", [{"type": "text", "text": "ok"}])
INTERLEAVED = [
    {"type": "thinking", "thinking": "first", "signature": "s1"},
    {"type": "text", "text": "I will search."},
    {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "s1",
        "content": [{"type": "web_search_result", "url": "https://a.example", "title": "t"}],
    },
    {"type": "thinking", "thinking": "second", "signature": "s2"},
    {
        "type": "text",
        "text": "Found it.",
        "citations": [{"type": "web_search_result_location", "cited_text": "it"}],
    },
    {"type": "redacted_thinking", "data": "opaque"},
    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
    {"type": "thinking", "thinking": "third", "signature": "s3"},
    {"type": "tool_use", "id": "t2", "name": "f", "input": {"a": 2}},
]
RESULTS = [result("r1", tool_call_id="t1"), result("r2", tool_call_id="t2")]


@pytest.mark.parametrize("how", ["request", "stream"])
@pytest.mark.parametrize("name", ["claude"])
async def test_claudes_blocks_go_back_as_they_came_in_their_order(how, raw, client):
    raw.say(claude_says(how, INTERLEAVED, "tool_use"), OK)
    answer = await ask(client, how)
    assert answer.text == "I will search.Found it."
    assert answer.reasoning == "firstsecondthird"
    assert [call.id for call in answer.tool_calls] == ["t1", "t2"]
    await client.generate([user("Hi"), saved(answer.to_message()), *RESULTS])
    assert raw.bodies[1]["messages"][1] == {"role": "assistant", "content": INTERLEAVED}


@pytest.mark.parametrize("how", ["request", "stream"])
@pytest.mark.parametrize("name", ["claude"])
async def test_a_paused_turn_goes_on_with_all_that_is_in_it(how, raw, client):
    paused = INTERLEAVED[1:3]
    raw.say(claude_says(how, paused, "pause_turn"), OK)
    answer = await ask(client, how)
    assert (answer.finish_reason, answer.finish_detail) == ("pause", "pause_turn")
    await client.generate([user("Hi"), saved(answer.to_message())])
    assert raw.bodies[1]["messages"][1]["content"] == paused


@pytest.mark.parametrize("name", ["claude"])
async def test_what_the_api_would_refuse_is_left_out(raw, client):
    """An unsigned thought, a tool of the vendor's without its result, a thought at the end."""
    unsigned = {"type": "thinking", "thinking": "unsigned", "signature": ""}
    blocks = [unsigned, *INTERLEAVED[1:3], INTERLEAVED[0]]
    raw.say(claude_says("request", blocks), OK)
    answer = await client.request("hi")
    await client.generate([user("Hi"), answer.to_message(), user("go on")])
    assert raw.bodies[1]["messages"][1]["content"] == [INTERLEAVED[1]]


# -- Gemini: parts -----------------------------------------------------------------------------------

GEMINI = [
    {"text": "I think.", "thought": True, "thoughtSignature": "s0"},
    {"text": "Look."},
    {"executableCode": {"language": "PYTHON", "code": "1+1"}},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
    {"toolCall": {"id": "x", "toolType": "GOOGLE_SEARCH"}, "thoughtSignature": "s1"},
    {"toolResponse": {"id": "x"}},
    {"text": "It is 2.", "thoughtSignature": "s2"},
    {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "s3"},
]


@pytest.mark.parametrize("how", ["request", "stream"])
@pytest.mark.parametrize("name", ["gemini"])
async def test_geminis_parts_go_back_as_they_came_in_their_order(how, raw, client):
    def document(*parts, **more):
        return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **more}]}

    done = document({"text": "ok"}, finishReason="STOP")
    pieces = [document(part) for part in GEMINI] + [document(finishReason="STOP")]
    raw.say(document(*GEMINI, finishReason="STOP") if how == "request" else pieces, done)
    answer = await ask(client, how)
    assert (answer.text, answer.reasoning) == ("Look.It is 2.", "I think.")
    await client.generate([user("Hi"), saved(answer.to_message()), result("r", tool_call_id="c1")])
    assert raw.bodies[1]["contents"][1] == {"role": "model", "parts": GEMINI}


# -- OpenAI's protocol: fields -----------------------------------------------------------------------

DETAILS = [
    {"type": "reasoning.text", "text": "I need it", "signature": "sig", "index": 0},
    {"type": "reasoning.encrypted", "data": "ENC", "index": 1},
]
SAID = {
    "content": "Let me see.",
    "reasoning_content": "I need it",
    "reasoning_details": DETAILS,
    "tool_calls": [
        {
            "id": "a",
            "type": "function",
            "function": {"name": "get", "arguments": '{"x": 1}'},
            "extra_content": {"google": {"thought_signature": "SIG"}},
        },
        {"id": "b", "type": "custom", "custom": {"name": "shell", "input": "ls -l"}},
    ],
}


def openai_says(how, message):
    if how == "request":
        choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": "stop"}
        return {"id": "x", "model": "m", "choices": [choice]}
    thought, details = message["reasoning_content"], message["reasoning_details"]
    half = {name: value for name, value in details[0].items() if name != "signature"}
    first, second = half | {"text": thought[:4]}, details[0] | {"text": thought[4:]}
    deltas = [
        {"reasoning_content": thought[:4], "reasoning_details": [first]},
        {"reasoning_content": thought[4:], "reasoning_details": [second]},
        {"reasoning_details": details[1:]},
        *({"content": piece} for piece in message["content"].partition(" ")),
        *({"tool_calls": [{"index": i} | call]} for i, call in enumerate(message["tool_calls"])),
    ]
    chunks = [{"id": "x", "model": "m", "choices": [{"index": 0, "delta": d}]} for d in deltas]
    chunks[-1]["choices"][0]["finish_reason"] = "tool_calls"
    return [*chunks, b"[DONE]"]


@pytest.mark.parametrize("how", ["request", "stream"])
@pytest.mark.parametrize("name", ["openai"])
async def test_what_servers_of_openais_protocol_want_back(how, raw, client):
    done = openai_says("request", {"content": "ok"})
    raw.say(openai_says(how, SAID), done)
    answer = await ask(client, how)
    assert (answer.text, answer.reasoning) == ("Let me see.", "I need it")
    results = [result("r", tool_call_id="a"), result("s", tool_call_id="b")]
    await client.generate([user("Hi"), saved(answer.to_message()), *results])
    assert raw.bodies[1]["messages"][1] == {"role": "assistant"} | SAID


THOUGHT = [{"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]}]


@pytest.mark.parametrize("name", ["openai"])
async def test_thoughts_among_the_content_go_back_there(raw, client):
    content = [*THOUGHT, {"type": "text", "text": "Hello"}]
    raw.say(openai_says("request", {"content": content}))
    answer = await client.request("hi")
    assert (answer.text, answer.reasoning) == ("Hello", "hmm")
    await client.generate([user("Hi"), answer.to_message(), user("And?")])
    assert raw.bodies[1]["messages"][1] == {"role": "assistant", "content": content}


# -- every vendor ------------------------------------------------------------------------------------

DONE = {
    "claude": OK,
    "gemini": {"candidates": [{"content": {"parts": [{"text": "ok"}]}, "finishReason": "STOP"}]},
    "ollama": {"model": "m", "message": {"content": "ok"}, "done": True},
    "openai": openai_says("request", {"content": "ok"}),
}
STATE = VendorBlock("elsewhere", {"signature": "SECRET"})
ODD = {
    "cut": (Text("He"), ToolCall("c1", "f", '{"city": "Par')),
    "partial": (Reasoning("unsig"), VendorBlock("elsewhere", {"arguments": '{"q'})),
    "free text": (ToolCall("c1", "shell", "ls -l", STATE),),
    "without arguments": (ToolCall("c1", "now", ""),),
    "without an id": (ToolCall(None, "f", "{}"), ToolCall(None, "f", "{}")),
    "foreign id": (ToolCall("functions.f:0", "f", "{}"), ToolCall("functions.f|0", "f", "{}")),
    "a long id": (ToolCall("x" * 99, "f", "{}"), ToolCall("x" * 98 + "y", "f", "{}")),
    "nothing": (),
    "white space": (Text(" \n"),),
    "state of another": (
        Reasoning("hm", STATE),
        Text("a"),
        ToolCall("c1", "f", "{}", STATE),
        STATE,
    ),
}


def ids_of(body):
    """Return the ids of calls and those of results in a request, whoever's it is."""
    calls, results = [], []
    for turn in body.get("messages") or body["contents"]:
        content = turn.get("content")
        for part in [*(turn.get("parts") or ()), *(content if isinstance(content, list) else ())]:
            if part.get("type") == "tool_use":
                calls.append(part["id"])
            if part.get("type") == "tool_result":
                results.append(part["tool_use_id"])
            if "functionCall" in part:
                calls.append(part["functionCall"]["id"])
            if "functionResponse" in part:
                results.append(part["functionResponse"]["id"])
        calls += [call["id"] for call in turn.get("tool_calls") or ()]
        if turn["role"] == "tool":
            results.append(turn["tool_call_id"])
    return calls, results


@pytest.mark.parametrize("odd", ODD)
async def test_every_answer_can_be_sent_to_every_vendor(name, raw, client, odd):
    raw.say(DONE[name])
    answer = ModelResponse(parts=ODD[odd])
    said = [user("Hi"), saved(answer.to_message())]
    said += [result("r", tool_call_id=c.id, name=c.name) for c in answer.tool_calls]
    assert await client.generate([*said, user("go on")]) == "ok"
    (body,) = raw.bodies
    calls, results = ids_of(body)
    assert len(calls) == len(set(calls)) == len(answer.tool_calls)
    assert calls == results
    assert "SECRET" not in json.dumps(body)
    longest = {"claude": 64, "openai": 40}.get(name, 1000)
    assert all(len(call) <= longest for call in calls)
    if name == "claude":
        assert all(call.replace("_", "").replace("-", "").isalnum() for call in calls)


# -- Claude: thoughts that are bound to what stands before them --------------------------------------

REFUSAL = {
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "message": "messages.1.content.0: The block is bound to a different conversation. Set"
        " thinking.block_binding.prefix_mismatch_behavior",
    },
}


@pytest.mark.parametrize("name", ["claude"])
async def test_thoughts_behind_a_changed_history_are_dropped_once_it_is_asked_for(kind, server):
    """One resend with the amendment and its header; from then on at once."""
    from bruno_llm_testing import FakeAnswer, RawReply

    refused = RawReply(status=400, body=json.dumps(REFUSAL).encode())
    server.say(FakeAnswer(text="Yes.", reasoning="Hm."), refused, FakeAnswer(), FakeAnswer())
    async with kind(**server.connection()) as llm:
        answer = await llm.request("Hi")
        llm.set_system_prompt("Be brief.")
        said = [user("Hi"), answer.to_message(), user("Sure?")]
        again = await llm.request(said)
        await llm.request([*said, again.to_message(), user("Really?")])
        await llm.request("Something else")
    first, second, third, fourth, fifth = server.received
    drop = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    assert [r.body.get("thinking") for r in (first, second)] == [None, None]
    assert [r.body["thinking"] for r in (third, fourth)] == [drop, drop]
    for received in (third, fourth):
        assert received.headers["anthropic-beta"] == "thinking-binding-controls-2026-08-01"
    assert "thinking" not in fifth.body
    assert "anthropic-beta" not in fifth.headers
