"""What is sent."""

import httpx
import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import AuthenticationError
from bruno_llm_ollama import OllamaProvider
from bruno_llm_testing import FakeAnswer, FakeOllama


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


@pytest.fixture
async def llm(server):
    async with OllamaProvider(**server.connection()) as llm:
        yield llm


async def test_the_smallest_request_is_cut_by_nobody(server, llm):
    await llm.generate("hello")
    assert server.bodies == [
        {
            "model": "llama3.2",
            "messages": [{"role": "user", "content": "hello"}],
            "truncate": False,
            "shift": False,
            "stream": False,
        }
    ]


async def test_cutting_can_be_allowed(server, llm):
    async for _ in llm.stream("hello", truncate=True, shift=True):
        pass
    (body,) = server.bodies
    assert (body["truncate"], body["shift"], body["stream"]) == (True, True, True)


async def test_sampling_goes_into_options_and_the_rest_stays(server):
    options = {"num_ctx": 8192, "keep_alive": "1h"}
    async with OllamaProvider(temperature=0, options=options, **server.connection()) as llm:
        await llm.generate(
            "hello",
            max_tokens=9,
            top_p=0.5,
            stop="END",
            seed=7,
            top_k=3,
            think=False,
            format="json",
        )
    (body,) = server.bodies
    assert body["options"] == {
        "temperature": 0,
        "num_ctx": 8192,
        "num_predict": 9,
        "top_p": 0.5,
        "stop": ["END"],
        "seed": 7,
        "top_k": 3,
    }
    assert (body["keep_alive"], body["think"], body["format"]) == ("1h", False, "json")


async def test_tools_are_called_and_answered(server, llm):
    calls = [
        {"id": "call_1", "name": "weather", "arguments": '{"city": "Rome"}'},
        {"name": "now", "arguments": ""},
    ]
    say = Message
    messages = [
        say(role=MessageRole.SYSTEM, content="Be brief."),
        say(role=MessageRole.USER, content="Weather?"),
        say(role=MessageRole.ASSISTANT, content="I ask.", metadata={"tool_calls": calls}),
        say(role=MessageRole.TOOL, content="sunny", metadata={"tool_call_id": "call_1"}),
        say(role=MessageRole.TOOL, content="noon", metadata={"name": "now"}),
    ]
    await llm.generate(messages)
    assert server.bodies[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "I ask.",
            "tool_calls": [
                {"id": "call_1", "function": {"name": "weather", "arguments": {"city": "Rome"}}},
                {"id": "call_1_1", "function": {"name": "now", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "sunny", "tool_name": "weather", "tool_call_id": "call_1"},
        {"role": "tool", "content": "noon", "tool_name": "now", "tool_call_id": "call_1_1"},
    ]


async def test_thoughts_are_not_sent_back(server, llm):
    server.say(FakeAnswer(text="42", reasoning="Hmm."))
    answer = await llm.request("hello")
    assert answer.reasoning == "Hmm."
    await llm.generate([answer.to_message(), Message(role=MessageRole.USER, content="why?")])
    assert "Hmm." not in str(server.bodies[-1])


async def test_no_key_is_wanted(server, llm):
    await llm.generate("hello")
    assert "authorization" not in server.received[0].headers


async def test_a_key_is_sent_to_the_cloud(server, monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", "test-key")
    async with OllamaProvider(**server.connection()) as llm:
        await llm.generate("hello")
    assert server.received[0].headers["authorization"] == "Bearer test-key"


async def test_a_wrong_key_comes_with_advice(server):
    async with OllamaProvider(api_key="wrong", **server.connection()) as llm:
        with pytest.raises(AuthenticationError, match="ollama signin"):
            await llm.generate("hello")


@pytest.mark.parametrize("has_address", [True, False])
async def test_a_client_of_ones_own_is_used_and_left_open(server, has_address, monkeypatch):
    client = httpx.AsyncClient(
        base_url=server.address if has_address else "", headers={"x-mine": "yes"}
    )
    monkeypatch.setenv("OLLAMA_HOST", "nowhere" if has_address else server.address)
    async with client:
        async with OllamaProvider(client=client) as llm:
            assert server.address in repr(llm)
            assert await llm.check_connection()
            await llm.generate("hello")
        assert not client.is_closed
    assert [request.headers["x-mine"] for request in server.received] == ["yes"] * 4


async def test_an_address_may_have_a_path(server):
    async with OllamaProvider(base_url=f"{server.address}/ollama/") as llm:
        assert not await llm.check_connection()
    assert server.received[0].path == "/ollama/api/tags"


async def test_a_login_in_the_address_is_sent_and_not_shown(server):
    address = server.address.replace("http://", "http://me:s3cret%21@")
    async with OllamaProvider(base_url=address, max_retries=0) as llm:
        assert "s3cret" not in repr(llm) + str(llm.get_model_info())
        with pytest.raises(AuthenticationError):  # the fake knows of no logins
            await llm.generate("hello")
    assert server.received[0].headers["authorization"] == "Basic bWU6czNjcmV0IQ=="


async def test_the_login_of_an_injected_client_is_used(server):
    address = server.address.replace("http://", "http://me:s3cret@")
    async with httpx.AsyncClient(base_url=address) as client:
        with pytest.raises(AuthenticationError):  # the fake knows of no logins
            await OllamaProvider(client=client, max_retries=0).generate("hello")
    assert server.received[0].headers["authorization"] == "Basic bWU6czNjcmV0"
