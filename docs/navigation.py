"""What the site has from the code and the folders, so that nothing is listed twice."""

from pathlib import Path
from typing import Any

from bruno_llm_base.options import PORTABLE

OPTIONS = "<!-- the table of options -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the rows of the options that all providers share in their place."""
    rows = (f"| `{name}` | {row.help} |" for name, (_kind, row) in PORTABLE.items())
    return markdown.replace(OPTIONS, "\n".join(["| Option | |", "|---|---|", *rows]))


def on_config(config: Any) -> None:
    pages = sorted(Path(config.docs_dir, "providers").glob("*.md"))
    section = next(entry for entry in config.nav if "Providers" in entry)
    section["Providers"] = [f"providers/{page.name}" for page in pages]
