"""Context windows on the path of a request: every provider, over a socket."""

import gc
import json
import logging
import weakref
from contextlib import suppress

import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import (
    ContextLengthExceededError,
    ContextPolicy,
    InvalidRequestError,
    RateLimit,
    Usage,
)
from bruno_llm_base.events import ContextNearlyFull, ContextTrimmed, PromptCut
from bruno_llm_base.tokens import estimate_tokens
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeClaude, FakeError, FakeGemini, FakeOllama, FakeOpenAI

WORDS = "The quick brown fox jumps over the lazy dog, and then it rests for a while. "


def talk(turns, *, system="You are terse."):
    """Return a conversation of so many turns, of about 170 tokens each."""
    roles = (MessageRole.USER, MessageRole.ASSISTANT)
    spoken = [Message(role=roles[n % 2], content=f"turn-{n} " + WORDS * 10) for n in range(turns)]
    return [Message(role=MessageRole.SYSTEM, content=system), *spoken]


async def read(stream):
    return "".join([piece async for piece in stream])


async def test_what_certainly_does_not_fit_is_not_sent(kind, server):
    async with kind(**server.connection(), context=ContextPolicy(window=500)) as llm:
        for ask in (llm.generate, lambda messages: read(llm.stream(messages))):
            with pytest.raises(ContextLengthExceededError) as caught:
                await ask(talk(9))
            assert caught.value.limit == 500
            assert 1000 < caught.value.actual < 2500
            assert "500" in str(caught.value)
            assert str(caught.value.actual) in str(caught.value)
    assert not server.received


async def test_what_may_fit_is_sent(kind, server):
    told = []
    async with kind(
        **server.connection(), context=ContextPolicy(window=1700), observers=[told.append]
    ) as llm:
        assert await llm.generate(talk(9))  # about 1,550 tokens
    assert len(server.bodies) == 1
    (event,) = [event for event in told if isinstance(event, ContextNearlyFull)]
    assert event.window == 1700
    assert 1200 < event.tokens < 2000


async def test_far_below_the_window_nothing_is_counted(kind, server, monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(kind, "count_conversation", fail)
    async with kind(**server.connection(), context=ContextPolicy(window=20_000)) as llm:
        assert await llm.generate(talk(9))


async def test_where_prices_know_a_window_that_is_large_enough_nothing_is_counted(monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(OpenAIProvider, "count_conversation", fail)
    with FakeOpenAI() as server:
        async with OpenAIProvider(**server.connection()) as llm:
            assert await llm.generate(talk(60))  # 45,000 bytes, and a window of a million tokens


async def test_a_rate_limit_counts_what_is_left(kind, server):
    policy = ContextPolicy(strategy="oldest_first", window=1000)
    limit = RateLimit(tokens_per_minute=3000)
    async with kind(**server.connection(), context=policy, rate_limit=limit) as llm:
        assert await llm.generate(talk(61))  # 10,000 tokens


async def never_reads(llm):
    llm.stream(talk(61))


async def is_refused(llm):
    with pytest.raises(ContextLengthExceededError):
        await llm.generate("word " * 5000)


async def is_shortened(llm):
    await llm.generate(talk(61))
    await read(llm.stream(talk(61)))


@pytest.mark.parametrize("use", [never_reads, is_refused, is_shortened])
async def test_a_dropped_provider_is_gone_without_the_garbage_collector(kind, server, use, until):
    async with kind(**server.connection()) as llm:
        await llm.generate("hi")  # what the SDK leaves behind at its first use is its own
    gc.collect()
    gc.disable()
    try:
        llm = kind(
            **server.connection(), context=ContextPolicy(window=1000, strategy="oldest_first")
        )
        await use(llm)
        await llm.aclose()
        last = weakref.ref(llm)
        del llm
        await until(lambda: last() is None)  # the thread that counted lets go a moment later
    finally:
        gc.enable()


@pytest.mark.parametrize("strategy", ["oldest_first", "sliding_window", "middle_out", "smart"])
async def test_a_strategy_makes_it_fit(kind, server, strategy):
    told = []
    policy = ContextPolicy(strategy=strategy, window=1500, reserve_output=300)
    messages = talk(41)
    before = [message.model_copy(deep=True) for message in messages]
    async with kind(**server.connection(), context=policy, observers=[told.append]) as llm:
        assert await llm.generate(messages)
        assert await read(llm.stream(messages))
    for body in server.bodies:
        sent = json.dumps(body)
        assert "You are terse." in sent
        assert "turn-40" in sent
        assert len(sent) < 7500
        assert 3 <= sent.count("turn-") <= 8
        assert ("turn-0 " in sent) == (strategy in ("smart", "middle_out"))
    assert [type(event) for event in told].count(ContextTrimmed) == 2
    assert messages == before


async def test_a_summary_takes_the_place_of_what_is_left_out(kind, server):
    asked = []

    async def summarize(text):
        asked.append(text)
        return "They spoke of a fox."

    policy = ContextPolicy(strategy="summarize", window=1500, summarize=summarize)
    async with kind(**server.connection(), context=policy) as llm:
        assert await llm.generate(talk(41))
    (text,) = asked
    assert "turn-0" in text
    sent = json.dumps(server.bodies[0])
    assert "They spoke of a fox." in sent
    assert "turn-0 " not in sent
    assert "turn-40" in sent


async def test_what_no_strategy_can_shorten_is_refused(kind, server):
    policy = ContextPolicy(strategy="smart", window=500)
    async with kind(**server.connection(), context=policy) as llm:
        with pytest.raises(ContextLengthExceededError, match="a shorter question"):
            await llm.generate("word " * 5000)
    assert not server.received


async def test_the_window_is_learned_from_the_list_of_models(kind, server):
    async with kind(**server.connection()) as llm:
        before = await llm.context_window()
        await llm.list_models()
        after = await llm.context_window()
    if kind in (ClaudeProvider, GeminiProvider):
        assert after.source == "the server"
        assert after.tokens in (1_000_000, 1_048_576)
        assert before.source != "the server"
    else:
        assert after == before


async def test_no_request_asks_for_metadata(kind, server):
    async with kind(**server.connection()) as llm:
        await llm.generate(talk(150))  # 100,000 characters
        await read(llm.stream(talk(150)))
    assert len(server.received) == len(server.bodies) == 2


async def test_prices_tell_the_window_where_nobody_else_does():
    with FakeOpenAI() as server:
        async with OpenAIProvider(**server.connection()) as llm:
            window = await llm.context_window()
            assert window.tokens == 1_050_000
            assert "genai-prices" in window.source
            assert (await llm.context_window("nobodys-model")) is None


async def test_what_prices_say_refuses_nothing_at_a_server_of_ones_own():
    with FakeOpenAI() as server:
        server.models = ("gpt-4",)  # OpenAI's has a window of 8,192
        async with OpenAIProvider("gpt-4", **server.connection()) as llm:
            assert await llm.generate(talk(90))  # 15,000 tokens
    assert len(server.bodies) == 1


async def test_what_prices_say_refuses_at_the_vendors_own_address():
    for address in ({}, {"base_url": "https://api.openai.com/v1/"}):
        async with OpenAIProvider("gpt-4", api_key="none", **address) as llm:
            with pytest.raises(ContextLengthExceededError, match="genai-prices"):
                await llm.generate(talk(90))


async def test_what_certainly_exceeds_the_known_window_is_not_sent():
    with FakeClaude() as server:
        async with ClaudeProvider("claude-opus-4-8", **server.connection()) as llm:
            await llm.list_models()
            with pytest.raises(ContextLengthExceededError) as caught:
                await llm.generate("one two three four " * 500_000)  # two million tokens
    assert caught.value.limit == 1_000_000
    assert not server.bodies


async def test_a_refusal_teaches_the_window():
    with FakeOpenAI() as server:
        server.models = ("smollm2",)
        server.say(FakeError(kind="context_length", limit=2048, actual=9999))
        told = []
        async with OpenAIProvider("smollm2", **server.connection(), observers=[told.append]) as llm:
            with pytest.raises(ContextLengthExceededError):
                await llm.generate(talk(60))
            window = await llm.context_window()
            assert (window.tokens, window.source) == (2048, "the server")
            assert await llm.generate(talk(60))  # another server may have a larger one
    assert [type(event) for event in told].count(ContextNearlyFull) == 1


async def test_counting_learns_the_window(kind, server):
    async with kind(**server.connection()) as llm:
        await llm.count_tokens("hi")
        await llm.count_tokens("hi")
        window = await llm.context_window()
    if kind in (ClaudeProvider, GeminiProvider):
        assert window.source == "the server"
        assert len(server.received) == 3  # two counts, and the list of models once


@pytest.mark.parametrize("nonsense", ["x", [1], 7, None])
@pytest.mark.parametrize("policy", [ContextPolicy(), ContextPolicy(window=5000)])
async def test_what_is_no_object_is_left_to_the_server(kind, server, nonsense, policy):
    nested = {GeminiProvider: "generationConfig"}.get(kind, "metadata")
    async with kind(**server.connection(), context=policy) as llm:
        with suppress(InvalidRequestError):  # the server's own
            await llm.generate("hi", **{nested: nonsense})
    assert len(server.received) == 1


@pytest.mark.parametrize("nonsense", ["x", [1], 7])
async def test_options_that_are_no_object_are_refused(kind, server, nonsense):
    async with kind(**server.connection()) as llm:
        with pytest.raises(
            InvalidRequestError, match=r"^options is .* give a dict of the vendor's"
        ):
            await llm.generate("hi", options=nonsense)
    assert server.received == []


# -- Ollama -----------------------------------------------------------------------------------------


async def test_ollama_tells_the_window_that_it_allocated():
    with FakeOllama() as server:
        server.loaded["llama3.2:latest"] = 4096
        async with OllamaProvider(**server.connection()) as llm:
            assert (await llm.diagnose()).ok
            assert (await llm.context_window()).tokens == 4096
            await llm.generate(talk(60))  # 10,000 tokens: Ollama refuses that itself, or has grown
    assert len(server.bodies) == 1


async def test_ollama_tells_the_window_that_the_model_asks_for():
    with FakeOllama() as server:
        server.num_ctx["llama3.2:latest"] = 8192
        async with OllamaProvider(**server.connection()) as llm:
            await llm.list_models()
            assert (await llm.context_window()).tokens == 8192


async def test_ollama_is_asked_for_the_window_that_the_user_wants():
    with FakeOllama() as server:
        policy = ContextPolicy(window=16_384)
        async with OllamaProvider(**server.connection(), context=policy) as llm:
            await llm.generate("hi")
            await llm.generate("hi", num_ctx=4096)
        async with OllamaProvider(**server.connection()) as llm:
            await llm.generate("hi")
    asked = [(body.get("options") or {}).get("num_ctx") for body in server.bodies]
    assert asked == [16_384, 4096, None]
    assert all(body["truncate"] is False for body in server.bodies)


async def test_the_window_of_a_request_is_its_own():
    with FakeOllama() as server:
        async with OllamaProvider(**server.connection()) as llm:
            with pytest.raises(ContextLengthExceededError, match="500"):
                await llm.generate(talk(9), num_ctx=500)
    assert not server.received


async def test_what_ollama_is_to_cut_is_not_refused():
    with FakeOllama() as server:
        async with OllamaProvider(**server.connection(), options={"truncate": True}) as llm:
            assert await llm.generate(talk(60), num_ctx=500)
            with pytest.raises(ContextLengthExceededError):
                await llm.generate(talk(60), num_ctx=500, truncate=False)
    assert len(server.bodies) == 1


async def test_a_prompt_that_ollama_cut_is_reported(caplog):
    told = []
    with FakeOllama() as server:
        server.say(FakeAnswer(usage=Usage(input_tokens=2047, output_tokens=5)))
        server.say(FakeAnswer(usage=Usage(input_tokens=10_500, output_tokens=5)))
        async with OllamaProvider(**server.connection(), observers=[told.append]) as llm:
            with caplog.at_level(logging.WARNING, "bruno_llm"):
                await llm.generate(talk(60))  # 10,000 tokens
                await llm.generate(talk(60))
    (event,) = [event for event in told if isinstance(event, PromptCut)]
    assert event.read == 2047
    assert event.tokens > 8000
    assert sum("prompt cut by the server" in text for text in caplog.messages) == 1


def test_fakes_tell_the_windows_that_tests_expect():
    with FakeGemini() as server:
        rows = server.render_models()["models"]
    assert rows[0]["inputTokenLimit"] == 1_048_576


# -- counts that learn ------------------------------------------------------------------------------

SAYINGS = [
    f"Saying {n}: the {word} never falls far from the tree. " * n
    for n, word in enumerate(
        ["apple", "pear", "plum", "cherry", "fig", "olive", "date", "lemon", "walnut", "chestnut"],
        start=2,
    )
]


@pytest.mark.parametrize("provider", [ClaudeProvider, GeminiProvider, OllamaProvider])
async def test_counts_learn_from_what_the_server_reports(provider):
    """As with a tokenizer that makes 1.6 tokens of what we take for one."""
    fake = {ClaudeProvider: FakeClaude, GeminiProvider: FakeGemini, OllamaProvider: FakeOllama}
    text = "An apple never falls far from the tree, says Ann. " * 5
    with fake[provider]() as server:
        async with provider(**server.connection()) as llm:
            before = llm.count_text(text)
            for saying in SAYINGS:
                tokens = int(1.6 * estimate_tokens(saying))
                server.say(FakeAnswer(usage=Usage(input_tokens=tokens, output_tokens=3)))
                await llm.generate(saying)
            after = llm.count_text(text)
            other = llm.count_text(text, "another-model")
    assert before.source == "estimate"
    assert "10 answers" in after.source
    assert 1.4 < after.tokens / before.tokens < 1.8
    assert llm.get_token_count(text) == after.tokens
    assert other == before
