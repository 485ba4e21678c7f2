"""Building a provider: what is accepted, where keys come from, what is shown and pickled."""

import asyncio
import json
import pickle

import pytest
from bruno_core.models import Message
from bruno_llm_base import (
    Breaker,
    ConfigurationError,
    ContextPolicy,
    InvalidRequestError,
    MediaPolicy,
    RateLimit,
    Retry,
    Timeouts,
)
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeOpenAI

CANARY = "sk-canary-42"


@pytest.mark.parametrize(
    ("keywords", "complaint"),
    [
        ({"modle": "x"}, "takes no 'modle': did you mean 'model'"),
        ({"window": 1}, "takes no 'window'"),
        ({"wobble": 1}, r"takes no 'wobble' \(known: api, api_key, "),
        ({"temperature": 2.5}, "temperature is 2.5: give 2 or less"),
        ({"temperature": True}, "temperature is True: a truth value is not a number"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"max_tokens": 0}, "max_tokens is 0: give 1 or more"),
        ({"top_p": 0}, "top_p is 0"),
        ({"stop": []}, "stop is \\[\\]"),
        ({"stop": [""]}, "stop.0 is ''"),
        ({"seed": "x"}, "seed is 'x': give a whole number"),
        ({"model": ""}, "model is ''"),
        ({"base_url": "localhost:80"}, "base_url is 'localhost:80': give an address like http"),
        ({"base_url": "http://[::1"}, "base_url is"),
        ({"base_url": "http://a:b:c"}, "base_url is"),
        ({"base_url": "http://a b"}, "base_url is"),
        ({"base_url": "http://a\nb"}, "base_url is"),
        ({"options": {"x": object()}}, "the option 'x' is not JSON, but a object"),
        ({"options": {"x": "\ud800"}}, "the option 'x' is not JSON, but a str"),
        ({"options": {"stream": True}}, "'stream' is not an option"),
        ({"options": {"model": "x"}}, "'model' is not an option"),
        ({"client": object()}, "client= brings its own api_key"),
        ({"observers": None}, "observers is None: give a list of callables"),
        ({"observers": [3]}, "observers is"),
        ({"options": 3}, "options: give a dict"),
        ({"system_prompt": 3}, "system_prompt is 3"),
        ({"timeout": -1}, "timeout is -1: give seconds above 0"),
        ({"max_retries": -1}, "max_retries is -1: give a whole number, 0 or more"),
        ({"max_retries": 0.5}, "max_retries is 0.5: give a whole number"),
        ({"max_retries": "2"}, "max_retries is '2': give a whole number"),
        ({"timeout": 3, "timeouts": Timeouts()}, "give one of them"),
        ({"timeouts": 5}, r"timeouts is 5: give Timeouts\(call=60\), or timeout=60"),
        ({"timeouts": Timeouts}, r"timeouts is .*: give Timeouts\(call=60\)"),
        ({"rate_limit": 60}, r"rate_limit is 60: give RateLimit\(requests_per_minute=60\)"),
        ({"budget": "5"}, r"budget is '5': give Budget\(\"5.00\"\), in USD, or a list"),
        ({"cost": "a.db"}, r"cost is 'a.db': give CostTracker\(\), or CostTracker\(\"costs.db\"\)"),
        ({"context": 8000}, r"context is 8000: give .*ContextPolicy\(window=8000\)"),
        ({"media": ["a"]}, r"media is \['a'\]: give MediaPolicy\(roots=\[\"uploads\"\]\)"),
        ({"api": "old"}, "api is 'old': give 'auto', 'responses' or 'chat'"),
        ({"retry": 3}, r"retry is 3: give Retry\(attempts=3\), or max_retries=2"),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(keywords, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        OpenAIProvider(api_key="k", **keywords)


def test_policies_check_themselves():
    for kind in (Breaker, ContextPolicy, MediaPolicy, RateLimit, Retry, Timeouts):
        with pytest.raises(
            ConfigurationError, match=rf"without its name, 3: give {kind.__name__}\("
        ):
            kind(3)
    for wrong in ({"deadline": -1}, {"attempts": True}, {"wait_max": "1"}):
        with pytest.raises(ConfigurationError, match=f"Retry.{next(iter(wrong))} is"):
            Retry(**wrong)
    for wrong in ({"connect": 0}, {"total": "1"}, {"first_token": float("nan")}):
        with pytest.raises(ConfigurationError, match=f"Timeouts.{next(iter(wrong))} is"):
            Timeouts(**wrong)
    assert Timeouts(connect=None, between_tokens=None).connect is None


def test_a_missing_key_names_its_variable():
    with pytest.raises(ConfigurationError, match="set OPENAI_API_KEY or pass api_key"):
        OpenAIProvider()


def test_an_address_of_ones_own_needs_no_key(monkeypatch):
    assert OpenAIProvider(base_url="http://localhost:1/v1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:2/v1")
    assert OpenAIProvider().get_model_info()["base_url"] == "http://localhost:2/v1"


def test_the_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f" {CANARY}\n")
    assert OpenAIProvider().access.key == CANARY
    assert OpenAIProvider(api_key="other").access.key == "other"


def test_secrets_are_not_shown(monkeypatch):
    llm = OpenAIProvider(api_key=CANARY, base_url=f"http://user:{CANARY}@host/v1")
    shown = [repr(llm), str(llm), json.dumps(llm.get_model_info()), repr(vars(llm))]
    with pytest.raises(ConfigurationError) as caught:
        OpenAIProvider(api_key=CANARY, temperature=9)
    with pytest.raises(ConfigurationError) as other:
        OpenAIProvider(api_key=[CANARY])
    shown += [str(caught.value), str(other.value)]
    assert "http://host/v1" in shown[0]
    assert not [text for text in shown if CANARY in text]


def test_the_description_is_plain_json():
    llm = OpenAIProvider("gpt-6-luna", api_key="k", temperature=0.3, stop="END")
    info = json.loads(json.dumps(llm.get_model_info()))
    assert (info["provider"], info["model"]) == ("openai", "gpt-6-luna")
    assert (info["temperature"], info["stop"]) == (0.3, ["END"])
    assert info["base_url"] == "https://api.openai.com/v1"
    assert llm.model == "gpt-6-luna"


def test_a_provider_goes_to_a_worker_without_its_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    llm = OpenAIProvider("gpt-6-luna", temperature=0.3, timeout=5, max_retries=0)
    llm.set_system_prompt("Be brief.")
    data = pickle.dumps(llm)
    assert CANARY.encode() not in data
    copy = pickle.loads(data)
    assert copy.access.key == CANARY
    assert copy.get_model_info() == llm.get_model_info()
    assert copy.get_system_prompt() == "Be brief."
    assert (copy._endpoint.retry, copy.timeouts) == (Retry(attempts=1), Timeouts(call=5))
    with pytest.raises(ConfigurationError, match="set OPENAI_API_KEY in the worker"):
        pickle.dumps(OpenAIProvider(api_key=CANARY))


def test_the_system_prompt_is_sent_and_taken_back():
    with FakeOpenAI() as server:
        llm = OpenAIProvider(**server.connection())

        async def ask():
            llm.set_system_prompt("Be brief.")
            await llm.generate("hi")
            llm.set_system_prompt("")
            await llm.generate("hi")
            await llm.aclose()

        asyncio.run(ask())
        first, second = (body["messages"] for body in server.bodies)
    assert first[0] == {"role": "system", "content": "Be brief."}
    assert [message["role"] for message in second] == ["user"]


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        ({}, "give either messages or prompt"),
        ({"messages": "a", "prompt": "b"}, "give either messages or prompt"),
        ({"prompt": " "}, "the prompt is empty"),
        ({"prompt": "a", "model": 5}, "model is 5"),
        ({"prompt": "a", "top_p": "x"}, "top_p is 'x'"),
    ],
)
def test_a_call_is_checked_before_anything_is_sent(call, complaint):
    llm = OpenAIProvider(base_url="http://127.0.0.1:9")
    with pytest.raises(InvalidRequestError, match=complaint):
        asyncio.run(llm.generate(**call))
    with pytest.raises(InvalidRequestError, match=complaint):
        llm.stream(**call)


def test_one_call_may_ask_another_model():
    with FakeOpenAI() as server:
        llm = OpenAIProvider(**server.connection())
        messages = [Message(role="user", content="hi")]

        async def ask():
            await llm.generate(messages, model="gpt-4.1", temperature=0.5)
            await llm.generate(prompt="hi", temperature=0.5)
            await llm.aclose()

        asyncio.run(ask())
        first, second = server.bodies
    assert (first["model"], first["temperature"]) == ("gpt-4.1", 0.5)
    assert "temperature" not in second


@pytest.mark.parametrize("key", ["sk-…", "sk a\u0000"])
def test_a_key_that_no_header_can_hold_is_refused_unseen(key, monkeypatch):
    with pytest.raises(ConfigurationError, match="api_key holds characters") as caught:
        OpenAIProvider(api_key=key)
    assert "sk" not in str(caught.value)
    if "\0" not in key:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY holds characters"):
            OpenAIProvider()


def test_white_space_around_a_key_is_no_part_of_it():
    assert OpenAIProvider(api_key=f" {CANARY}\n").access.key == CANARY


def test_an_address_with_a_secret_is_not_repeated(monkeypatch):
    with pytest.raises(ConfigurationError) as caught:
        OpenAIProvider(base_url=f"user:{CANARY}@host?key={CANARY}")
    assert "'host'" in str(caught.value)
    assert CANARY not in str(caught.value)
    monkeypatch.setenv("OPENAI_BASE_URL", "localhost:1")
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL is 'localhost:1'"):
        OpenAIProvider(api_key="k")


async def test_a_login_in_the_address_is_refused_where_it_cannot_be_sent():
    llm = OpenAIProvider(base_url=f"http://me:{CANARY}@127.0.0.1:9")
    with pytest.raises(ConfigurationError, match="base_url holds a login: pass client="):
        await llm.generate("hi")
    with pytest.raises(ConfigurationError, match="a login or a client cannot be pickled"):
        pickle.dumps(llm)


def test_a_calls_option_overrules_the_providers_in_any_spelling():
    with FakeOpenAI() as server:
        llm = OpenAIProvider(**server.connection(), max_tokens=1, options={"max_tokens": 2, "n": 1})

        async def ask():
            await llm.generate("hi")
            await llm.generate("hi", max_tokens=3)
            await llm.aclose()

        asyncio.run(ask())
        assert [body["max_tokens"] for body in server.bodies] == [2, 3]


def test_the_callers_options_are_neither_changed_nor_kept():
    options = {"nested": {"a": 1}}
    with FakeOpenAI() as server:
        llm = OpenAIProvider(**server.connection(), options=options, stop=["END"])
        options["nested"]["a"] = 2
        llm.get_model_info()["stop"].append("more")
        asyncio.run(llm.generate("hi", nested={"b": 3}))
        asyncio.run(llm.generate("hi"))
        assert [body["nested"] for body in server.bodies] == [{"a": 1, "b": 3}, {"a": 1}]
        assert server.bodies[1]["stop"] == ["END"]


async def test_an_option_that_is_no_json_is_named():
    llm = OpenAIProvider(base_url="http://127.0.0.1:9")
    for value in (object(), float("nan")):
        with pytest.raises(InvalidRequestError, match="the option 'logit_bias' is not JSON"):
            await llm.generate("hi", logit_bias=value)
