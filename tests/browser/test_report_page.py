"""The page of a report, in a real browser."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from browser import browser, found
from bruno_llm_base.cost.report import Report
from bruno_llm_base.cost.rows import Row
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_cli.report import write_html

DAY = date(2026, 11, 1)
SIZES = """[...document.querySelectorAll(".chart rect, .bars i")].map(bar => {
    const box = bar.getBoundingClientRect();
    return [Math.min(box.width, box.height), box.left, box.right, getComputedStyle(bar).fill];
})"""
ROWS = "document.querySelector('section:last-of-type table tbody').rows.length"
LUMINANCE = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"


def row(number, provider, model, cost, **labels):
    return Row(
        day=DAY + timedelta(days=number),
        provider=provider,
        model=model,
        **labels,
        requests=2,
        input_tokens=900 + number,
        output_tokens=70,
        cache_read_tokens=10,
        cache_write_tokens=0,
        reasoning_tokens=0,
        cost=Decimal(cost),
        unpriced=int(model == "new"),
        estimated=0,
    )


@pytest.fixture
def month(tmp_path):
    rows = []
    for number in range(30):
        rows.append(row(number, "claude", "<script>alert(1)</script>", "1.25", tag="chat"))
        rows.append(row(number, "openai", "sol", "0.0004", user="ana"))
        rows.append(row(number, "ollama", "new", 0))
    path = tmp_path / "costs.html"
    write_html(Report(tuple(rows)), path)
    return path


def test_there_is_a_browser():
    assert found()


def test_without_a_browser_the_cure_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt-get install chromium"):
        found()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
async def test_the_page_is_whole_at_a_desk_and_on_a_phone(month, width, dark):
    async with browser() as page:
        await page.open(month, width, 1000, dark=dark)
        assert await page.ask("document.title") == "Model costs, 2026-11-01 to 2026-11-30"
        assert await page.ask(ROWS) == 90
        assert await page.ask("document.scripts.length") == 0
        assert await page.ask("document.documentElement.scrollWidth") == width  # nothing sticks out
        bars = await page.ask(SIZES)
        assert len(bars) == 30 * 2 + 30 * 2 + 2  # cost and tokens per day, and cost by model
        for size, left, right, fill in bars:
            assert size > 0.5
            assert 0 <= left < right <= width
            assert fill not in ("none", "rgb(0, 0, 0)")  # not an unstyled one's
        ground = await page.ask(LUMINANCE)
        assert max(ground) < 64 if dark else min(ground) > 192
        assert page.asked == [month.as_uri()]
        assert page.complaints == []


async def test_more_than_a_year_of_many_models_stays_within_the_page(tmp_path):
    rows = [row(n, f"p{n % 9}", f"{n % 60} {'long ' * 20}", n + 1) for n in range(400)]
    path = tmp_path / "costs.html"
    write_html(Report(tuple(rows), by=("model",)), path)
    async with browser() as page:
        await page.open(path, 390, 1000)
        assert await page.ask("document.documentElement.scrollWidth") == 390
        assert await page.ask(ROWS) == 60
        bars = await page.ask(SIZES)
        assert len(bars) == 400 + 400 * 2 + 8
        assert all(size > 0 and 0 <= left < right <= 390 for size, left, right, _ in bars)
        overlaps = """[...document.querySelectorAll(".bars li")].filter(line => {
            const [name, amount] = line.children;
            return name.getBoundingClientRect().right > amount.getBoundingClientRect().left;
        }).length"""
        assert await page.ask(overlaps) == 0


async def test_an_empty_page_is_a_friendly_one(tmp_path):
    path = tmp_path / "costs.html"
    write_html(CostTracker().report(since=DAY, until=DAY), path)
    async with browser() as page:
        await page.open(path, 390, 600)
        text = await page.ask("document.body.innerText")
        assert "No request was recorded in this time." in text
        assert await page.ask("document.querySelectorAll('svg, table').length") == 0
        assert page.complaints == []


async def test_nothing_could_be_loaded_or_run_even_if_a_name_slipped_through(month):
    page_text = month.read_text()
    evil = "<img src='https://example.com/a.png'><script>document.title = 'gone'</script>"
    month.write_text(page_text.replace("<main>", f"<main>{evil}"))
    async with browser() as page:
        await page.open(month, 800, 600)
        assert await page.ask("document.title") == "Model costs, 2026-11-01 to 2026-11-30"
        assert any("Content Security Policy" in text for text in page.complaints)
