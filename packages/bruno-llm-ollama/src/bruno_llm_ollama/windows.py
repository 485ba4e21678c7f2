"""The windows that Ollama allocates (https://docs.ollama.com/context-length).

What a model could take at most says little: Ollama allocates less, by the memory that there is, and
tells only of models that are loaded.
"""

import re
from collections.abc import Mapping

from bruno_llm_base import Json
from bruno_llm_base.lenient import read_models

__all__ = ["read"]

_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,12})$", re.MULTILINE)


def read(data: Json, model: str) -> Mapping[str, int | None]:
    """Read the windows in an answer of `/api/ps` or, for *model*, of `/api/show`."""
    if "model_info" in data:
        found = _NUM_CTX.search(data.get("parameters") or "")
        return {model: int(found[1])} if found else {}
    loaded = {row["id"]: row.get("context_length") for row in read_models(data)}
    return loaded | {name.removesuffix(":latest"): tokens for name, tokens in loaded.items()}
