"""Arguments of the wrong type or range: a clear error of ours, and nothing is sent."""

import asyncio
import json
import math

import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import (
    Breaker,
    ConfigurationError,
    ContextPolicy,
    FallbackLLM,
    InvalidRequestError,
    LLMFactory,
    ModelResponse,
    Reasoning,
    Retry,
    Timeouts,
    ToolCall,
    VendorBlock,
)
from bruno_llm_base.limits import RateLimit
from bruno_llm_base.messages import Conversation
from bruno_llm_base.options import PORTABLE
from bruno_llm_base.provider import ProviderKeywords
from bruno_llm_testing import FakeAnswer

KEY = "sk-canary-7Hq2xW4v"
HUGE = 10**5000  # Python does not print more than 4,300 digits
HALF = "\ud800"


class Shy:
    """Says nothing about itself."""

    def __repr__(self):
        raise RuntimeError("no repr")


NO_NUMBERS = [True, "x", "", b"1", [], {}, [1], object(), Shy(), 1j, math.nan]
NO_COUNTS = [*NO_NUMBERS, -1, 0, 0.5, math.inf, HUGE]
NO_SECONDS = [*NO_NUMBERS, -1, -0.5, math.inf, 1e300, HUGE]
NO_TEXTS = [5, True, 0.5, [], {}, object(), Shy(), b"\xff", HALF]
NO_LISTS = [5, True, "x", {"a": 1}, {1}, object(), Shy(), iter([])]


def pairs(wrong):
    """Return pairs of a field, or of each of several, and a value that is wrong for it."""
    return [
        (field, value)
        for fields, values in wrong.items()
        for field in fields.split()
        for value in values
    ]


def complains(kind, *fields):
    """Expect an error that names one of *fields*, says what to do, is short, and shows no key."""
    return pytest.raises(kind, check=lambda error: is_clear(error, fields))


def is_clear(error, fields):
    message = error.message
    return any(f in message for f in fields) and len(message) < 600 and KEY not in repr(error)


# -- policies -------------------------------------------------------------------------------------


POLICIES = {
    Retry: {
        "attempts": [*NO_COUNTS, None],
        "wait_initial wait_max deadline": [*NO_SECONDS, None],
    },
    Timeouts: {"connect first_token between_tokens total": [*NO_SECONDS, 0]},
    Breaker: {"failures": [*NO_COUNTS, None], "cooldown": [*NO_SECONDS, None]},
    RateLimit: {
        "requests_per_minute tokens_per_minute": NO_COUNTS,
        "requests_per_day max_concurrent": NO_COUNTS,
        "max_wait": NO_SECONDS,
        "clock": [5, "x", Shy()],
    },
    ContextPolicy: {
        "strategy": [5, True, "", "newest_first", b"smart", ["smart"], {}, object(), Shy(), HALF],
        "window": NO_COUNTS,
        "reserve_output": [*NO_NUMBERS, -1, 0.5, math.inf, HUGE],
        "warn_at": [*NO_NUMBERS, None, 0, -0.1, 1.1, math.inf, HUGE],
        "summarize": [5, True, "x", [print], {}, object(), Shy()],
    },
}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_names_what_is_wrong(policy):
    for field, value in pairs(POLICIES[policy]):
        with complains(ConfigurationError, f"{policy.__name__}.{field} is"):
            policy(**{field: value})


@pytest.mark.parametrize("value", [0, 1, 0.001, 10**9])
def test_every_time_that_is_allowed_can_be_waited_for(value):
    assert Retry(wait_initial=value, wait_max=value, deadline=value).deadline == value
    assert RateLimit(max_wait=value)
    assert Breaker(cooldown=value).cooldown == value


async def test_the_longest_times_do_no_harm(kind, server):
    longest = 10**9
    limits = Timeouts(connect=longest, first_token=longest, between_tokens=longest, total=longest)
    async with kind(**server.connection(), timeouts=limits) as llm:
        assert await llm.generate("hi") == FakeAnswer().text


async def test_a_limit_counts_whole_tokens():
    for tokens in (*NO_NUMBERS, None, -1, 0.5, math.inf, HUGE):
        with complains(InvalidRequestError, "tokens is"):
            await RateLimit(tokens_per_minute=5).acquire(tokens)


# -- a provider's constructor ---------------------------------------------------------------------

KEYWORDS = {
    "model": [*NO_TEXTS, ""],
    "api_key": [
        5,
        True,
        [KEY],
        {},
        object(),
        Shy(),
        b"\xff",
        "",
        " ",
        HALF,
        f"{KEY}\n{KEY}",
        "ключ",
    ],
    "base_url": [
        *(5, True, [KEY], object(), Shy(), b"\xff", "", " ", HALF, KEY, "host", "host:80"),
        *("ftp://host", "http://", "http://:80", "http://host:0", "http://host:65536"),
        *("http://ho st", "http://host/a\nb", "http://" + "a" * 64, "http://a..b", "http://[::1"),
        *(f"http://host?key={KEY}", f"http://host/#{KEY}"),
        *(f"http://me:1/{KEY}@host", f"http://me:{KEY}"),
    ],
    "system_prompt": [*NO_TEXTS, ""],
    "temperature": [*NO_NUMBERS, -0.1, 2.1, math.inf, HUGE],
    "max_tokens": [*NO_COUNTS, 2**63],
    "top_p": [*NO_NUMBERS, 0, -1, 1.1, math.inf],
    "stop": [5, True, object(), Shy(), "", [], [""], [5], [None], ["a", ""], HALF, [HALF]],
    "seed": [*NO_NUMBERS, 0.5, math.inf, HUGE, 2**63, -(2**64)],
    "strict": [5, "maybe", [], object(), Shy()],
    "options": [
        5,
        "x",
        [KEY],
        object(),
        Shy(),
        {5: KEY},
        {("a",): KEY},
        {HALF: 1},
        {"a": object()},
        {"a": math.nan},
        {"a": {"b": math.inf}},
        {"a": HALF},
        {"a": HUGE},
        {"a": {1}},
        {"model": "x"},
        {"model.x": "x"},
        {"." * 5000: 1},
    ],
    "retry": [5, {}, "x", object(), Retry, Timeouts()],
    "timeouts": [5, {}, "x", object(), Timeouts, Retry()],
    "observers": [5, None, "x", [5], {"a": print}, {print}, object(), print],
    "timeout": [*NO_SECONDS, 0],
}


@pytest.mark.parametrize("field", KEYWORDS)
def test_a_provider_names_what_is_wrong(kind, field):
    names = {"options": ["option"]}.get(field, [field])
    for value in KEYWORDS[field]:
        given = {"api_key": KEY} | {field: value}
        with complains(ConfigurationError, *names):
            kind(**given)
        with complains(ConfigurationError, *names):
            LLMFactory.create(kind.name, given)


def test_fields_of_the_request_are_no_options(kind):
    for name in kind.adapter_type.reserved_fields:
        for option in (name, f"{name}.x"):
            with complains(ConfigurationError, f"{option!r} is not an option"):
                kind(api_key=KEY, options={option: 1})


def test_max_retries_is_named_as_it_was_given(kind):
    for value in (*NO_NUMBERS, -1, 0.5, math.inf, HUGE):
        with complains(ConfigurationError, "max_retries is"):
            kind(api_key=KEY, max_retries=value)


# -- a provider's methods -------------------------------------------------------------------------


def message(speaker=MessageRole.USER, **changes):
    made = Message(role=speaker, content="x")
    for name, value in changes.items():  # which bruno-core does not check
        setattr(made, name, value)
    return made


def calls(*given, **more):
    return [message(MessageRole.ASSISTANT, metadata={"tool_calls": list(given), **more})]


DEEP = '{"a":' * 100_000
CONVERSATIONS = {
    "messages": [
        5,
        True,
        object(),
        Shy(),
        {},
        {"role": "user"},
        iter([]),
        [],
        (),
        b"hi",
        [5],
        ["hi"],
    ],
    "messages[0]": [[{"role": "user", "contents": "hi"}], [None], [Shy()]],
    "content": [[message(content=value)] for value in (None, 5, b"x", "", " ", [], HALF)],
    "role": [[message(role=value)] for value in (None, 5, "assistant", "nobody", [])],
    "message_type": [[message(message_type=value)] for value in (None, 5, "image", "text")],
    "metadata": [
        *([message(role, metadata=value)] for role in MessageRole for value in (None, 5, [], "x")),
        *([message(MessageRole.ASSISTANT, metadata={"tool_calls": v})] for v in (5, "x", {"a": 1})),
        calls(5),
        calls(None),
        calls({}),
        calls({"name": 5}),
        calls({"name": "f", "id": 5}),
        calls({"name": HALF}),
        calls(ToolCall(name=5)),
        calls(ToolCall(name="f", id=[])),
        calls(ToolCall(name="f", id=HALF)),
        calls(ToolCall(name="f", arguments=HALF)),
        calls(parts=5),
        calls(parts=[5]),
        calls(parts=[{"type": "vendor_block", "vendor": "x", "data": {"a": object()}}]),
        calls(parts=[{"type": "vendor_block", "vendor": "x", "data": {"a": math.nan}}]),
    ],
    "arguments of the tool call": [calls({"name": "f", "arguments": value}) for value in ([1], 5)]
    + [calls(ToolCall(name="f", arguments=value)) for value in (5, [1], object())]
    + [calls({"name": "f", "arguments": {"a": value}}) for value in (math.nan, object(), HUGE)],
}
OPTIONS = {
    "temperature": [*NO_NUMBERS, -0.1, 2.1, math.inf, HUGE],
    "max_tokens": [*NO_COUNTS, 2**63],
    "top_p": [*NO_NUMBERS, 0, 1.1],
    "stop": [5, True, object(), Shy(), "", [], [""], HALF],
    "seed": [*NO_NUMBERS, 0.5, HUGE],
    "logit_bias": [object(), Shy(), math.nan, math.inf, HALF, {"a": {1}}, [HALF], HUGE, b"x"],
}


@pytest.fixture
async def llm(kind, server):
    async with kind(**server.connection()) as llm:
        yield llm


async def refused(llm, server, field, **asked):
    """Check that nothing is sent, whichever method is called."""
    for method in (llm.generate, llm.request, llm.stream):
        with complains(InvalidRequestError, field):
            await method(**asked)
    assert server.received == []


@pytest.mark.parametrize("field", CONVERSATIONS)
async def test_a_conversation_that_cannot_be_sent_is_not(llm, server, field):
    for value in CONVERSATIONS[field]:
        await refused(llm, server, field, messages=value)
        await refused(FallbackLLM([llm]), server, field, messages=value)


@pytest.mark.parametrize("field", OPTIONS)
async def test_an_option_that_cannot_be_sent_is_not(llm, server, field):
    for value in OPTIONS[field]:
        await refused(llm, server, field, messages="hi", **{field: value})


async def test_what_a_provider_is_built_with_is_no_option_of_a_call(llm, server, kind):
    for name in ProviderKeywords.__annotations__.keys() - PORTABLE.keys() - {"options"}:
        await refused(llm, server, f"{name!r} is not an option", prompt="hi", **{name: KEY})


async def test_a_name_that_cannot_be_sent_is_not(llm, server):
    for name in (HALF, "." * 5000):
        await refused(llm, server, "is not the name of an option", messages="hi", **{name: 1})
    for name in llm.adapter.reserved_fields - {"messages", "model"}:
        await refused(llm, server, f"{name!r} is not an option", prompt="hi", **{name: 1})
        await refused(llm, server, "is not an option", prompt="hi", **{f"{name}.x": 1})


async def test_one_way_to_ask_is_enough(llm, server):
    for asked in ({}, {"messages": None}, {"messages": "a", "prompt": "b"}, {"prompt": None}):
        await refused(llm, server, "either messages or prompt", **asked)


@pytest.mark.parametrize("field", ["prompt", "model"])
async def test_a_prompt_and_a_model_are_texts(llm, server, field):
    for value in (5, 0, True, [], ["x"], {}, object(), Shy(), b"hi"):
        await refused(llm, server, f"{field} is", **({"prompt": "hi"} | {field: value}))
    for value in ("", " ", HALF):
        await refused(llm, server, f"{field} ", **({"prompt": "hi"} | {field: value}))


async def test_a_system_prompt_is_a_text(llm):
    for value in (5, True, [], ["x"], {}, object(), Shy(), b"x"):
        with complains(InvalidRequestError, "system prompt is"):
            llm.set_system_prompt(value)


async def with_system_prompt(llm, prompt):
    llm.set_system_prompt(prompt)
    await llm.generate("hi")


async def test_a_system_prompt_that_is_none_fails_before_anything_is_sent(llm, server):
    for value in (5, ["x"], object(), b"x", HALF):
        with pytest.raises(InvalidRequestError, match="system prompt"):
            await with_system_prompt(llm, value)
    assert server.received == []


async def test_anything_has_a_token_count(llm):
    for model in (llm, FallbackLLM([llm])):
        for value in (5, b"x", [], object(), HALF):
            assert model.get_token_count(value) > 0
        for value in (None, "", Shy()):
            assert model.get_token_count(value) == 0


async def test_counting_a_text_takes_a_text(llm):
    for value in (None, 5, b"x", [], object(), Shy()):
        with complains(InvalidRequestError, "text is"):
            llm.count_text(value)
    for value in (5, [], object(), Shy(), "", " ", HALF):
        with complains(InvalidRequestError, "model is"):
            llm.count_text("hi", value)
        with complains(InvalidRequestError, "model is"):
            llm.count_conversation(Conversation.of("hi"), value)


async def test_a_tool_may_answer_anything(llm, server):
    """What a tool says is data: however odd, it is sent as text."""
    for answer in (DEEP, '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', "[" * 100_000, "5"):
        result = message(MessageRole.TOOL, metadata={"tool_call_id": "c1", "name": "f"})
        result.content = answer
        asked = [message(), *calls(ToolCall(id="c1", name="f", arguments="{}")), result]
        assert await llm.generate(asked) == FakeAnswer().text
    assert len(server.bodies) == 6


async def test_blocks_of_another_vendor_are_passed_over(llm, server):
    odd = [VendorBlock("other", {"functionCall": 5}), VendorBlock("other", {"type": []})]
    odd += [Reasoning("Hm.", odd[0]), Reasoning("Hm."), ToolCall(id="c1", name="f", state=odd[0])]
    answer = ModelResponse(parts=tuple(odd))
    assert await llm.generate([message(), answer.to_message()]) == FakeAnswer().text
    assert "Hm." not in json.dumps(server.bodies)


async def test_a_call_that_a_model_wrote_wrongly_can_be_sent(llm, server):
    """A model's mistake is data too: it is sent as what it is."""
    for written in (
        "x",
        "[]",
        "5",
        "[" * 10_000,
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"a',
    ):
        for call in (ToolCall(name="f", arguments=written), {"name": "f", "arguments": written}):
            assert await llm.generate([message(), *calls(call)]) == FakeAnswer().text
    assert len(server.bodies) == 16


# -- the factory, and several providers -----------------------------------------------------------

NO_NAMES = [5, 0.5, True, b"openai", ["openai"], {}, object(), Shy(), " ", "\0"]


def test_a_provider_is_named_in_words():
    for value in (*NO_NAMES, None, ""):
        with complains(ConfigurationError, "provider"):
            LLMFactory.create(value)
        with complains(ConfigurationError, "provider"):
            LLMFactory.from_config({"provider": value, "api_key": KEY})
        with complains(ConfigurationError, "provider"):
            LLMFactory.from_env(value)


def test_a_configuration_is_a_mapping():
    for value in (5, True, "x", b"x", [KEY], {KEY}, object(), Shy()):
        with complains(ConfigurationError, "config is a"):
            LLMFactory.create("openai", value)
        with complains(ConfigurationError, "config is a"):
            LLMFactory.from_config(value)
        for name in ("options", "additional_params"):
            with complains(ConfigurationError, f"{name} is a"):
                LLMFactory.create("openai", {name: value, "api_key": KEY})


def test_a_path_is_a_text_or_a_path():
    for value in (5, True, None, b"x", [], {}, object(), Shy()):
        with complains(ConfigurationError, "path is"):
            LLMFactory.from_file(value)


def test_a_file_that_cannot_be_read_is_named():
    for value in ("", ".", "x", "no.yaml", "\0.yaml", "a" * 300 + ".json"):
        with complains(ConfigurationError, "no known format", "cannot be read", "not valid"):
            LLMFactory.from_file(value)


async def test_members_are_a_list():
    for value in (*NO_LISTS, None, []):
        for build in (LLMFactory.fallback, FallbackLLM):
            with complains(ConfigurationError, "members is"):
                build(value)
        with complains(ConfigurationError, "members is"):
            await LLMFactory.select(value)


async def test_a_member_that_is_none_is_named():
    for value in (5, None, [], object(), Shy(), {"api_key": KEY}, b"x"):
        for build in (LLMFactory.fallback, FallbackLLM):
            with complains(ConfigurationError, "members[0]"):
                build([value])
        with complains(ConfigurationError, "no provider can be used"):
            await LLMFactory.select([value])


async def test_a_fallbacks_policies_are_checked(llm):
    wrong = {"breaker": [5, {"a": 1}, Breaker, Retry()], "observers": [5, None, [5]]}
    for field, value in pairs(wrong):
        with complains(ConfigurationError, f"{field} is"):
            FallbackLLM([llm], **{field: value})
        with complains(ConfigurationError, f"{field} is"):
            LLMFactory.fallback([llm], **{field: value})
    for clock in (5, None, Shy()):
        with complains(ConfigurationError, "clock is"):
            FallbackLLM([llm], clock=clock)


async def test_a_fallback_refuses_what_its_members_would(llm, server):
    for field, value in pairs(OPTIONS):
        await refused(FallbackLLM([llm]), server, field, messages="hi", **{field: value})
    for model in (5, "x", [], Shy(), HUGE):
        await refused(FallbackLLM([llm]), server, "model is", messages="hi", model=model)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TIMEOUT", "soon"),
        ("TIMEOUT", "nan"),
        ("TIMEOUT", "inf"),
        ("TIMEOUT", "-1"),
        ("TIMEOUT", "9" * 5000),
        ("MAX_RETRIES", "1.5"),
        ("MAX_RETRIES", "9" * 5000),
        ("MAX_RETRIES", "-2"),
        ("MAX_TOKENS", "many"),
        ("MAX_TOKENS", "9" * 5000),
        ("TEMPERATURE", "hot"),
        ("TEMPERATURE", "1e400"),
        ("STRICT", "perhaps"),
        ("SEED", "1.5"),
        ("BASE_URL", KEY),
        ("API_KEY", "ключ"),
        ("PROVIDER", "opnai"),
    ],
)
def test_a_variable_that_is_wrong_is_named(monkeypatch, variable, value):
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", "openai")
    monkeypatch.setenv("BRUNO_LLM_API_KEY", KEY)
    monkeypatch.setenv(f"BRUNO_LLM_{variable}", value)
    with complains(ConfigurationError, variable.lower(), variable, "Retry", "opnai"):
        LLMFactory.from_env()


# -- what a server may make of it -----------------------------------------------------------------


async def test_a_long_list_of_models_is_no_reason_to_hang(kind, server):
    class Wordy(type(server)):
        models = ("x" * 100_000, *(f"model-{number:0100}" for number in range(20_000)))

    with Wordy() as wordy:
        async with kind("no-such-model", **wordy.connection()) as llm:
            with pytest.raises(InvalidRequestError) as caught:
                await llm.generate("hi")
    assert len(str(caught.value)) < 2000


def test_arguments_are_checked_without_a_loop(kind):
    llm = kind(base_url="http://127.0.0.1:9", api_key=KEY)
    with pytest.raises(InvalidRequestError):
        llm.stream("hi", temperature=9)
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
