"""The vendors that speak OpenAI's Chat Completions, one row each.

A row says what is different there, and where that was read; see `VendorRow`. A row of yours needs no
place here: see `OpenAIProvider.at_vendor`, and `[vendors.NAME]` in a file of configuration.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from bruno_llm_openai.row import ReasoningFields, VendorRow

_ON, _OFF = {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}

OPENROUTER = VendorRow(
    name="openrouter",
    base_url="https://openrouter.ai/api/v1",
    default_model="openrouter/auto",
    reasoning=ReasoningFields(effort="reasoning.effort", budget="reasoning.max_tokens"),
    reasoning_field="reasoning_details",
)
GROQ = VendorRow(
    name="groq",
    base_url="https://api.groq.com/openai/v1",
    default_model="openai/gpt-oss-120b",
    output_limit="max_completion_tokens",
    reasoning={"openai/gpt-oss": ReasoningFields(levels=("low", "medium", "high")), "": None},
    reasoning_field="reasoning",
    think_tags=True,
    schemas={"openai/gpt-oss": "strict", "": "loose"},
)
DEEPSEEK = VendorRow(
    name="deepseek",
    base_url="https://api.deepseek.com",
    default_model="deepseek-v4-pro",
    reasoning=ReasoningFields(levels=("none", "high", "max"), on=_ON, off=_OFF),
    needs_thoughts=True,
    schemas="json_object",
    media_types=(),
)
MISTRAL = VendorRow(
    name="mistral",
    base_url="https://api.mistral.ai/v1",
    default_model="mistral-medium-latest",
    option_names={"seed": "random_seed"},
    reasoning=ReasoningFields(levels=("none", "high")),
    reasoning_field="content",
    call_ids=re.compile("[a-zA-Z0-9]{9}"),
    counts_streams=False,
    telemetry_name="mistral_ai",
)

ROWS: Mapping[str, VendorRow] = {
    row.name: row for row in list(globals().values()) if isinstance(row, VendorRow)
}
"""Each of them, by its name."""


def row_at(url: str) -> VendorRow:
    """Return the row of the vendor at *url*, or one that says nothing but where that is."""
    host = urlsplit(url).hostname or ""
    found = (row for row in ROWS.values() if row.is_at(host))
    return next(found, VendorRow(name=host, base_url=url))
