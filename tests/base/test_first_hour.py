"""What goes wrong in a new user's first hour, and what is told of it."""

import asyncio

import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import (
    Breaker,
    ConfigurationError,
    ContextPolicy,
    InvalidRequestError,
    Media,
    MediaPolicy,
    RateLimit,
    Retry,
    Timeouts,
    assistant,
    system,
    user,
)
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeOpenAI


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
        ([("user",)], {}, "messages[0] is a tuple: give a dict with role and content, a pair"),
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
