"""What goes wrong, and what the user is told to do."""

import json

import pytest
from bruno_llm_base import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    ModelNotFoundError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_ollama import OllamaProvider
from bruno_llm_testing import FakeError, FakeOllama, RawReply

TOO_LONG = [
    "the prompt is longer than the context length currently available to the model; shorten it",
    "the input length exceeds the context length",
    "the request exceeds the available context size. try increasing the context size",
    '{"error":{"code":400,"message":"too much","type":"exceed_context_size_error"}}',
]


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


@pytest.fixture
async def llm(server):
    async with OllamaProvider(max_retries=0, **server.connection()) as llm:
        yield llm


@pytest.mark.parametrize("said", TOO_LONG)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_every_way_to_say_that_the_prompt_is_too_long(status, said):
    facts = OllamaProvider().adapter.read_error(status, {}, {"error": said})
    assert facts.kind is ContextLengthExceededError


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (200, "an error was encountered while running the model", ServiceUnavailableError),
        (200, "you (me) have reached your weekly usage limit, upgrade", QuotaExceededError),
        (200, "pull model manifest: file does not exist", ModelNotFoundError),
        (200, "unauthorized", AuthenticationError),
        (400, '"m" does not support thinking', InvalidRequestError),
        (404, "model 'm' not found", ModelNotFoundError),
        (404, None, InvalidRequestError),
        (404, {"message": "no such path"}, InvalidRequestError),
        (429, "you (me) have reached your session usage limit, upgrade", QuotaExceededError),
        (429, "too many requests", RateLimitError),
        (499, "request canceled", ServiceUnavailableError),
        (502, "bad gateway", ServiceUnavailableError),
    ],
)
async def test_what_a_sentence_stands_for(server, llm, status, said, kind):
    server.say(RawReply(status=status, body=json.dumps({"error": said}).encode()))
    with pytest.raises(LLMError) as caught:
        await llm.generate("hello")
    assert type(caught.value) is kind


async def test_figures_and_sentence_of_llama_server(server, llm):
    server.say(FakeError(kind="context_length", limit=4096, actual=5000))
    with pytest.raises(ContextLengthExceededError, match=r"^request \(5000 tokens\)") as caught:
        await llm.generate("hello")
    assert (caught.value.limit, caught.value.actual) == (4096, 5000)


async def test_an_unknown_model_is_to_be_pulled(llm):
    with pytest.raises(ModelNotFoundError, match=r"`ollama pull llama3\.9`") as caught:
        await llm.generate("hello", model="llama3.9")
    assert "llama3.2:latest" in caught.value.description


async def test_a_path_that_is_not_there_is_not_a_missing_model(server):
    async with OllamaProvider(base_url=f"{server.address}/elsewhere") as llm:
        with pytest.raises(InvalidRequestError) as caught:
            await llm.generate("hello")
    assert not isinstance(caught.value, ModelNotFoundError)


async def test_an_error_inside_a_stream(server, llm):
    server.say(FakeError(kind="server_error", in_stream=True))
    with pytest.raises(ServiceUnavailableError, match="terminated") as caught:
        async for _ in llm.stream("hello"):
            pass
    assert caught.value.partial.text == "Hello from the"


async def test_a_rate_limit(server, llm):
    server.say(FakeError(kind="rate_limit"))
    with pytest.raises(RateLimitError, match="too many"):
        await llm.generate("hello")


async def test_a_dead_server_is_told_with_its_address():
    llm = OllamaProvider(base_url="http://127.0.0.1:9", max_retries=0)
    told = "cannot be reached: nothing listens there; the address is http://127.0.0.1:9; start Ollama with `ollama serve`"
    async with llm:
        diagnosis = await llm.diagnose()
        with pytest.raises(ServiceUnavailableError, match=told):
            await llm.generate("hello")
    assert not diagnosis.ok
    assert told in diagnosis.reason


@pytest.mark.parametrize(
    ("model", "ok"),
    [
        ("llama3.2", True),
        ("llama3.2:latest", True),
        ("Llama3.2", True),
        ("qwen3:8b", True),
        ("qwen3", False),
        ("llama3.2:1b", False),
        ("registry:5000/me/llama3.2", False),
        ("gpt-oss:120b-cloud", True),
    ],
)
async def test_the_model_has_to_be_there(server, model, ok):
    async with OllamaProvider(model, **server.connection()) as llm:
        diagnosis = await llm.diagnose()
        assert await llm.check_connection() is ok
    assert diagnosis.ok is ok
    assert diagnosis.models == (*FakeOllama.models, *FakeOllama.embedding_models)
    assert ok or f"`ollama pull {model}`" in diagnosis.reason


@pytest.mark.parametrize("encoding", ["br", "zstd", "x-gzip", "gzip, gzip", "deflate, gzip"])
async def test_what_may_be_a_bomb_is_not_decompressed(llm, server, encoding):
    packed = {"headers": {"content-encoding": encoding, "retry-after": "3"}, "body": b"\x0b\x02"}
    server.say(RawReply(**packed), RawReply(status=503, **packed))
    with pytest.raises(InvalidResponseError, match="not compressed as we asked: gzip, deflate"):
        await llm.generate("hi")
    with pytest.raises(ServiceUnavailableError) as caught:
        await llm.generate("hi")
    assert (caught.value.status_code, caught.value.retry_after) == (503, 3)
    assert server.received[0].headers["accept-encoding"] == "gzip, deflate"
