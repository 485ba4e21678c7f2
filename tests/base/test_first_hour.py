"""What goes wrong in a new user's first hour, and what is told of it."""

import asyncio
import re
import subprocess
import sys
import traceback
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import (
    Breaker,
    CachedLLM,
    ConfigurationError,
    ContextPolicy,
    Cost,
    CostTracker,
    FallbackLLM,
    InvalidRequestError,
    LLMError,
    LLMFactory,
    Media,
    MediaPolicy,
    ModelResponse,
    Price,
    ProviderNotFoundError,
    RateLimit,
    Retry,
    Timeouts,
    ToolCall,
    Usage,
    assistant,
    system,
    user,
)
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider
from bruno_llm_testing import (
    FakeAnswer,
    FakeClaude,
    FakeError,
    FakeGemini,
    FakeOllama,
    FakeOpenAI,
    Fault,
)

PROVIDERS = {"openai": OpenAIProvider, "claude": ClaudeProvider, "gemini": GeminiProvider}
NAN = float("nan")


def provider(name, **keywords):
    """Return a provider whose server is not there."""
    kind = PROVIDERS.get(name, OllamaProvider)
    key = {} if kind is OllamaProvider else {"api_key": "k"}
    return kind(base_url="http://127.0.0.1:9", max_retries=0, **key, **keywords)


@pytest.fixture(params=[*PROVIDERS, "ollama"])
def name(request):
    return request.param


async def ask(llm, stream, /, *arguments, **options):
    """Ask for an answer, or for a stream of one."""
    if stream:
        return [text async for text in llm.stream("hi", *arguments, **options)]
    return await llm.generate("hi", *arguments, **options)


IMPOSSIBLE = [
    (
        {"temperature": 100},
        "temperature is 100: give 2 or less; the length of an answer is max_tokens",
    ),
    ({"temperature": -1}, "temperature is -1: give 0 or more"),
    ({"temperature": NAN}, "temperature is nan: give a number"),
    ({"temperature": "hot"}, "temperature is 'hot': give a number"),
    ({"temperature": True}, "temperature is True: a truth value is not a number"),
    ({"max_tokens": -1}, "max_tokens is -1: give 1 or more"),
    ({"max_tokens": 0}, "max_tokens is 0: give 1 or more"),
    ({"max_tokens": 1.5}, "max_tokens is 1.5: give a whole number"),
    ({"max_tokens": NAN}, "max_tokens is nan: give a number"),
    ({"top_p": 2}, "top_p is 2: give 1 or less"),
    ({"top_p": 0}, "top_p is 0: give more than 0"),
    ({"top_p": NAN}, "top_p is nan: give a number"),
    ({"stop": []}, "stop is []: give a text or some, or leave it out"),
    ({"stop": ""}, "stop.0 is '': give some text, or leave it out"),
    ({"stop": b"x"}, "stop is b'x': give a text, or a list of texts"),
    ({"stop": ["a", b"x"]}, "stop.1 is b'x': give a text"),
    ({"stop": 5}, "stop is 5: give a text, or a list of texts"),
    ({"seed": "a"}, "seed is 'a': give a whole number"),
    ({"seed": 1.5}, "seed is 1.5: give a whole number"),
    ({"reasoning": "hgih"}, "reasoning is 'hgih': give one of none, minimal, low, medium, high,"),
    ({"cache": "2h"}, "cache is '2h': give True, False, 5m, 30m, 1h, 12h"),
    ({"model": ""}, "model is '': give its name"),
]


@pytest.mark.parametrize(("options", "told"), IMPOSSIBLE)
async def test_an_impossible_option_is_told(name, options, told):
    llm = provider(name)
    for stream in (False, True):
        with pytest.raises(InvalidRequestError) as caught:
            await ask(llm, stream, **options)
        assert str(caught.value).startswith(told)
    with pytest.raises(ConfigurationError) as caught:
        provider(name, **options)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_length_in_the_place_of_the_temperature_is_told(name, stream):
    with pytest.raises(InvalidRequestError, match=r"^temperature is 100: .* max_tokens"):
        await ask(provider(name), stream, 100)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"timeout": 5},
            "'timeout' is not an option of a call: give it when the provider is built",
        ),
        ({"system_prompt": "x"}, "'system_prompt' is not an option of a call: give it when"),
        ({"stream": True}, "'stream' is not an option: it belongs to the request itself, leave it"),
        ({"tools": "x"}, "tools is 'x': give a list"),
        ({"tool_choice": 5}, "tool_choice is 5: give auto, none, required, or a name"),
        ({"parallel_tool_calls": "x"}, "parallel_tool_calls is 'x': give True or False"),
        ({"attachments": "a.png"}, "attachments is 'a.png': give a list"),
        ({"options": 5}, "options is 5: give a dict of the vendor's own fields"),
        ({"prompt": "hi"}, "give either messages or prompt"),
        ({"output": 5}, "output is 5, of which there is no JSON schema"),
    ],
)
async def test_what_is_wrong_in_a_call_alone_is_told(name, options, told):
    for stream in (False, True):
        with pytest.raises(InvalidRequestError) as caught:
            await ask(provider(name), stream, **options)
        assert str(caught.value).startswith(told)


@pytest.mark.parametrize("timeout", [0, -1, NAN, "5", True])
def test_an_impossible_timeout_is_told(name, timeout):
    with pytest.raises(ConfigurationError, match=r"^timeout is .*: give seconds above 0"):
        provider(name, timeout=timeout)


def test_what_belongs_to_a_call_is_told_where_a_provider_is_built(name):
    for option in ("tools", "tool_choice", "parallel_tool_calls", "attachments", "output"):
        with pytest.raises(ConfigurationError, match=f"takes no '{option}': give it to each call"):
            provider(name, **{option: []})


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("temprature", "temperature"),
        ("tempature", "temperature"),
        ("max_token", "max_tokens"),
        ("maxTokens", "max_tokens"),
        ("topp", "top_p"),
        ("stops", "stop"),
        ("resoning", "reasoning"),
        ("cach", "cache"),
        ("tool", "tools"),
        ("tool_choise", "tool_choice"),
        ("paralell_tool_calls", "parallel_tool_calls"),
        ("atachments", "attachments"),
        ("ouput", "output"),
        ("promt", "prompt"),
        ("message", "messages"),
        ("modle", "model"),
        ("modell", "model"),
        ("option", "options"),
        ("refesh", "refresh"),
    ],
)
async def test_a_misspelt_option_of_a_call_is_told_with_the_right_one(name, misspelt, meant):
    for stream in (False, True):
        with pytest.raises(InvalidRequestError) as caught:
            await ask(provider(name), stream, **{misspelt: "x"})
        assert str(caught.value).startswith(f"{misspelt!r} is not known: did you mean {meant!r}?")


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        ("system", "give system_prompt where the model is made, or begin the messages with one of"),
        ("instructions", "give system_prompt where the model is made"),
        ("num_retries", "give max_retries where the model is made"),
        ("api_base", "give base_url where the model is made"),
        ("output_type", "did you mean 'output'?"),
        ("response_model", "did you mean 'output'?"),
        ("history", "did you mean 'messages'?"),
    ],
)
async def test_what_other_libraries_call_it_is_told_and_not_sent(name, theirs, told):
    for stream in (False, True):
        with pytest.raises(InvalidRequestError) as caught:
            await ask(provider(name), stream, **{theirs: "x"})
        assert told in str(caught.value)


def test_what_other_libraries_call_it_at_construction():
    for theirs, ours in (("api_base", "base_url"), ("num_retries", "max_retries")):
        with pytest.raises(ConfigurationError, match=f"did you mean '{ours}'"):
            OpenAIProvider(api_key="x", **{theirs: "x"})


async def test_fields_of_the_vendors_own_are_no_misspelling():
    own = {"top_k": 5, "min_tokens": 2, "models": ["a", "b"], "stop_sequence": "x"}
    with FakeOpenAI() as server:
        async with OpenAIProvider(**server.connection()) as llm:
            await llm.generate("hi", **own)
            assert server.bodies[-1].items() >= own.items()
            with pytest.raises(InvalidRequestError, match=r"options=\{'message': \.\.\.\}$"):
                await llm.generate("hi", message="own")
            await llm.generate("hi", options={"message": "own"})
            assert server.bodies[-1]["message"] == "own"


@pytest.mark.parametrize(
    ("kind", "misspelt", "meant"),
    [
        (Retry, "max_attempts", "attempts"),
        (Timeouts, "conect", "connect"),
        (ContextPolicy, "warn", "warn_at"),
        (RateLimit, "request_per_minute", "requests_per_minute"),
        (MediaPolicy, "root", "roots"),
        (Breaker, "failure", "failures"),
    ],
)
def test_a_misspelt_keyword_is_told_with_the_right_one(kind, misspelt, meant):
    with pytest.raises(ConfigurationError) as caught:
        kind(**{misspelt: 3})
    assert str(caught.value).startswith(
        f"{kind.__name__} takes no {misspelt!r}: did you mean {meant!r}?"
    )


def test_an_empty_key_is_told():
    with pytest.raises(ConfigurationError, match=r"^api_key is empty: give a key, or leave it out"):
        OpenAIProvider(api_key="")


@pytest.mark.parametrize(
    ("messages", "options", "told"),
    [
        (b"hi", {}, "messages is bytes: decode them to a text, or attach them as Media"),
        ("hi", {"stop": []}, "stop is []: give a text or some, or leave it out"),
        ([("usr", "hi")], {}, "messages[0].role is 'usr': give system, user, assistant"),
        (
            ("user", "hi"),
            {},
            "messages is a pair of role and text: give a list of them, such as [(",
        ),
        (5, {}, "messages is a int: give a list of messages, or a text"),
        ([("user",)], {}, "messages[0] is a tuple: give a dict with role and content, a pair"),
        ([ModelResponse()], {}, "messages[0] is a ModelResponse: give its to_message()"),
        (
            "hi",
            {"response_format": dict},
            "the option 'response_format' is not JSON, but a type: a type goes into output=",
        ),
    ],
)
def test_what_cannot_be_sent_is_told_before_anything_is_sent(messages, options, told):
    llm = OpenAIProvider(api_key="k", base_url="http://127.0.0.1:9")
    with pytest.raises(InvalidRequestError) as caught:
        asyncio.run(llm.generate(messages, **options))
    assert str(caught.value).startswith(told)


async def test_messages_are_pairs_and_what_three_functions_make_as_well(tmp_path):
    picture = Media(data=b"\x89PNG\r\n\x1a\n" + bytes(64), type="image/png")
    with FakeOpenAI() as server:
        async with OpenAIProvider(**server.connection()) as llm:
            await llm.generate([("system", "Be brief."), ("user", "Hello?"), ("assistant", "Hi.")])
            pairs = server.bodies[-1]
            await llm.generate([system("Be brief."), user("Hello?"), assistant("Hi.")])
            assert server.bodies[-1] == pairs
            await llm.generate(user("What is it?", picture))
            assert "image" in str(server.bodies[-1])
    made = user("Hello?")
    assert isinstance(made, Message)
    assert made.role is MessageRole.USER


@pytest.mark.parametrize("kind", [user, system, assistant])
def test_a_message_without_words_is_refused(kind):
    with pytest.raises(InvalidRequestError, match=r"content is empty: give some text"):
        kind(" ")


async def test_what_is_printed_shows_the_answer_its_tokens_and_its_cost():
    words = "It rains in Paris. " * 20
    with FakeOpenAI() as server:
        server.say(
            FakeAnswer(text=words, usage=Usage(input_tokens=1200, output_tokens=80)), times=2
        )
        prices = {"gpt-5.4": Price(input=1, output=10)}
        tracker = CostTracker(prices=prices)
        connection = server.connection()
        async with OpenAIProvider("gpt-5.4", cost=tracker, **connection) as llm:
            answer = await llm.request("hi")
            assert repr(answer) == str(answer)
            assert repr(answer) == (
                f"ModelResponse(text='{words[:76]}..., finish_reason='stop', input_tokens=1200,"
                f" output_tokens=80, model='gpt-5.4', provider='openai', cost=$0.002)"
            )
            assert repr(answer.usage).startswith("Usage(input_tokens=1200, output_tokens=80")
            assert "None" not in repr(answer.usage)
            assert str(answer.cost) == "$0.002"
            assert (
                repr(answer.cost)
                == "Cost($0.002, input=$0.0012, output=$0.0008, source='the user')"
            )
            stream = llm.stream("hi")
            assert repr(stream) == "<TextStream, not read yet>"
            await stream
            assert repr(stream) == "<TextStream, being read, or closed>"
            async for _ in stream:
                pass
            assert repr(stream).startswith(
                "<TextStream, read to its end: ModelResponse(text='It rain"
            )
            assert repr(llm.sync.stream("hi")) == "SyncStream(<TextStream, not read yet>)"
            shown = [llm, llm.access, llm.sync, CachedLLM(llm), FallbackLLM([llm]), answer, stream]
            assert not any(connection["api_key"] in repr(each) + str(each) for each in shown)


def test_what_is_printed_of_calls_and_media_is_their_names():
    parts = (ToolCall("c1", "weather", "{}"), Media(data=b"x", type="image/png"))
    assert repr(ModelResponse(parts=parts, cached=True)) == (
        "ModelResponse(text='', tool_calls=['weather'], media=1, cached=True)"
    )


def test_a_sum_of_costs_is_as_of_the_earlier_day_and_names_both_sources():
    def cost(day, source, **more):
        return Cost(total=Decimal(1), parts={"input": Decimal(1)}, source=source, as_of=day, **more)

    early, late = date(2026, 1, 1), date(2026, 5, 1)
    both = cost(late, "a") + cost(early, "b", estimated=True) + cost(late, "a")
    assert repr(both) == "Cost($3, input=$3, source='a; b', as_of=2026-01-01, estimated=True)"
    assert (both + cost(None, "b")).as_of is None


FAKES = {"openai": FakeOpenAI, "claude": FakeClaude, "gemini": FakeGemini, "ollama": FakeOllama}


def fails(llm, way):
    """Return what a call of *llm* raises, made in one of four ways."""

    async def read():
        return [text async for text in llm.stream("hi")]

    calls = {
        "async": lambda: asyncio.run(llm.generate("hi")),
        "stream": lambda: asyncio.run(read()),
        "sync": lambda: llm.sync.generate("hi"),
        "sync stream": lambda: list(llm.sync.stream("hi")),
    }
    with pytest.raises(LLMError) as caught:
        calls[way]()
    return caught.value


@pytest.mark.parametrize("way", ["async", "stream", "sync", "sync stream"])
@pytest.mark.parametrize("what", ["unreachable", "refused", "broken"])
def test_a_traceback_shows_our_error_and_its_innermost_cause(name, way, what):
    with FAKES[name]() as server:
        fault = Fault(FakeAnswer(), after=1 if "stream" in way else 0, then="reset")
        server.say(FakeError(kind="invalid_request") if what == "refused" else fault, times=4)
        llm = provider(name)
        if what != "unreachable":
            llm = type(llm)(max_retries=0, **server.connection())
        error = fails(llm, way)
        told = traceback.format_exception(error)
        causes = []
        cause = error
        while cause := cause.__cause__ or (
            None if cause.__suppress_context__ else cause.__context__
        ):
            causes.append(cause)
        assert len(causes) <= 1, "a chain of foreign errors is shown"
        assert len("".join(told).splitlines()) < 60
        if what == "unreachable":
            assert isinstance(causes[0], OSError)
        llm.sync.close()


def names(thing):
    return [name for name in dir(thing) if not name.startswith("_")]


def test_a_provider_lists_what_users_call(name):
    own = {"ollama": ["pull"]}.get(name, [])
    assert names(provider(name)) == sorted(
        [
            *("aclose", "batch", "batch_from", "capabilities", "check_connection", "context"),
            *("context_window", "count_conversation", "count_text", "count_tokens", "diagnose"),
            *("fingerprint", "generate", "get_model_info", "get_system_prompt"),
            *("get_token_count", "list_models", "map", "media", "model", "name", "observers"),
            *("price", "request", "set_system_prompt", "stream", "sync", "timeouts", "warm_up"),
            *own,
        ]
    )


def test_embeddings_answers_and_streams_list_what_users_call():
    hooks = {"access", "adapter", "api_key_env", "make_adapter", "open_transport", "row", "sdk"}
    assert not hooks.intersection(names(OpenAIEmbeddings(api_key="k")))
    assert names(provider("openai").stream("hi")) == [
        *("aclose", "complete", "partial", "response", "sentences", "words")
    ]
    answer = names(ModelResponse())
    assert not {"error", "is_last", "join"}.intersection(answer)
    assert {"text", "output", "cost", "usage", "tool_calls", "to_message"} <= set(answer)


@pytest.mark.parametrize("client", ["foo", 5, object])
def test_what_is_no_client_is_told_with_what_makes_one(name, client):
    with pytest.raises(ConfigurationError) as caught:
        (PROVIDERS | {"ollama": OllamaProvider})[name](client=client)
    assert re.match(
        r"client is (a|the class) \w+: give an asynchronous client, made by [\w.]+\(\.\.\.\) or a",
        str(caught.value),
    )


def test_a_vendor_that_is_no_provider_of_ours_is_found_all_the_same(monkeypatch):
    assert LLMFactory.create("mistral", api_key="k").name == "mistral"
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match=r"^mistral needs an API key: set MISTRAL_API_KEY"):
        LLMFactory.create("mistral")
    with pytest.raises(
        ProviderNotFoundError, match=r"^no provider is called 'mystral': did you mean"
    ):
        LLMFactory.create("mystral")


async def test_white_space_around_a_message_is_left_out_and_around_a_question_sent():
    with FakeOpenAI() as server:
        async with OpenAIProvider(**server.connection()) as llm:
            for said in (user(" hi\n"), {"role": "user", "content": " hi\n"}, ("user", " hi\n")):
                await llm.generate([said])
                assert server.bodies[-1]["messages"][0]["content"] == "hi"
            await llm.generate(" hi\n")
            assert server.bodies[-1]["messages"][0]["content"] == " hi\n"


UNAWAITED = {
    "print(llm.generate('hi'))": "<coroutine object LanguageModel.generate at 0x",
    "llm.generate('hi')": "coroutine 'LanguageModel.generate' was never awaited",
    "llm.request('hi').text": "'coroutine' object has no attribute 'text'",
    "async def main():\n async for text in llm.generate('hi'): pass\nasyncio.run(main())": (
        "'async for' requires an object with __aiter__ method, got coroutine"
    ),
    "await llm.generate('hi')": "'await' outside function",
    "async for text in llm.stream('hi'): pass": "'async for' outside async function",
    "async def main(): pass\nmain()": "coroutine 'main' was never awaited",
}


@pytest.mark.parametrize("program", UNAWAITED)
def test_a_call_without_its_await_is_told_as_the_quick_start_says(program):
    docs = Path(__file__).parents[2] / "docs/quickstart.md"
    assert f"{UNAWAITED[program].removesuffix(' at 0x')}" in docs.read_text("utf-8")
    setup = "import asyncio\nfrom bruno_llm_openai import OpenAIProvider\n"
    setup += "llm = OpenAIProvider(api_key='k', base_url='http://127.0.0.1:9')\n"
    run = [sys.executable, "-c", setup + program]
    ran = subprocess.run(run, capture_output=True, text=True, check=False)
    assert UNAWAITED[program] in ran.stdout + ran.stderr


def test_a_stream_in_a_for_is_told():
    with pytest.raises(TypeError, match=r"use `async for`, or for over llm\.sync\.stream"):
        list(provider("openai").stream("hi"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temperature": 100}, "temperature is 100: give 2 or less"),
        ({"temprature": 1}, "'temprature' is not known: did you mean 'temperature'?"),
        ({"model": ""}, "model is '': give its name"),
        ({"output": 5}, "output is 5, of which there is no JSON schema"),
    ],
)
def test_what_is_wrong_for_every_row_is_told_before_the_first(name, options, told):
    for llm in (provider(name), CachedLLM(provider(name))):
        with pytest.raises(InvalidRequestError) as caught:
            llm.map(["a", "b"], "Sum up {row}", **options)
        assert str(caught.value).startswith(told)
