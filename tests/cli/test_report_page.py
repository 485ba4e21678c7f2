"""A report as a table, and its page as text; tests/browser looks at it."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from bruno_llm_base.cost.report import Report
from bruno_llm_base.cost.rows import COUNTS, Row
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_base.response import Usage
from bruno_llm_cli.charts import ticks
from bruno_llm_cli.report import compact, to_html, to_table, write_html
from hypothesis import given
from hypothesis import strategies as st

DAY = date(2026, 11, 3)


def row(day=DAY, provider="claude", model="opus", tag=None, user=None, **facts):
    counts = dict.fromkeys(COUNTS, 0) | {"requests": 1, "cost": Decimal(0)} | facts
    return Row(day=day, provider=provider, model=model, tag=tag, user=user, **counts)


def report(*rows, **facts):
    return Report(rows, **facts)


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


class Reader(HTMLParser):
    """What a browser would make of a page, roughly."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, text):
        self.texts.append(text)
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += text


def test_the_table_is_aligned_and_tells_small_from_nothing_from_unknown(tracker):
    assert to_table(tracker.report()).splitlines()[4:] == [
        "Day         Provider  Model       Cost  Requests  Input  Output  Reasoning  Unpriced  Estimated",
        "-" * 95,
        "2026-11-03  claude    opus       $3.50         2  2,000      40         10         0          0",
        "2026-11-03  claude    haiku  $0.000012         1  1,000      20          5         0          0",
        "2026-11-04  ollama    llama         $0         1  1,000      20          5         0          0",
        "2026-11-04  openai    sol      unknown         1  1,000      20          5         1          1",
        "-" * 95,
        "Total                            $3.50         5  5,000     100         25         1          1",
    ]


def test_in_a_narrow_terminal_a_row_takes_two_lines(tracker):
    lines = to_table(tracker.report(by=("provider", "model")), 72).splitlines()[2:]
    start = lines.index("Provider  Model")
    assert lines[start : start + 5] == [
        "Provider  Model",
        "Cost  Requests  Input  Output  Reasoning  Unpriced  Estimated".rjust(72),
        "-" * 72,
        "claude  opus",
        "$3.50         2  2,000      40         10         0          0".rjust(72),
    ]
    assert lines[-2] == "Total"
    assert to_table(tracker.report(), 95) == to_table(tracker.report())


def test_the_table_begins_with_what_a_reader_has_to_know(tracker):
    made = tracker.report()
    assert to_table(made).splitlines()[:4] == [*made.summary, ""]


def test_a_table_by_nothing_is_one_row(tracker):
    lines = to_table(tracker.report(by=())).splitlines()
    assert lines[-3].split()[:2] == ["Cost", "Requests"]
    assert lines[-1].split()[:2] == ["$3.50", "5"]


@given(st.lists(st.text(min_size=1, max_size=4), max_size=8))
def test_no_name_moves_the_cursor_or_breaks_a_line_of_the_table(names):
    made = report(*(row(provider=name, model=name, tag=name, user=name) for name in names))
    lines = to_table(made).split("\n")
    assert all(line.isprintable() for line in lines)
    rules = [place for place, line in enumerate(lines) if set(line) == {"-"}]
    assert rules[-1] - rules[-2] - 1 == len(made.rows)


def test_wide_letters_are_aligned():
    lines = to_table(
        report(row(model="模型", cost=Decimal(1)), row(model="cafe\u0301"))
    ).splitlines()
    assert lines[-4].endswith("模型   $1.00         1      0       0")
    assert lines[-3].endswith("cafe\u0301      $0         1      0       0")


@given(st.lists(st.text(min_size=1, max_size=4), max_size=8))
def test_no_name_becomes_a_tag_or_an_attribute_of_the_page(names):
    evil = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&lt;"
    more = row(provider=evil, model=evil, tag=evil, user=evil, cost=Decimal(10**9), unpriced=0)
    rows = [row(provider=name, model=name, tag=name, cost=Decimal(1)) for name in names]
    page = Reader(to_html(Report((*rows, more))))
    kinds = {tag for tag, _ in page.tags}
    assert not kinds & {"script", "img", "link", "iframe", "a", "image", "use"}
    assert not any(name.startswith("on") for _, given in page.tags for name in given)
    assert sum(evil in text for text in page.texts) >= 7  # charts, tables, notes


def test_the_page_forbids_everything_but_its_own_style(tracker):
    policy = {"http-equiv": "Content-Security-Policy"}
    page = Reader(to_html(tracker.report()))
    (content,) = [
        given["content"]
        for tag, given in page.tags
        if tag == "meta" and policy.items() <= given.items()
    ]
    assert content == "default-src 'none'; style-src 'unsafe-inline'"
    page = to_html(tracker.report())
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_shows_every_row(tracker):
    made = tracker.report(by=("day", "model", "user"))
    shown = Reader(to_html(made)).rows[-6:]
    assert [cells[:4] for cells in shown] == [
        ["Day", "Model", "User", "Cost"],
        ["2026-11-03", "opus", "-", "$3.50"],
        ["2026-11-03", "haiku", "-", "$0.000012"],
        ["2026-11-04", "llama", "-", "$0"],
        ["2026-11-04", "sol", "ana", "unknown"],
        ["Total", "$3.50", "5", "5,000"],
    ]


def test_small_models_share_a_line_of_the_chart():
    many = [row(model=f"m{n}", cost=Decimal(100 - n)) for n in range(60)]
    texts = Reader(to_html(report(*many))).texts
    assert "52 others" in texts
    assert f"${sum(100 - n for n in range(8, 60)):,}.00" in texts


def test_a_bar_tells_its_day():
    page = Reader(
        to_html(report(row(cost=Decimal(2)), row(provider="openai", cost=Decimal("0.5"))))
    )
    assert page.texts.count("2026-11-03\nclaude: $2.00\nopenai: $0.50") == 2


@pytest.mark.parametrize(
    ("days", "dates"),
    [
        (1, ["20 Dec"]),
        (3, ["20 Dec", "21 Dec", "22 Dec"]),
        (29, ["20 Dec", "27 Dec", "3 Jan", "10 Jan", "17 Jan"]),
        (401, ["Dec 2025", "Mar 2026", "Jul 2026", "Oct 2026", "Jan 2027"]),
    ],
)
def test_the_axis_of_days_has_a_few_dates(days, dates):
    first = date(2025, 12, 20)
    made = report(
        row(day=first, input_tokens=5),
        row(day=first + timedelta(days=days - 1), output_tokens=5),
    )
    texts = Reader(to_html(made)).texts
    assert [text for text in texts if re.fullmatch(r"\d+ [A-Z]\w\w|[A-Z]\w\w \d{4}", text)] == dates


def test_only_the_dearest_tags_are_listed():
    many = [row(tag=f"t{n:02}", cost=Decimal(n)) for n in range(50)]
    page = Reader(to_html(report(*many, by=("model",))))
    assert [cells[0] for cells in page.rows[1:21]] == [f"t{n:02}" for n in range(49, 29, -1)]
    assert "The dearest 20; 30 more are not shown." in page.texts


def test_a_page_about_free_or_unpriced_requests_has_no_chart_of_costs():
    for facts in ({"input_tokens": 5}, {"input_tokens": 5, "unpriced": 1}):
        page = to_html(report(row(**facts)))
        assert "Cost per day" not in page
        assert "Tokens per day" in page


@given(st.integers(1, 10**30), st.integers(-20, 0))
def test_an_axis_has_a_few_round_marks_and_ends_above_the_bars(digits, exponent):
    top = Decimal(digits).scaleb(exponent)
    marks = ticks(top)
    assert marks[0] == 0
    assert marks[-2] < top <= marks[-1]
    assert 3 <= len(marks) <= 6
    assert marks[1].normalize().as_tuple().digits in {(1,), (2,), (5,)}


def luminance(colour):
    if len(colour) == 4:
        colour = "#" + "".join(digit * 2 for digit in colour[1:])
    parts = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1])
def test_everything_on_the_page_stands_out_enough(scheme):
    blocks = re.findall(r":root \{(.*?)\}", to_html(report()), re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w+)", blocks[scheme]))

    def contrast(one, other):
        dark, light = sorted(luminance(colours[name]) for name in (one, other))
        return (light + 0.05) / (dark + 0.05)

    for ground in ("ground", "card", "note"):
        assert contrast("text", ground) >= 4.5
    for ground in ("ground", "card"):
        assert contrast("quiet", ground) >= 4.5
    for bar in ("c0", "c1", "c2", "c3", "c4", "rest", "in", "out"):
        assert contrast(bar, "card") >= 3


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (999, "999"), (1234, "1.23k"), (999_950, "1M"), (17_300_000, "17.3M")],
)
def test_counts_are_said_in_three_digits(amount, text):
    assert compact(amount) == text


def test_a_page_is_saved(tracker, tmp_path):
    tracker.record(provider="claude", model="größer\n", cost=Decimal(1))
    made = tracker.report()
    write_html(made, str(tmp_path / "costs.html"))
    assert (tmp_path / "costs.html").read_bytes() == to_html(made).encode()


def test_an_empty_page_says_so():
    assert "No request was recorded" in to_html(CostTracker().report())
