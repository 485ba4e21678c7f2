"""Words and sentences for speech output."""

# ruff: noqa: RUF001 - other scripts' signs look like ours

import asyncio
import gc
import sys
import tracemalloc
import weakref
from itertools import pairwise

import pytest
from bruno_llm_base import ConfigurationError, StreamError
from bruno_llm_base.speech import Pieces, SentenceCutter, WordCutter
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeOpenAI
from hypothesis import given
from hypothesis import strategies as st

FAMILY = "👨\u200d👩\u200d👧"
CLUSTERS = [FAMILY, "👍🏽", "🇩🇪", "❤\ufe0f", "1\ufe0f\u20e3", "🏴\U000e0067\U000e0062\U000e007f"]
CLUSTERS += [
    "e\u0301\u0323",
    "क्षि",
    "நி",
    "각",
    "\u1112\u1161\u11ab",
    "กำ",
    "か\u3099",
    "\r\n",
]
SIGNS = ["Dr", "U.S", "e.g", "No", "3", ".", "...", "…", "!", "?", "。", "؟", "।", ",", ":", "»"]
SIGNS += ['"', "”", ")", "(", " ", "  ", "\n", "\n\n", "\xa0", "word", "Word", "你", "ー", "a" * 40]

texts = st.text() | st.lists(st.sampled_from(SIGNS + CLUSTERS)).map("".join)
places = st.lists(st.integers(0, 60))
cutters = st.sampled_from([WordCutter, SentenceCutter, lambda: SentenceCutter(8)])


def words(texts):
    return Pieces(texts, WordCutter())


def sentences(texts):
    return Pieces(texts, SentenceCutter())


def cut(cutter, *chunks):
    return [piece for chunk in chunks for piece in cutter.feed(chunk)] + cutter.flush()


def chunked(text, places):
    edges = sorted({0, len(text), *(place for place in places if place < len(text))})
    return [text[start:end] for start, end in pairwise(edges)]


@given(texts, cutters)
def test_nothing_is_lost_or_moved(text, cutter):
    pieces = cut(cutter(), text)
    assert "".join(pieces) == text
    assert all(pieces)


@given(texts, places, cutters)
def test_the_pieces_do_not_depend_on_how_the_text_arrives(text, places, cutter):
    whole = cut(cutter(), text)
    assert cut(cutter(), *chunked(text, places)) == whole
    assert cut(cutter(), *text) == whole


@given(
    st.lists(st.sampled_from([*CLUSTERS, "a", " ", "你", "."]), max_size=12),
    st.sampled_from([WordCutter, SentenceCutter]),
)
def test_what_is_one_character_to_a_reader_stays_whole(clusters, cutter):
    ends, size = set(), 0
    for cluster in clusters:
        size += len(cluster)
        ends.add(size)
    size = 0
    for piece in cut(cutter(), "".join(clusters)):
        size += len(piece)
        assert size in ends


@given(texts, st.integers(1, 50))
def test_no_piece_is_longer_than_allowed(text, most):
    assert all(len(piece) <= most for piece in cut(SentenceCutter(most), text))


@given(texts)
def test_a_word_has_spaces_at_its_end_only(text):
    pieces = cut(WordCutter(), text.replace("\xa0", " ").strip())
    too_long = [len(piece) >= 100 for piece in pieces]  # is cut wherever it is
    for after_a_cut, piece in zip([True, *too_long], pieces, strict=False):
        assert after_a_cut or piece == piece.lstrip()


@pytest.mark.parametrize(
    "pieces",
    [
        ["Hello, ", "big  ", "world—yes!\n\n", "New"],
        ["  It ", "is ", "3.14 ", "km/h."],
        ["Bonjour ! ", "Ça ", "va ?"],
        ["10\xa0000 ", "km"],
        ["你", "好，", "世", "界！", "「今", "天」"],
        ["コー", "ヒー", "を", "きょ", "う"],
        ["使", "用", "Python", "编", "程。"],
        ["안녕하세요 ", "여러분"],
        [f"{FAMILY} ", "🇩🇪🇫🇷 ", "👍🏽"],
        ["x" * 100, "x" * 50],
    ],
)
def test_words(pieces):
    assert cut(WordCutter(), "".join(pieces)) == pieces


@pytest.mark.parametrize(
    "pieces",
    [
        ["Hello! ", "How are you? ", "Fine."],
        ["One.\n\n", "Two\n", "- three\r\n", "four"],
        ["Dr. Smith and Mrs. Ali met J. R. R. Tolkien. ", "They talked."],
        ["It costs $3.14 in the U.S. and more elsewhere. ", "Really."],
        ["Version 2.0.1 is at https://a.example/b.c?d=e. ", "Get it."],
        ["Take one, e.g. this one, i.e. Anna's. ", "Ok."],
        ["See No. 5 and Fig. 3. ", "No. ", "I will not."],
        ["We meet at 5 p.m. ", "Shall I remind you?"],
        ["The answer is 42. ", "Anything else?"],
        ["1. Open it.\n", "2. Close it.\n  ", "2.1. Lock it."],
        ["Like this: 1. Open. ", "2. Close."],
        ["So... you came. ", "Well… ", "Let me see."],
        ["“Stop!” she said. ", "“Why?” ", "He left. ", '"No."'],
        ["(Is it? ", "Yes.) ", "Good [really]. ", "**Bold.** ", "Next."],
        ["Hi! ", "how are you? ", "i am here. fine"],
        ["Er kam am 3. Oktober, z. B. mit Hr. Müller bzw. Frau Maier. ", "„Gut.“ ", "Ja."],
        ["« Bonjour ! » dit-il. ", "« Non ! » ", "Elle partit."],
        ["¿Qué tal, Sr. García? ", "¡Bien! ", "¿Y Ud.?"],
        ["今天天气很好。", "我们走吧！", "「好。」", "他说……好？！", "嗯。"],
        ["It works.", "今天!", "好"],
        ["क्या हाल है? ", "ठीक हूँ। ", "अच्छा॥ ", "हाँ"],
        ["كيف حالك؟ ", "بخير. ", "شكرا۔ ", "نعم"],
        ["Great ‼\ufe0f ", f"{FAMILY} Yes. ", "👍🏽 Bye"],
    ],
)
def test_sentences(pieces):
    assert cut(SentenceCutter(), "".join(pieces)) == pieces


@pytest.mark.parametrize(
    ("text", "following"),
    [("Hello! ", "H"), ("Hello. ", "H"), ("Hello.\n\n", "h"), ("你好。", "我"), ("नमस्ते। ", "क")],
)
def test_a_sentence_is_given_out_with_the_first_character_behind_it(text, following):
    cutter = SentenceCutter()
    assert cutter.feed(text) == []
    assert cutter.feed(following) == [text]


def test_text_without_an_end_is_cut_behind_a_clause_or_a_word():
    assert cut(SentenceCutter(20), "one two three, four five six") == [
        "one two three, ",
        "four five six",
    ]
    assert cut(SentenceCutter(20), "a, one two three four five") == [
        "a, one two three ",
        "four five",
    ]
    assert cut(SentenceCutter(20), "x" * 50) == ["x" * 20, "x" * 20, "x" * 10]
    assert cut(SentenceCutter(6), "一二三，四五六七八") == ["一二三，", "四五六七八"]


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "300", True, None])
def test_a_wrong_limit_is_refused_at_once(wrong):
    with pytest.raises(ConfigurationError, match=r"max_chars is .*: give a whole number above 0"):
        SentenceCutter(wrong)


def calls_during(action):
    calls = 0

    def count(frame, event, arg):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("cutter", [WordCutter, SentenceCutter])
@pytest.mark.parametrize("unit", ["a", "a, b. ", "ก", " "])
def test_a_long_text_in_small_pieces_takes_work_and_memory_for_each_piece_only(cutter, unit):
    def run(size):
        text = (unit * size)[:size]
        own = cutter()
        return calls_during(lambda: [own.feed(char) for char in text])

    assert run(4_000) < 2.2 * run(2_000)
    own = cutter()
    tracemalloc.start()
    try:
        longest = max(len(p) for _ in range(50_000) for p in own.feed(unit[0]) or [""])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert longest <= 300
    assert peak < 40_000  # bytes: nothing that is held grows with the text


class Source:
    """Texts that know how they were left."""

    def __init__(self, *texts, breaks=False):
        self.closed = 0
        self._texts = list(texts)
        self._breaks = breaks

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self._texts:
            return self._texts.pop(0)
        if self._breaks:
            raise StreamError("broken")
        raise StopAsyncIteration

    async def aclose(self):
        self.closed += 1


async def arriving(*texts):
    for text in texts:
        yield text


async def test_a_stream_is_cut_as_it_arrives():
    assert [word async for word in words(arriving("He", "llo the", "", "re"))] == [
        "Hello ",
        "there",
    ]
    cut_up = sentences(arriving("Hi. Y", "es. N", "o"))
    assert [sentence async for sentence in cut_up] == ["Hi. ", "Yes. ", "No"]
    assert [word async for word in words(arriving())] == []


async def test_emoji_split_between_packets_stay_whole():
    chunks = ["Hi 👨", "\u200d", "👩", "\u200d👧 👍", "🏽 🇩", "🇪 yes"]
    assert [w async for w in words(arriving(*chunks))] == [
        "Hi ",
        f"{FAMILY} ",
        "👍🏽 ",
        "🇩🇪 ",
        "yes",
    ]


async def test_the_source_is_closed_however_it_ends():
    ended, left, never = Source("a b"), Source("a b c"), Source("a b")
    assert [word async for word in words(ended)] == ["a ", "b"]
    reading = words(left)
    assert await anext(reading) == "a "
    await reading.aclose()
    await words(never).aclose()
    assert (ended.closed, left.closed, never.closed) == (1, 1, 1)


async def test_what_came_before_an_error_comes_out_before_it():
    source = Source("Hello the", breaks=True)
    reading = words(source)
    assert [await anext(reading), await anext(reading)] == ["Hello ", "the"]
    with pytest.raises(StreamError, match="broken"):
        await anext(reading)
    assert source.closed == 1


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_dropped_one_is_gone_at_once(breaks):
    async def texts():
        try:
            yield "a "
            if breaks:
                raise StreamError("broken")
            yield "b"
        finally:
            left.append(True)

    left = []
    gc.collect()
    gc.disable()
    try:
        reading = words(texts())
        async for word in reading:
            assert word == "a "
            break
        gone = weakref.ref(reading)
        del reading
        await asyncio.sleep(0)  # asyncio closes a dropped generator in the loop's next turn
        await asyncio.sleep(0)
        assert left == [True]
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("pieces", [words, sentences])
def test_a_loop_that_ends_says_nothing_though_closing_takes_a_while(pieces):
    async def texts():
        try:
            while True:
                yield "One. Two. "
        finally:
            await asyncio.sleep(0.01)
            closed.append(True)

    async def leave():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: said.append(context))
        kept.append(pieces(texts()))
        assert await anext(kept[0])

    kept, closed, said = [], [], []
    asyncio.run(leave())
    assert (closed, said) == ([True], [])


@pytest.mark.parametrize("pieces", [words, sentences])
async def test_leaving_early_closes_the_connection(pieces, at_once):
    with FakeOpenAI() as server:
        server.say(FakeAnswer(text="A word. And " * 20_000))
        async with OpenAIProvider(**server.connection()) as llm:
            gc.disable()
            try:
                async for _ in pieces(aiter(llm.stream("hi"))):
                    break
                await at_once(server.received[0].left.is_set)
            finally:
                gc.enable()
