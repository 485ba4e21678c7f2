import csv
import json
import re
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, localcontext
from io import StringIO

import pytest
from bruno_llm_base.cost.report import Report, dollars
from bruno_llm_base.cost.rows import COUNTS, KEYS, Row
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.response import Usage
from hypothesis import given
from hypothesis import strategies as st

DAY = date(2026, 11, 3)


def row(day=DAY, provider="claude", model="opus", tag=None, user=None, **facts):
    counts = dict.fromkeys(COUNTS, 0) | {"requests": 1, "cost": Decimal(0)} | facts
    return Row(day=day, provider=provider, model=model, tag=tag, user=user, **counts)


def report(*rows, **facts):
    return Report(rows, **facts)


def read(text):
    header, *lines = csv.reader(StringIO(text, newline=""))
    return [dict(zip(header, line, strict=True)) for line in lines]


names = st.text(min_size=1, max_size=4) | st.sampled_from(
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''", "\uff1d1", "a,b", 'a"b', "a\nb"]
)
labels = st.none() | names
counts = st.integers(0, 10**12)
costs = st.integers(0, 10**18).map(lambda n: Decimal(n).scaleb(-12))
rows = st.builds(
    row,
    day=st.dates(date(2025, 1, 1), date(2026, 12, 31)),
    provider=names,
    model=names,
    tag=labels,
    user=labels,
    requests=st.integers(1, 99),
    input_tokens=counts,
    output_tokens=counts,
    reasoning_tokens=counts,
    cost=costs,
    estimated=st.integers(0, 1),
)
reports = st.lists(rows, max_size=8).map(lambda some: report(*some))
groups = st.permutations(KEYS).flatmap(
    lambda keys: st.integers(0, len(keys)).map(lambda n: tuple(keys[:n]))
)


@pytest.fixture
def tracker():
    now = datetime(2026, 11, 3, 12, tzinfo=UTC)
    made = CostTracker(clock=lambda: now)
    usage = Usage(input_tokens=1000, output_tokens=20, reasoning_tokens=5)
    for model, cost in (("opus", "1.5"), ("haiku", "0.000012"), ("opus", "2")):
        made.record(provider="claude", model=model, usage=usage, cost=Decimal(cost), tag="chat")
    now += timedelta(days=1)
    made.record(provider="openai", model="sol", usage=usage, user="ana", estimated=True)
    made.record(provider="ollama", model="llama", usage=usage, cost=Decimal(0))
    return made


def test_a_report_says_what_the_tracker_holds(tracker):
    made = tracker.report()
    assert made.total == tracker.total()
    assert sorted(made.rows, key=str) == sorted(
        tracker.total(("day", "provider", "model")), key=str
    )
    for label in KEYS:
        assert sorted(made.sums(label), key=str) == sorted(tracker.total(label), key=str)


def test_a_report_is_about_the_days_asked_for(tracker):
    made = tracker.report(since=date(2026, 11, 4), until=date(2026, 11, 30), by="model")
    assert [row.model for row in made.rows] == ["llama", "sol"]
    assert made.days == (date(2026, 11, 4), date(2026, 11, 30))
    assert str(made).startswith("at least $0 for 2 requests, 2026-11-04 to 2026-11-30.")


@given(reports, groups)
def test_sums_are_exact_however_they_are_grouped(made, by):
    with localcontext(Context(prec=3)):  # an application's own must not matter
        total, parts = made.total, made.sums(*by)
    exact = Context(prec=60)
    for name in COUNTS:
        for some in (made.entries, parts):
            left = Decimal(0)
            for part in some:
                left = exact.add(left, Decimal(getattr(part, name)))
            assert left == getattr(total, name)
    told_apart = [tuple(getattr(part, key) for key in by) for part in parts]
    assert len(set(told_apart)) == len(parts)


@given(reports)
def test_the_dearest_come_first_within_their_day(made):
    for by in (("provider",), ("day", "model")):
        places = [(part.day or DAY, -part.cost) for part in made.sums(*by)]
        assert places == sorted(places)


@pytest.mark.parametrize("by", [("price",), "models", ("day", 3), ["day", []], 5])
def test_what_nobody_can_group_by_is_refused(tracker, by):
    with pytest.raises(InvalidRequestError, match=r"give some of day, provider, model, tag, user"):
        tracker.report(by=by)


# Text


def test_a_table_begins_with_what_a_reader_has_to_know(tracker):
    assert tracker.report().summary == [
        "at least $3.50 for 5 requests, 2026-11-03 to 2026-11-04.",
        "No price is known for 1 of 5 requests (sol); what they cost is in no sum.",
        "The tokens of 1 of 5 requests are estimated, as the server did not count them.",
    ]


def test_of_many_models_without_a_price_some_are_named():
    made = report(*(row(model=f"m{n}", unpriced=1) for n in range(9)))
    assert "No price is known for 9 of 9 requests (m0, m1, m2 and 6 more)" in str(made)


def test_a_report_by_nothing_is_one_row(tracker):
    titles, line = tracker.report(by=()).cells()
    assert titles[:2] == ["Cost", "Requests"]
    assert line[:2] == ["$3.50", "5"]


def test_an_empty_report_says_so_in_every_format():
    made = CostTracker().report()
    assert str(made).startswith("$0 for 0 requests.")
    assert read(made.to_csv()) == []
    assert json.loads(made.to_json())["rows"] == []


@given(st.decimals(0, 10**9, allow_nan=False, places=None), st.sampled_from([2, 4]))
def test_an_amount_is_shown_to_the_last_digit_asked_for_or_to_two_digits(amount, digits):
    text = dollars(amount, digits)
    said = Decimal(text.removeprefix("$").replace(",", ""))
    unit = Decimal(1).scaleb(min(-digits, amount.adjusted() + 1 - digits))
    assert abs(said - amount) <= unit / 2
    assert (said == 0) == (amount == 0)
    assert text == "$0" or re.fullmatch(r"\$\d{1,3}(,\d{3})*\.\d\d(\d*[1-9])?", text)
    assert dollars(Decimal(amount.normalize()), digits) == text


def test_amounts_as_people_write_them():
    told = {
        "0.000012": "$0.000012",
        "0.00001234567": "$0.00001235",
        "0.5": "$0.50",
        "1": "$1.00",
        "3.50001": "$3.50",
        "12345.6789": "$12,345.6789",
        "1234567": "$1,234,567.00",
        "1E+9": "$1,000,000,000.00",
    }
    assert {amount: dollars(Decimal(amount)) for amount in told} == told


@given(reports)
def test_the_application_s_own_arithmetic_changes_no_text(made):
    texts = [str(made), made.to_csv(), made.to_json(), made.to_markdown()]
    with localcontext(Context(prec=2)):
        assert [str(made), made.to_csv(), made.to_json(), made.to_markdown()] == texts


# CSV


@given(reports, groups)
def test_csv_holds_everything_and_nothing_that_a_spreadsheet_runs(made, by):
    made = Report(made.entries, by=by)
    back = read(made.to_csv())
    assert len(back) == len(made.rows)
    for line, wanted in zip(back, made.rows, strict=True):
        assert list(line) == [*by, *COUNTS]
        for name in by:
            text = line[name]
            assert not text.startswith(tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))
            value = getattr(wanted, name)
            assert (text[1:] if text[:1] == "'" else text) == ("" if value is None else str(value))
        assert Decimal(line.pop("cost")) == wanted.cost
        assert all(int(line[name]) == getattr(wanted, name) for name in COUNTS if name in line)


def test_csv_writes_small_costs_out_and_leaves_unknown_ones_empty():
    made = report(row(cost=Decimal("1E-9")), row(model="new", unpriced=1))
    assert [line["cost"] for line in read(made.to_csv())] == ["0.000000001", ""]


# JSON


def test_json_is_what_the_docstring_says(tracker):
    made = json.loads(tracker.report(since=DAY, by=("model", "tag")).to_json())
    assert made["version"] == 1
    assert made["currency"] == "USD"
    assert (made["since"], made["until"]) == ("2026-11-03", None)
    assert made["by"] == ["model", "tag"]
    assert made["total"] == {
        "requests": 5,
        "input_tokens": 5000,
        "output_tokens": 100,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 25,
        "cost": "3.500012",
        "unpriced": 1,
        "estimated": 1,
    }
    kinds = {(row["model"], row["tag"]): row["cost"] for row in made["rows"]}
    assert kinds == {
        ("opus", "chat"): "3.5",
        ("haiku", "chat"): "0.000012",
        ("sol", None): None,
        ("llama", None): "0",
    }
    assert list(made["sums"]) == list(KEYS)
    assert [row["day"] for row in made["sums"]["day"]] == ["2026-11-03", "2026-11-04"]
    assert {"provider": "openai", "model": "sol"}.items() <= made["sums"]["model"][-1].items()


@given(reports)
def test_json_sums_up_exactly(made):
    said = json.loads(made.to_json())
    for sums in (*said["sums"].values(), said["rows"]):
        assert sum((Decimal(row["cost"]) for row in sums), Decimal(0)) == made.total.cost


def test_every_amount_of_a_row_is_reported():
    said = json.loads(report(row()).to_json())["total"]
    assert set(said) == {field.name for field in fields(Row)} - set(KEYS)


# Markdown


def test_markdown_shows_names_as_they_are():
    made = report(row(model="a|b\n*c*<b>`d`[e](f)", cost=Decimal("0.5")))
    header, rule, line, total = made.to_markdown().splitlines()[2:]
    assert header == "| Day | Provider | Model | Cost | Requests | Input | Output |"
    assert rule == "| --- | --- | --- | --: | --: | --: | --: |"
    assert line == (
        r"| 2026-11-03 | claude | a\|b" + "\N{REPLACEMENT CHARACTER}"
        r"\*c\*\<b\>\`d\`\[e\](f) | $0.50 | 1 | 0 | 0 |"
    )
    assert total == "| **Total** |  |  | **$0.50** | **1** | **0** | **0** |"


@given(reports)
def test_every_line_of_markdown_has_as_many_cells(made):
    lines = [line for line in made.to_markdown().split("\n") if line.startswith("|")]
    assert len(lines) == len(made.rows) + 3
    assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines}) == 1


# Files


@pytest.mark.parametrize(
    ("suffix", "method"),
    [(".csv", "to_csv"), (".json", "to_json"), (".MD", "to_markdown")],
)
def test_a_report_is_saved_as_its_name_says(tracker, tmp_path, suffix, method):
    tracker.record(provider="claude", model="größer\n", cost=Decimal(1))
    made = tracker.report()
    path = tmp_path / f"costs{suffix}"
    made.save(path)
    assert path.read_bytes() == getattr(made, method)().encode()
    path.unlink()
    made.save(str(path))
    assert path.exists()


@pytest.mark.parametrize("name", ["costs.xlsx", "costs", ".csv", "costs.html"])
def test_other_files_are_refused_with_the_formats_there_are(tracker, tmp_path, name):
    with pytest.raises(InvalidRequestError, match=r"ends in \.csv, \.json, \.md; .*write_html"):
        tracker.report().save(tmp_path / name)
    assert not list(tmp_path.iterdir())
