"""Tokens are counted, costs are reported."""

import csv
import io
import json
from decimal import Decimal

import pytest
from bruno_llm_base import CostTracker, Usage
from bruno_llm_testing import FakeAnswer


def test_text_is_counted_without_a_key_or_a_server(bruno_llm):
    document = json.loads(bruno_llm("count", "-p", "openai", "--json", "hello", "there").stdout)
    assert (document["tokens"], document["exact"], document["error"]) == (2, True, 0)
    assert (document["provider"], document["model"]) == ("openai", "gpt-6.1-terra")
    assert "tiktoken" in document["source"]
    done = bruno_llm("count", "-p", "claude", "hello there")
    assert (done.exit_code, "estimated" in done.stdout) == (0, True)


def test_text_comes_from_anywhere(bruno_llm, tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("hello there")
    for arguments, text in (
        (("hello there",), None),
        ((), "hello there"),
        (("--file", file), None),
        (("there",), "hello"),
    ):
        done = bruno_llm("count", "-p", "openai", *arguments, text=text)
        assert done.stdout.split()[0] in ("2", "3"), arguments
    assert bruno_llm("count", "-p", "openai", "--file", tmp_path / "no").exit_code == 1
    assert bruno_llm("count", "-p", "openai").exit_code == 2


def test_the_vendor_counts_when_asked_to(bruno_llm, claude):
    claude.say(FakeAnswer(usage=Usage(input_tokens=42)), to="count_tokens")
    done = bruno_llm("count", "-p", "claude", "--exact", "hello there")
    assert done.stdout.startswith("42 tokens (estimated, to within 5%; claude, ")


def test_without_a_key_the_vendor_counts_nothing(bruno_llm):
    done = bruno_llm("count", "-p", "claude", "--exact", "hello there")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "set ANTHROPIC_API_KEY" in done.stderr


@pytest.fixture
def ledger(tmp_path):
    tracker = CostTracker(tmp_path / "costs.db")
    usage = Usage(input_tokens=1000, output_tokens=10)
    tracker.record(provider="claude", model="opus", usage=usage, cost=Decimal("0.25"), tag="a")
    tracker.record(provider="claude", model="haiku", usage=usage, cost=Decimal("0.05"), tag="b")
    tracker.close()
    return tmp_path / "costs.db"


def test_costs_in_every_format(bruno_llm, ledger):
    assert "opus" in bruno_llm("costs", ledger).stdout
    rows = list(csv.DictReader(io.StringIO(bruno_llm("costs", ledger, "--format", "csv").stdout)))
    assert [row["cost"] for row in rows] == ["0.25", "0.05"]
    document = json.loads(bruno_llm("costs", ledger, "--format", "json").stdout)
    assert document["total"]["cost"] == "0.3"
    assert "| --" in bruno_llm("costs", ledger, "--format", "markdown").stdout
    assert "<html" in bruno_llm("costs", ledger, "--format", "html").stdout
    assert bruno_llm("costs", ledger, "--format", "xml").exit_code == 2


def test_costs_of_some_days_by_what_one_likes(bruno_llm, ledger):
    asked = ("--format", "json", "--by", "provider", "--by", "tag")
    document = json.loads(bruno_llm("costs", ledger, *asked).stdout)
    assert [(row["provider"], row["tag"]) for row in document["rows"]] == [
        ("claude", "a"),
        ("claude", "b"),
    ]
    done = bruno_llm("costs", ledger, *asked, "--since", "2001-01-01", "--until", "2001-12-31")
    document = json.loads(done.stdout)
    assert (document["since"], document["until"], document["rows"]) == (
        "2001-01-01",
        "2001-12-31",
        [],
    )
    assert bruno_llm("costs", ledger, "--since", "soon").exit_code == 2
    done = bruno_llm("costs", ledger, "--since", "2002-01-01", "--until", "2001-12-31")
    assert (done.exit_code, "--since is after --until" in done.stderr) == (2, True)
    done = bruno_llm("costs", ledger, "--by", "colour")
    assert (done.exit_code, "colour" in done.stderr) == (2, True)


def test_a_report_leaves_its_ledger_as_it_is(bruno_llm, ledger, tmp_path):
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert "opus" in bruno_llm("costs", ledger).stdout
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_costs_are_saved(bruno_llm, ledger, tmp_path):
    page = tmp_path / "costs.html"
    done = bruno_llm("costs", ledger, "--output", page)
    assert (done.exit_code, done.output) == (0, "")
    assert "<html" in page.read_text()
    assert bruno_llm("costs", ledger, "--output", page, "--format", "csv").exit_code == 2
    done = bruno_llm("costs", ledger, "--output", tmp_path / "costs.xml")
    assert (done.exit_code, ".html" in done.stderr) == (2, True)
    done = bruno_llm("costs", ledger, "--output", tmp_path / "none" / "costs.csv")
    assert (done.exit_code, "cannot be written" in done.stderr) == (1, True)


def test_a_missing_ledger_is_an_error_and_stays_missing(bruno_llm, tmp_path):
    done = bruno_llm("costs", tmp_path / "costs.db")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "does not exist" in done.stderr
    assert not (tmp_path / "costs.db").exists()
    (tmp_path / "notes.txt").write_text("no database")
    assert bruno_llm("costs", tmp_path / "notes.txt").exit_code == 1


def rows_of(path):
    tracker = CostTracker(path)
    try:
        return tracker.total(("day", "provider", "model", "tag", "user"))
    finally:
        tracker.close()


def test_a_copy_holds_the_same_and_can_be_repeated(bruno_llm, ledger, tmp_path):
    copy = tmp_path / "copy.db"
    document = json.loads(bruno_llm("costs", "copy", ledger, tmp_path / "new.db", "--json").stdout)
    assert document == {"copied": len(rows_of(ledger)), "there_already": 0}
    as_json = bruno_llm("costs", ledger, "--json")
    assert as_json.stdout == bruno_llm("costs", ledger, "--format", "json").stdout
    assert bruno_llm("costs", ledger, "--json", "--format", "csv").exit_code == 2
    told = bruno_llm("costs", "copy", ledger, copy)
    assert told.exit_code == 0
    assert f"{len(rows_of(ledger))} rows copied, 0 were there" in told.stderr
    assert rows_of(copy) == rows_of(ledger) != []
    told = bruno_llm("costs", "copy", ledger, copy)
    assert f"0 rows copied, {len(rows_of(ledger))} were there" in told.stderr
    assert rows_of(copy) == rows_of(ledger)


def test_a_copy_over_other_figures_is_refused_as_a_whole(bruno_llm, ledger, tmp_path):
    other = CostTracker(tmp_path / "other.db")
    row = rows_of(ledger)[-1]
    other.record(provider=row.provider, model=row.model, tag=row.tag, user=row.user)
    other.close()
    before = rows_of(other.path)
    told = bruno_llm("costs", "copy", ledger, other.path)
    assert told.exit_code == 1
    assert (
        f"has other figures for {row.day}, {row.provider}, {row.model}: nothing was" in told.stderr
    )
    assert rows_of(other.path) == before


def test_a_copy_of_nothing_is_refused(bruno_llm, tmp_path):
    told = bruno_llm("costs", "copy", tmp_path / "none.db", tmp_path / "copy.db")
    assert told.exit_code == 1
    assert "does not exist" in told.stderr
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://ann:hunter2@host/costs", "no store is installed for 'mysql' URLs"),
        ("postgresql:/ann:hunter2@host/costs", "give a URL, such as"),
    ],
)
def test_a_ledgers_url_shows_no_password(bruno_llm, url, words):
    told = bruno_llm("costs", url)
    assert told.exit_code == 1
    assert words in told.stderr
    assert "hunter2" not in told.stderr


def test_a_narrow_terminal_shows_a_row_in_two_lines(bruno_llm, openai, at_a_terminal, tmp_path):
    ledger = tmp_path / "costs.db"
    assert bruno_llm("ask", "-m", "openai/gpt-5.4", "hi", "--ledger", ledger).exit_code == 0
    shown = at_a_terminal("costs", ledger, columns=60)
    assert max(map(len, shown)) == 60
    assert "Day  Provider  Model" in shown
    assert max(map(len, at_a_terminal("costs", ledger, columns=120))) > 60
