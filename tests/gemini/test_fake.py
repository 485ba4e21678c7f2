"""The official SDK, typed, reads what the fake says as it reads Google."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from bruno_llm_base import ToolCall, Usage
from bruno_llm_testing import FakeAnswer, FakeError, FakeGemini, vector_of
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

MODEL = "gemini-3.8-flash"
CALLS = (
    ToolCall(id="call_1", name="weather", arguments='{"city": "Rome"}'),
    ToolCall(name="time", arguments="{}"),
)


@pytest.fixture
async def client(server: FakeGemini, http: Any) -> AsyncIterator[genai.client.AsyncClient]:
    options = types.HttpOptions(base_url=server.address, httpx_async_client=http)
    with genai.Client(api_key=server.api_key, http_options=options) as client:
        yield client.aio


async def test_a_whole_answer(server: FakeGemini, client: genai.client.AsyncClient) -> None:
    usage = Usage(input_tokens=42, output_tokens=20, cache_read_tokens=8, reasoning_tokens=5)
    server.say(FakeAnswer(text="Hello.", reasoning="Hm.", tool_calls=CALLS, usage=usage))
    answer = await client.models.generate_content(model=MODEL, contents="Say hello.")
    assert answer.text == "Hello."
    assert answer.model_version == MODEL
    assert answer.response_id
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    content = answer.candidates[0].content
    assert content is not None
    assert content.parts is not None
    thought, said, *_ = content.parts
    assert (thought.text, thought.thought) == ("Hm.", True)
    assert said.thought_signature
    calls = answer.function_calls or []
    assert [(call.id, call.name, call.args) for call in calls] == [
        ("call_1", "weather", {"city": "Rome"}),
        (None, "time", {}),
    ]
    counts = answer.usage_metadata
    assert counts is not None
    assert counts.prompt_token_count == 42
    assert counts.cached_content_token_count == 8
    assert counts.candidates_token_count == 15
    assert counts.thoughts_token_count == 5
    assert counts.total_token_count == 62
    assert server.received[0].path.endswith(f"/models/{MODEL}:generateContent")


async def test_a_stream(server: FakeGemini, client: genai.client.AsyncClient) -> None:
    server.say(FakeAnswer(text="One two.", tool_calls=CALLS, finish_reason="tool_call"))
    chunks = [
        chunk
        async for chunk in await client.models.generate_content_stream(
            model=MODEL, contents="Count."
        )
    ]
    parts = [part for chunk in chunks for part in chunk.parts or []]
    assert [part.text for part in parts] == ["One", " two.", "", None, None]
    assert [part.function_call.name for part in parts if part.function_call] == ["weather", "time"]
    ends = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
    assert ends == [None] * 4 + [types.FinishReason.STOP]
    last = chunks[-1].usage_metadata
    assert last is not None
    assert last.candidates_token_count == 7


async def test_blocked_prompts_and_cut_answers(
    server: FakeGemini, client: genai.client.AsyncClient
) -> None:
    server.say(FakeAnswer(text="", finish_reason="content_filter"))
    answer = await client.models.generate_content(model=MODEL, contents="x")
    assert not answer.candidates
    assert answer.prompt_feedback is not None
    assert answer.prompt_feedback.block_reason is types.BlockedReason.PROHIBITED_CONTENT
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.candidates_token_count is None
    server.say(FakeAnswer(text="Well", finish_reason="length"))
    answer = await client.models.generate_content(model=MODEL, contents="x")
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.MAX_TOKENS


async def test_models(client: genai.client.AsyncClient) -> None:
    models = [model async for model in await client.models.list()]
    names = {model.name: model.supported_actions for model in models}
    assert "generateContent" in (names[f"models/{MODEL}"] or [])
    assert names["models/gemini-embedding-2"] == ["embedContent"]


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (FakeError(kind="quota", retry_after=45.5), 429, "RESOURCE_EXHAUSTED"),
        (FakeError(kind="overloaded"), 503, "UNAVAILABLE"),
        (FakeError(kind="context_length"), 400, "INVALID_ARGUMENT"),
    ],
)
async def test_errors(
    server: FakeGemini,
    client: genai.client.AsyncClient,
    error: FakeError,
    code: int,
    status: str,
) -> None:
    server.say(error)
    with pytest.raises(errors.APIError) as caught:
        await client.models.generate_content(model=MODEL, contents="x")
    assert (caught.value.code, caught.value.status) == (code, status)


async def test_an_error_inside_a_stream(
    server: FakeGemini, client: genai.client.AsyncClient
) -> None:
    server.say(FakeError(kind="overloaded", in_stream=True))
    stream = await client.models.generate_content_stream(model=MODEL, contents="x")
    with pytest.raises(errors.ServerError) as caught:
        _ = [chunk async for chunk in stream]
    assert caught.value.code == 503


async def test_what_google_refuses(client: genai.client.AsyncClient) -> None:
    with pytest.raises(errors.ClientError) as caught:
        await client.models.generate_content(model="gemini-0", contents="x")
    assert caught.value.status == "NOT_FOUND"
    wrong = types.Content(role="assistant", parts=[types.Part(text="x")])
    for contents in (wrong, types.Content(role="user", parts=[])):
        with pytest.raises(errors.ClientError) as caught:
            await client.models.generate_content(model=MODEL, contents=contents)
        assert caught.value.status == "INVALID_ARGUMENT"
    wrong_key = types.HttpOptions(headers={"x-goog-api-key": "wrong"}, api_version="v1beta")
    with pytest.raises(errors.ClientError, match="API_KEY_INVALID") as caught:
        await client.models.list(config=types.ListModelsConfig(http_options=wrong_key))
    assert caught.value.code == 400


async def test_a_count(server: FakeGemini, client: genai.client.AsyncClient) -> None:
    few = await client.models.count_tokens(model=MODEL, contents="Hi")
    many = await client.models.count_tokens(model=MODEL, contents="Hi" * 99)
    assert 0 < (few.total_tokens or 0) < (many.total_tokens or 0)
    server.say(FakeAnswer(usage=Usage(input_tokens=99)), to="count_tokens")
    assert (await client.models.count_tokens(model=MODEL, contents="Hi")).total_tokens == 99
    both = types.HttpOptions(extra_body={"generateContentRequest": {"model": f"models/{MODEL}"}})
    with pytest.raises(errors.ClientError) as caught:
        await client.models.count_tokens(
            model=MODEL, contents="Hi", config=types.CountTokensConfig(http_options=both)
        )
    assert caught.value.status == "INVALID_ARGUMENT"


async def test_embeddings(server: FakeGemini, client: genai.client.AsyncClient) -> None:
    server.say(FakeAnswer(usage=Usage(input_tokens=9)), to="embeddings")
    config = types.EmbedContentConfig(output_dimensionality=8)
    answer = await client.models.embed_content(
        model="gemini-embedding-001", contents=["a", "b"], config=config
    )
    assert [row.values for row in answer.embeddings or ()] == [vector_of("a", 8), vector_of("b", 8)]
    assert answer.usage_metadata
    assert answer.usage_metadata.prompt_token_count == 9
    with pytest.raises(errors.ClientError) as caught:
        await client.models.embed_content(model="gemini-embedding-001", contents=["a"] * 101)
    assert caught.value.status == "INVALID_ARGUMENT"
    wrong = types.EmbedContentConfig(output_dimensionality=4000)
    with pytest.raises(errors.ClientError) as caught:
        await client.models.embed_content(model="gemini-embedding-2", contents="a", config=wrong)
    assert caught.value.status == "INVALID_ARGUMENT"
    with pytest.raises(errors.ClientError) as caught:
        await client.models.embed_content(model=MODEL, contents="a")
    assert caught.value.status == "NOT_FOUND"


class Planet(BaseModel):
    name: str
    moons: int | None
    kind: Literal["rock", "gas"]
    sizes: list[float]
    known_as: int | str


async def test_a_type_is_answered_with_json_that_fits(client: genai.client.AsyncClient) -> None:
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_schema=Planet
    )
    answer = await client.models.generate_content(model=MODEL, contents="Mars?", config=config)
    assert isinstance(answer.parsed, Planet)
    assert answer.parsed.kind == "rock"
