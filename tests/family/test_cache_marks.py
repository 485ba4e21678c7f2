"""Marks in messages: what is kept up to there, and requests that begin as the one before did."""

import asyncio
import itertools
import json
from functools import cache

import anthropic.types
import openai.types.chat.completion_create_params
import openai.types.responses.response_create_params
import pytest
from bruno_core.models import Message
from bruno_llm_base import InvalidRequestError
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import MockLLM
from pydantic import TypeAdapter

adapter_of = cache(TypeAdapter)  # of the SDKs' types, which are slow to make

SYSTEM = "You know all cities."
MARKED = {"cache": True}
EPHEMERAL = {"type": "ephemeral"}
BREAKPOINT = {"mode": "explicit"}
CALL = {"id": "call_1", "name": "weather", "arguments": "{}"}
PAGES = {"role": "user", "content": "200 pages", "metadata": MARKED}
QUESTION = {"role": "user", "content": "What is on page 3?"}
TURNS = [
    PAGES,
    QUESTION,
    {"role": "assistant", "content": "I look.", "tool_calls": [CALL], "metadata": MARKED},
    {"role": "tool", "content": "rain", "tool_call_id": "call_1", "metadata": MARKED},
    {"role": "assistant", "content": "Rain."},
    {"role": "user", "content": "And on page 4?"},
]
ENDS = (2, 4, 6)
"""How many messages there are when each of the requests is sent."""


def weather(city: str) -> str:
    """Tell the weather."""
    return city


LLMS = {
    "claude": lambda **options: ClaudeProvider(api_key="k", **options),
    "openai chat": lambda **options: OpenAIProvider(
        "gpt-6.1-terra", api_key="k", api="chat", **options
    ),
    "openai responses": lambda **options: OpenAIProvider("gpt-6.1-terra", api_key="k", **options),
    "gemini": lambda **options: GeminiProvider(api_key="k", **options),
    "ollama": OllamaProvider,
}
TURNS_FIELD = {"openai responses": "input", "gemini": "contents"}
KINDS = {
    "claude": anthropic.types.message_create_params.MessageCreateParamsNonStreaming,
    "openai chat": (openai.types.chat.completion_create_params.CompletionCreateParamsNonStreaming),
    "openai responses": (
        openai.types.responses.response_create_params.ResponseCreateParamsNonStreaming
    ),
}


def sent(llm, messages, **options):
    return llm._request(messages, options, stream=False).body


def unmarked(messages):
    return [{k: v for k, v in message.items() if k != "metadata"} for message in messages]


@pytest.mark.parametrize("cache", [None, True, "12h"], ids=str)
@pytest.mark.parametrize("vendor", LLMS)
def test_each_request_begins_with_the_one_before(vendor, cache):
    asked = {} if cache is None else {"cache": cache}
    # what calls tools goes to Responses at OpenAI, unless the model does not reason
    options = {"reasoning": "none"} if vendor == "openai chat" else {}
    llm = LLMS[vendor](system_prompt=SYSTEM, **asked, **options)
    # Claude takes four marks: with those of `cache` there is room for one more
    turns = TURNS if cache is None else [PAGES, *unmarked(TURNS[1:])]
    bodies = [sent(llm, turns[:end], tools=[weather]) for end in ENDS]
    field = TURNS_FIELD.get(vendor, "messages")
    for first, second in itertools.pairwise(bodies):
        assert len(second[field]) > len(first[field])
        begin = {**second, field: second[field][: len(first[field])]}
        assert json.dumps(begin) == json.dumps(first)
    if vendor in KINDS:
        adapter_of(KINDS[vendor]).validate_python(bodies[-1])
    assert "metadata" not in str(bodies)


@pytest.mark.parametrize("vendor", LLMS)
def test_marks_change_nothing_that_is_said(vendor):
    llm = LLMS[vendor]()
    marks, plain = sent(llm, TURNS), sent(llm, unmarked(TURNS))
    off = sent(llm, TURNS, cache=False)
    if vendor == "ollama":
        assert marks == off == plain
    elif vendor == "gemini":
        first = marks["contents"][0]["parts"]
        assert first == [{"text": "200 pages"}, {"text": "\n\nWhat is on page 3?"}]
        assert marks == off
    elif vendor == "claude":
        assert "cache_control" not in str(off)
        assert [m["role"] for m in marks["messages"]] == [m["role"] for m in plain["messages"]]
    else:
        assert off == plain


def test_marks_of_claude():
    first, answer, result = sent(ClaudeProvider(api_key="k"), TURNS[:4])["messages"]
    assert first["content"] == [
        {"type": "text", "text": "200 pages", "cache_control": EPHEMERAL},
        {"type": "text", "text": "\n\nWhat is on page 3?"},
    ]
    assert [block.get("cache_control") for block in answer["content"]] == [None, EPHEMERAL]
    assert result["content"][-1]["cache_control"] == EPHEMERAL
    body = sent(ClaudeProvider(api_key="k", system_prompt=SYSTEM), TURNS[:2], cache="1h")
    hour = {"type": "ephemeral", "ttl": "1h"}
    assert body["messages"][0]["content"][0]["cache_control"] == hour
    assert body["cache_control"] == body["system"][0]["cache_control"] == hour


def marks_in(pieces):
    return [piece["cache_control"] for piece in pieces if "cache_control" in piece]


@pytest.mark.parametrize("marked", range(7))
@pytest.mark.parametrize("cache", [None, "1h"], ids=str)
@pytest.mark.parametrize("own", [None, EPHEMERAL, {"type": "ephemeral", "ttl": "1h"}], ids=str)
def test_claude_takes_four_marks_and_no_longer_one_behind_a_shorter_one(marked, cache, own):
    llm = ClaudeProvider(api_key="k", system_prompt=SYSTEM)
    messages = [
        {"role": role, "content": str(place), "metadata": {"cache": place < marked}}
        for place, role in enumerate(["user", "assistant"] * 4)
    ]
    tool = {"name": "t", "input_schema": {"type": "object"}}
    tool |= {} if own is None else {"cache_control": own}
    asked = {} if cache is None else {"cache": cache}
    body = sent(llm, messages[:7], tools=[tool], **asked)
    said = [block for message in body["messages"] for block in message["content"]]
    marks = marks_in(said)
    assert len(marks) == min(marked, 4 if cache is None else 3 - (own is not None))
    if cache is not None:
        system = body["system"] if isinstance(body["system"], list) else []
        marks = [*marks_in(body["tools"]), *marks_in(system), *marks, body["cache_control"]]
        assert len(marks) == min(marked + 3, 4)
        times = [mark.get("ttl", "5m") for mark in marks]
        assert times == sorted(times)  # "1h" before "5m"
    assert marks_in([tool]) == ([] if own is None else [own])
    if marked:
        assert "cache_control" in said[marked - 1]  # the latest are kept


def test_an_answers_own_block_is_not_changed():
    llm = ClaudeProvider(api_key="k")
    data = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    part = {"type": "vendor_block", "vendor": "anthropic", "data": data}
    use = {"type": "vendor_block", "vendor": "anthropic"}
    use["data"] = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    parts = [{"type": "text", "text": "Found."}, use, part]
    said = Message(role="assistant", content="Found.", metadata={"parts": parts, "cache": True})
    body = sent(llm, [QUESTION, said, QUESTION], cache="1h")
    assert body["messages"][1]["content"][-1]["cache_control"]["ttl"] == "1h"
    assert "cache_control" not in str(said)


def test_marks_of_openai():
    def marked(kind, text):
        return {"type": kind, "text": text, "prompt_cache_breakpoint": BREAKPOINT}

    chat = sent(LLMS["openai chat"](), TURNS[:4])["messages"]
    assert chat[0]["content"] == [
        marked("text", "200 pages"),
        {"type": "text", "text": "\n\nWhat is on page 3?"},
    ]
    assert chat[1]["content"] == [marked("text", "I look.")]
    assert chat[2]["content"] == [marked("text", "rain")]
    new = sent(LLMS["openai responses"](), TURNS[:4])["input"]
    assert new[0]["content"] == [
        marked("input_text", "200 pages"),
        {"type": "input_text", "text": "\n\nWhat is on page 3?"},
    ]
    assert new[1]["content"] == "I look."  # what a model has said takes none there
    assert new[-1]["output"] == [marked("input_text", "rain")]


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_older_models_and_other_servers_get_no_marks(api):
    old = OpenAIProvider("gpt-4.1", api_key="k", api=api)
    other = OpenAIProvider("gpt-6.1-terra", base_url="http://localhost:9/v1", api=api)
    for llm in (old, other):
        assert sent(llm, TURNS) == sent(llm, unmarked(TURNS))


@pytest.mark.parametrize("value", ["1h", 1, None, "yes"], ids=str)
def test_a_mark_that_is_none_is_refused(value):
    message = {"role": "user", "content": "Hi", "metadata": {"cache": value}}
    with pytest.raises(
        InvalidRequestError, match=r"messages\[0\].metadata\['cache'\] is .*give True"
    ):
        asyncio.run(MockLLM().request([message]))


def test_a_system_text_is_kept_by_the_option():
    message = {"role": "system", "content": SYSTEM, "metadata": MARKED}
    with pytest.raises(InvalidRequestError, match="give the option cache=True"):
        asyncio.run(MockLLM().request([message, QUESTION]))
