"""Recordings of exchanges: true, readable, free of secrets, and strict."""

import asyncio
import contextlib
import itertools
import json
import logging
from base64 import b64encode

import pytest
from bruno_llm_base import (
    AuthenticationError,
    ConfigurationError,
    FallbackLLM,
    InvalidRequestError,
    LLMError,
    Media,
    ModelNotFoundError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import (
    Cassette,
    CassetteError,
    FakeAnswer,
    FakeError,
    FakeOpenAI,
    Fault,
    MockLLM,
    RawReply,
)
from bruno_llm_testing.scrub import Scrubber
from bruno_llm_testing.tape import _bytes, _document
from hypothesis import given
from hypothesis import strategies as st

DEAD = "http://127.0.0.1:9"
CANARY = "canary-0123456789-abcdef"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cassettes" / "x.json"


@pytest.fixture
def dead(kind):
    """The provider's class, pointed at nobody."""

    def make(**keywords):
        return kind(**{"api_key": "any-key-will-do", "base_url": DEAD, "max_retries": 0} | keywords)

    return make


async def everything(llm):
    """Use all that a provider sends."""
    async with llm:
        whole = await llm.request("Say hello.", temperature=0.5)
        stream = llm.stream("Say hello.")
        pieces = [piece async for piece in stream]
        count = await llm.count_tokens("Say hello.")
        models = await llm.list_models()
    answers = [whole, stream.response]
    for answer in answers:
        answer.attempts, answer.cost = (), None
    return [*answers, pieces, count, models]


async def test_what_was_recorded_is_replayed(path, kind, dead, server):
    server.say(FakeAnswer(text="Grüße, 世界! 👋🏽\n\n  done.", reasoning="Hm."), times=2)
    with Cassette(path, mode="missing"):
        recorded = await everything(kind(**server.connection()))
    asked = len(server.received)
    with Cassette(path, mode="missing"):
        assert await everything(dead()) == recorded
    with Cassette(path):
        assert await everything(dead()) == recorded
    assert len(server.received) == asked


async def test_refusals_are_recorded(path, kind, dead, server):
    async def refusals(llm):
        caught = []
        async with llm:
            for ask in (llm.generate, llm.stream):
                with pytest.raises(LLMError) as error:
                    await ask("hi")
                caught.append(error.value)
        return [
            (type(e), e.message, e.status_code, e.code, e.request_id, e.retry_after) for e in caught
        ]

    wrong_key = {"api_key": "this-is-the-wrong-key"}
    wrong_model = {"model": "no-such-model"}
    made = []
    with Cassette(path, mode="rewrite"):
        made.append(await refusals(kind(**server.connection() | wrong_key)))
        made.append(await refusals(kind(**server.connection() | wrong_model)))
        server.say(FakeError(kind="rate_limit", retry_after=7), times=2)
        made.append(await refusals(kind(**server.connection(), max_retries=0)))
    assert [pair[0][0] for pair in made] == [
        AuthenticationError,
        ModelNotFoundError,
        RateLimitError,
    ]
    with Cassette(path):
        for wrong, expected in zip(({}, wrong_model, {}), made, strict=True):
            assert await refusals(dead(**wrong)) == expected


async def test_a_file_that_is_sent_is_known_by_its_hash(path, kind, dead, server):
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\3\0\0\0\2"
    cat, dog = (Media(data=header + name * 1_000) for name in (b"cat", b"dog"))
    seeing = {"model": "gemma4:e4b"} if kind.name == "ollama" else {}
    server.say(FakeAnswer(text="A cat."), FakeAnswer(text="A dog."))
    with Cassette(path, mode="rewrite"):
        async with kind(**server.connection(), **seeing) as llm:
            for picture in (cat, dog):
                await llm.generate("What is this?", attachments=[picture])
    on_file = path.read_text()
    assert on_file.count("(a file, SHA-256 ") == 2
    assert b64encode(b"cat" * 8).decode() not in on_file
    assert len(on_file) < 20_000
    with Cassette(path):
        assert await dead(**seeing).generate("What is this?", attachments=[dog]) == "A dog."
        assert await dead(**seeing).generate("What is this?", attachments=[cat]) == "A cat."
    owl = Media(data=header + b"owl" * 1_000)
    with pytest.raises(CassetteError, match="SHA-256"), Cassette(path):
        await dead(**seeing).generate("What is this?", attachments=[owl])


async def test_a_key_is_nowhere_in_the_file(path, kind, server, monkeypatch):
    monkeypatch.setenv("SOME_SERVICE_TOKEN", "env-secret-0123456789")
    server.api_key = CANARY
    echo = f"{CANARY} Bearer {CANARY} ?key={CANARY} env-secret-0123456789 sk-abcdefghijklmnop1234"
    said = {"text": f"You said {echo} and my own mother-in-law's maiden name."}
    headers = {"x-request-id": CANARY, "set-cookie": "session=cookie-value", "x-org": "org-hidden"}
    body = json.dumps({"error": {"message": f"the key {CANARY} is wrong", "code": CANARY}}).encode()
    with Cassette(path, mode="rewrite", secrets=["maiden name"]):
        async with kind(**server.connection() | {"api_key": CANARY}, max_retries=0) as llm:
            server.say(FakeAnswer(**said), times=2)
            await llm.request(f"My keys are {echo}", user=CANARY)
            async for _ in llm.stream(f"My keys are {echo}"):
                pass
            server.say(RawReply(status=418, headers=headers, body=body))
            server.say(RawReply(status=502, headers=headers, body=f"<p>{CANARY}".encode()))
            for _ in range(2):
                with contextlib.suppress(LLMError):
                    await llm.request("hi")
    text = path.read_text()
    secrets = ["canary", "env-secret", "sk-abc", "maiden", "cookie-value", "org-hidden"]
    assert not [secret for secret in secrets if secret in text]
    assert "authorization" not in text.lower()
    assert text.count("***") > 8


async def test_a_key_in_the_request_is_no_part_of_it(path, kind, dead, server):
    server.api_key = CANARY
    with Cassette(path, mode="rewrite"):
        async with kind(**server.connection() | {"api_key": CANARY}) as llm:
            answer = await llm.generate(f"My key is {CANARY}.")
    with Cassette(path):
        assert (
            await dead(api_key="another-key-altogether").generate(
                "My key is another-key-altogether."
            )
            == answer
        )


async def test_a_request_that_is_not_on_file_shows_what_differs(path, kind, dead, server):
    with Cassette(path, mode="rewrite"):
        async with kind(**server.connection()) as llm:
            await llm.generate("Is it raining?")
    with pytest.raises(CassetteError) as caught, Cassette(path):
        await dead(max_retries=3).generate("Is it snowing?")
    message = str(caught.value)
    assert "was not recorded" in message
    assert "--llm-record=rewrite" in message
    lines = message.splitlines()
    assert any(line.startswith("-") and "raining" in line for line in lines)
    assert any(line.startswith("+") and "snowing" in line for line in lines)


async def test_each_exchange_is_replayed_once_and_in_order(path, kind, dead, server):
    server.say(FakeAnswer(text="first"), FakeAnswer(text="second"))
    with Cassette(path, mode="rewrite"):
        async with kind(**server.connection()) as llm:
            assert [await llm.generate("hi") for _ in range(2)] == ["first", "second"]
    with Cassette(path):
        assert [await dead().generate("hi") for _ in range(2)] == ["first", "second"]
    llm = dead()
    with Cassette(path):
        await asyncio.gather(*(llm.generate("hi") for _ in range(2)))
    with (
        pytest.raises(CassetteError, match="was recorded 2 times, and asked once more"),
        Cassette(path),
    ):
        await asyncio.gather(*(llm.generate("hi") for _ in range(3)))


async def test_requests_at_once_find_their_own_answers(path, kind, dead, server):
    questions = [f"question {n}" for n in range(8)]
    for question in questions:
        server.say(FakeAnswer(text=f"answer to {question}"))

    async def ask(llm):
        return dict(
            zip(questions, await asyncio.gather(*map(llm.generate, questions)), strict=True)
        )

    with Cassette(path, mode="rewrite"):
        async with kind(**server.connection()) as llm:
            recorded = await ask(llm)
    with Cassette(path):
        assert await ask(dead()) == recorded


async def test_a_swallowed_miss_is_raised_at_the_end(path, server, name, dead):
    with Cassette(path, mode="rewrite"):
        pass
    llm, second = dead(), MockLLM("instead")
    with (
        pytest.raises(CassetteError, match="nor was anything else"),
        Cassette(path),
        contextlib.suppress(LLMError),
    ):
        await llm.generate("hi")
    with pytest.raises(CassetteError), Cassette(path):
        await FallbackLLM([llm, second]).generate("hi")
    assert second.calls == []


async def test_a_stream_that_was_left_is_on_file_as_far_as_it_came(path, kind, dead, server):
    server.say(Fault(FakeAnswer(text="one two three"), between_events=0.02))
    with Cassette(path, mode="rewrite"):
        async with kind(**server.connection()) as llm:
            async for piece in llm.stream("count"):
                recorded = piece
                break
    with Cassette(path):
        async for piece in dead().stream("count"):
            assert piece == recorded
            break
    with pytest.raises(CassetteError, match="was left at this point"), Cassette(path):
        async for _ in dead().stream("count"):
            pass


async def test_streams_come_in_the_pieces_in_which_they_came(path, kind, dead, server):
    server.say(Fault(FakeAnswer(text="one two three"), between_events=0.02))
    with Cassette(path, mode="rewrite"):
        async with kind(**server.connection()) as llm:
            recorded = [piece async for piece in llm.stream("count")]
    batches = [
        batch
        for exchange in json.loads(path.read_text())["exchanges"]
        for batch in exchange["response"]["batches"]
        if batch
    ]
    assert len(batches) > 2
    with Cassette(path):
        assert [piece async for piece in dead().stream("count")] == recorded


async def test_a_broken_connection_is_not_recorded(path, kind, server):
    with Cassette(path, mode="rewrite"):
        async with kind(**server.connection(), max_retries=0) as llm:
            server.say(Fault(then="reset"), Fault(after=2, then="reset"))
            with pytest.raises(ServiceUnavailableError):
                await llm.generate("hi")
            with pytest.raises(LLMError):
                [piece async for piece in llm.stream("hi")]
            assert await llm.generate("hi")
    assert len(json.loads(path.read_text())["exchanges"]) == 1


async def test_real_answers_return_after_it(path, kind, server):
    async with kind(**server.connection()) as llm:
        await llm.generate("before")
        with Cassette(path, mode="rewrite"):
            await llm.generate("within")
        with Cassette(path):
            await llm.generate("within")
        await llm.generate("after")
    assert len(server.bodies) == 3


async def test_mocks_are_let_alone(path):
    llm = MockLLM("hi")
    with Cassette(path, mode="rewrite"):
        assert await llm.generate("a") == "hi"
    with Cassette(path):
        assert await llm.generate("a") == "hi"
    assert json.loads(path.read_text())["exchanges"] == []


async def test_nothing_is_logged_of_what_is_scrubbed(path, caplog):
    with FakeOpenAI() as server, caplog.at_level(logging.DEBUG):
        server.api_key = CANARY
        with Cassette(path, mode="rewrite"):
            async with OpenAIProvider(**server.connection() | {"api_key": CANARY}) as llm:
                await llm.generate("hi")
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "does not exist: "),
        ("{", "is not a recording"),
        ('{"format": 1, "exchanges": [{}]}', "is not a recording"),
        ('{"format": 99, "exchanges": []}', "is of format 99, not 1"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(path, content, complaint):
    if content is not None:
        path.parent.mkdir()
        path.write_text(content)
    with pytest.raises(CassetteError, match=complaint), Cassette(path):
        pytest.fail("it was entered")


@pytest.mark.parametrize(
    ("keywords", "complaint"),
    [
        ({"path": 5}, "path is 5"),
        ({"path": "x", "mode": "record"}, "mode is 'record': give one of 'replay', 'missing'"),
        ({"path": "x", "secrets": "abc"}, "secrets is not a list of texts"),
        ({"path": "x", "secrets": [""]}, "secrets is not a list of texts"),
    ],
)
def test_what_makes_no_sense_is_refused(keywords, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        Cassette(**keywords)
    assert "abc" not in str(caught.value)


def test_one_cassette_is_entered_once_at_a_time(path):
    cassette = Cassette(path, mode="rewrite")
    with cassette, pytest.raises(ConfigurationError, match="is in use"):
        cassette.__enter__()
    with cassette:
        pass


async def test_bad_requests_are_refused_as_ever(path, dead):
    with Cassette(path, mode="rewrite"), pytest.raises(InvalidRequestError):
        await dead().generate("")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(DOCUMENTS, st.booleans())
def test_documents_survive_the_file(value, ascii_only):
    sent = json.dumps(value, ensure_ascii=ascii_only).encode()
    on_file = json.loads(json.dumps(_document(sent)))
    assert repr(json.loads(_bytes(on_file))) == repr(json.loads(sent))


@given(TEXTS)
def test_texts_survive_the_file(text):
    on_file = json.loads(json.dumps(_document(text.encode())))
    if isinstance(on_file, str):
        assert _bytes(on_file) == text.encode()


@given(TEXTS, TEXTS, st.sampled_from(["text", "list", "name"]))
def test_a_secret_is_found_wherever_it_stands(before, after, place):
    text = f"{before}{CANARY}{after}"
    value = {"text": text, "list": [{"a": [text]}], "name": {text: 1}}[place]
    scrubbed = Scrubber([CANARY]).scrub(value)
    assert CANARY not in json.dumps(scrubbed)
    assert "***" in json.dumps(scrubbed)


@given(st.text("abcdefgh .,!?", max_size=60))
def test_words_are_left_as_they_are(text):
    assert Scrubber().scrub({"text": [text]}) == {"text": [text]}


@given(st.lists(TEXTS), TEXTS, TEXTS, st.lists(st.integers(0, 40)))
def test_a_secret_that_is_spelled_piece_by_piece_is_found(others, before, after, cuts):
    text = f"{before}{CANARY}{after}"
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[first:last] for first, last in itertools.pairwise(edges)]
    batches = [[{"choices": [{"delta": {"content": piece}}]}] for piece in pieces]
    clean = Scrubber([CANARY]).scrub_batches([*batches, ["[DONE]"]])
    said = [batch[0]["choices"][0]["delta"]["content"] for batch in clean[:-1]]
    assert "".join(said) == Scrubber([CANARY]).scrub(text)
    assert clean[-1] == ["[DONE]"]
