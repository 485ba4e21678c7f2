"""What users are told of the vendors: a page of the documentation, and what answers cost."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from bruno_llm_base import LLMFactory
from bruno_llm_openai import vendors
from navigation import VENDORS, on_page_markdown

PAGE = Path(__file__).parents[2] / "docs" / "vendors.md"
PLACES = {
    "AZURE_OPENAI_ENDPOINT": "acme.openai.azure.com",
    "CLOUDFLARE_ACCOUNT_ID": "acme",
    "DATABRICKS_HOST": "acme.cloud.databricks.com",
    "SNOWFLAKE_ACCOUNT": "acme",
}
MODELS = {"azure": "gpt-4.1", "openrouter": "openai/gpt-4o", "databricks": "databricks-glm-5-3"}
UNLISTED = {"huggingface", "nebius", "qwen", "sambanova", "snowflake"}
"""Vendors whose prices genai-prices 0.2.3 does not have; where a later one does, they belong to the others."""


def test_the_page_has_each_of_them():
    page = on_page_markdown(PAGE.read_text("utf-8"), SimpleNamespace(url="vendors/", meta={}))
    cells = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert [first.strip("`") for first, *_ in cells] == sorted(vendors.ROWS)
    assert {len(row) for row in cells} == {6}
    assert VENDORS not in page
    told = {cells[0].strip("`") for cells in cells if "its prices are in no list" in cells[3]}
    assert told == UNLISTED


@pytest.mark.parametrize("row", vendors.ROWS.values(), ids=vendors.ROWS)
async def test_what_a_model_of_theirs_costs_is_known_by_the_vendors_name(monkeypatch, row):
    for name, value in PLACES.items():
        monkeypatch.setenv(name, value)
    model = MODELS.get(row.name) or row.default_model or "m"
    price = await LLMFactory.create(row.name, model=model, api_key="test-key").price()
    if row.name in UNLISTED:
        assert price is None
    elif row.free:
        assert (price.input, price.output, price.source) == (0, 0, row.free)
    else:
        assert price.output >= price.input > 0
        assert price.source.startswith("genai-prices ")
