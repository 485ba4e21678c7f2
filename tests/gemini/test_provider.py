"""What Gemini is sent, and how its answers are read."""

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import (
    AuthenticationError,
    ContentBlockedError,
    ContextLengthExceededError,
    FinishReason,
    Json,
    LLMFactory,
    ModelResponse,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    Retry,
    ToolCall,
    Usage,
)
from bruno_llm_base.exceptions import ConfigurationError, LLMError
from bruno_llm_gemini import GeminiProvider
from bruno_llm_gemini.provider import GenerateContent
from bruno_llm_testing import FakeAnswer, FakeError, FakeGemini

CALLS = (
    ToolCall(id="call_1", name="weather", arguments='{"city": "Rome"}'),
    ToolCall(id="call_2", name="weather", arguments='{"city": "Oslo"}'),
)
SKIP = "skip_thought_signature_validator"


@pytest.fixture
def llm() -> GeminiProvider:
    return GeminiProvider(api_key="x")


def candidate(*parts: Json, **more: Any) -> Json:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **more}]}


def result(call: ToolCall, content: str) -> Message:
    metadata = {"tool_call_id": call.id, "name": call.name}
    return Message(role=MessageRole.TOOL, content=content, metadata=metadata)


# -- what is sent ----------------------------------------------------------------------------------


async def test_a_request_is_spelled_as_googles(server: FakeGemini) -> None:
    async with GeminiProvider(
        **server.connection(),
        system_prompt="Be brief.",
        temperature=0.5,
        max_tokens=99,
        stop=["END"],
        options={"top_k": 3, "thinking_config": {"thinkingLevel": "low"}},
    ) as llm:
        await llm.generate("Hello.", seed=7, top_p=0.5, response_mime_type="text/plain")
    assert server.bodies == [
        {
            "contents": [{"role": "user", "parts": [{"text": "Hello."}]}],
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "generationConfig": {
                "temperature": 0.5,
                "maxOutputTokens": 99,
                "topP": 0.5,
                "stopSequences": ["END"],
                "seed": 7,
                "topK": 3,
                "thinkingConfig": {"thinkingLevel": "low"},
                "responseMimeType": "text/plain",
            },
        }
    ]


@pytest.mark.parametrize("streamed", [False, True])
async def test_tool_calls_go_back_with_their_signatures(
    server: FakeGemini, *, streamed: bool
) -> None:
    server.say(FakeAnswer(text="Let me see.", tool_calls=CALLS, finish_reason="tool_call"))
    async with GeminiProvider(**server.connection()) as llm:
        question = Message(role=MessageRole.USER, content="Weather?")
        if streamed:
            stream = llm.stream([question])
            _ = [piece async for piece in stream]
            answer = stream.response
        else:
            answer = await llm.request([question])
        assert [replace(call, state=None) for call in answer.tool_calls] == list(CALLS)
        results = [result(CALLS[0], '{"sky": "clear"}'), result(CALLS[1], "snow")]
        await llm.generate([question, answer.to_message(), *results])
    signature = answer.tool_calls[0].state.data["thoughtSignature"]
    assert server.bodies[-1]["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "Let me see.", "thoughtSignature": signature},
                {
                    "functionCall": {"id": "call_1", "name": "weather", "args": {"city": "Rome"}},
                    "thoughtSignature": signature,
                },
                {"functionCall": {"id": "call_2", "name": "weather", "args": {"city": "Oslo"}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "id": "call_1",
                        "name": "weather",
                        "response": {"sky": "clear"},
                    }
                },
                {
                    "functionResponse": {
                        "id": "call_2",
                        "name": "weather",
                        "response": {"output": "snow"},
                    }
                },
            ],
        },
    ]


async def test_calls_of_other_models_are_marked_where_signatures_are_checked(
    server: FakeGemini,
) -> None:
    calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in CALLS]
    conversation = [
        Message(role=MessageRole.USER, content="Weather?"),
        Message(
            role=MessageRole.ASSISTANT,
            content="(tool call)",
            metadata={"tool_calls": calls},
        ),
        result(CALLS[0], "clear"),
        result(CALLS[1], "snow"),
    ]
    async with GeminiProvider(**server.connection()) as llm:
        await llm.generate(conversation)
        with pytest.raises(LLMError):
            await llm.generate(conversation, model="gemini-2.5-pro")
    newer, older = [body["contents"][1]["parts"] for body in server.bodies]
    assert [part.get("thoughtSignature") for part in newer] == [SKIP, None]
    assert [part.get("thoughtSignature") for part in older] == [None, None]


async def test_a_signature_finds_a_call_without_an_id(server: FakeGemini) -> None:
    calls = (ToolCall(name="time", arguments="{}"), ToolCall(name="time", arguments='{"a": 1}'))
    server.say(FakeAnswer(text="", tool_calls=calls, finish_reason="tool_call"))
    async with GeminiProvider(**server.connection()) as llm:
        question = Message(role=MessageRole.USER, content="Time?")
        answer = await llm.request([question])
        results = [
            Message(role=MessageRole.TOOL, content="noon", metadata={"name": "time"}) for _ in calls
        ]
        await llm.generate([question, answer.to_message(), *results])
    _, called, answered = server.bodies[-1]["contents"]
    signed = answer.tool_calls[0].state.data["thoughtSignature"]
    assert [part.get("thoughtSignature") for part in called["parts"]] == [signed, None]
    ids = [part["functionCall"]["id"] for part in called["parts"]]
    assert [part["functionResponse"]["id"] for part in answered["parts"]] == ids


async def test_the_version_of_the_api_can_be_chosen(server: FakeGemini) -> None:
    where = server.connection()
    async with GeminiProvider(**where | {"base_url": f"{where['base_url']}/v1beta"}) as llm:
        await llm.generate("x")
        await llm.list_models()
    assert [received.path.split("/")[1] for received in server.received] == ["v1beta", "v1beta"]
    assert server.received[-1].query == {"pageSize": "1000"}


def test_settings_survive_pickling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "x")
    pickled = pickle.dumps(GeminiProvider("gemini-4-argon", seed=4))
    copy = pickle.loads(pickled)
    assert copy.model == "gemini-4-argon"
    assert copy.get_model_info()["seed"] == 4


def test_unknown_keywords_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'temperature'"):
        GeminiProvider(api_key="x", temprature=0.5)
    made = LLMFactory.create("gemini", api_key="x", seed=4)
    assert isinstance(made, GeminiProvider)


# -- what is read ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_why_it_stopped(llm: GeminiProvider, word: str, expected: FinishReason) -> None:
    response = llm.adapter.parse(candidate({"text": "x"}, finishReason=word))
    assert (response.finish_reason, response.finish_detail) == (expected, word)


def test_every_finish_reason_of_the_sdk_is_known() -> None:
    from google.genai import types

    words = {reason.value for reason in types.FinishReason}
    known = GenerateContent.finish_reasons.keys()
    assert words - known == {"STOP", "FINISH_REASON_UNSPECIFIED"}


async def test_a_blocked_prompt_is_told_and_counted(server: FakeGemini) -> None:
    blocked = FakeAnswer(text="", finish_reason="content_filter")
    server.say(blocked, blocked, blocked)
    async with GeminiProvider(**server.connection()) as llm:
        whole = await llm.request("x")
        stream = llm.stream("x")
        with pytest.raises(ContentBlockedError, match="PROHIBITED_CONTENT"):
            _ = [piece async for piece in stream]
        with pytest.raises(ContentBlockedError) as caught:
            await llm.generate("x")
    assert caught.value.reason == "PROHIBITED_CONTENT"
    assert whole.usage == stream.response.usage == Usage(input_tokens=11, output_tokens=0)


def test_calls_in_different_chunks_stay_apart(llm: GeminiProvider) -> None:
    chunks = [
        candidate({"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s"}),
        candidate({"functionCall": {"name": "f", "args": {"a": 1}}}),
        candidate({"functionCall": {"name": "g"}}, finishReason="STOP"),
    ]
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    streamed = ModelResponse.join(map(llm.adapter.parse_event, chunks))
    whole = llm.adapter.parse(candidate(*parts, finishReason="STOP"))
    assert streamed == ModelResponse.join([whole])
    assert [json.loads(call.arguments) for call in streamed.tool_calls] == [{"a": 1}, {"a": 1}, {}]


def test_all_that_counts_is_counted(llm: GeminiProvider) -> None:
    counts = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30,
        "toolUsePromptTokenCount": 5,
        "totalTokenCount": 155,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 90},
            {"modality": "AUDIO", "tokenCount": 10},
        ],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}],
    }
    document = candidate({"text": "x"}, finishReason="STOP") | {"usageMetadata": counts}
    assert llm.adapter.parse(document).usage == Usage(
        input_tokens=105,
        output_tokens=50,
        cache_read_tokens=60,
        reasoning_tokens=30,
        input_audio_tokens=10,
        output_audio_tokens=4,
    )


def test_what_is_not_reported_is_not_zero(llm: GeminiProvider) -> None:
    first = candidate({"text": "x"}) | {
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}
    }
    assert llm.adapter.parse_event(first).usage == Usage(input_tokens=9)
    assert llm.adapter.parse_event(candidate({"text": "x"})).usage == Usage()


def test_only_the_first_candidate_is_read(llm: GeminiProvider) -> None:
    assert llm.adapter.parse_event(candidate({"text": "second"}, index=1)).text == ""


def test_models_of_vertex_have_longer_names(llm: GeminiProvider) -> None:
    rows = [{"name": "publishers/google/models/gemini-4-argon"}, {"name": "tunedModels/mine"}]
    assert llm.adapter.parse_models({"models": rows}) == ["gemini-4-argon", "tunedModels/mine"]
    assert llm.adapter.parse_models({}) == []


# -- what goes wrong -------------------------------------------------------------------------------


async def test_the_server_says_how_long_to_wait(server: FakeGemini) -> None:
    server.say(FakeError(kind="rate_limit", retry_after=45.837906927))
    async with GeminiProvider(**server.connection(), retry=Retry(attempts=1)) as llm:
        with pytest.raises(RateLimitError) as caught:
            await llm.generate("x")
    assert caught.value.retry_after == 45.837906927


def detail(kind: str, **fields: Any) -> Json:
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}


@pytest.mark.parametrize(
    ("status", "message", "details", "expected"),
    [
        ("UNAUTHENTICATED", "", [], AuthenticationError),
        ("PERMISSION_DENIED", "", [], PermissionDeniedError),
        (
            "PERMISSION_DENIED",
            "Permission denied: Consumer 'api_key:AIza' has been suspended.",
            [detail("ErrorInfo", reason="CONSUMER_SUSPENDED")],
            AuthenticationError,
        ),
        (
            "RESOURCE_EXHAUSTED",
            "",
            [
                detail(
                    "QuotaFailure",
                    violations=[
                        {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"},
                        {"quotaId": "GenerateRequestsPerDayPerProjectPerModel"},
                    ],
                )
            ],
            QuotaExceededError,
        ),
        ("RESOURCE_EXHAUSTED", "", [detail("QuotaFailure", violations=[{}])], RateLimitError),
        ("INVALID_ARGUMENT", "", [detail("ErrorInfo")], None),
    ],
)
def test_the_details_tell_errors_apart(
    llm: GeminiProvider,
    status: str,
    message: str,
    details: list[Json],
    expected: type[LLMError] | None,
) -> None:
    error = {"code": 400, "status": status, "message": message, "details": details}
    assert llm.adapter.read_error(200, {}, {"error": error}).kind is expected


@pytest.mark.parametrize(
    ("message", "actual", "limit"),
    [
        (
            "The input token count (123) exceeds the maximum number of tokens allowed (100).",
            123,
            100,
        ),
        (
            "The input token count exceeds the maximum number of tokens allowed 100.",
            None,
            100,
        ),
    ],
)
def test_overflow(llm: GeminiProvider, message: str, actual: int | None, limit: int) -> None:
    error = {"code": 400, "status": "INVALID_ARGUMENT", "message": message}
    facts = llm.adapter.read_error(400, {}, {"error": error})
    assert facts.kind is ContextLengthExceededError
    assert (facts.actual, facts.limit, facts.status) == (actual, limit, 400)


def test_other_documents_are_errors_too(llm: GeminiProvider) -> None:
    assert llm.adapter.read_error(502, {}, {}).kind is None
    assert llm.adapter.read_error(404, {}, {"error": "no such page"}).message == "no such page"
    odd = {"error": {"details": ["x", detail("RetryInfo", retryDelay="soon")]}}
    assert llm.adapter.read_error(429, {}, odd).retry_after is None


async def test_the_vendors_own_names_go_where_they_belong(server):
    async with GeminiProvider(**server.connection(), options={"maxOutputTokens": 2}) as llm:
        await llm.generate("hi", max_tokens=3, stop_sequences=["x"], generation_config={"topK": 4})
    assert server.bodies[0]["generationConfig"] == {
        "maxOutputTokens": 3,
        "stopSequences": ["x"],
        "topK": 4,
    }
