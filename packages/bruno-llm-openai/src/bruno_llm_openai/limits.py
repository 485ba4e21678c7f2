"""Rate limits of OpenAI's usage tiers, by name.

Limits belong to an organization and a model: give models that you use side by side one `RateLimit`
each. The figures for GPT-5 and GPT-5 mini are those that OpenAI announced on 2025-09-12
(https://platform.openai.com/docs/models/gpt-5, https://platform.openai.com/docs/models/gpt-5-mini),
those for GPT-4o those of https://platform.openai.com/docs/guides/rate-limits of November 2024. They are
old; https://platform.openai.com/settings/organization/limits shows your own. Where OpenAI allows less,
the headers of its answers lower these by themselves; where it allows more, build `RateLimit(...)`.
"""

from typing import Any

from bruno_llm_base.limits import RateLimit, preset

__all__ = ["PRESETS", "rate_limit"]

PRESETS: dict[str, dict[str, Any]] = {
    "tier-1-gpt-5": {"requests_per_minute": 500, "tokens_per_minute": 500_000},
    "tier-1-gpt-5-mini": {"requests_per_minute": 500, "tokens_per_minute": 500_000},
    "tier-1-gpt-4o": {"requests_per_minute": 500, "tokens_per_minute": 30_000},
    "tier-1-gpt-4o-mini": {
        "requests_per_minute": 500,
        "tokens_per_minute": 200_000,
        "requests_per_day": 10_000,
    },
}


def rate_limit(name: str) -> RateLimit:
    """Return a new `RateLimit` for a tier and model in `PRESETS`.

    Raises:
        ConfigurationError: There is none of that name.
    """
    return preset(name, PRESETS)
