"""A server of OpenAI's protocol whose address was given without the version at its end."""

import json

import pytest
from aiohttp import web
from bruno_llm_base import InvalidRequestError, ModelNotFoundError, Retry
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider
from bruno_llm_testing import FakeOpenAI, RawReply

NOTHING_THERE = [  # Ollama's, vLLM's, LM Studio's, a proxy's
    (404, "404 page not found"),
    (404, json.dumps({"detail": "Not Found"})),
    (200, json.dumps({"error": "Unexpected endpoint or method. (POST /chat/completions)"})),
    (404, "<html><title>404 Not Found</title></html>"),
]


class Server(FakeOpenAI):
    """A server that has nothing but what stands under /v1."""

    def other(self, request):
        status, text = self.says
        return web.Response(status=status, text=text, content_type="application/json")


@pytest.fixture
def server():
    with Server() as server:
        yield server


@pytest.mark.parametrize("says", NOTHING_THERE)
async def test_the_error_names_the_address_and_the_one_to_try(server, says):
    server.says = says
    keywords = {"api_key": "k", "retry": Retry(attempts=2, wait_initial=0)}
    for given in (server.address, f"{server.address}/"):
        cure = f"base_url is {given}: try {server.address}/v1"
        llm = OpenAIProvider("llama3.2", base_url=given, **keywords)
        embeddings = OpenAIEmbeddings("nomic", base_url=given, **keywords)
        with pytest.raises(InvalidRequestError, match=cure):
            await llm.generate("Hi")
        with pytest.raises(InvalidRequestError, match=cure):
            await llm.stream("Hi")
        with pytest.raises(InvalidRequestError, match=cure):
            await embeddings.embed_text("Hi")
        assert cure in (await llm.diagnose()).reason
        await llm.aclose()
        await embeddings.aclose()
    assert len(server.received) == 8  # none was sent again


async def test_an_address_that_is_right_is_left_alone(server):
    server.says = 404, json.dumps({"error": {"message": "The model `x` does not exist"}})
    async with OpenAIProvider("x", base_url=server.address, api_key="k") as llm:
        with pytest.raises(ModelNotFoundError) as caught:  # of a server without versions
            await llm.generate("Hi")
        assert "/v1" not in str(caught.value)
    server.says = NOTHING_THERE[0]
    for path in ("/v1", "/v1beta/openai", "/inference"):  # OpenAI's, Google's, GitHub's
        server.say(RawReply(status=404, body=b"404 page not found"))
        address = {"base_url": server.address + path, "api_key": server.api_key}
        async with OpenAIProvider("x", **address) as llm:
            with pytest.raises(InvalidRequestError) as caught:
                await llm.generate("Hi")
        assert "base_url" not in str(caught.value)
