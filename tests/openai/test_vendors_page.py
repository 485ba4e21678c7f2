"""What users are told of the vendors: a page of the documentation, and what answers cost."""

from pathlib import Path

from bruno_llm_openai import vendors
from navigation import VENDORS, on_page_markdown

PAGE = Path(__file__).parents[2] / "docs" / "vendors.md"


def test_the_page_has_each_of_them():
    page = on_page_markdown(PAGE.read_text("utf-8"))
    cells = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert [first.strip("`") for first, *_ in cells] == sorted(vendors.ROWS)
    assert {len(row) for row in cells} == {6}
    assert VENDORS not in page
