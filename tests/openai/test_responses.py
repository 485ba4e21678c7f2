"""OpenAI's Responses: what is sent, what comes back, and when it is asked."""

import json
import typing
from functools import cache

import openai
import pytest
from bruno_core.models import Message
from bruno_llm_base import (
    ConfigurationError,
    ContentBlockedError,
    Conversation,
    InvalidRequestError,
    ModelResponse,
    RateLimitError,
    Reasoning,
    Retry,
    ServiceUnavailableError,
    StreamError,
    Text,
    ToolCall,
    ToolResult,
    VendorBlock,
)
from bruno_llm_base.events import AnotherApiAsked, OptionDropped
from bruno_llm_openai import OpenAIProvider, models
from bruno_llm_openai.responses import Responses
from bruno_llm_testing import FakeAnswer, FakeOpenAI, Fault, RawReply
from bruno_llm_testing.script import Received
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses import (
    ResponseInputParam,
    ToolParam,
    response_create_params,
)
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from openai.types.shared.chat_model import ChatModel
from openai.types.shared.responses_model import ResponsesModel
from pydantic import TypeAdapter

adapter_of = cache(TypeAdapter)  # of the SDKs' types, which are slow to make

ANSWER = [
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [
            {"type": "summary_text", "text": "First"},
            {"type": "summary_text", "text": "then"},
        ],
        "encrypted_content": "sealed",
        "status": "completed",
    },
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "phase": "commentary",
        "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
    },
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "weather",
        "arguments": '{"city": "Rome"}',
        "status": "completed",
        "namespace": None,
    },
    {
        "type": "custom_tool_call",
        "id": "ct_1",
        "call_id": "call_2",
        "name": "grep",
        "input": "a.*b",
        "status": "completed",
    },
]
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {
        "cached_tokens": 4,
        "cache_write_tokens": 3,
        "cache_write_tokens_details": {"ttl_12h_tokens": 2, "ttl_30m_tokens": 1},
    },
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 14,
}
WHOLE = {"id": "resp_1", "object": "response", "model": "gpt-6.1-terra", "status": "completed"}
WHOLE |= {"error": None, "output": ANSWER, "usage": USAGE}
STREAM = [
    {"type": "response.created", "response": WHOLE | {"output": []}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning"}},
    {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "First"},
    {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 1},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "then"},
    {"type": "response.output_item.done", "output_index": 0, "item": ANSWER[0]},
    {"type": "response.output_item.added", "output_index": 1, "item": ANSWER[1] | {"content": []}},
    {"type": "response.output_text.delta", "output_index": 1, "delta": "I "},
    {"type": "response.output_text.delta", "output_index": 1, "delta": "look."},
    {"type": "response.output_item.done", "output_index": 1, "item": ANSWER[1]},
    {"type": "response.output_item.added", "output_index": 2, "item": ANSWER[2]},
    {"type": "response.output_item.done", "output_index": 2, "item": ANSWER[2]},
    {"type": "response.output_item.added", "output_index": 3, "item": ANSWER[3]},
    {"type": "response.function_call_arguments.delta", "output_index": 3, "delta": '{"city": '},
    {"type": "response.function_call_arguments.delta", "output_index": 3, "delta": '"Rome"}'},
    {"type": "response.output_item.done", "output_index": 3, "item": ANSWER[3]},
    {"type": "response.output_item.added", "output_index": 4, "item": ANSWER[4]},
    {"type": "response.custom_tool_call_input.delta", "output_index": 4, "delta": "a.*b"},
    {"type": "response.output_item.done", "output_index": 4, "item": ANSWER[4]},
    {"type": "response.completed", "response": WHOLE},
]
STATE = "127.0.0.1/responses"
TOOL = {"name": "f", "description": "F.", "parameters": {"type": "object", "properties": {}}}


def sse(*events):
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    return RawReply(headers={"content-type": "text/event-stream"}, body=body)


def check(body):
    """Check *body* against the SDK's own types, which read lists only when they are gone through."""
    streamed = "Streaming" if body.get("stream") else "NonStreaming"
    kind = getattr(response_create_params, f"ResponseCreateParams{streamed}")
    adapter_of(kind).validate_python(body)
    adapter_of(ResponseInputParam).validate_python(body["input"])
    for tool in body.get("tools", ()):
        adapter_of(ToolParam).validate_python(tool)


@pytest.fixture
async def new(server):
    keywords = server.connection() | {"api": "responses", "retry": Retry(attempts=1)}
    async with OpenAIProvider(**keywords) as llm:
        yield llm


@pytest.fixture
def events():
    return []


@pytest.fixture
async def home(server, events):
    """A provider that takes the fake's address for OpenAI's own."""

    class AtHome(OpenAIProvider):
        default_base_url = f"{server.address}/v1"

        def make_adapter(self):
            return OpenAIProvider(api_key="k").adapter

    server.models = (*server.models, "o3-pro", "gpt-audio-mini")
    async with AtHome(api_key=server.api_key, observers=[events.append]) as llm:
        yield llm


def paths(server):
    return [request.path for request in server.received]


# -- what is sent ---------------------------------------------------------------------------------


async def test_what_is_sent(server, new):
    new.set_system_prompt("Be nice.")
    await new.generate("hi", max_tokens=9)
    assert server.bodies[0] == {
        "model": "gpt-6.1-terra",
        "input": [
            {"role": "system", "content": "Be nice."},
            {"role": "user", "content": "hi"},
        ],
        "max_output_tokens": 9,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    check(server.bodies[0])


async def test_only_models_that_reason_are_asked_for_their_thoughts(server, new):
    await new.generate("hi", model="gpt-4.1")
    await new.generate("hi", include=["file_search_call.results"], store=True)
    assert "include" not in server.bodies[0]
    assert server.bodies[1]["include"] == [
        "file_search_call.results",
        "reasoning.encrypted_content",
    ]
    assert server.bodies[1]["store"] is True


async def test_options_in_the_words_of_chat_completions_are_translated(server, new):
    schema = {"name": "s", "schema": {"type": "object"}, "strict": True}
    named = {"type": "function", "function": {"name": "f"}}
    await new.generate(
        "hi",
        max_completion_tokens=9,
        reasoning_effort="low",
        reasoning={"summary": "auto"},
        verbosity="low",
        response_format={"type": "json_schema", "json_schema": schema},
        tools=[{"type": "function", "function": TOOL}, {"type": "function", "name": "g"}],
        tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named]}},
    )
    body = server.bodies[0]
    assert body["max_output_tokens"] == 9
    assert body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert body["text"] == {"verbosity": "low", "format": {"type": "json_schema"} | schema}
    assert body["tools"] == [
        {"type": "function", "strict": False} | TOOL,
        {
            "type": "function",
            "strict": False,
            "name": "g",
            "parameters": {"type": "object", "properties": {}},
        },
    ]
    flat = {"type": "function", "name": "f"}
    assert body["tool_choice"] == {"type": "allowed_tools", "mode": "auto", "tools": [flat]}
    check(body)


async def test_the_effort_of_a_call_wins_in_the_words_of_either_api(server, home):
    for own in ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}):
        for ours in ("high", "none"):
            other = type(home)(api_key=server.api_key, reasoning=ours)
            await other.request("hi", **own)
            assert server.bodies[-1]["reasoning"]["effort"] == "low"
            await other.aclose()


async def test_a_flat_tool_is_told_to_chat_completions_in_its_own_words(server, llm):
    await llm.generate("hi", tools=[{"type": "function"} | TOOL])
    assert server.bodies[0]["tools"] == [{"type": "function", "function": TOOL}]


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_comes_and_goes_back_in_its_order(server, new, streamed):
    server.say(sse(*STREAM) if streamed else RawReply(body=json.dumps(WHOLE).encode()))
    if streamed:
        stream = new.stream("hi")
        assert [piece async for piece in stream] == ["I ", "look."]
        answer = stream.response
    else:
        answer = await new.request("hi")
    sealed = {name: ANSWER[0][name] for name in ("id", "summary", "encrypted_content")}
    assert list(answer.parts) == [
        Reasoning("First\n\nthen", VendorBlock(STATE, sealed)),
        Text("I look."),
        VendorBlock(STATE, {"type": "message", "phase": "commentary"}),
        VendorBlock(STATE, ANSWER[2]),
        ToolCall(id="call_1", name="weather", arguments='{"city": "Rome"}'),
        ToolCall("call_2", "grep", "a.*b", VendorBlock(STATE, {"type": "custom_tool_call"})),
    ]
    assert (answer.finish_reason, answer.finish_detail) == ("tool_call", "completed")
    assert (answer.model, answer.id) == ("gpt-6.1-terra", "resp_1")
    counts = answer.usage
    assert (counts.input_tokens, counts.output_tokens, counts.reasoning_tokens) == (9, 5, 2)
    assert (counts.cache_read_tokens, counts.cache_write_tokens) == (4, 3)
    assert counts.cache_write_12h_tokens == 2
    results = [
        Message(role="tool", content=text, metadata={"tool_call_id": name})
        for name, text in (("call_1", "rain"), ("call_2", "found"))
    ]
    await new.generate([Message(role="user", content="hi"), answer.to_message(), *results])
    called = {"call_id": "call_1", "name": "weather", "arguments": '{"city": "Rome"}'}
    assert server.bodies[1]["input"] == [
        {"role": "user", "content": "hi"},
        {"type": "reasoning"} | sealed,
        {"type": "message", "role": "assistant", "content": "I look.", "phase": "commentary"},
        ANSWER[2],
        {"type": "function_call"} | called,
        {"type": "custom_tool_call", "call_id": "call_2", "name": "grep", "input": "a.*b"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "found"},
    ]
    check(server.bodies[1] | {"input": [i for i in server.bodies[1]["input"] if i != ANSWER[2]]})


async def test_other_apis_get_none_of_its_state(server, new, llm):
    server.say(RawReply(body=json.dumps(WHOLE | {"output": ANSWER[:3]}).encode()))
    answer = await new.request("hi")
    await llm.generate([Message(role="user", content="hi"), answer.to_message()])
    _, said = server.bodies[1]["messages"]
    assert said == {"role": "assistant", "content": "I look."}


async def test_a_thought_that_led_nowhere_does_not_go_back(server, new):
    cut = WHOLE | {"output": ANSWER[:1], "status": "incomplete"}
    cut["incomplete_details"] = {"reason": "max_output_tokens"}
    server.say(RawReply(body=json.dumps(cut).encode()))
    answer = await new.request("hi")
    assert (answer.finish_reason, answer.reasoning) == ("length", "First\n\nthen")
    again = [Message(role="user", content="hi"), answer.to_message()]
    await new.generate([*again, Message(role="user", content="go on")])
    assert "reasoning" not in [item.get("type") for item in server.bodies[1]["input"]]


def parts():
    words = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    sealed = st.sampled_from([None, VendorBlock(STATE, {"id": "rs_1", "summary": [], **SEALED})])
    foreign = VendorBlock("anthropic", {"signature": "s"})
    phase = VendorBlock(STATE, {"type": "message", "phase": "commentary"})
    return st.one_of(
        st.builds(Text, words),
        st.builds(Reasoning, words, sealed | st.just(foreign)),
        st.builds(ToolCall, st.just(None), st.just("f"), st.sampled_from(["{}", "", "not JSON"])),
        st.sampled_from([phase, foreign]),
    )


SEALED = {"encrypted_content": "sealed"}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(parts(), max_size=6), min_size=1, max_size=4))
def test_whatever_was_answered_can_be_sent_back(answers):
    asked = []
    for turn, said in enumerate(answers):
        asked.append(Message(role="user", content="go"))
        answer = ModelResponse(parts=tuple(said))
        for place, call in enumerate(answer.tool_calls):
            call.id = f"call_{turn}_{place}"
        asked.append(answer.to_message())
        asked += [ToolResult(call.id, call.name, "done").to_message() for call in answer.tool_calls]
    asked.append(Message(role="user", content="go"))
    adapter = Responses(api="127.0.0.1")
    body = adapter.build(Conversation.of(asked), {"model": "gpt-6.1-terra"}, stream=False)
    check(body)
    headers = {"authorization": f"Bearer {FakeOpenAI.api_key}"}
    path = "/v1/responses"
    request = Received(method="POST", path=path, query={}, headers=headers, body=body)
    assert FakeOpenAI().refuse(request) is None


# -- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "m"}, RateLimitError),
        ({"type": "error", "error": {"code": "rate_limit_exceeded"}}, RateLimitError),
        ({"type": "error", "code": "server_error", "message": "m"}, ServiceUnavailableError),
        ("rate_limit_exceeded", RateLimitError),
        ("server_error", ServiceUnavailableError),
        ("invalid_prompt", ContentBlockedError),
        ("bio_policy", ContentBlockedError),
        ("invalid_image", InvalidRequestError),
        ("", ServiceUnavailableError),
    ],
)
async def test_an_error_inside_a_stream_is_told_by_its_code(server, new, last, kind):
    if isinstance(last, str):
        error = {"code": last, "message": "m"} if last else None
        failed = WHOLE | {"status": "failed", "error": error}
        last = {"type": "response.failed", "response": failed}
    server.say(sse(*STREAM[:10], last))
    with pytest.raises(kind) as caught:
        [piece async for piece in new.stream("hi")]
    assert caught.value.partial.text == "I look."
    assert caught.value.retryable == (kind in (RateLimitError, ServiceUnavailableError))


async def test_an_answer_that_failed_is_told_by_its_code(server, new):
    error = {"code": "rate_limit_exceeded", "message": "m"}
    failed = WHOLE | {"status": "failed", "error": error, "output": []}
    server.say(RawReply(body=json.dumps(failed).encode()))
    with pytest.raises(RateLimitError):
        await new.request("hi")


async def test_a_body_without_the_last_event_is_no_answer(server, new):
    server.say(sse(*STREAM[:-1]))
    with pytest.raises(StreamError):
        [piece async for piece in new.stream("hi")]


@pytest.mark.parametrize("then", ["close", "end", "reset"])
async def test_arguments_that_break_off_are_no_answer(server, new, then):
    call = ToolCall(id="call_1", name="weather", arguments='{"city": "Rome"}')
    answer = FakeAnswer(text="", tool_calls=(call,), finish_reason="tool_call")
    server.say(Fault(answer, after=4, then=then))
    with pytest.raises(StreamError) as caught:
        [piece async for piece in new.stream("hi")]
    (cut,) = caught.value.partial.tool_calls
    assert (cut.name, cut.arguments) == ("weather", '{"city":')


def refused(message, code=None):
    said = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return RawReply(status=400, body=json.dumps({"error": said}).encode())


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("The encrypted content could not be verified.", "invalid_encrypted_content"),
        ("Item with id 'rs_1' not found. Items are not persisted when store is false.", None),
        ("Item 'rs_1' of type 'reasoning' was provided without its required following item", None),
    ],
)
async def test_thoughts_that_are_refused_are_left_out_once(server, new, message, code):
    server.say(RawReply(body=json.dumps(WHOLE | {"output": ANSWER[:2]}).encode()))
    answer = await new.request("hi")
    asked = [Message(role="user", content="hi"), answer.to_message()]
    asked.append(Message(role="user", content="and?"))
    server.say(refused(message, code))
    assert await new.generate(asked)
    assert await new.generate(asked)
    kinds = [[item.get("type", "") for item in body["input"]] for body in server.bodies[1:]]
    assert kinds == [["", "reasoning", "message", ""], ["", "message", ""], kinds[0]]
    server.say(refused(message, code))
    with pytest.raises(InvalidRequestError):
        await new.generate("hi")


async def test_a_model_without_encrypted_thoughts_is_not_asked_for_them_again(server, new):
    server.say(refused("Encrypted content is not supported with this model."))
    await new.generate("hi")
    await new.generate("hi")
    assert ["include" in body for body in server.bodies] == [True, False, False]


async def test_a_nested_option_that_is_refused_is_left_out_alone(server, home, caplog):
    said = {"message": "no", "code": "unsupported_value", "param": "reasoning.effort"}
    refusal = RawReply(status=400, body=json.dumps({"error": said}).encode())
    server.say(refusal)
    for _ in range(2):
        await home.generate("hi", reasoning="high")
    sent = [body.get("reasoning") for body in server.bodies]
    kept = {"summary": "auto"}
    assert sent == [{"effort": "high"} | kept, kept, kept]
    assert [text.endswith("reasoning.effort") for text in caplog.messages].count(True) == 1
    for own in ({"reasoning": {"effort": "max"}}, {"reasoning_effort": "max"}):
        server.say(refusal)
        with pytest.raises(InvalidRequestError, match="no"):
            await home.generate("hi", **own)
        assert server.bodies[-1]["reasoning"] == {"effort": "max"}
    assert len(server.bodies) == 5


async def test_a_reasoning_that_is_none_of_ours_is_the_servers_to_refuse(server, home):
    for wrong in ("x", 0, True, ["x"]):
        await home.generate("hi", options={"reasoning": wrong})
        assert server.bodies[-1]["reasoning"] == wrong


async def test_what_we_ask_for_is_left_out_of_a_users_list(server, new):
    server.say(refused("Encrypted content is not supported with this model."))
    await new.generate("hi", include=["message.output_text.logprobs"])
    assert [len(body["include"]) for body in server.bodies] == [2, 1]


# -- which api is asked ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "path"),
    [
        ({}, "/responses"),
        ({"api": "chat"}, "/chat/completions"),
        ({"api": "responses"}, "/responses"),
        ({"base_url": "https://api.openai.com/v1/"}, "/responses"),
        ({"base_url": "https://eu.api.openai.com/v1"}, "/responses"),
        ({"base_url": "https://api.openai.com.evil.com/v1"}, "/chat/completions"),
        ({"base_url": "http://127.0.0.1:9/v1"}, "/chat/completions"),
        ({"base_url": "http://127.0.0.1:9/v1", "api": "responses"}, "/responses"),
    ],
)
def test_responses_are_for_openais_own_address(keywords, path):
    llm = OpenAIProvider(**{"api_key": "k"} | keywords)
    assert llm.adapter.chat_path == path
    assert (llm.adapter.row is not None) == (
        "127" in llm.access.address or "evil" in llm.access.address
    )


async def test_a_clients_address_counts():
    async with openai.AsyncOpenAI(api_key="k", base_url="https://api.openai.com/v1") as client:
        assert OpenAIProvider(client=client).adapter.chat_path == "/responses"
    azure = {"azure_endpoint": "https://x.openai.azure.com", "api_version": "2026-10-01"}
    async with openai.AsyncAzureOpenAI(api_key="k", **azure) as client:
        assert OpenAIProvider(client=client).adapter.chat_path == "/chat/completions"


async def test_what_only_chat_completions_takes_goes_there(server, home, events):
    await home.generate("hi")
    await home.generate("hi", stop="END", max_tokens=9)
    await home.generate("hi", seed=3, model="gpt-4.1", tools=[{"type": "function"} | TOOL])
    await home.generate("hi", model="gpt-audio-mini")
    await home.generate("hi", stop="END")
    assert paths(server) == ["/v1/responses", *["/v1/chat/completions"] * 4]
    assert server.bodies[1]["stop"] == ["END"]
    assert server.bodies[1]["max_completion_tokens"] == 9
    told = [(e.model, e.path) for e in events if isinstance(e, AnotherApiAsked)]
    models_asked = ["gpt-6.1-terra", "gpt-4.1", "gpt-audio-mini"]
    assert told == [(model, "/chat/completions") for model in models_asked]


async def test_tools_of_a_model_that_reasons_stay_with_responses(server, home, events):
    await home.generate("hi", stop="END", tools=[{"type": "function"} | TOOL])
    await home.generate("hi", stop="END", truncation="auto")
    await home.generate("hi", stop="END", model="o3-pro")
    assert paths(server) == ["/v1/responses"] * 3
    assert [e.option for e in events if isinstance(e, OptionDropped)] == ["stop", "stop"]
    await home.generate(
        "hi", stop="END", tools=[{"type": "function"} | TOOL], reasoning_effort="none"
    )
    assert paths(server)[3] == "/v1/chat/completions"


async def test_a_model_that_only_responses_has_is_asked_there(server):
    server.models = (*server.models, "o3-pro")
    async with openai.AsyncOpenAI(**server.connection()) as client:
        llm = OpenAIProvider(client=client, api="chat")
        await llm.generate("hi", model="o3-pro")
        await llm.generate("hi")
    assert paths(server) == ["/v1/responses", "/v1/chat/completions"]


async def test_the_count_is_of_what_would_be_sent(server, home):
    home.set_system_prompt("Be nice.")
    options = {"max_tokens": 9, "reasoning_effort": "low", "tools": [{"type": "function"} | TOOL]}
    await home.count_tokens("hi", **options)
    await home.generate("hi", **options)
    counted, sent = (request.body for request in server.received if request.method == "POST")
    assert counted == {n: v for n, v in sent.items() if n not in _NOT_COUNTED}


_NOT_COUNTED = ("include", "max_output_tokens", "store")


async def test_both_cost_the_same(server, home):
    through_new = await home.request("hi")
    through_chat = await home.request("hi", stop="END")
    assert through_new.cost == through_chat.cost
    assert through_new.cost.total > 0
    searched = await home.request("hi", tools=[{"type": "web_search"}])
    assert searched.cost is None


def test_which_fields_are_whose_is_what_the_sdk_says():
    chat, new = (
        set(kind.__annotations__) for kind in (CompletionCreateParamsBase, ResponseCreateParamsBase)
    )
    renamed = {"max_tokens", "max_completion_tokens", "messages"}
    renamed |= {"reasoning_effort", "response_format", "verbosity"}
    assert chat - new - renamed == models.CHAT_FIELDS
    assert new - chat - {"input"} == models.RESPONSES_FIELDS


def test_which_models_are_whose_is_what_the_sdk_says():
    *_, new = typing.get_args(ResponsesModel)
    for model in typing.get_args(new):
        assert models.only_responses(model), model
        assert not models.needs_chat(model, {"stop": "x"}), model
    for model in typing.get_args(ChatModel):
        assert not models.only_responses(model), model
        is_of_sound_or_search = "audio" in model or "search" in model
        assert models.needs_chat(model, {}) == is_of_sound_or_search, model
        assert models.needs_chat(model, {"stop": "x"}), model


def test_a_vendor_of_the_same_protocol_is_asked_by_chat_completions():
    class Groq(OpenAIProvider):
        default_base_url = "https://api.groq.com/openai/v1"

    assert Groq(api_key="k").adapter.chat_path == "/chat/completions"


def test_api_is_one_of_three():
    with pytest.raises(ConfigurationError, match="api is 'new'"):
        OpenAIProvider(api_key="k", api="new")


async def test_api_is_no_option_of_a_call(new):
    with pytest.raises(InvalidRequestError, match="give it when the provider is built"):
        await new.generate("hi", api="chat")
