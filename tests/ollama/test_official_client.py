"""The fake is Ollama as far as Ollama's own client can tell."""

import httpx
import pytest
from bruno_llm_base import ToolCall, Usage
from bruno_llm_testing import FakeAnswer, FakeError, FakeOllama, vector_of
from ollama import AsyncClient, ChatResponse, ResponseError

HELLO = [{"role": "user", "content": "hello"}]
FULL = FakeAnswer(
    text="Grüße 👋🏽 to you",
    reasoning="Let me think.",
    tool_calls=(ToolCall(id="call_1", name="weather", arguments='{"city": "Rome"}'),),
    usage=Usage(input_tokens=42, output_tokens=20, cache_read_tokens=8),
)


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


@pytest.fixture
async def client(server):
    async with AsyncClient(server.address) as client:
        yield client


async def test_a_whole_answer(server, client):
    server.say(FULL)
    answer = await client.chat("llama3.2", HELLO)
    assert isinstance(answer, ChatResponse)
    assert (answer.model, answer.done, answer.done_reason) == ("llama3.2", True, "stop")
    assert (answer.message.content, answer.message.thinking) == (FULL.text, FULL.reasoning)
    (call,) = answer.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", {"city": "Rome"})
    assert (answer.prompt_eval_count, answer.eval_count) == (42, 20)
    assert answer.created_at
    assert answer.total_duration > answer.eval_duration > answer.load_duration


async def test_a_streamed_answer(server, client):
    server.say(FULL)
    parts = [part async for part in await client.chat("llama3.2", HELLO, stream=True)]
    assert "".join(part.message.content for part in parts) == FULL.text
    assert parts[0].message.thinking == FULL.reasoning
    assert [call.function.name for part in parts for call in part.message.tool_calls or ()] == [
        "weather"
    ]
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert (parts[-1].done_reason, parts[-1].eval_count) == ("stop", 20)
    assert parts[0].done_reason is parts[0].eval_count is None


async def test_counts_of_zero_are_left_out(server, client):
    server.say(FakeAnswer(text="", usage=Usage(input_tokens=0, output_tokens=0)))
    answer = await client.chat("llama3.2", HELLO)
    assert answer.prompt_eval_count is answer.eval_count is None


async def test_no_messages_load_the_model(client):
    assert (await client.chat("llama3.2")).done_reason == "load"
    assert (await client.chat("llama3.2", keep_alive=0)).done_reason == "unload"


async def test_models(client):
    models = (await client.list()).models
    names = [*FakeOllama.models, *FakeOllama.embedding_models]
    assert [model.model for model in models] == names
    assert all(len(model.digest) == 64 and model.details.format == "gguf" for model in models)


async def test_errors(server, client):
    with pytest.raises(ResponseError, match="model 'llama9' not found") as caught:
        await client.chat("llama9", HELLO)
    assert caught.value.status_code == 404
    with pytest.raises(ResponseError, match="does not support thinking"):
        await client.chat("llama3.2", HELLO, think=True)
    server.say(FakeError(kind="overloaded"))
    with pytest.raises(ResponseError, match="server busy") as caught:
        async for _ in await client.chat("llama3.2", HELLO, stream=True):
            pass
    assert caught.value.status_code == 503


async def test_an_error_inside_a_stream(server, client):
    server.say(FakeError(kind="server_error", in_stream=True))
    stream = await client.chat("llama3.2", HELLO, stream=True)
    assert [(await anext(stream)).message.content for _ in range(3)] == ["Hello", " from", " the"]
    with pytest.raises(ResponseError, match="terminated"):
        await anext(stream)


async def test_a_key_is_not_wanted_but_a_wrong_one_is_refused(server):
    async with AsyncClient(server.address, headers={"authorization": "Bearer no"}) as client:
        with pytest.raises(ResponseError, match="unauthorized"):
            await client.list()
    async with AsyncClient(server.address, headers={"authorization": "Bearer test-key"}) as client:
        assert (await client.list()).models


async def test_it_streams_unless_told_otherwise(server):
    async with httpx.AsyncClient(base_url=server.address) as client:
        body = {"model": "llama3.2", "messages": HELLO}
        reply = await client.post("/api/chat", json=body)
        assert reply.headers["content-type"] == "application/x-ndjson"
        assert len(reply.text.splitlines()) > 1
        assert (await client.get("/api/version")).json()["version"]
        assert (await client.get("/v2")).text == "404 page not found"
        refused = [{}, body | {"stream": "no"}, body | {"messages": "hello"}]
        for wrong in refused:
            assert (await client.post("/api/chat", json=wrong)).status_code == 400


async def test_embeddings(server, client):
    server.say(FakeAnswer(usage=Usage(input_tokens=9)), to="embeddings")
    answer = await client.embed("nomic-embed-text", ["a", "b"], dimensions=8)
    assert answer.embeddings == [vector_of("a", 8), vector_of("b", 8)]
    assert (answer.model, answer.prompt_eval_count) == ("nomic-embed-text", 9)
    whole = await client.embed("all-minilm", "a", dimensions=9999)
    assert len(whole.embeddings[0]) == 384
    with pytest.raises(ResponseError, match="not found") as caught:
        await client.embed("llama3.2", "a")
    assert caught.value.status_code == 404
