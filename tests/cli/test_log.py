"""The log of questions and answers, as a program uses it: what is kept, and how it is found."""

import asyncio
import multiprocessing
import sqlite3
import stat
from contextlib import closing
from decimal import Decimal

import pytest
from bruno_llm_base import LLMFactory, Media, Text, ToolCall, run_tools, user
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.response import Cost, ModelResponse, Usage
from bruno_llm_cli.log import RequestLog
from bruno_llm_testing import FakeAnswer, FakeError
from hypothesis import given, settings
from hypothesis import strategies as st

PICTURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def log(tmp_path):
    with closing(RequestLog(tmp_path / "logs" / "logs.db")) as log:
        yield log


def answer(text="It is.", **more):
    return ModelResponse(parts=(Text(text),), **more)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_all_that_is_known_is_kept(log):
    response = ModelResponse(
        parts=(Text("It is."), ToolCall(id="1", name="look", arguments='{"at": "sky"}')),
        finish_reason="stop",
        usage=Usage(input_tokens=11, output_tokens=7, cache_read_tokens=4, reasoning_tokens=2),
        cost=Cost(total=Decimal("0.0021"), parts={}, source="test"),
        model="gpt-5.4-2026",
    )
    conversation = log.record(
        "Is the sky blue?",
        response,
        provider="openai",
        model="gpt-5.4",
        system="Be brief.",
        options={"temperature": 0.5},
        schema={"type": "object"},
        tools=["look"],
    )
    (found,) = log.search()
    assert (found.prompt, found.response, found.system) == (
        "Is the sky blue?",
        "It is.",
        "Be brief.",
    )
    assert (found.provider, found.model, found.resolved_model) == (
        "openai",
        "gpt-5.4",
        "gpt-5.4-2026",
    )
    assert (found.input_tokens, found.output_tokens) == (11, 7)
    assert (found.cached_tokens, found.reasoning_tokens) == (4, 2)
    assert (found.cost, found.duration, found.finish_reason) == (0.0021, None, "stop")
    assert (found.options, found.schema) == ('{"temperature": 0.5}', '{"type": "object"}')
    assert found.tools == '["look"]'
    assert found.tool_calls == '[{"name": "look", "arguments": "{\\"at\\": \\"sky\\"}"}]'
    assert found.conversation_id == conversation


def test_a_conversation_goes_on_with_all_that_was_said(log, tmp_path):
    picture = tmp_path / "sky.png"
    picture.write_bytes(PICTURE + b"file")
    pasted = Media(data=PICTURE + b"pasted", type="image/png")
    asked = user("What is this?", str(picture), pasted)
    name = log.record([asked], answer("The sky."), provider="openai", model="a", system="Be brief.")
    log.record("Elsewhere", answer())
    log.record("And this?", answer("The sea."), conversation=name, provider="claude", model="b")
    found = log.read_conversation()
    assert (found.id, found.name) == (name, "What is this?")
    assert (found.provider, found.model, found.system) == ("claude", "b", None)
    said = [(each.role.value, each.content) for each in found.messages]
    assert said == [
        ("user", "What is this?"),
        ("assistant", "The sky."),
        ("user", "And this?"),
        ("assistant", "The sea."),
    ]
    media = found.messages[0].metadata["media"]
    assert media == asked.metadata["media"]
    assert [each.is_trusted for each in media] == [True, True]
    assert len(log.search(conversation=name)[-1].attachments) == 2
    with pytest.raises(InvalidRequestError, match="no 'other'"):
        log.read_conversation("other")


def test_what_is_attached_twice_is_kept_once(log):
    asked = [user("What is this?", Media(data=PICTURE, type="image/png"))]
    log.record(asked, answer())
    log.record(asked, answer())
    with closing(sqlite3.connect(log.path)) as file:
        assert file.execute("SELECT type, content FROM attachments").fetchall() == [
            ("image/png", PICTURE)
        ]


def test_only_its_owner_reads_it(log, tmp_path):
    log.record("hi", answer())
    log.backup(tmp_path / "backup.db")
    assert {mode(file) for file in log.path.parent.iterdir()} == {0o600}
    assert (mode(tmp_path / "backup.db"), mode(log.path.parent)) == (0o600, 0o700)
    with closing(RequestLog(tmp_path / "backup.db")) as copy:
        assert copy.search() == log.search()
    with pytest.raises(ConfigurationError, match="is there already"):
        log.backup(tmp_path / "backup.db")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        log.backup(tmp_path / "nowhere" / "backup.db")


def test_it_is_found_by_its_words(log):
    log.record("Où est le café ?", answer("À l'angle."))
    log.record("東京はどこですか", answer("日本です。"))
    log.record("What is C++? 100%_sure", answer('A "language".'))
    log.record("Где Москва?", answer("В России."))  # noqa: RUF001

    def found(words):
        return [each.id for each in log.search(words)]

    assert found("CAFE") == found("caf") == found("angle café") == [1]
    assert found("京") == found("日本") == [2]
    assert found("c++") == found('"language"') == found("100%_") == [3]
    assert found("МОСКВА") == found("росси") == [4]  # noqa: RUF001
    assert found("café c++") == found("OR") == found("NEAR(") == found("mosk*") == []
    assert found(" ") == found("") == [4, 3, 2, 1]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))),
    st.text(st.characters(exclude_characters="\0")),
    st.data(),
)
def test_any_text_is_found_by_each_of_its_words(tmp_path_factory, texts, other, data):
    with closing(RequestLog(tmp_path_factory.mktemp("log") / "logs.db")) as log:
        texts = [text for text in texts if text.strip()]
        for text in texts:
            log.record("prompt", answer(text))
        log.search(other)  # whatever it is, it is no syntax error
        for text in texts:
            words = data.draw(st.lists(st.sampled_from(text.split()), min_size=1))
            assert text in [each.response for each in log.search(" ".join(words))]
            start = data.draw(st.integers(1, len(words[0])))
            assert text in [each.response for each in log.search(words[0][:start])]


def test_the_index_follows_what_others_change(log):
    log.record("one", answer())
    log.record("two", answer())
    with closing(sqlite3.connect(log.path)) as file, file:
        file.execute("DELETE FROM responses WHERE prompt = 'one'")
        file.execute("UPDATE responses SET prompt = 'three' WHERE prompt = 'two'")
    assert not log.search("one")
    assert not log.search("two")
    assert [each.prompt for each in log.search("three")] == ["three"]


def test_datasette_sees_the_tables_and_the_index(log):
    with closing(sqlite3.connect(log.path)) as file:
        log.record("hi", answer())
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%fts_%'"
        assert sorted(name for (name,) in file.execute(tables)) == [
            *("attachments", "conversations", "response_attachments", "responses", "responses_fts")
        ]
        # how Datasette 0.65 looks for it, and for the name of the conversation
        found = file.execute(
            "SELECT name FROM sqlite_master WHERE rootpage = 0"
            " AND sql LIKE '%VIRTUAL TABLE%USING FTS%content=\"responses\"%'"
        ).fetchall()
        assert found == [("responses_fts",)]
        (link,) = file.execute("PRAGMA foreign_key_list(responses)").fetchall()
        assert link[2:5] == ("conversations", "conversation_id", "id")


def test_the_newest_come_first_and_not_more_than_wanted(log):
    for number in range(5):
        log.record(f"question {number}", answer(), model="odd" if number % 2 else "even")
    assert [each.prompt for each in log.search("question", limit=2)] == ["question 4", "question 3"]
    assert len(log.search(model="odd")) == 2
    assert log.count() == (5, 5)


def test_an_observer_records_what_is_answered(log, openai):
    def look() -> str:
        """Look at the sky."""
        return "blue"

    call = ToolCall(id="1", name="look", arguments="{}")
    openai.say(FakeAnswer(text="", tool_calls=(call,)), FakeAnswer(text="It is blue."))
    openai.say(FakeError(kind="invalid_request"), FakeAnswer(text="Some words of it."))

    async def ask():
        async with LLMFactory.from_env("openai", observers=[log], system_prompt="Look.") as llm:
            with log.conversation("ticket 17"):
                await run_tools(llm, "Which colour is the sky?", tools=[look])
            with pytest.raises(InvalidRequestError):
                await llm.generate("refused")
            async with llm.stream("left", temperature=0.5) as stream:
                async for _ in stream:
                    break

    asyncio.run(ask())
    log.close()
    left, second, first = log.search()
    assert (first.prompt, second.response) == ("Which colour is the sky?", "It is blue.")
    assert (first.tools, first.system) == ('["look"]', "Look.")
    assert first.tool_calls == '[{"name": "look", "arguments": "{}"}]'
    assert first.conversation_id == second.conversation_id == "ticket 17" != left.conversation_id
    assert "Some words of it.".startswith(left.response)
    assert left.options == '{"temperature": 0.5}'
    assert first.duration > 0
    roles = [each.role.value for each in log.read_conversation("ticket 17").messages]
    assert roles == ["user", "assistant", "tool", "assistant"]


def test_what_an_observer_cannot_write_stops_no_answer(log, openai, caplog):
    log.path.unlink()
    log.path.mkdir()

    async def ask():
        async with LLMFactory.from_env("openai", observers=[log]) as llm:
            return await llm.generate("hi")

    assert asyncio.run(ask()) == "Hello from the fake server."
    log.close()
    assert "an answer is not in the log" in caplog.text
    log.path.rmdir()
    log.path.touch()


def _write(path, name, count):
    with closing(RequestLog(path)) as log:
        for number in range(count):
            log.record(f"question {number}", answer(), conversation=name)


def test_processes_write_it_at_once(tmp_path):
    path = tmp_path / "logs.db"
    spawned = multiprocessing.get_context("spawn")
    writers = [spawned.Process(target=_write, args=(path, name, 20)) for name in "ab"]
    for each in writers:
        each.start()
    for each in writers:
        each.join(300)
    with closing(RequestLog(path)) as log:
        assert log.count() == (2, 40)
        for name in "ab":
            asked = [each.prompt for each in log.search(conversation=name)]
            assert asked == [f"question {number}" for number in reversed(range(20))]


def test_another_programs_file_is_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("CREATE TABLE mine (id)")
    with pytest.raises(ConfigurationError, match="some other program's database"):
        RequestLog(path)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        RequestLog(path / "below")
