"""What the openai and anthropic SDKs must keep doing for `ComposedTransport`, and what it sends."""

import itertools
from importlib import import_module

import anthropic
import openai
import pytest
from bruno_llm_base import Timeouts
from bruno_llm_base.transport import SdkTransport
from bruno_llm_claude import ClaudeProvider
from bruno_llm_openai import OpenAIProvider

SDKS = {
    "openai": (
        openai,
        openai.AsyncOpenAI,
        OpenAIProvider,
        "/chat/completions",
        lambda client: client.chat.completions,
    ),
    "claude": (
        anthropic,
        anthropic.AsyncAnthropic,
        ClaudeProvider,
        "/v1/messages",
        lambda client: client.messages,
    ),
}
BODIES = ({"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}, {"a": 1})
HTTP = import_module(openai.DefaultAsyncHttpxClient.__mro__[1].__module__)  # httpx in old SDKs
LIMITS = HTTP.Timeout(None, connect=5)


@pytest.fixture(params=SDKS)
def case(request):
    return SDKS[request.param]


def opened(sdk, client_type, provider):
    access = provider(api_key="sk-0123456789").access
    return SdkTransport.open(sdk, client_type, access=access, timeouts=Timeouts(connect=5))


def recorder():
    seen = []

    async def answer(request):
        seen.append(request)
        return HTTP.Response(200, json={}, headers={"content-type": "application/json"})

    return seen, HTTP.AsyncClient(transport=HTTP.MockTransport(answer))


def headers(request):
    ours = ("accept-encoding", "content-length")
    return {name: value for name, value in request.headers.items() if name not in ours}


async def test_a_request_is_what_the_sdk_sends(case, monkeypatch):
    sdk, client_type, provider, path, resource = case
    for name in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{name}_CUSTOM_HEADERS", "X-Mine: yes")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    transport = opened(sdk, client_type, provider)
    seen, http = recorder()
    client = client_type(api_key="sk-0123456789", max_retries=0, http_client=http, timeout=LIMITS)
    transport._http, real = http, transport._http
    for method, where, body in (
        *(("POST", path, body) for body in BODIES),
        ("GET", provider.adapter_type().models_path, None),
    ):
        call = client.post if method == "POST" else client.get
        content = {} if body is None else {"body": body}
        await call(
            where, cast_to=object, stream=True, stream_cls=sdk.AsyncStream[object], **content
        )
        await transport.send(method, where, body)
        theirs, ours = seen[-2:]
        assert (theirs.method, theirs.url, headers(theirs)) == (
            ours.method,
            ours.url,
            headers(ours),
        )
        assert theirs.content == ours.content
    await resource(client).create(
        model="m", max_tokens=5, messages=[{"role": "user", "content": "x"}]
    )
    await transport.send("POST", path, {})
    theirs, ours = seen[-2:]
    assert (theirs.url, headers(theirs)) == (ours.url, headers(ours))
    await transport.aclose()
    await real.aclose()


async def test_the_sdk_is_asked_once_per_endpoint(case, monkeypatch):
    sdk, client_type, provider, path, _ = case
    transport = opened(sdk, client_type, provider)
    seen, http = recorder()
    transport._http, real = http, transport._http
    asked = []
    ask = transport._composer.post
    transport._composer.post = lambda *args, **given: asked.append(args) or ask(*args, **given)
    for _ in range(3):
        await transport.send("POST", path, {"a": 1})
    assert (len(seen), len(asked)) == (3, 2)  # twice, to see whether both are the same
    await transport.aclose()
    await real.aclose()


async def test_what_differs_from_call_to_call_is_composed_for_each(case):
    sdk, client_type, provider, path, _ = case
    numbers = itertools.count()

    class Signing(client_type):
        @property
        def default_headers(self):
            return {**super().default_headers, "Idempotency-Key": str(next(numbers))}

    transport = opened(sdk, Signing, provider)
    seen, http = recorder()
    transport._http, real = http, transport._http
    for _ in range(3):
        await transport.send("POST", path, {"a": 1})
    assert len({request.headers["idempotency-key"] for request in seen}) == 3
    await transport.aclose()
    await real.aclose()
