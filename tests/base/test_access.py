"""What nobody may see, and what a server's words look like without it."""

import httpx
import openai
import pytest
from bruno_llm_base import ConfigurationError
from bruno_llm_base.access import checked_url
from bruno_llm_base.attempt import redacted
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIProvider

KEY = "sk-canary+7Hq2/xW4v"


def test_a_key_is_blotted_out_wherever_it_stands():
    access = OpenAIProvider(api_key=KEY).access
    said = {KEY: [f"Bearer {KEY}", {"url": "?key=sk-canary%2B7Hq2%2FxW4v"}, 5, None], "a": "b"}
    assert redacted(said, access.secrets) == {
        "***": ["Bearer ***", {"url": "?key=***"}, 5, None],
        "a": "b",
    }
    assert redacted(None, access.secrets) is None
    assert KEY not in repr(access)


def test_a_login_is_blotted_out_in_every_spelling():
    access = OllamaProvider(base_url="http://me:p%40ss%2Fword@host").access
    said = "p@ss/word p%40ss%2Fword p%40ss/word bWU6cEBzcy93b3Jk"
    assert redacted(said, access.secrets) == "*** *** *** ***"


def test_what_a_client_says_of_itself_is_blotted_out():
    headers = {"x-gateway-token": "a-gateways-token", "accept": "application/json"}
    client = openai.AsyncOpenAI(api_key=KEY, default_headers=headers)
    access = OpenAIProvider(client=client).access
    assert (
        redacted(f"{KEY} a-gateways-token application/json", access.secrets)
        == "*** *** application/json"
    )
    access = OllamaProvider(
        client=httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"})
    ).access
    assert redacted(f"Bearer {KEY}", access.secrets) == "Bearer ***"


def test_a_stand_in_for_a_key_is_no_secret():
    assert (
        redacted("none of these", OpenAIProvider(api_key="none").access.secrets) == "none of these"
    )


@pytest.mark.parametrize(
    "url", ["http://host", "https://a.b.:8/v1/", "http://[::1]:80/x", "http://me:p%2F%3F@h/v1"]
)
def test_an_address_is_taken_as_it_is(url):
    assert checked_url("base_url", url) == url


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("sk-canary", "base_url is no address: give"),
        ("http://me:sk-canary", "base_url is no address: give"),
        ("http://me:1/sk-canary@host/v1", "base_url is 'host/v1': give"),
        ("http://host?sk-canary", "base_url has a query or a fragment"),
        ("http://host/#sk-canary", "base_url has a query or a fragment"),
        ("localhost:80", "base_url is 'localhost:80': give"),
        ("http://a..b", r"base_url is 'http://a\.\.b': give"),
    ],
)
def test_an_address_that_is_none_is_shown_as_far_as_it_is_no_secret(url, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        checked_url("base_url", url)
    assert "sk-canary" not in str(caught.value)
