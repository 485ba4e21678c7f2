"""Prompts in files: what they hold, how they are written, and what errors say of them."""

import codecs

import pytest
from bruno_llm_base import ConfigurationError, InvalidRequestError
from bruno_llm_prompts import Prompt
from hypothesis import given
from hypothesis import strategies as st

WHOLE = """\
---
# for the newsletter
name: summary
version: 1.10
system: |
  You are {{ tone }}.
  Be honest.
untrusted: [text]
defaults: {tone: brief}
options:
  temperature: 0.2
---
Zusammenfassung für {{ audience }}:

<document>
{{ text }}
</document>
"""


@pytest.fixture
def load(tmp_path):
    """Load a prompt from a file that holds *data*."""

    def load(data, name="greeting.md"):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return Prompt.load(path)

    return load


def contents(messages):
    return [message.content for message in messages]


def test_facts_stand_before_the_text(load):
    prompt = load(WHOLE)
    assert (prompt.name, prompt.version, prompt.untrusted) == ("summary", "1.10", {"text"})
    assert (prompt.defaults, prompt.options) == ({"tone": "brief"}, {"temperature": 0.2})
    assert contents(prompt(audience="Kinder", text="x")) == [
        "You are brief.\nBe honest.",
        "Zusammenfassung für Kinder:\n\n<document>\nx\n</document>",
    ]


def test_without_facts_the_file_names_it(load):
    assert (load("Hello {{ who }}").name, load("---\n---\nhi").name) == ("greeting", "greeting")
    assert load("---\nname:\nversion: ~\n---\nhi").version is None
    assert contents(load("a\n---\nb")()) == ["a\n---\nb"]


ENDS = ["\n", "\r\n", "\r"]
CODINGS = ["utf-8", "utf-8-sig", "utf-16"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("coding", CODINGS)
def test_line_ends_and_encodings_do_not_matter(load, end, coding):
    prompt = load(WHOLE.replace("\n", end).encode(coding))
    assert prompt.fingerprint == load(WHOLE).fingerprint
    with pytest.raises(InvalidRequestError, match=r"greeting\.md, line 16: the value is None"):
        prompt(audience="us", text=None)


# what YAML and Python may take for the end of a line is none in a text
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r{")).filter(
    str.strip
)


@given(TEXTS, st.sampled_from(ENDS), st.sampled_from([*CODINGS, "utf-16-be"]))
def test_the_text_of_a_file_is_the_text_of_the_prompt(tmp_path_factory, text, end, coding):
    path = tmp_path_factory.mktemp("prompts") / "any.md"
    mark = codecs.BOM_UTF16_BE if coding == "utf-16-be" else b""
    path.write_bytes(mark + f"---\nversion: 1\n---\n{text}".replace("\n", end).encode(coding))
    assert contents(Prompt.load(path)()) == [text.strip()]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("---\nname: a\n", "line 1: the line --- begins"),
        ("---\nname: a\nsytem: b\n---\nhi", "line 3: sytem is not known: did you mean 'system'?"),
        ("---\nname: a\nname: b\n---\nhi", "line 3: name is given twice"),
        ("---\nname: a\n  b: c: d\n---\nhi", "line 3: mapping values are not allowed here"),
        ("---\n- a\n---\nhi", "line 2: give names with values"),
        ("---\nname: [a]\n---\nhi", "name is ['a']: give a text"),
        ("---\ndefaults: {a: 2026-13-45}\n---\n{{ a }}", "line 2: month must be in 1..12"),
        ("---\nname: \x07\n---\nhi", "line 2: special characters are not allowed"),
        ("---\nname: a\n---\n\n{{ b", "line 5: unexpected end of template"),
        ("---\nsystem: |\n  a\n  {{ b\n---\nhi", "line 4: unexpected end of template"),
        ("---\nsystem: '{{ b'\n---\nhi", "line 2: unexpected end of template"),
        ("---\nsystem: '{{ b }}'\nuntrusted: [b]\n---\nhi", "the system text holds 'b'"),
        ("---\ndefaults: {b: 1}\n---\nhi {{ a }}", "defaults names 'b'"),
        ("---\nname: a\n---\n", "has no text"),
        (b"a\nb\xe9\n", "line 2: not text in UTF-8"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(load, tmp_path, data, told):
    with pytest.raises(ConfigurationError) as caught:
        load(data)
    assert str(caught.value).startswith(str(tmp_path / "greeting.md"))
    assert told in str(caught.value)


def test_errors_of_a_call_name_file_and_line(load):
    prompt = load("---\nsystem: |\n  a\n  {{ b.c }}\n---\nhi\n{{ d.e }}")
    with pytest.raises(InvalidRequestError, match=r"greeting\.md, line 4: 'dict object' has no"):
        prompt(b={}, d={"e": 1})
    with pytest.raises(InvalidRequestError, match=r"greeting\.md, line 7: 'dict object' has no"):
        prompt(b={"c": 1}, d={})
    with pytest.raises(InvalidRequestError, match=r"greeting\.md needs 'd': give d="):
        prompt(b=1)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.md cannot be read: No such file"):
        Prompt.load(tmp_path / "none.md")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Prompt.load(str(tmp_path))
