"""The command `batch`: rows that a vendor answers within a day."""

import json

import pytest
from bruno_llm_testing import FakeAnswer, FakeError, Fault


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("id,text\na,one\nb,two\nc,three\n", encoding="utf-8-sig")
    return path


@pytest.fixture
def submit(bruno_llm, rows):
    def submit(*more, provider="openai"):
        asked = ("-p", "Sum up {text}", "--provider", provider, "--key", "id", *more)
        return bruno_llm("batch", "submit", rows, *asked)

    return submit


def lines(text):
    return {line["key"]: line for line in map(json.loads, text.splitlines())}


@pytest.mark.parametrize("provider", ["openai", "claude", "gemini"])
def test_rows_are_sent_and_answered(bruno_llm, request, submit, provider):
    server = request.getfixturevalue(provider)
    server.say(*(FakeAnswer(text=text) for text in ("eins", "zwei", "drei")))
    sent = submit("--max-tokens", 50, provider=provider)
    assert (sent.exit_code, sent.stderr) == (0, "")
    name = sent.stdout.strip()
    assert name == f"{provider}:{server.batches.made[0].id}"
    assert bruno_llm("batch", "status", name).stdout == "ended: 3 of 3 answered\n"
    done = bruno_llm("batch", "results", name)
    assert done.exit_code == 0
    assert done.stderr.startswith("bruno-llm: 3 answered")
    document = json.loads(bruno_llm("batch", "results", name, "--json").stdout)
    assert (document["answered"], document["failed"], document["missing"]) == (3, 0, 0)
    answers = lines(done.stdout)
    assert {row["key"]: row for row in document["rows"]} == answers
    assert {key: line["text"] for key, line in answers.items()} == {
        "a": "eins",
        "b": "zwei",
        "c": "drei",
    }
    assert answers["a"]["usage"]["input_tokens"] == 11
    assert "Sum up one" in json.dumps(next(iter(server.batches.made[0].rows.values())))


def test_a_running_batch_is_waited_for_or_cancelled(bruno_llm, openai, submit):
    openai.batches.hold()
    told = json.loads(submit("--json").stdout)
    assert (told["status"], told["counts"]["total"]) == ("waiting", 3)
    openai.batches.answer(1)
    running = bruno_llm("batch", "status", told["id"]).stdout
    assert running.startswith("running: 1 of 3 answered, until 2026-")
    early = bruno_llm("batch", "results", told["id"])
    assert (early.exit_code, early.stdout) == (1, "")
    assert "no results yet" in early.stderr
    openai.batches.finish()
    ended = json.loads(bruno_llm("batch", "wait", told["id"], "--poll", 0, "--json").stdout)
    assert (ended["status"], ended["counts"]["succeeded"]) == ("ended", 3)
    name = submit().stdout.strip()
    assert bruno_llm("batch", "cancel", name).exit_code == 0
    assert openai.batches.made[1].state == "cancelled"
    assert bruno_llm("batch", "results", name).exit_code == 1


def test_what_failed_is_told_and_sent_again(bruno_llm, openai, submit, tmp_path):
    openai.say(FakeAnswer(), FakeError(kind="server_error"))
    name = submit().stdout.strip()
    out = tmp_path / "out.jsonl"
    done = bruno_llm("batch", "results", name, "-o", out)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "2 answered, 1 failed" in done.stderr
    failed = [line for line in lines(out.read_text()).values() if line["error"]]
    assert [(line["key"], line["error"]["type"]) for line in failed] == [
        ("b", "ServiceUnavailableError")
    ]
    again = bruno_llm("batch", "retry", name).stdout.strip()
    assert again != name
    assert lines(bruno_llm("batch", "results", again).stdout).keys() == {"b"}


def test_rows_of_which_nothing_is_known_are_told(bruno_llm, gemini, submit):
    gemini.batches.hold()
    name = submit(provider="gemini").stdout.strip()
    gemini.batches.expire()
    done = bruno_llm("batch", "results", name)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "0 answered, 3 without a result" in done.stderr


def test_a_file_of_results_is_whole_or_as_it_was(bruno_llm, openai, submit, tmp_path):
    name = submit().stdout.strip()
    out = tmp_path / "out.jsonl"
    out.write_text("before")
    openai.say(FakeAnswer(), *[Fault(after=1, then="close")] * 9, to="batches")
    assert bruno_llm("batch", "results", name, "-o", out).exit_code == 1
    assert [path.name for path in tmp_path.glob("out*")] == ["out.jsonl"]
    assert out.read_text() == "before"
    said = bruno_llm("batch", "results", name, "-o", tmp_path / "none" / "out.jsonl")
    assert "cannot be written" in said.stderr


def test_a_ledger_books_results_once(bruno_llm, openai, submit, tmp_path):
    ledger = tmp_path / "costs.db"
    sent = submit("--ledger", ledger, "--budget", 1, "--max-tokens", 100)
    assert sent.stderr == ""
    name = sent.stdout.strip()
    for _ in range(2):
        done = bruno_llm("batch", "results", name, "--ledger", ledger)
        assert ", $0.0" in done.stderr
    report = json.loads(bruno_llm("costs", ledger, "--format", "json").stdout)
    assert sum(row["requests"] for row in report["rows"]) == 3


def test_what_is_wrong_is_told(bruno_llm, openai, ollama, submit, rows):
    for words, code, said in (
        (("status", "batch_1"), 2, "is not the id of a batch"),
        (("status", "openai:batch_1"), 1, "No such"),
        (("status", "ollama:1"), 1, "takes no batches"),
        (("submit", rows, "-p", "{texts}", "--provider", "openai"), 1, "did you mean"),
    ):
        done = bruno_llm("batch", *words)
        assert done.exit_code == code
        assert said in done.stderr
    assert submit("--budget", "0.0000001").exit_code == 1
    assert not openai.batches.made


@pytest.mark.parametrize("command", ["results", "retry"])
def test_the_ledger_may_be_on_a_server(bruno_llm, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    told = bruno_llm("batch", command, "openai:batch_1", "--ledger", "mysql://ann:hunter2@host/c")
    assert told.exit_code == 1
    assert "no store is installed for 'mysql' URLs" in told.stderr
    assert "hunter2" not in told.stderr
    assert list(tmp_path.iterdir()) == []
