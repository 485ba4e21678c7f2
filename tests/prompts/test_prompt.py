"""Prompts become messages, and what is wrong with one is told with its place."""

import json
import pickle
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from uuid import UUID

import pytest
from bruno_llm_base import CachedLLM, ConfigurationError, FallbackLLM, InvalidRequestError
from bruno_llm_base.events import RequestStarted
from bruno_llm_openai import OpenAIProvider
from bruno_llm_prompts import Prompt
from bruno_llm_testing import FakeOpenAI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

SUMMARY = Prompt(
    "Summarize for {{ audience }}:\n{{ text }}",
    system="Be {{ tone }}.",
    name="summary",
    version="3",
    untrusted={"text"},
    defaults={"tone": "brief"},
    options={"max_tokens": 50},
)


class Person:
    """A value with attributes, as applications have them."""

    name = "Ann"
    _secret = "hidden"

    def rename(self):
        """A method, which a template may call."""
        return "Bob"


def contents(messages):
    return [(message.role.value, message.content) for message in messages]


def said(text, /, **values):
    """Return what the user says."""
    return Prompt(text)(**values)[-1].content


def test_it_becomes_messages():
    assert contents(SUMMARY(audience="children", text="a tale", tone="kind")) == [
        ("system", "Be kind."),
        ("user", "Summarize for children:\na tale"),
    ]
    assert contents(Prompt("hi")()) == [("user", "hi")]


def test_it_tells_of_itself():
    assert SUMMARY.variables == {"audience", "text", "tone"}
    assert (SUMMARY.name, SUMMARY.version, SUMMARY.untrusted) == ("summary", "3", {"text"})
    assert repr(SUMMARY) == "Prompt('summary', version='3', variables=['audience', 'text', 'tone'])"


async def test_every_way_to_ask_takes_it():
    with FakeOpenAI() as server:
        async with OpenAIProvider(**server.connection(), model="gpt-4.1") as llm:
            asked = SUMMARY(audience="us", text="x")
            await llm.generate(asked, **SUMMARY.options)
            await llm.request(asked, **SUMMARY.options)
            assert [text async for text in llm.stream(asked, **SUMMARY.options)]
            await CachedLLM(llm).generate(asked, **SUMMARY.options)
            await FallbackLLM([llm, llm]).generate(asked, **SUMMARY.options)
        for body in server.bodies:
            assert [message["content"] for message in body["messages"]] == [
                "Be brief.",
                "Summarize for us:\nx",
            ]
            assert 50 in body.values()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"audiense": 1},
            "the prompt 'summary' has no variable 'audiense': did you mean 'audience'?",
        ),
        ({"audience": 1, "text": 2, "zz": 3}, "no variable 'zz' (known: audience, text, tone)"),
        ({}, "the prompt 'summary' needs 'audience' and 'text': give audience=..."),
        ({"text": 1}, "needs 'audience': give audience=..."),
    ],
)
def test_a_value_that_is_missing_or_misspelt_is_refused(values, told):
    with pytest.raises(InvalidRequestError) as caught:
        SUMMARY(**values)
    assert told in str(caught.value)


def test_values_may_come_as_a_row_which_may_hold_more():
    row = {"text": "x", "audience": "us", "id": 7}
    assert contents(SUMMARY(row)) == contents(SUMMARY(text="x", audience="us"))
    assert contents(SUMMARY(row, tone="kind"))[0] == ("system", "Be kind.")
    with pytest.raises(InvalidRequestError, match=r"needs 'text', .*did you mean 'texts'"):
        SUMMARY({"texts": "x", "audience": "us"})
    with pytest.raises(InvalidRequestError, match="called with 'x': give values by their names"):
        SUMMARY("x")


async def test_a_map_takes_it_and_goes_on_with_the_same_one_only(tmp_path):
    rows = [{"id": 1, "text": "{{ a }}"}, {"id": 2, "text": "b"}]
    prompt = Prompt("Good or bad? {{ text }}")
    into = tmp_path / "out.jsonl"
    with FakeOpenAI() as server:
        async with OpenAIProvider(**server.connection(), model="gpt-4.1") as llm:
            for again in (prompt, pickle.loads(pickle.dumps(prompt))):
                found = [i async for i in llm.map(rows, again, key="id", into=into)]
            assert found == []
            asked = sorted(body["messages"][0]["content"] for body in server.bodies)
            assert asked == ["Good or bad? b", "Good or bad? {{ a }}"]
            with pytest.raises(ConfigurationError):
                [i async for i in llm.map(rows, Prompt("{{ text }}?"), key="id", into=into)]


def test_untrusted_values_stay_out_of_the_system_text():
    for system in ("{{ mail }}", "{% set x = mail %}{{ x }}", "{% if mail %}a{% endif %}"):
        with pytest.raises(
            ConfigurationError, match="the system text holds 'mail', which is untrusted"
        ):
            Prompt("Answer {{ mail }}", system=system, untrusted={"mail"})
    with pytest.raises(ConfigurationError, match=r"untrusted names 'mial', .* did you mean 'mail'"):
        Prompt("{{ mail }}", untrusted=["mial"])


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"text": 5}, "the prompt is a int: give a text"),
        ({"text": " \n"}, "the prompt has no text"),
        ({"text": "a", "system": b"x"}, "the system text of the prompt is a bytes"),
        ({"text": "a", "name": 5}, "the prompt 5: name is 5: give a text"),
        ({"text": "a", "version": 3}, "version is 3: give a text"),
        ({"text": "{{ a }}", "untrusted": "a"}, "untrusted is 'a': give a list of names"),
        (
            {"text": "{{ a }}", "defaults": {"b": 1}},
            "defaults names 'b', which is not in its texts",
        ),
        ({"text": "{{ a }}", "defaults": ["a"]}, "defaults is ['a']: give a mapping"),
        ({"text": "{{ a }}", "options": 5}, "options is 5: give a mapping"),
    ],
)
def test_what_is_wrong_is_told_when_it_is_made(keywords, told):
    with pytest.raises(ConfigurationError) as caught:
        Prompt(**keywords)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\n{{ b", "line 2: unexpected end of template"),
        ("a\n\n{{ b | shout }}", "line 3: No filter named 'shout'"),
        ("{% if a %}\nb", "line 2: Unexpected end of template"),
        ("a\n{% include 'b' %}", "line 2: a template cannot take in others"),
        ("a\n{% import 'b' as c %}", "line 2: a template cannot take in others"),
        ("\n{% extends a %}", "line 2: a template cannot take in others"),
    ],
)
def test_a_wrong_template_is_told_with_its_line(text, told):
    with pytest.raises(ConfigurationError) as caught:
        Prompt(text, name="x")
    assert "the prompt 'x', " in str(caught.value)
    assert told in str(caught.value)
    with pytest.raises(ConfigurationError, match="the system text of the prompt 'x', line"):
        Prompt("fine", system=text, name="x")


@pytest.mark.parametrize(
    ("text", "value", "told"),
    [
        (
            "a\n{{ x.nmae }}",
            Person(),
            "line 2: 'test_prompt.Person object' has no attribute 'nmae'",
        ),
        ("a\n{{ x.b.c }}", {}, "line 2: 'dict object' has no attribute 'b'"),
        ("{% if x %}\n\n{{ 1 / 0 }}{% endif %}", 1, "line 3: division by zero"),
        ("{{ x }}", None, "line 1: the value is None"),
        ("{{ x.comment }}", {"comment": None}, "line 1: the value is None"),
        ("{{ x }}", print, "line 1: the value is a function"),
        ("{{ x.rename }}", Person(), "line 1: the value is a function"),
    ],
)
def test_a_value_that_cannot_be_written_is_told_with_its_line(text, value, told):
    with pytest.raises(InvalidRequestError) as caught:
        Prompt(text)(x=value)
    assert told.replace("test_prompt.", f"{__name__}.") in str(caught.value)


def test_what_is_empty_in_the_end_is_refused():
    with pytest.raises(InvalidRequestError, match="the prompt has no text with these values"):
        Prompt("{{ x }}")(x=" ")
    assert contents(Prompt("hi", system="{% if x %}a{% endif %}")(x=0)) == [("user", "hi")]


def test_the_template_language():
    assert said("{{ x or 'none' }}", x=None) == "none"
    assert said(
        "{% for x in xs %}\n  {% if x %}\n- {{ x }}\n  {% endif %}\n{% endfor %}\nend", xs="ab"
    )
    assert said("{{ x.name }}, {{ x['name'] }}, {{ x.rename() }}", x=Person()) == "Ann, Ann, Bob"
    assert said("{{ x | tojson }}", x={"ü": "<b> & 'c'"}) == '{"ü": "<b> & \'c\'"}'
    assert said("{% for i in range(2) %}{{ i }}{% endfor %}") == "01"
    assert said("{% for x in xs %}\n- {{ x }}\n{% endfor %}\nend", xs="ab") == "- a\n- b\nend"
    # what only web pages want is a name like any other
    assert said("{{ dict }} {{ cycler }}", dict="a", cycler="b") == "a b"


ESCAPES = [
    "{{ x.__class__ }}",
    "{{ x._secret }}",
    "{{ x.__init__.__globals__ }}",
    "{{ x['__class__'] }}",
    "{{ x | attr('__class__') }}",
    "{{ '{0.__class__}'.format(x) }}",
    "{{ '{x.__class__}'.format_map({'x': x}) }}",
    "{{ x.rename.__func__ }}",
    "{{ x.rename.__globals__ }}",
    "{{ namespace.__init__ }}",
    "{{ range(10**9) }}",
    "{{ [].append(1) }}",
    "{{ {}.update(a=1) }}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_no_value_opens_the_sandbox(text):
    with pytest.raises(InvalidRequestError, match="the prompt, line 1: "):
        Prompt(text + "{{ x }}")(x=Person())


def test_a_value_cannot_be_changed_by_a_template():
    values = [1, 2]
    with pytest.raises(InvalidRequestError, match="'append' of 'list' object is unsafe"):
        Prompt("{{ xs.append(3) }}")(xs=values)
    assert values == [1, 2]


ODD = [
    "{{ 7 * 7 }}",
    "{% raw %}",
    "{# note #}",
    "${x} $x",
    '{"a": {"b": 1}}',
    "{0}",
    "%s %(x)s",
    "\\n",
    "עברית",
    "日本",
]
VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.sampled_from(ODD)


@given(st.lists(VALUES, min_size=1, max_size=5).map("".join))
def test_a_value_is_text_whatever_it_looks_like(value):
    assert said("<{{ x }}>", x=value) == f"<{value}>"
    assert Prompt("hi", system="<{{ x }}>")(x=value)[0].content == f"<{value}>"
    read = json.loads(said("{{ x | tojson }}", x=[value]))
    assert read == [value]


@given(st.dictionaries(st.sampled_from(["a", "b", "text", "texts"]), st.text()))
def test_all_its_variables_are_given_or_it_is_refused(values):
    prompt = Prompt("x{{ a }}{{ b }}{{ text }}", defaults={"b": ""})
    if {"a", "text"} <= values.keys() <= prompt.variables:
        assert prompt(**values)
    else:
        with pytest.raises(InvalidRequestError):
            prompt(**values)


async def test_observers_hear_of_name_and_version():
    heard = []

    def observe(event):
        if isinstance(event, RequestStarted):
            heard.append(dict(event.prompt))

    with FakeOpenAI() as server:
        async with OpenAIProvider(**server.connection(), observers=[observe]) as llm:
            asked = SUMMARY(audience="us", text="x")
            answer = await llm.request(asked)
            await llm.generate([*asked, answer.to_message(), ("user", "and shorter")])
            for other in ("hi", ("hi",) and [{"role": "user", "content": "hi"}], Prompt("hi")()):
                await llm.generate(other)
    known = {"name": "summary", "version": "3"}
    assert heard == [known, known, {}, {}, {}]


def test_pickled_and_copied_it_is_the_same():
    again = pickle.loads(pickle.dumps(SUMMARY))
    assert again.fingerprint == SUMMARY.fingerprint
    assert (
        again(audience="us", text="x")[1].metadata == SUMMARY(audience="us", text="x")[1].metadata
    )
    assert Prompt("a").fingerprint != Prompt("b").fingerprint


def test_a_fingerprint_tells_defaults_apart_and_their_order_does_not_count():
    def of(**defaults):
        return Prompt("{{ a }} {{ b }}", defaults=defaults).fingerprint

    assert of(a=1, b={"x": 1, "y": [2]}) == of(b={"y": (2,), "x": 1}, a=1)
    assert of(a={"x", "y", "z"}) == of(a=frozenset(["z", "y", "x"]))
    assert of(a=MappingProxyType({"x": 1})) == of(a={"x": 1})
    different = [1, "1", True, None, date(2026, 1, 1), "2026-01-01", Decimal(1), {1}, [1], "\ud800"]
    assert len({of(a=value) for value in different}) == len(different)
    assert of(a=date(2026, 1, 1)) == "d47aa615dbf078ea"  # in another process too
    itself: list[object] = []
    itself.append(itself)
    for unstable in (object(), len, Place, [{"x": object()}], {object(): 1}, Place(object())):
        with pytest.raises(ConfigurationError, match=r"the prompt has no fingerprint.*one is <"):
            of(a=unstable)
    with pytest.raises(ConfigurationError, match=r"has no fingerprint.*recursion"):
        of(a=itself)


class Tone(Enum):
    DRY = "dry"
    WARM = "warm"


@dataclass
class Place:
    name: object
    tags: frozenset[str] = frozenset({"x", "y", "z"})


class Reader(BaseModel):
    born: date


def test_a_fingerprint_takes_all_values_that_another_process_can_make_again():
    def of(value):
        return Prompt("{{ a }}", defaults={"a": value}).fingerprint

    for make, other, known in (
        (lambda: Tone.DRY, Tone.WARM, "7a959ff8ff32e7e9"),
        (lambda: PurePosixPath("a/b"), PurePosixPath("a"), "befc367e5bef4ae3"),
        (lambda: UUID(int=1), UUID(int=2), "d05ffe9284ca92ba"),
        (lambda: b"\xff", b"\xfe", "baebd3a7359c2a66"),
        (lambda: Place("Oslo"), Place("Rome"), "54503111c8df91e5"),
        (lambda: Place(Tone.DRY), Place(Tone.WARM), "f605a91e85603bb9"),
        (lambda: {1: 2, "a": 3}, {1: 2, "a": 4}, "78a67773e546b096"),
        (lambda: {1: 1, "1": 2}, {1: 2, "1": 1}, "06f976e5d7080a5c"),
        (lambda: {Tone.DRY: 1, (1, 2): {3}}, {Tone.DRY: 1, (1, 2): {4}}, "0adb4806fe084370"),
        (lambda: Reader(born=date(2000, 1, 1)), Reader(born=date(2000, 1, 2)), "8ecbb587facc9d51"),
        (lambda: timedelta(1), timedelta(2), "9731e9d3dfc3ccf0"),
    ):
        assert of(make()) == of(make()) == known
        assert of(make()) != of(other)
    assert of({1: 2, "a": 3}) == of({"a": 3, 1: 2})
