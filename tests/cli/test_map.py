"""The command `map`: the same question to each row of a file."""

import io
import json
import time

import pytest
from bruno_llm_cli.app import app
from bruno_llm_testing import FakeAnswer, FakeError

ASK = ("map", "--provider", "openai")


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("id,text\na,one\nb,two\nc,three\n", encoding="utf-8-sig")
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_row_of_a_table_is_asked_once(bruno_llm, openai, rows, tmp_path):
    words = (*ASK, rows, "-p", "Sum up {text}", "-o", tmp_path / "out.jsonl", "--key", "id")
    done = bruno_llm(*words)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith("bruno-llm: 3 answered")
    assert {line["key"] for line in lines(tmp_path / "out.jsonl")} == {"a", "b", "c"}
    with rows.open("a") as file:
        file.write("d,four\n")
    again = bruno_llm(*words)
    assert again.stderr.startswith("bruno-llm: 1 answered, 3 were there")
    assert len(openai.bodies) == 4
    assert bruno_llm(*words).stderr == "bruno-llm: nothing was asked: all rows were there\n"
    counted = json.loads(bruno_llm(*words, "--json").stdout)
    assert counted == {"answered": 0, "failed": 0, "skipped": 4, "cost": "0"}
    (tmp_path / "out.jsonl").unlink()
    counted = json.loads(bruno_llm(*words, "--json").stdout)
    assert (counted["answered"], float(counted["cost"]) > 0) == (4, True)


def test_answers_go_to_stdout_line_by_line(bruno_llm, openai, rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    openai.say(FakeError(kind="invalid_request"), FakeAnswer(text="Hi"), FakeAnswer(text="Hi"))
    words = (*ASK, rows, "-p", "Sum up {text}", "-o", "-", "--concurrency", 1)
    done = bruno_llm(*words, "--key", "id")
    printed = {line["key"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert (done.exit_code, sorted(printed)) == (1, ["a", "b", "c"])
    assert (printed["a"]["error"] is None, printed["b"]["text"]) == (False, "Hi")
    first, second = done.stderr.splitlines()
    assert first.startswith("bruno-llm: 2 answered, 1 failed")
    assert "row a failed" in second
    assert "its line says why" in second
    assert not (tmp_path / "-").exists()
    assert bruno_llm(*words, "--json").exit_code == 2


class SlowReader(io.StringIO):
    """A pipe that takes the first line once something else has happened."""

    def __init__(self, happened):
        super().__init__()
        self.happened = happened
        self.waited_in_vain = False

    def write(self, text):
        give_up = time.monotonic() + 20
        while not (self.happened() or self.waited_in_vain):
            time.sleep(0.001)
            self.waited_in_vain = time.monotonic() > give_up
        return super().write(text)


def test_rows_are_asked_while_the_reader_of_stdout_is_slow(openai, rows, monkeypatch):
    out = SlowReader(lambda: len(openai.bodies) > 1)
    monkeypatch.setattr("sys.stdout", out)
    words = (*ASK, str(rows), "-p", "Sum up {text}", "-o", "-", "--concurrency", "1")
    assert not app(words, prog_name="bruno-llm", standalone_mode=False)
    assert not out.waited_in_vain
    assert len(out.getvalue().splitlines()) == 3


def test_rows_are_json_too_and_a_failure_is_told(bruno_llm, openai, tmp_path):
    openai.say(FakeError(kind="invalid_request"), FakeAnswer())
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "one"}\n\n{"text": "two"}\n')
    out = tmp_path / "out.jsonl"
    done = bruno_llm(*ASK, path, "-p", "{text}", "-o", out, "--concurrency", 1)
    assert done.exit_code == 1
    assert "1 answered, 1 failed" in done.stderr
    assert "failed: fake error: invalid_request" in done.stderr
    assert f"{out} says why each did" in done.stderr
    assert [line["error"] is None for line in lines(out)] == [False, True]


def test_a_spent_budget_ends_it(bruno_llm, openai, rows, tmp_path):
    words = (*ASK, rows, "-p", "{text}", "-o", tmp_path / "out.jsonl", "--budget", "0.000001")
    done = bruno_llm(*words)
    assert done.exit_code == 1
    assert "budget" in done.stderr
    assert not openai.bodies


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("in.txt", "one", "is no .csv, .jsonl or .ndjson"),
        ("in.jsonl", "{}\n{", "line 2 of"),
        ("none.csv", None, "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_read_is_told(bruno_llm, openai, tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    done = bruno_llm(*ASK, tmp_path / name, "-p", "{text}", "-o", tmp_path / "out.jsonl")
    assert done.exit_code == (2 if name == "in.txt" else 1)
    assert said in done.stderr
    assert not openai.bodies


def test_in_a_terminal_the_short_flags_of_others_stay(bruno_llm, openai, tmp_path):
    told = bruno_llm("map", "--help").stdout
    assert "--provider" in told
    assert bruno_llm("ask", "--provider", "openai", "-o", "user=me", "hello").exit_code == 0
    assert openai.bodies[0]["user"] == "me"


@pytest.mark.parametrize("output", ["/dev/null", "/dev/full"])
def test_answers_go_into_a_regular_file(bruno_llm, openai, tmp_path, output):
    rows = tmp_path / "rows.csv"
    rows.write_text("name\nAnn\n")
    done = bruno_llm("map", rows, "--prompt", "Hi {name}", "-o", output, "--provider", "openai")
    assert (done.exit_code, openai.bodies) == (1, [])
    assert "give a regular file" in done.stderr
