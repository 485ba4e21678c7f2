"""Rate limits of Gemini's free tier, by name.

Limits belong to a project and a model: give models that you use side by side one `RateLimit` each.
The figures are those of the last table in https://ai.google.dev/gemini-api/docs/rate-limits, of late
2025. They are old: Google has lowered some since, and the page (read 2026-10-17) names no figures any
more but points to https://aistudio.google.com/rate-limit, which shows your own. Where that says less,
build `RateLimit(...)` from it: Gemini's answers carry no headers that could lower these.

Google counts input tokens only and starts its day at midnight Pacific time; ours counts the output too
and any 24 hours, so it is never above either.
"""

from typing import Any

from bruno_llm_base.limits import RateLimit, preset

__all__ = ["PRESETS", "rate_limit"]

PRESETS: dict[str, dict[str, Any]] = {
    "free-2.5-pro": {
        "requests_per_minute": 5,
        "tokens_per_minute": 250_000,
        "requests_per_day": 100,
    },
    "free-2.5-flash": {
        "requests_per_minute": 10,
        "tokens_per_minute": 250_000,
        "requests_per_day": 250,
    },
    "free-2.5-flash-lite": {
        "requests_per_minute": 15,
        "tokens_per_minute": 250_000,
        "requests_per_day": 1_000,
    },
}


def rate_limit(name: str) -> RateLimit:
    """Return a new `RateLimit` for a tier and model in `PRESETS`.

    Raises:
        ConfigurationError: There is none of that name.
    """
    return preset(name, PRESETS)
