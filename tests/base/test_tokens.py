from itertools import product
from statistics import mean
from time import process_time

import pytest
from bruno_core.models import Message
from bruno_llm_base import InvalidRequestError, TokenCount
from bruno_llm_base.messages import Conversation
from bruno_llm_base.tokens import (
    KINDS,
    conversation_shares,
    estimate_conversation,
    estimate_tokens,
    text_shares,
)
from counting import corpus, errors, o200k_base, overall
from hypothesis import given
from hypothesis import strategies as st

# one character or two of each kind, and of what joins others
SIGNS = "aezQ7.=_ \t\n\x00\x01éßłơя" + "αשبहท한漢あ😀👩\u200d\ufe0f\u0301“€ა\ud800\udc00\U0010ffff"
TEXTS = st.one_of(
    st.text(),
    st.text(SIGNS, max_size=60),
    st.builds(lambda text, times: text * times, st.text(SIGNS, max_size=4), st.integers(0, 500)),
)
MEETING = 12  # tokens that two texts may take more in one than apart


def size(text):
    return len(text.encode("utf-8", "surrogatepass"))


def test_the_corpus_is_as_large_as_it_claims():
    assert len(corpus()) >= 14
    assert all(len(texts) >= 3 for texts in corpus().values())
    assert all(300 <= len(text) <= 3000 for texts in corpus().values() for text in texts)


def test_estimates_are_near_what_openai_counts():
    found = errors(estimate_tokens, o200k_base)
    assert overall(found) < 0.08
    assert max(mean(each) for each in found.values()) < 0.16
    assert max(error for each in found.values() for error in each) < 0.4


@given(TEXTS)
def test_any_text_takes_one_token_or_more_and_at_most_its_bytes(text):
    assert (1 if text else 0) <= estimate_tokens(text) <= size(text)


@given(TEXTS, TEXTS)
def test_two_texts_take_no_more_in_one_than_apart(one, two):
    assert estimate_tokens(one + two) <= estimate_tokens(one) + estimate_tokens(two) + MEETING


@pytest.mark.parametrize("length", [1, 2, 3])
def test_no_pattern_weighs_more_than_its_bytes_however_long(length):
    for signs in product("aezAZ0._= \nélơяλשبहท한漢あ😀“ა", repeat=length):
        text = "".join(signs) * 100
        assert sum(text_shares(text)) <= size(text) + MEETING, repr(signs)


def test_the_kinds_are_told_apart():
    samples = {
        "words": "word",
        "letters": "letters",
        "rare letters": "jazz",
        "capitals": "NASA",
        "accented letters": "é",
        "Vietnamese letters": "ạ",
        "numbers": "7",
        "digits": "7",
        "signs": "!",
        "white space": "\n",
        "emoji": "🦊",
        "Greek and Cyrillic": "я",
        "Hebrew and Arabic": "ש",
        "Indic and Thai": "ท",
        "hangul": "한",
        "Han and kana": "漢",
        "other writing": "ა",
    }
    for kind, text in samples.items():
        assert text_shares(text)[KINDS.index(kind)] > 0, kind
    assert set(samples) | {"media", "parts", "conversation"} == set(KINDS)


HOSTILE = ["a", " ", "=", "7", "\n", "漢", "я", "🦊", "\u200d", "\ud800", "a.", "aA", "0a", "я "]


@pytest.mark.parametrize("pattern", [*HOSTILE, "👩\u200d💻", "a\n\t", "    .", "AAa", "\x01"])
def test_a_long_text_takes_time_in_proportion(pattern):
    """Fifty times the text takes some fifty times the work: 2,500 times if it were quadratic."""
    short, long = pattern * (20_000 // len(pattern)), pattern * (1_000_000 // len(pattern))
    times = {text: min(timed(text) for _ in range(3)) for text in (short, long)}
    assert times[long] < 50 * 8 * times[short]


def timed(text):
    begin = process_time()
    estimate_tokens(text)
    return process_time() - begin


@pytest.mark.parametrize("value", [None, 7, b"text", ["text"]])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(InvalidRequestError, match="give a text"):
        estimate_tokens(value)


def test_everything_in_a_conversation_counts():
    call = {"id": "a", "name": "find_the_weather", "arguments": {"place": "Rome"}}
    asked = Message(role="assistant", content="Let me see.", metadata={"tool_calls": [call]})
    told = Message(role="tool", content="It is sunny.", metadata={"tool_call_id": "a"})
    said = [Message(role="user", content="And the weather?"), asked, told]
    whole = estimate_conversation(Conversation.of(said, "You are brief."))
    words = ["You are brief.", "And the weather?", "Let me see.", "It is sunny."]
    alone = sum(map(estimate_tokens, [*words, 'find_the_weather{"place": "Rome"}']))
    assert alone + 5 * 4 <= whole + 3 <= alone + 5 * 4 + 9
    assert whole > estimate_conversation(Conversation.of(said))


def test_a_conversation_of_nothing_still_asks():
    assert estimate_conversation(Conversation(None, ())) == 3
    assert len(conversation_shares(Conversation(None, ()))) == len(KINDS)


def test_the_fewest_tokens_that_a_count_can_mean():
    count = TokenCount(tokens=150, exact=False, source="estimate", error=0.5)
    assert count.least == 100
    assert TokenCount(tokens=150, exact=True, source="tiktoken, o200k_base").least == 150
