"""What requests have in common is kept: marks where the vendor wants them, and one beginning."""

import asyncio
import json
from functools import cache

import anthropic.types
import openai.types.chat.completion_create_params
import openai.types.responses.response_create_params
import pytest
from bruno_llm_base import InvalidRequestError
from bruno_llm_claude import ClaudeProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, MockLLM
from pydantic import TypeAdapter

adapter_of = cache(TypeAdapter)  # of the SDKs' types, which are slow to make

SYSTEM = "You know all cities."


def weather(city: str) -> str:
    """Tell the weather."""
    return city


def sent(llm, **options):
    request = llm._request("Hi", options, stream=False)
    return request.body


def test_the_next_turn_begins_as_the_last_one_did(kind, server, name):
    server.say(FakeAnswer(text="One."), FakeAnswer(text="Two."))
    llm = kind(**server.connection(), system_prompt=SYSTEM, cache="1h")

    async def talk():
        async with llm:
            messages = [{"role": "user", "content": "First?"}]
            first = await llm.request(messages, tools=[weather])
            messages = [*messages, first.to_message(), {"role": "user", "content": "Second?"}]
            await llm.request(messages, tools=[weather])

    asyncio.run(talk())
    first, second = server.bodies
    turns = "contents" if name == "gemini" else "messages"
    assert second[turns][: len(first[turns])] == first[turns]
    for field in first.keys() - {turns}:
        assert json.dumps(second[field]) == json.dumps(first[field]), field
    assert "cache" not in first


@pytest.mark.parametrize(
    ("keep", "ttl"),
    [(True, "5m"), ("5m", "5m"), ("30m", "5m"), ("1h", "1h"), ("12h", "1h")],
    ids=str,
)
def test_claude_is_told_what_to_keep(keep, ttl):
    llm = ClaudeProvider(api_key="k", system_prompt=SYSTEM)
    body = sent(llm, cache=keep, tools=[weather])
    mark = {"type": "ephemeral", "ttl": ttl}
    assert body["cache_control"] == mark
    assert body["system"] == [{"type": "text", "text": SYSTEM, "cache_control": mark}]
    kind = anthropic.types.message_create_params.MessageCreateParamsNonStreaming
    adapter_of(kind).validate_python(body)
    llm.set_system_prompt("")
    assert sent(llm, cache=keep, tools=[weather])["tools"][-1]["cache_control"] == mark
    own = {"type": "ephemeral"}
    assert sent(llm, cache=keep, cache_control=own)["cache_control"] == own


def test_a_message_may_be_marked(kind, server, name):
    pages = [
        {"role": "user", "content": f"Page {n}", "metadata": {"cache": True}} for n in (1, 2, 3)
    ]
    messages = [*pages, {"role": "user", "content": "What is on them?"}]
    asyncio.run(kind(**server.connection()).request(messages))
    asyncio.run(kind(**server.connection()).request(messages, cache="1h"))
    first, second = server.bodies
    said = "Page 1\\n\\nPage 2\\n\\nPage 3\\n\\nWhat is on them?"
    if name == "gemini":
        said = said.replace("\\n\\n", '"}, {"text": "\\n\\n')
    if name != "claude":
        assert said in json.dumps(first)
        assert "cache" not in json.dumps(first)
        return
    blocks = first["messages"][0]["content"]
    assert "".join(block["text"] for block in blocks) == said.replace("\\n", "\n")
    marks = [block.get("cache_control") for block in blocks]
    assert marks == [*[{"type": "ephemeral"}] * 3, None]
    marks = [block.get("cache_control") for block in second["messages"][0]["content"]]
    assert marks == [*[{"type": "ephemeral", "ttl": "1h"}] * 3, None]
    adapter_of(
        anthropic.types.message_create_params.MessageCreateParamsNonStreaming
    ).validate_python(second)


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("keep", [True, "5m", "12h"], ids=str)
def test_openai_is_told_what_to_keep(api, keep):
    llm = OpenAIProvider("gpt-6.1-terra", api_key="k", api=api, system_prompt=SYSTEM)
    body = sent(llm, cache=keep)
    turns, text = ("messages", "text") if api == "chat" else ("input", "input_text")
    if api == "chat":
        kind = openai.types.chat.completion_create_params.CompletionCreateParamsNonStreaming
    else:
        kind = openai.types.responses.response_create_params.ResponseCreateParamsNonStreaming
    adapter_of(kind).validate_python(body)
    long = keep == "12h" and api == "responses"
    assert body["prompt_cache_options"] == {"ttl": "12h" if long else "30m"}
    (piece,) = body[turns][0]["content"]
    assert piece == {"type": text, "text": SYSTEM, "prompt_cache_breakpoint": {"mode": "explicit"}}
    again = sent(llm, cache=keep, max_tokens=5)
    assert again["prompt_cache_key"] == body["prompt_cache_key"]
    assert sent(llm, cache=keep, tools=[weather])["prompt_cache_key"] != body["prompt_cache_key"]
    assert sent(llm, cache=keep, prompt_cache_key="mine")["prompt_cache_key"] == "mine"
    old = sent(llm, cache=keep, model="gpt-4.1")
    assert "prompt_cache_options" not in old
    assert old["prompt_cache_key"] == body["prompt_cache_key"]
    own = OpenAIProvider("m", api_key="k", base_url="http://localhost:9/v1")
    assert sent(own, cache=keep) == sent(own)


def test_other_servers_keep_it_by_themselves(kind, server, name):
    llm = kind(**server.connection())
    plain, false = sent(llm), sent(llm, cache=False)
    assert plain == false
    if name == "gemini":
        assert sent(llm, cache="1h") == plain
    if name == "ollama":
        assert sent(llm, cache=True) == plain
        assert sent(llm, cache="1h")["keep_alive"] == "1h"
        assert sent(llm, cache="1h", keep_alive=0)["keep_alive"] == 0


@pytest.mark.parametrize("value", ["2h", 5, 1, [], "yes"], ids=str)
def test_what_is_no_time_is_refused(value):
    with pytest.raises(InvalidRequestError, match=r"cache is .*give True, False, 5m, 30m, 1h, 12h"):
        asyncio.run(MockLLM().request("Hi", cache=value))


def test_the_environment_may_say_it(monkeypatch):
    from bruno_llm_base import LLMFactory

    monkeypatch.setenv("BRUNO_LLM_CACHE", "true")
    monkeypatch.setenv("BRUNO_LLM_REASONING", "2048")
    llm = LLMFactory.from_env("claude", api_key="k")
    body = sent(llm)
    assert body["cache_control"]["ttl"] == "5m"
    assert body["output_config"] == {"effort": "medium"}
