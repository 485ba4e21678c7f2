"""Spans beside those of others: instrumented HTTP clients, the SDK's own, other instrumentations."""

import re
import sys
from contextlib import contextmanager
from importlib import import_module
from pkgutil import walk_packages

import anthropic.resources
import openai.resources
import pytest
from anthropic import AsyncAnthropic
from bruno_llm_base import Retry
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider
from bruno_llm_testing import FakeClaude, FakeError, FakeGemini, FakeOllama, FakeOpenAI
from openinference.instrumentation.anthropic import AnthropicInstrumentor as OpenInferenceClaude
from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInferenceOpenAI
from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor as OpenLLMetryClaude
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.openai import OpenAIInstrumentor as OpenLLMetryOpenAI

PROVIDERS = {
    OpenAIProvider: FakeOpenAI,
    ClaudeProvider: FakeClaude,
    GeminiProvider: FakeGemini,
    OllamaProvider: FakeOllama,
}
SDKS = re.compile(r"(openai|anthropic)\.")
AT_ONCE = Retry(attempts=3, wait_initial=0)


@contextmanager
def instrumented(told, *kinds):
    """Have libraries of others tell of the same SDKs and clients."""
    instrumentors = [kind() for kind in kinds]
    for package in (anthropic.resources, openai.resources):  # loaded when they are used, or wrapped
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    before = {kind: dict(vars(kind)) for kind in sdk_classes()}
    for instrumentor in instrumentors:
        instrumentor.instrument(
            tracer_provider=told.tracers, meter_provider=told.meters, skip_dep_check=True
        )
    try:
        yield
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()
        for kind, names in before.items():  # not all of them take back all that they have wrapped
            for name, value in names.items():
                if vars(kind).get(name) is not value:
                    setattr(kind, name, value)


def sdk_classes():
    modules = [module for name, module in sys.modules.items() if SDKS.match(name)]
    found = (each for module in modules for each in vars(module).values())
    return {each for each in found if isinstance(each, type) and SDKS.match(each.__module__)}


@pytest.fixture(params=PROVIDERS, ids=lambda kind: kind.name)
def kind(request):
    return request.param


@pytest.fixture
def server(kind):
    with PROVIDERS[kind]() as server:
        yield server


def ours(told):
    return [s for s in told.spans if s.instrumentation_scope.name == "bruno_llm"]


def with_usage(told):
    """The spans that tell of tokens, in anyone's words."""
    words = ("usage", "token_count", "cost")
    return [span for span in told.spans if any(w in n for n in span.attributes for w in words)]


async def test_spans_of_an_instrumented_http_client_are_children(kind, server, told):
    with instrumented(told, AioHttpClientInstrumentor, HTTPXClientInstrumentor):
        server.say(FakeError(kind="overloaded"))
        llm = kind(**server.connection(), retry=AT_ONCE, observers=[told.telemetry()])
        async with llm:
            with told.tracer.start_as_current_span("caller"):
                await llm.request("hi")
                async for _ in llm.stream("hi"):
                    assert trace.get_current_span().name == "caller"
    spans = [span for span in told.spans if span.name.startswith(("POST", "GET"))]
    requests = ours(told)
    assert [told.parent(span) for span in requests] == ["caller", "caller"]
    ids = [span.context.span_id for span in requests]
    assert [ids.index(span.parent.span_id) for span in spans] == [0, 0, 1]


async def test_the_sdk_tells_of_nothing_beside_us(kind, server, told, monkeypatch):
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", told.tracers)  # as an application has set it
    llm = kind(**server.connection(), observers=[told.telemetry()])
    async with llm:
        await llm.request("hi")
        async for _ in llm.stream("hi"):
            pass
    assert told.spans == tuple(ours(told))
    assert len(told.spans) == 2
    assert "traceparent" not in server.received[-1].headers


async def test_the_test_above_would_see_the_sdks_spans(told, monkeypatch):
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", told.tracers)
    with FakeClaude() as server:
        async with AsyncAnthropic(**server.connection()) as client:
            question = {"role": "user", "content": "hi"}
            model = ClaudeProvider.default_model
            await client.messages.create(model=model, max_tokens=9, messages=[question])
        assert "traceparent" in server.received[-1].headers
    (span,) = told.spans
    assert span.instrumentation_scope.name == "com.anthropic.sdk.python"


@pytest.mark.parametrize(
    "others",
    [
        (OpenInferenceOpenAI, OpenInferenceClaude),
        (OpenLLMetryOpenAI, OpenLLMetryClaude),
    ],
    ids=["openinference", "openllmetry"],
)
@pytest.mark.parametrize("kind", [OpenAIProvider, ClaudeProvider], ids=lambda kind: kind.name)
async def test_usage_is_told_once_with_other_instrumentations(kind, server, told, others):
    with instrumented(told, *others):
        llm = kind(**server.connection(), observers=[told.telemetry()])
        async with llm:
            await llm.request("hi")
            async for _ in llm.stream("hi"):
                pass
    assert len(ours(told)) == 2
    assert with_usage(told) == ours(told)
    others = [span for span in told.spans if span not in ours(told)]
    # what is seen below us is a child of ours
    assert {told.parent(span) for span in others} <= {f"chat {llm.model}"}


async def test_vectors_are_told_once_with_other_instrumentations(told):
    with FakeOpenAI() as server, instrumented(told, OpenInferenceOpenAI, OpenLLMetryOpenAI):
        embeddings = OpenAIEmbeddings(**server.connection(), observers=[told.telemetry()])
        async with embeddings:
            await embeddings.embed_text("hi")
    assert with_usage(told) == ours(told)
    assert len(ours(told)) == 1
