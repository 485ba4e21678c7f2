"""A mistake in our code or the user's stays what it is, and is not taken for the server's."""

import asyncio
import gc
import subprocess
import sys
import warnings
from importlib import import_module

import httpx
import pytest
from bruno_llm_base import LLMError, Retry, ServiceUnavailableError
from bruno_llm_testing import FakeError

pytestmark = pytest.mark.usefixtures("unmeasured")


def client_with_a_hook(name, connection, hook):
    """Return a client of the vendor's that calls *hook* before each request, and its HTTP client."""
    key, base_url = connection.get("api_key"), connection["base_url"]
    if name == "ollama":
        http = httpx.AsyncClient(base_url=base_url, event_hooks={"request": [hook]})
        return http, http
    import openai

    http_library = import_module(
        openai.DefaultAsyncHttpxClient.__mro__[1].__module__
    )  # httpx in old SDKs
    http = http_library.AsyncClient(event_hooks={"request": [hook]})
    if name == "gemini":
        from google import genai

        options = genai.types.HttpOptions(base_url=base_url, httpx_async_client=http)
        return genai.Client(vertexai=False, api_key=key, http_options=options), http
    if name == "openai":
        return openai.AsyncOpenAI(api_key=key, base_url=base_url, http_client=http), http
    import anthropic

    return anthropic.AsyncAnthropic(api_key=key, base_url=base_url, http_client=http), http


async def ask(llm):
    return await llm.generate("hi")


async def stream(llm):
    return "".join([text async for text in llm.stream("hi")])


@pytest.mark.parametrize("use", [ask, stream])
async def test_a_users_hook_that_fails_is_told_as_it_failed(name, kind, server, use):
    calls = []

    async def hook(request):
        calls.append(request)
        raise TypeError("a mistake in the hook")

    client, http = client_with_a_hook(name, server.connection(), hook)
    with pytest.raises(TypeError, match="a mistake in the hook"):
        await use(kind(client=client))
    await http.aclose()
    assert len(calls) == 1  # sent again, it would fail again


@pytest.mark.parametrize("use", [ask, stream])
async def test_a_mistake_in_a_transport_is_told_as_it_is(kind, server, use):
    class Mistaken(kind):
        @staticmethod
        def open_transport(access, timeouts):
            return access.no_such_thing

    async with Mistaken(**server.connection()) as llm:
        with pytest.raises(AttributeError, match="no_such_thing"):
            await use(llm)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda data: data.no_such_method(),
        lambda data: httpx.no_such_name(data, 1),
        lambda data: ask(data, "one too many"),
    ],
    ids=["no_method", "no_name", "no_argument"],
)
async def test_a_mistake_in_a_parser_is_not_the_servers(kind, server, mistake):
    class Adapter(kind.adapter_type):
        def parse(self, data):
            return mistake(data)

    class Mistaken(kind):
        adapter_type = Adapter

    async with Mistaken(**server.connection()) as llm:
        with pytest.raises((AttributeError, TypeError)):
            await llm.generate("hi")


async def test_what_the_caller_was_handling_is_no_cause(kind, server):
    llm = kind(base_url="http://127.0.0.1:9", api_key="a-test-key", retry=Retry(attempts=1))
    async with llm:
        for handled in (KeyError("theirs"), LLMError("theirs"), httpx.ReadTimeout("theirs")):
            try:
                raise handled  # noqa: TRY301 - the point
            except Exception:  # noqa: BLE001 - each of them
                with pytest.raises(ServiceUnavailableError, match="cannot be reached"):
                    await llm.generate("hi")


TRIO = """
import warnings
warnings.simplefilter("ignore")
import trio
from bruno_llm_base import LLMFactory

llm = LLMFactory.create("openai", base_url="http://127.0.0.1:9", api_key="a-test-key")

async def stream():
    async for _ in llm.stream("hi"):
        pass

async def request():
    await llm.request("hi")

for use in (request, stream, llm.list_models, llm.aclose):
    try:
        trio.run(use)
    except RuntimeError as error:
        print(error)
"""


def test_under_trio_asyncio_is_asked_for():
    done = subprocess.run(
        [sys.executable, "-c", TRIO], capture_output=True, text=True, timeout=300, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all("bruno-llm runs on asyncio" in line for line in lines)
    assert done.stderr == ""


@pytest.mark.parametrize("collects", [True, False])
@pytest.mark.parametrize("use", [ask, stream])
def test_a_provider_that_is_dropped_after_an_error_leaves_nothing(
    kind, server, use, collects, until
):
    async def once():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: said.append(context))
        server.say(FakeError(kind="authentication"))
        llm = kind(**server.connection(), retry=Retry(attempts=1))
        with pytest.raises(LLMError):
            await asyncio.wait_for(use(llm), 300)
        del llm
        if collects:
            gc.collect()
            await asyncio.sleep(0.05)

    said = []
    gc.collect()  # what neighbours left is none of ours
    gc.disable()
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", ResourceWarning)
            asyncio.run(once())
            gc.collect()
    finally:
        gc.enable()
    assert said == []
    assert [each.message for each in warned if each.category is ResourceWarning] == []
    asyncio.run(until(lambda: server.open_connections == 0))
