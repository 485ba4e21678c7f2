"""What the site has from the code and the folders, so that nothing is listed twice."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bruno_llm_base.options import PORTABLE
from bruno_llm_openai import compatible, embedding_vendors, rerank_vendors
from bruno_llm_openai.row import EmbeddingRow, RerankRow, VendorRow
from genai_prices.data_snapshot import get_snapshot

OPTIONS = "<!-- the table of options -->"
VENDORS = "<!-- the table of vendors -->"
EMBEDDINGS = "<!-- the table of vendors of embeddings -->"
RERANKERS = "<!-- the table of rerankers -->"
_BOOSTS = {"api/": 0.2, "migrat": 0.2, "how-do-i": 0.5}
"""How much what is found on a page counts, by the beginning of its address: explanations go first."""
_WORDS = {
    "batches/": "batch",
    "caching-answers/": "cache",
    "cloud/": "azure, bedrock, vertex, foundry",
    "configuration/": "api key, environment, proxy, settings",
    "context/": "context window, memory, history, truncate, summarize",
    "costs/": "price, pricing, budget, spending",
    "embeddings/": "embedding, vector",
    "engines/": "ray, dask, celery, spark",
    "errors/": "retry, retries, backoff, timeout, exception",
    "fastapi/": "fastapi, web service, http, sse, server-sent events, disconnect, uvicorn",
    "fallback/": "fallback, failover, router",
    "media/": "image, picture, vision, pdf, audio, file, attachment",
    "migrating-langchain/": "langchain",
    "migrating-litellm/": "litellm",
    "migrating-pydantic-ai/": "pydantic ai, pydantic-ai",
    "notebooks/": "jupyter, notebook, ipython, colab",
    "prompts/": "prompt template, jinja",
    "rate-limits/": "rate limit, throttle, 429",
    "reasoning-and-caching/": "prompt caching, thinking, effort",
    "streaming/": "stream",
    "sync/": "synchronous",
    "testing/": "mock, pytest, fake, cassette",
    "tools/": "function calling, agent, mcp",
    "tracing/": "opentelemetry, langfuse, phoenix, metrics, observability",
    "typed-output/": "json, structured output, schema",
    "vendors/": "openrouter, groq, mistral, deepseek, xai, vllm, lmstudio, llama.cpp",
}
"""What users may type who look for a page, and find there first."""
_TEXT = re.compile(r">[^<]+")  # not within a tag
_DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b")
_OF_EMBEDDINGS = (
    "",
    "Model by default",
    "Dimensions",
    "Most texts in one request",
    "Key",
    "Checked",
)
_OF_RERANKERS = ("", "Model by default", "Most documents", "Key", "Checked")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Weigh the page for the search, and put the tables that come from the code in their place."""
    for place, boost in _BOOSTS.items():
        if page.url.startswith(place):
            page.meta["search"] = {"boost": boost}
    if words := _WORDS.get(page.url):
        page.meta["tags"] = words.split(", ")
    options = (f"| `{name}` | {row.help} |" for name, (_kind, row) in PORTABLE.items())
    kinds = [kind for kind in vars(compatible).values() if getattr(kind, "row", None)]
    vendors = (f"| {_vendor(kind)} |" for kind in sorted(kinds, key=lambda kind: kind.name))
    titles = ("Provider", "Vendor", "Key", "Of its own", "Checked", "Address")
    for place, head, rows in (
        (OPTIONS, ("Option", ""), options),
        (VENDORS, titles, vendors),
        (EMBEDDINGS, _OF_EMBEDDINGS, map(_embeddings, embedding_vendors.ROWS.values())),
        (RERANKERS, _OF_RERANKERS, map(_reranker, rerank_vendors.ROWS.values())),
    ):
        table = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows]
        markdown = markdown.replace(place, "\n".join(table))
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Keep each date of the page on one line."""
    return _TEXT.sub(lambda text: _DATE.sub(r'<span class="date">\g<0></span>', text[0]), html)


def _vendor(kind: Any) -> str:
    """Return the cells of the vendor of a class."""
    row: VendorRow = kind.row
    title, _, rest = kind.__doc__.strip().rstrip(".").partition(" (")
    url, _, more = rest.partition(")")
    page, _, checked = row.source.partition(", ")
    key = f"`{row.api_key_env[0]}`" if row.needs_key else "none needed"
    said = "; ".join(_odd(row)) or "-"
    address = f"`{row.base_url}`"
    return " | ".join(
        (
            f"`{row.name}`",
            f"[{title}]({url}){more}",
            key,
            said,
            f"[{checked}]({page})",
            address,
        )
    )


def _embeddings(row: EmbeddingRow) -> str:
    """Return the line of a vendor of embeddings."""
    dimensions = str(row.dimensions.get(row.default_model, "the model's"))
    fewer = "" if row.dimensions_field else ", always"
    most = str(row.max_batch or "not known")
    return _line(row, dimensions + fewer, most)


def _reranker(row: RerankRow) -> str:
    """Return the line of a vendor of rerankers."""
    return _line(row, f"{row.max_documents:,}" if row.max_documents else "not known")


def _line(row: VendorRow, *cells: str) -> str:
    page, _, checked = row.source.partition(", ")
    model = f"`{row.default_model}`" if row.default_model else "name it"
    key = f"`{row.api_key_env[0]}`" if row.needs_key else "none needed"
    return f"| `{row.name}` | {model} | {' | '.join(cells)} | {key} | [{checked}]({page}) |"


def _odd(row: VendorRow) -> Iterator[str]:
    """Yield what users may want to know of a vendor before they choose it."""
    if not row.default_model:
        yield "name a model"
    if row.api == "responses":
        yield "asked by Responses"
    if row.models_path is None:
        yield "has no list of models"
    if refused := row.refused_options:
        some = isinstance(refused, Mapping)
        names = sorted(set().union(*refused.values()) if some else refused)
        yield f"{'some models refuse' if some else 'refuses'} {', '.join(names)}"
    if row.schemas == "json_object":
        yield "typed output by JSON mode"
    if row.reasoning is None:
        yield "reasoning cannot be asked for"
    if row.free:
        yield "costs nothing"
    elif (row.price_name or row.name) not in {vendor.id for vendor in get_snapshot().providers}:
        yield "its prices are in no list"


def on_config(config: Any) -> None:
    pages = sorted(Path(config.docs_dir, "providers").glob("*.md"))
    section = next(entry for entry in config.nav if "Providers" in entry)
    section["Providers"][:0] = [f"providers/{page.name}" for page in pages]
