"""How much models think: one option on every provider, and what each model takes of it."""

import asyncio
import json
from functools import cache

import anthropic.types
import google.genai.types
import openai.types.chat.completion_create_params
import openai.types.responses.response_create_params
import pytest
from bruno_llm_base import InvalidRequestError
from bruno_llm_base.events import OptionDropped, ReasoningChanged
from bruno_llm_base.reasoning import LEVELS, level_of, snapped
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeClaude, FakeOllama, FakeOpenAI, MockLLM
from pydantic import TypeAdapter, ValidationError

adapter_of = cache(TypeAdapter)  # of the SDKs' types, which are slow to make

KINDS = {
    "openai": OpenAIProvider,
    "claude": ClaudeProvider,
    "gemini": GeminiProvider,
    "ollama": OllamaProvider,
}
CASES = [  # provider, model, what is wanted, what is sent
    ("openai", "gpt-6.1-terra", "high", {"effort": "high", "summary": "auto"}),
    ("openai", "gpt-6.1-terra", "none", "none"),
    ("openai", "gpt-6.1-terra", "minimal", "none"),
    ("openai", "gpt-6-astra", "none", {"effort": "low", "summary": "auto"}),
    ("openai", "gpt-9-nova", "max", {"effort": "max", "summary": "auto"}),
    ("openai", "gpt-5.4-mini", "max", {"effort": "xhigh", "summary": "auto"}),
    ("openai", "gpt-5-mini", 500, {"effort": "minimal", "summary": "auto"}),
    ("openai", "gpt-5.2-pro", "low", {"effort": "medium", "summary": "auto"}),
    ("openai", "o3", "xhigh", {"effort": "high", "summary": "auto"}),
    ("openai", "gpt-4.1", "high", None),
    ("claude", "claude-sonnet-5-5", "max", "max"),
    ("claude", "claude-sonnet-5-5", "none", "between_tools"),
    ("claude", "claude-haiku-5-5", "none", "disabled"),
    ("claude", "claude-opus-5-5", "none", "low"),
    ("claude", "claude-opus-7", "xhigh", "xhigh"),
    ("claude", "claude-opus-4-6", "xhigh", "high"),
    ("claude", "claude-sonnet-4-5", "medium", 10_000),
    ("claude", "claude-sonnet-4-5-20250929", 5000, 5000),
    ("claude", "claude-sonnet-4-20250514", "minimal", 1024),
    ("claude", "claude-3-7-sonnet-latest", "none", "disabled"),
    ("claude", "claude-3-5-haiku-latest", "high", None),
    ("gemini", "gemini-3.8-flash", "max", "HIGH"),
    ("gemini", "gemini-3.8-flash", "none", "LOW"),
    ("gemini", "gemini-3.5-flash", "minimal", "MINIMAL"),
    ("gemini", "gemini-3-pro-preview", "medium", "LOW"),
    ("gemini", "gemini-7-radon", "medium", "MEDIUM"),
    ("gemini", "gemini-2.5-flash", "none", 0),
    ("gemini", "gemini-2.5-flash", "max", 24_576),
    ("gemini", "models/gemini-2.5-pro", "none", 128),
    ("gemini", "gemini-2.0-flash", "high", None),
    ("ollama", "qwen3:8b", "none", False),
    ("ollama", "qwen3:8b", "xhigh", "high"),
    ("ollama", "gpt-oss:20b", "none", "low"),
    ("ollama", "gpt-oss:20b", "medium", "medium"),
]


def sent_by(name, fields):
    """Return how much thinking *fields* of a body ask for."""
    if name == "openai":
        return fields.get("reasoning") or fields.get("reasoning_effort")
    if name == "claude":
        thinking = fields["thinking"]
        if thinking["type"] == "adaptive":
            return fields["output_config"]["effort"]
        return thinking.get("budget_tokens", thinking["type"])
    if name == "gemini":
        thinking = fields["generationConfig"]["thinkingConfig"]
        assert len({"thinkingLevel", "thinkingBudget"} & thinking.keys()) == 1
        return thinking.get("thinkingLevel", thinking.get("thinkingBudget"))
    return fields["think"]


def check(name, fields):
    """Check *fields* by the vendor's own types."""
    if name == "openai":
        kind = openai.types.responses.response_create_params.ResponseCreateParamsNonStreaming
        chat = openai.types.chat.completion_create_params.CompletionCreateParamsNonStreaming
        base = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        by_chat = "reasoning_effort" in fields
        adapter_of(chat if by_chat else kind).validate_python((base if by_chat else {}) | fields)
    if name == "claude":
        kind = anthropic.types.message_create_params.MessageCreateParamsNonStreaming
        base = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
        adapter_of(kind).validate_python(base | fields)
    if name == "gemini":
        google.genai.types.GenerateContentConfig.model_validate(fields["generationConfig"])


@pytest.mark.parametrize(("name", "model", "wanted", "sent"), CASES, ids=json.dumps)
def test_each_model_is_asked_for_what_it_takes(name, model, wanted, sent):
    adapter = KINDS[name](model, api_key="k").adapter
    found = adapter.build_reasoning(wanted, model, None)
    if sent is None:
        assert found is None
        return
    fields, used = found
    check(name, fields)
    assert sent_by(name, fields) == sent
    assert used == wanted or used in LEVELS or isinstance(used, int)


@pytest.mark.parametrize("name", KINDS)
def test_more_is_never_less(name):
    """The table of each vendor is monotonous: who wants more gets as much at least."""
    models = [model for vendor, model, *_ in CASES if vendor == name]
    for model in models:
        adapter = KINDS[name](model, api_key="k").adapter
        order = []
        for wanted in LEVELS:
            found = adapter.build_reasoning(wanted, model, None)
            if found is not None:
                used = found[1]
                order.append(used if isinstance(used, int) else LEVELS.index(used))
        kinds = [value for value in order if value < len(LEVELS)]
        assert kinds == sorted(kinds)


def test_levels_and_tokens():
    assert [level_of(tokens) for tokens in (500, 1500, 5000, 20_000, 50_000)] == [
        "minimal",
        "low",
        "medium",
        "high",
        "xhigh",
    ]
    assert snapped("max", ("low", "high")) == "high"
    assert snapped("none", ("low", "high")) == "low"


def test_it_is_told_once_and_strict_users_hear_an_error():
    heard = []
    with FakeOpenAI() as server:
        llm = OpenAIProvider("gpt-5.4", **server.connection(), observers=[heard.append])
        for _ in range(2):
            asyncio.run(llm.request("Hi", reasoning="max"))
        assert [body["reasoning_effort"] for body in server.bodies] == ["xhigh", "xhigh"]
        changes = [event for event in heard if isinstance(event, ReasoningChanged)]
        assert [(event.wanted, event.used) for event in changes] == [("max", "xhigh")]
        strict = OpenAIProvider("gpt-5.4", **server.connection(), strict=True)
        with pytest.raises(InvalidRequestError, match="does not accept reasoning='max': give 'xhi"):
            asyncio.run(strict.request("Hi", reasoning="max"))
        asyncio.run(strict.request("Hi", reasoning="high"))
        assert server.bodies[-1]["reasoning_effort"] == "high"


def test_a_model_that_does_not_think_is_not_asked_to(monkeypatch):
    heard = []
    llm = ClaudeProvider("claude-3-5-haiku-latest", api_key="k", observers=[heard.append])
    request = llm._request("Hi", {"reasoning": "high"}, stream=False)
    assert "thinking" not in request.body
    assert [event.option for event in heard if isinstance(event, OptionDropped)] == ["reasoning"]


def test_a_model_of_ollama_that_does_not_think_answers_all_the_same():
    heard = []
    with FakeOllama() as server:
        llm = OllamaProvider("llama3.2", **server.connection(), observers=[heard.append])
        for _ in range(2):
            assert asyncio.run(llm.generate("Hi", reasoning="high"))
        assert ["think" in body for body in server.bodies] == [True, False, False]
        assert [event.option for event in heard if isinstance(event, OptionDropped)] == ["think"]
        strict = OllamaProvider("llama3.2", **server.connection(), strict=True)
        with pytest.raises(InvalidRequestError, match="does not support thinking"):
            asyncio.run(strict.generate("Hi", reasoning="high"))


def test_sampling_is_left_out_while_it_thinks():
    with FakeOpenAI() as server:
        llm = OpenAIProvider("gpt-5.4", **server.connection(), temperature=0.5)
        asyncio.run(llm.request("Hi", reasoning="high"))
        asyncio.run(llm.request("Hi", reasoning="none"))
        asyncio.run(llm.request("Hi"))
    assert ["temperature" in body for body in server.bodies] == [False, True, True]


def supported(*names):
    known = ("low", "medium", "high", "xhigh", "max")
    known += ("adaptive", "between_tools", "disabled", "enabled")
    return {name: {"supported": name in names} for name in known}


def test_what_claude_tells_of_its_models_counts_more_than_the_table():
    listed = {
        "claude-sonnet-5-5": (("low", "high"), ("adaptive", "disabled")),
        "claude-opus-5-5": ((), ("enabled", "disabled")),
        "claude-haiku-5-5": ((), ("disabled",)),
        "claude-opus-4-8": None,
    }
    rows = []
    for model, told in listed.items():
        rows.append({"id": model, "type": "model", "max_input_tokens": 1000})
        if told is not None:
            efforts, types = told
            rows[-1]["capabilities"] = {
                "effort": {"supported": bool(efforts), **supported(*efforts)},
                "thinking": {"supported": True, "types": supported(*types)},
            }

    def ask():
        return [
            asyncio.run(llm.request("Hi", reasoning=level, model=model)) and sent(server.bodies[-1])
            for model, level in asked
        ]

    def sent(body):
        return sent_by("claude", body) if "thinking" in body else None

    asked = [
        ("claude-sonnet-5-5", "max"),
        ("claude-sonnet-5-5", "none"),
        ("claude-opus-5-5", "low"),
        ("claude-haiku-5-5", "high"),
        ("claude-opus-4-8", "xhigh"),
    ]
    with FakeClaude() as server:
        server.render_models = lambda: {"data": rows, "has_more": False}
        llm = ClaudeProvider(**server.connection(), reasoning="max")
        asyncio.run(llm.request("Hi"))
        assert sent(server.bodies[-1]) == "max"
        assert ask() == ["max", "between_tools", "low", "high", "xhigh"]
        asyncio.run(llm.list_models())
        assert ask() == ["high", "disabled", 2048, None, "xhigh"]
        asyncio.run(llm.request("Hi"))
        assert sent(server.bodies[-1]) == "high"


def test_a_budget_stays_below_the_output_limit():
    adapter = ClaudeProvider(api_key="k").adapter
    build = adapter.build_reasoning
    fields, used = build("high", "claude-sonnet-4-5", 4000)
    assert fields == {"thinking": {"type": "enabled", "budget_tokens": 3999}}
    assert used == 3999
    assert build("high", "claude-sonnet-4-5", 500)[1] == "none"
    fields, used = build("high", "claude-sonnet-4-5", None)
    assert fields["max_tokens"] > fields["thinking"]["budget_tokens"]
    assert used == "high"
    for model, most in (("claude-opus-4-1", 32_000), ("claude-sonnet-4-5", 64_000)):
        for wanted in ("high", "max", 100_000):
            fields, used = build(wanted, model, None)
            assert fields["thinking"]["budget_tokens"] + 16_000 == fields["max_tokens"] <= most
    assert used == 48_000


def test_the_vendors_own_words_win(kind, server, name):
    model = {"ollama": "qwen3:8b"}.get(name)
    own = {
        "openai": {"reasoning_effort": "low"},
        "claude": {"thinking": {"type": "disabled"}},
        "gemini": {"thinking_config": {"thinkingBudget": 0}},
        "ollama": {"think": True},
    }[name]
    llm = kind(model, **server.connection(), reasoning="high")
    asyncio.run(llm.request("Hi", **own))
    body = server.bodies[0]
    if name == "gemini":
        assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 0}
    else:
        assert own.items() <= body.items()


def test_thoughts_are_read_on_every_provider(kind, server, name):
    model = {"ollama": "qwen3:8b"}.get(name)
    server.say(FakeAnswer(text="42", reasoning="Let me think."))
    llm = kind(model, **server.connection())
    response = asyncio.run(llm.request("Hi", reasoning="high"))
    assert response.reasoning == "Let me think."
    assert "high" in json.dumps(server.bodies[0]).lower()


@pytest.mark.parametrize("value", ["much", 0, -1, True, 1.5, []], ids=str)
def test_what_is_no_effort_is_refused(value):
    llm = MockLLM()
    with pytest.raises(InvalidRequestError, match=r"reasoning is .*none, minimal, low"):
        asyncio.run(llm.request("Hi", reasoning=value))
    asyncio.run(llm.request("Hi", reasoning="high"))
    assert llm.calls[0].options == {"reasoning": "high"}


def test_an_object_is_in_the_vendors_words():
    with FakeOpenAI() as server:
        llm = OpenAIProvider("gpt-6.1-terra", **server.connection(), api="responses")
        asyncio.run(llm.request("Hi", reasoning={"effort": "low"}))
    assert server.bodies[0]["reasoning"] == {"effort": "low"}
    with pytest.raises((InvalidRequestError, ValidationError), match="reasoning"):
        asyncio.run(MockLLM().request("Hi", reasoning="{}"))
