"""Models behind clouds, by the vendors' own clients: Amazon Bedrock, Google's Vertex AI and Azure."""

import asyncio

import anthropic
import openai
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from bruno_llm_base import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidRequestError,
    LLMError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    Retry,
    ServiceUnavailableError,
    StreamError,
    ToolCall,
    run_tools,
    stream_tools,
)
from bruno_llm_base.events import CountEstimated
from bruno_llm_claude import ClaudeProvider, thinking
from bruno_llm_gemini import GeminiProvider
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeClaude, FakeError, Fault, clouds
from openai.providers import bedrock

CLOUDS = {
    clouds.FakeBedrock: ClaudeProvider,
    clouds.FakeVertexClaude: ClaudeProvider,
    clouds.FakeVertex: GeminiProvider,
    clouds.FakeAzure: OpenAIProvider,
    clouds.FakeBedrockOpenAI: OpenAIProvider,
}
ERRORS = {
    "authentication": AuthenticationError,
    "permission": PermissionDeniedError,
    "quota": QuotaExceededError,
    "rate_limit": RateLimitError,
    "overloaded": ServiceUnavailableError,
    "server_error": ServiceUnavailableError,
    "model_not_found": ModelNotFoundError,
    "context_length": ContextLengthExceededError,
    "invalid_request": InvalidRequestError,
}
ASKS = FakeAnswer(
    text="",
    finish_reason="tool_call",
    tool_calls=(ToolCall(id="toolu_1", name="weather", arguments='{"city": "Rome"}'),),
)

# google-genai subclasses aiohttp's session, which aiohttp has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


def weather(city: str) -> str:
    """Tell the weather."""
    return f"It is sunny in {city}."


@pytest.fixture(params=CLOUDS, ids=lambda fake: fake.__name__)
def server(request):
    with request.param() as server:
        yield server


@pytest.fixture
async def where(server):
    where = server.connection()
    yield where
    await closed(where["client"])


async def closed(client):
    if hasattr(client, "aio"):
        await client.aio.aclose()
    if (closing := client.close()) is not None:
        await closing


@pytest.fixture
def heard():
    return []


@pytest.fixture
async def llm(server, where, heard):
    kind, once = CLOUDS[type(server)], Retry(attempts=1)
    async with kind(**where, retry=once, observers=[heard.append]) as llm:
        yield llm


async def test_an_answer_is_the_same_whole_and_streamed(server, llm):
    whole = await llm.request("Say hello.")
    stream = llm.stream("Say hello.")
    pieces = [piece async for piece in stream]
    assert "".join(pieces) == stream.response.text == whole.text == FakeAnswer().text
    assert len(pieces) > 1
    for answer in (whole, stream.response):
        assert answer.usage.input_tokens == FakeAnswer().usage.input_tokens
        assert answer.usage.output_tokens == FakeAnswer().usage.output_tokens
        assert (answer.finish_reason, answer.model) == ("stop", llm.model)
    assert len(server.received) == 2


async def test_tools_are_called(server, llm):
    server.say(ASKS)
    answer = await run_tools(llm, "Weather in Rome?", tools=[weather])
    assert (answer.text, answer.rounds) == (FakeAnswer().text, 2)
    server.say(ASKS)
    stream = stream_tools(llm, "Weather in Rome?", tools=[weather])
    assert "".join([piece async for piece in stream]) == FakeAnswer().text
    for request in server.received[1::2]:
        assert "It is sunny in Rome." in str(request.body)


@pytest.mark.parametrize("kind", ERRORS)
async def test_errors_are_of_one_family(server, llm, kind):
    server.say(FakeError(kind=kind, param="x"))
    with pytest.raises(LLMError) as caught:
        await llm.generate("hi")
    assert type(caught.value) is ERRORS[kind]
    assert caught.value.status_code >= 400
    sent = [request for request in server.received if request.method == "POST"]
    assert len(sent) == 1  # the client's own retries are off


@pytest.mark.parametrize("kind", ["rate_limit", "overloaded", "server_error", "context_length"])
async def test_errors_within_a_stream_are_too(server, llm, kind):
    server.say(FakeError(kind=kind, param="x", in_stream=True))
    stream = llm.stream("hi")
    with pytest.raises(LLMError) as caught:
        [piece async for piece in stream]
    assert type(caught.value) is ERRORS[kind]
    assert caught.value.partial.text


async def test_our_retries_are_the_only_ones(server, where):
    again = Retry(attempts=3, wait_initial=0)
    async with CLOUDS[type(server)](**where, retry=again) as llm:
        server.say(FakeError(kind="overloaded"), FakeError(kind="rate_limit", retry_after=0))
        answer = await llm.request("hi")
    assert [attempt.error for attempt in answer.attempts] == [
        "ServiceUnavailableError",
        "RateLimitError",
        None,
    ]
    assert len(server.received) == 3


async def test_a_stream_that_breaks_off_is_an_error(server, llm):
    server.say(Fault(after=5, then="close"))
    stream = llm.stream("hi")
    with pytest.raises(StreamError):
        [piece async for piece in stream]


async def test_a_stream_that_is_left_is_closed(server, llm, until):
    server.say(Fault(FakeAnswer(text="word " * 50), after=9, then="stall"))
    stream = llm.stream("hi")
    await anext(aiter(stream))
    await stream.aclose()
    await until(server.received[0].left.is_set)


async def test_it_is_told_whether_it_can_be_used(server, where, llm):
    assert (await llm.diagnose()).reason is None
    assert await llm.check_connection()
    missing = CLOUDS[type(server)](**where | {"model": "claude-nothing"})
    if missing.adapter.build_probe(missing.model) is None:
        assert missing.model not in await missing.list_models()
    else:
        assert isinstance((await missing.diagnose()).error, ModelNotFoundError)
        with pytest.raises(InvalidRequestError, match="claude has no list of models at http"):
            await missing.list_models()
    server.api_key = "another-key"
    refused = await llm.diagnose()
    assert isinstance(refused.error, AuthenticationError)
    with pytest.raises(AuthenticationError) as caught:
        await llm.generate("hi")
    if not isinstance(server, clouds.FakeBedrockOpenAI):  # the name of Amazon's key is no secret
        assert "test-key" not in f"{caught.value!r} {refused}"


async def test_tokens_are_counted_where_that_is_possible(server, llm, heard):
    few, many = [await llm.count_tokens("word " * times) for times in (5, 500)]
    assert 0 < few.tokens < many.tokens
    estimated = any(isinstance(event, CountEstimated) for event in heard)
    assert estimated == isinstance(server, clouds.FakeBedrock)  # its client counts none


@pytest.mark.parametrize(
    ("fake", "service"),
    [(clouds.FakeBedrock, "bedrock"), (clouds.FakeBedrockOpenAI, "bedrock-mantle")],
)
async def test_what_amazon_gets_is_what_was_signed(fake, service):
    with fake() as server:
        where = server.connection()
        async with CLOUDS[fake](**where) as llm:
            await llm.request("Grüße", tools=[weather])
            _ = [piece async for piece in llm.stream("Grüße")]
        await closed(where["client"])
    for received in server.received:
        given = received.headers["authorization"]
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        signed = AWSRequest(
            method="POST",
            url=server.address + received.path,
            headers={name: received.headers[name] for name in names},
            data=received.content,
        )
        signed.context["timestamp"] = received.headers["x-amz-date"]
        signer = SigV4Auth(Credentials(server.api_key, clouds.SECRET_KEY), service, clouds.REGION)
        text = signer.string_to_sign(signed, signer.canonical_request(signed))
        assert given.endswith(f"Signature={signer.signature(text, signed)}")


@pytest.mark.parametrize("mode", ["bearer", "provider"])
async def test_amazon_takes_a_key_of_its_own_too(mode):
    with clouds.FakeBedrock() as claude, clouds.FakeBedrockOpenAI() as gpt:
        if mode == "bearer":
            keys = {"api_key": claude.api_key}
            other = openai.AsyncBedrockOpenAI(base_url=f"{gpt.address}/openai/v1", **keys)
        else:
            keys = {"aws_access_key": claude.api_key, "aws_secret_key": "s" * 20}
            token = bedrock(base_url=f"{gpt.address}/openai/v1", token_provider=lambda: gpt.api_key)
            other = openai.AsyncOpenAI(provider=token)
        client = anthropic.AsyncAnthropicBedrock(
            base_url=claude.address, aws_region=clouds.REGION, **keys
        )
        llms = ClaudeProvider(claude.models[0], client=client), OpenAIProvider(
            gpt.models[0], client=other
        )
        for llm in llms:
            async with llm:
                assert await llm.generate("hi") == FakeAnswer().text
        await asyncio.gather(client.close(), other.close())


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (anthropic.AsyncAnthropicBedrockMantle, {"aws_region": clouds.REGION}),
        (anthropic.AsyncAnthropicAWS, {"aws_region": clouds.REGION, "workspace_id": "w"}),
        (anthropic.AsyncAnthropicFoundry, {}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_clouds_that_speak_anthropics_own_protocol(kind, more):
    with FakeClaude() as server:
        client = kind(base_url=server.address, api_key=server.api_key, **more)
        async with ClaudeProvider(client=client, retry=Retry(attempts=1)) as llm:
            assert await llm.generate("hi") == FakeAnswer().text
            assert "".join([piece async for piece in llm.stream("hi")]) == FakeAnswer().text
            assert (await llm.diagnose()).reason is None
            assert (await llm.count_tokens("hi")).source.startswith("claude")
        await client.close()


async def test_embeddings_are_behind_azure_too():
    with clouds.FakeAzure() as server:
        where = server.connection()
        async with OpenAIEmbeddings(**where) as embeddings:
            assert len(await embeddings.embed_text("hi")) == 1536
        await closed(where["client"])
    (asked,) = server.received
    assert asked.path == "/openai/deployments/text-embedding-3-small/embeddings"
    assert asked.query == {"api-version": "2026-10-01"}


BEDROCK, VERTEX, AZURE = (
    lambda: anthropic.AsyncAnthropicBedrock(api_key="k", aws_region="eu-west-1"),
    lambda: anthropic.AsyncAnthropicVertex(access_token="t", region="global", project_id="p"),
    lambda: openai.AsyncAzureOpenAI(
        api_key="k", azure_endpoint="https://x.openai.azure.com", api_version="2026-10-01"
    ),
)


@pytest.mark.parametrize(
    ("make", "kind", "model", "usd"),
    [
        # a region's own
        (BEDROCK, ClaudeProvider, "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", ("3.3", "16.5")),
        (VERTEX, ClaudeProvider, "claude-sonnet-4-5@20250929", ("3", "15")),
        (AZURE, OpenAIProvider, "gpt-4.1", ("2", "8")),
    ],
)
async def test_prices_are_those_of_the_cloud(make, kind, model, usd):
    client = make()
    price = await kind(model, client=client).price()
    assert (str(price.input), str(price.output)) == usd
    await client.close()


def test_telemetry_calls_a_cloud_by_its_name():
    credentials = clouds.FakeVertex().connection()["client"]
    bedrock_too = openai.AsyncOpenAI(provider=bedrock(region="eu-west-1", api_key="k"))
    for kind, client, name in (
        (ClaudeProvider, BEDROCK(), "aws.bedrock"),
        (OpenAIProvider, bedrock_too, "aws.bedrock"),
        (ClaudeProvider, VERTEX(), "gcp.vertex_ai"),
        (GeminiProvider, credentials, "gcp.vertex_ai"),
        (OpenAIProvider, AZURE(), "azure.ai.openai"),
        (ClaudeProvider, anthropic.AsyncAnthropic(api_key="k"), None),
    ):
        assert kind(client=client).access.cloud == name
    assert ClaudeProvider(api_key="k").access.cloud is None


async def test_events_tell_the_cloud(server, where, heard):
    async with CLOUDS[type(server)](**where, observers=[heard.append]) as llm:
        await llm.generate("hi")
    told = heard[0].telemetry_name
    assert told == (
        "gcp.vertex_ai" if isinstance(server, clouds.FakeVertex) else llm.telemetry_name or "openai"
    )


@pytest.mark.parametrize(
    "prefix", ["anthropic.", "us.anthropic.", "arn:aws:bedrock:x:1:y/anthropic."]
)
def test_a_model_thinks_the_same_wherever_it_is(prefix):
    for model in ("claude-opus-4-20250514", "claude-sonnet-4-6", "claude-3-haiku-20240307-v1:0"):
        assert thinking.build("high", prefix + model, None) == thinking.build("high", model, None)
