"""What the site has from the code and the folders, so that nothing is listed twice."""

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
_OF_EMBEDDINGS = (
    "",
    "Model by default",
    "Dimensions",
    "Most texts in one request",
    "Key",
    "Checked",
)
_OF_RERANKERS = ("", "Model by default", "Most documents", "Key", "Checked")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the tables that come from the code in their place: of shared options, and of vendors."""
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
        (f"`{row.name}`", f"[{title}]({url}){more}", key, said, f"[{checked}]({page})", address)
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
