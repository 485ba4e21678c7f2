"""The pages of docs/providers in the site's navigation, so that a new one needs no list."""

from pathlib import Path
from typing import Any


def on_config(config: Any) -> None:
    pages = sorted(Path(config.docs_dir, "providers").glob("*.md"))
    section = next(entry for entry in config.nav if "Providers" in entry)
    section["Providers"] = [f"providers/{page.name}" for page in pages]
