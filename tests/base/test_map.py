"""The same question to many rows, into a file that outlives a kill, at the wire of OpenAI's fake."""

import asyncio
import gc
import json
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from bruno_llm_base import (
    AuthenticationError,
    Budget,
    BudgetExceededError,
    ConfigurationError,
    ContentBlockedError,
    CostTracker,
    FallbackLLM,
    InvalidRequestError,
    ModelResponse,
    Price,
    RateLimitError,
    Text,
)
from bruno_llm_base.batch.answers_file import AnswersFile
from bruno_llm_base.events import MapProgress
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeError, FakeOpenAI, Fault, MockLLM
from pydantic import BaseModel

ROWS = [{"id": f"r{number}", "text": f"text {number}"} for number in range(20)]


class Echo(FakeOpenAI):
    """Answers with the question."""

    def default(self, request):
        return FakeAnswer(text=f"re: {request.body['messages'][-1]['content']}")

    @property
    def asked(self):
        return [body["messages"][-1]["content"] for body in self.bodies]


@pytest.fixture
def server():
    with Echo() as server:
        yield server


def provider(server, **settings):
    return OpenAIProvider("gpt-4.1", api="chat", **server.connection(), **settings)


async def items_of(llm, rows=ROWS, prompt="Sum up {text}", **settings):
    async with llm:
        return [item async for item in llm.map(rows, prompt, **settings)]


def lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_each_row_is_asked_and_answered(server):
    items = asyncio.run(items_of(provider(server), key="id", concurrency=4))
    assert {item.key: item.text for item in items} == {
        row["id"]: f"re: Sum up {row['text']}" for row in ROWS
    }
    assert all(item.error is None and item.row in ROWS for item in items)


def test_a_fallback_maps_too(server):
    items = asyncio.run(items_of(FallbackLLM([provider(server)]), concurrency=3))
    assert len(items) == len(ROWS)


def test_rows_are_pulled_as_needed_from_what_never_ends(server):
    pulled = []

    async def endless():
        while True:
            pulled.append(len(pulled))
            yield {"text": str(len(pulled))}

    async def main():
        async with provider(server) as llm:
            seen = 0
            async for _ in llm.map(endless(), "{text}", concurrency=5):
                seen += 1
                assert len(pulled) <= seen + 2 * 5 + 1
                if seen == 100:
                    return

    asyncio.run(main())


def test_a_function_asks_and_rows_may_be_anything(server):
    def ask(row):
        return [{"role": "system", "content": "brief"}, {"role": "user", "content": row * 2}]

    items = asyncio.run(items_of(provider(server), ["a", "b"], ask))
    assert {item.text for item in items} == {"re: aa", "re: bb"}
    items = asyncio.run(items_of(provider(server), ["a"], "{{{row}}}"))
    assert items[0].text == "re: {a}"


def test_a_row_that_fails_is_an_item_and_is_asked_again_later(server, tmp_path):
    server.say(FakeError(kind="invalid_request"))
    path = tmp_path / "out.jsonl"
    items = asyncio.run(items_of(provider(server), key="id", into=path, concurrency=1))
    assert [item.key for item in items if item.error] == ["r0"]
    assert isinstance(items[0].error, InvalidRequestError)
    assert lines(path)[0]["error"]["type"] == "InvalidRequestError"
    again = asyncio.run(items_of(provider(server), key="id", into=path))
    assert [item.key for item in again] == ["r0"]
    assert len({line["key"] for line in lines(path) if not line["error"]}) == len(ROWS)


def test_an_answer_without_words_is_a_failure(server):
    server.say(FakeAnswer(text="", finish_reason="content_filter"))
    items = asyncio.run(items_of(provider(server), ROWS[:1]))
    assert isinstance(items[0].error, ContentBlockedError)
    assert items[0].text is None


def test_what_is_in_the_file_is_not_asked_again(server, tmp_path):
    path = tmp_path / "out.jsonl"
    asyncio.run(items_of(provider(server), ROWS[:12], into=path))
    told = []
    items = asyncio.run(items_of(provider(server, observers=[told.append]), into=path))
    assert len(items) == 8
    assert sorted(server.asked) == sorted(f"Sum up {row['text']}" for row in ROWS)
    assert len(lines(path)) == 20
    last = [event for event in told if isinstance(event, MapProgress)][-1]
    assert (last.answered, last.failed, last.skipped) == (8, 0, 12)


def test_a_line_has_all_that_was_paid_for(server, tmp_path):
    class City(BaseModel):
        name: str

    server.say(FakeAnswer(text='{"name": "Zürich"}'))
    path = tmp_path / "out.jsonl"
    llm = provider(server, cost=CostTracker(prices={"gpt-4.1": Price(input=1, output=1)}))
    asyncio.run(items_of(llm, ROWS[:1], key="id", into=path, output=City))
    (line,) = lines(path)
    assert line.pop("asked")
    assert line.pop("usage").items() >= {"input_tokens": 11, "output_tokens": 7}.items()
    assert line == {
        "key": "r0",
        "text": '{"name": "Zürich"}',
        "output": {"name": "Zürich"},
        "cost": 0.000018,
        "error": None,
    }


@pytest.mark.parametrize("torn", ["half", "newline"])
def test_a_torn_last_line_is_mended(server, tmp_path, torn):
    path = tmp_path / "out.jsonl"
    asyncio.run(items_of(provider(server), ROWS[:5], key="id", into=path, concurrency=1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] if torn == "newline" else whole[:-30])
    items = asyncio.run(items_of(provider(server), ROWS[:5], key="id", into=path))
    assert [item.key for item in items] == ([] if torn == "newline" else ["r4"])
    assert sorted(line["key"] for line in lines(path)) == [f"r{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("prompt", "settings"),
    [
        ("Translate {text}", {}),
        ("Sum up {text}", {"temperature": 0.5}),
        ("Sum up {text}", {"model": "gpt-5.4"}),
        (lambda row: f"Sum up {row['text']}", {}),
    ],
)
def test_a_file_of_another_question_is_refused(server, tmp_path, prompt, settings):
    path = tmp_path / "out.jsonl"
    asyncio.run(items_of(provider(server), ROWS[:2], into=path))
    with pytest.raises(ConfigurationError, match="line 1 answers another prompt, model or options"):
        asyncio.run(items_of(provider(server), ROWS, prompt, into=path, **settings))
    assert len(server.bodies) == 2


@pytest.mark.parametrize("mine", ["mine\nand mine\n", "mine", '{"key": 1}'])
def test_a_foreign_file_is_refused_and_left_as_it_is(server, tmp_path, mine):
    path = tmp_path / "notes.txt"
    path.write_text(mine)
    with pytest.raises(ConfigurationError, match="line 1 is not one that map has written"):
        asyncio.run(items_of(provider(server), into=path))
    assert path.read_text() == mine


def test_a_file_that_cannot_be_opened_is_told(server, tmp_path):
    (tmp_path / "file").touch()
    cases = {
        "none/out.jsonl": "No such file or directory",
        "file/out.jsonl": "Not a directory",
        ".": "give a regular file",
        "a" * 300: "File name too long",
        "a\0": "null",
    }
    for name, why in cases.items():
        with pytest.raises(ConfigurationError, match=f"^into is .*{why}"):
            asyncio.run(items_of(provider(server), into=tmp_path / name))
    with pytest.raises(ConfigurationError, match=r"^into is '7': .*int"):
        asyncio.run(items_of(provider(server), into=7))
    assert not server.bodies


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prompt": "Sum up {txt}"}, "prompt names 'txt'.*did you mean 'text'"),
        ({"prompt": "{text.__class__}"}, "bare name of a field"),
        ({"prompt": '{"a": 1}'}, "write {{ and }}"),
        ({"prompt": "{text"}, "braces that are no field"),
        ({"prompt": None}, "prompt is None"),
        ({"key": "idd"}, "key names 'idd'.*did you mean 'id'"),
        ({"key": 7}, "key is 7"),
        ({"rows": [object()]}, "say what to call it with key="),
        ({"rows": "text"}, "rows is 'text'"),
        ({"tools": [print]}, "map takes no tools"),
        ({"attachments": ["a.png"]}, "a function of a row"),
        ({"prompt": "{text}", "key": "text", "rows": [ROWS[0], ROWS[0]]}, "two rows have the key"),
    ],
)
def test_what_is_wrong_is_said(server, tmp_path, wrong, message):
    with pytest.raises(InvalidRequestError, match=message):
        asyncio.run(items_of(provider(server), into=tmp_path / "out.jsonl", **wrong))


def test_a_mistake_of_the_users_comes_out_as_it_is(server):
    with pytest.raises(ZeroDivisionError):
        asyncio.run(items_of(provider(server), ROWS, lambda _: 1 / 0))


def test_it_stops_at_a_budget_and_keeps_what_was_paid(server, tmp_path):
    path = tmp_path / "out.jsonl"
    cost = CostTracker(prices={"gpt-4.1": Price(input=1000, output=1000)})
    llm = provider(server, cost=cost, budget=Budget("0.40"))
    items = []

    async def main(llm):
        async with llm:
            async for item in llm.map(ROWS, "{text}", into=path, concurrency=9, max_tokens=100):
                items.append(item)  # noqa: PERF401 - an error may come

    with pytest.raises(BudgetExceededError):
        asyncio.run(main(llm))
    assert 9 < len(items) < len(ROWS)  # what is held is waited for, so that most of it is spent
    assert len(items) == len(lines(path)) == len(server.bodies)
    assert cost.total().cost <= Decimal("0.40")
    asyncio.run(main(provider(server)))
    assert len(lines(path)) == len(server.bodies) == len(ROWS)


class Poor(OpenAIProvider):
    """Refuses the row "n" after n turns of the loop, and when it is asked again after one."""

    def __init__(self):
        super().__init__("gpt-4.1", api_key="k")
        self.asked = []

    async def request(self, messages=None, **_):
        turns = 1 if messages in self.asked else int(messages)
        self.asked.append(messages)
        for _ in range(turns):
            await asyncio.sleep(0)
        raise BudgetExceededError("spent")


def test_rows_for_which_there_is_no_money_do_not_wake_each_other_for_ever():
    llm = Poor()
    with pytest.raises(BudgetExceededError):
        asyncio.run(asyncio.wait_for(items_of(llm, range(5, 45, 4), "{row}", concurrency=10), 60))
    assert len(llm.asked) == 10


def test_a_wrong_key_ends_it_at_once(server):
    llm = OpenAIProvider("gpt-4.1", **server.connection() | {"api_key": "wrong"})
    with pytest.raises(AuthenticationError):
        asyncio.run(items_of(llm, concurrency=1))
    assert len(server.bodies) == 1


class Refusing(OpenAIProvider):
    """Answers after 2 seconds, but refuses what comes first, `times` times, after one."""

    def __init__(self, times):
        super().__init__("gpt-4.1", api_key="k")
        self.times, self.asked_at = times, []

    async def request(self, messages=None, **_):
        loop = asyncio.get_running_loop()
        self.asked_at.append(loop.time())
        if messages == "text 0" and self.times:
            self.times -= 1
            await asyncio.sleep(1)
            raise RateLimitError("slow down", retry_after=40)
        await asyncio.sleep(2)
        return ModelResponse(parts=(Text(messages),))


def test_a_refusal_pauses_all_and_the_row_is_asked_again(leap):
    llm = Refusing(1)
    items = leap(items_of(llm, ROWS[:9], "{text}", concurrency=3))
    assert [item.error for item in items] == [None] * 9
    assert [round(when) for when in llm.asked_at] == [0] * 3 + [41] * 3 + [43] * 3 + [45]


def test_a_row_that_is_refused_for_ever_fails(leap):
    items = leap(items_of(Refusing(6), ROWS[:2], "{text}", concurrency=1))
    assert isinstance(items[0].error, RateLimitError)
    assert items[1].error is None


async def _no_tasks_but_ours():
    for _ in range(200):
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if not others:
            return
        await asyncio.sleep(0.01)
    assert not others


@pytest.mark.parametrize("how", ["break", "cancel"])
def test_what_is_left_leaves_no_task_and_no_open_file(server, tmp_path, how):
    path = tmp_path / "out.jsonl"
    stalled = Fault(FakeAnswer(), then="stall")
    server.say(FakeAnswer(), *[stalled] * 3)

    async def use(llm):
        async for _ in llm.map(ROWS, "{text}", into=path, concurrency=3):
            if how == "break":
                break

    async def main():
        async with provider(server) as llm:
            using = asyncio.create_task(use(llm))
            while len(server.bodies) < 4:
                await asyncio.sleep(0.01)
                if using.done():
                    break
            if how == "cancel":
                using.cancel()
            await asyncio.wait([using])
            gc.collect()
            await _no_tasks_but_ours()
        assert not [t for t in threading.enumerate() if t.name.startswith("bruno-llm-map")]

    asyncio.run(main())
    assert path not in {link.resolve() for link in Path("/proc/self/fd").iterdir()}
    assert len(lines(path)) == 1


FULL = """
import asyncio, resource, signal, sys
from bruno_llm_openai import OpenAIProvider
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
async def main():
    items = []
    async with OpenAIProvider("gpt-4.1", api="chat", api_key="test-key", base_url=sys.argv[1]) as llm:
        try:
            rows = [{"id": str(n), "text": "x" * 80} for n in range(50)]
            async for item in llm.map(rows, "{text}", key="id", into=sys.argv[2], concurrency=2):
                items.append(item.key)
        except OSError as error:
            print(len(items), error)
asyncio.run(main())
"""


def test_a_file_that_cannot_grow_ends_it_and_keeps_its_lines(server, tmp_path):
    path = tmp_path / "out.jsonl"
    command = [sys.executable, "-c", FULL, server.connection()["base_url"], str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    number, _, message = told.partition(" ")
    assert "make room and map again" in message
    assert int(number) == len(server.bodies)  # all that was asked has come
    assert 0 < len(lines(path)) < int(number)
    assert path.read_bytes().endswith(b"\n")


KILLED = """
import asyncio, os, sys
from bruno_llm_openai import OpenAIProvider
async def main():
    async with OpenAIProvider("gpt-4.1", api="chat", api_key="test-key", base_url=sys.argv[1]) as llm:
        rows = ({"id": str(n), "text": f"text {n}"} for n in range(200))
        async for item in llm.map(rows, "Sum up {text}", key="id", into=sys.argv[2], concurrency=5):
            print(item.key, flush=True)
asyncio.run(main())
"""


def test_killed_in_the_middle_it_goes_on_where_it_was(server, tmp_path):
    path = tmp_path / "out.jsonl"
    command = [sys.executable, "-c", KILLED, server.connection()["base_url"], str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        seen = [process.stdout.readline() for _ in range(60)]
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    kept = {line["key"] for line in map(_parsed, path.read_bytes().splitlines()) if line}
    assert {key.strip() for key in seen} <= kept  # what was handed out is in the file
    before = len(server.bodies)
    assert before < 200
    subprocess.run(command, check=True, capture_output=True)
    assert len(server.bodies) - before == 200 - len(kept)  # none of them is asked again
    assert before - len(kept) <= 5  # only what was under way is paid twice
    assert sorted(int(line["key"]) for line in lines(path)) == list(range(200))


def _parsed(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


def test_half_a_character_is_written(tmp_path):
    file = AnswersFile(tmp_path / "out.jsonl", "q")
    file.append({"key": "a", "text": "\ud83d", "error": None})
    file.close()
    assert lines(tmp_path / "out.jsonl")[0]["text"] == "\ud83d"


def test_equal_rows_are_asked_once_where_there_is_a_file(server, tmp_path):
    items = asyncio.run(items_of(provider(server), ["a", "b", "a"], "{row}", into=tmp_path / "o"))
    assert sorted(item.row for item in items) == ["a", "b"]
    assert len(asyncio.run(items_of(provider(server), ["a", "a"], "{row}"))) == 2


def test_attachments_are_of_the_row(server):
    picture = "https://example.org/{}.png"
    items = asyncio.run(
        items_of(provider(server), ["a"], "{row}", attachments=lambda row: [picture.format(row)])
    )
    assert items[0].error is None
    assert "https://example.org/a.png" in json.dumps(server.bodies[0])


def test_a_template_of_another_kind_is_refused():
    with pytest.raises(InvalidRequestError, match=r"no field of a row stands: .* as \{text\}; two"):
        MockLLM("yes").map([{"text": "a"}], "Good? {{ text }}")
