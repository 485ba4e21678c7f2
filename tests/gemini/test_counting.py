"""Tokens as Gemini counts them, by both ways to send."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from bruno_llm_base import Json, Retry, Usage
from bruno_llm_gemini import GeminiProvider
from bruno_llm_gemini.typed import _counting
from bruno_llm_testing import FakeAnswer, FakeGemini
from google import genai

TOOL: Json = {"functionDeclarations": [{"name": "weather"}]}
MODEL = "gemini-4-argon"
REQUEST: Json = {
    "model": f"models/{MODEL}",
    "contents": [{"role": "user", "parts": [{"text": "go"}]}],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "generationConfig": {"maxOutputTokens": 9},
    "tools": [TOOL],
}


@pytest.fixture(params=["composed", "typed"])
async def llm(
    server: FakeGemini, http: Any, request: pytest.FixtureRequest
) -> AsyncIterator[GeminiProvider]:
    if request.param == "composed":
        async with GeminiProvider(**server.connection(), retry=Retry(attempts=1)) as llm:
            yield llm
        return
    options = genai.types.HttpOptions(base_url=server.address, httpx_async_client=http)
    with genai.Client(api_key=server.api_key, http_options=options) as client:
        yield GeminiProvider(client=client, retry=Retry(attempts=1))


async def test_what_google_counts_is_an_estimate(server: FakeGemini, llm: GeminiProvider) -> None:
    server.say(FakeAnswer(usage=Usage(input_tokens=1000)), to="count_tokens")
    count = await llm.count_tokens("hello world")
    assert (count.tokens, count.exact, count.error) == (1000, False, 0.1)
    assert count.source == "gemini, countTokens"


async def test_what_google_is_asked(server: FakeGemini, llm: GeminiProvider) -> None:
    llm.set_system_prompt("Be brief.")
    for model in (MODEL, f"models/{MODEL}"):
        await llm.count_tokens("go", model=model, max_tokens=9, tools=[TOOL])
        (request,) = (r for r in server.received if server.operation(r) == "count_tokens")
        server.received.clear()
        assert request.path.endswith(f"/models/{MODEL}:countTokens")
        assert request.body["generateContentRequest"] == REQUEST
        assert not request.body.get("contents")
    assert server.bodies == []


def test_vertex_ai_wants_the_fields_side_by_side() -> None:
    asked = _counting({"model": MODEL, "generateContentRequest": REQUEST}, vertex=True)
    sent = asked["config"]["http_options"]["extra_body"]
    assert sent == {name: value for name, value in REQUEST.items() if name != "model"}
