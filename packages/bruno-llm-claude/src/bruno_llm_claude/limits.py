"""Rate limits of Claude's usage tiers, by name.

Limits belong to an organization and a class of models: give classes that you use side by side one
`RateLimit` each. Figures of https://platform.claude.com/docs/en/api/rate-limits, tokens being input and
output together, as in the header `anthropic-ratelimit-tokens-limit`:

- `start-fable-5` and `scale-fable-5` as of 2026-10-17;
- `tier-1-opus-4`, `tier-1-sonnet-4` and `tier-1-haiku-4.5` as of early 2026. These are old: on
  2026-06-26 the tiers Start, Build and Scale took the place of 1 to 4, and all limits were raised.

https://platform.claude.com/settings/limits shows your own. Where Anthropic allows less, the headers of
its answers lower these by themselves; where it allows more, build `RateLimit(...)`.
"""

from typing import Any

from bruno_llm_base.limits import RateLimit, preset

__all__ = ["PRESETS", "rate_limit"]

PRESETS: dict[str, dict[str, Any]] = {
    "start-fable-5": {"requests_per_minute": 1_000, "tokens_per_minute": 600_000},
    "scale-fable-5": {"requests_per_minute": 4_000, "tokens_per_minute": 4_800_000},
    "tier-1-opus-4": {"requests_per_minute": 50, "tokens_per_minute": 38_000},
    "tier-1-sonnet-4": {"requests_per_minute": 50, "tokens_per_minute": 38_000},
    "tier-1-haiku-4.5": {"requests_per_minute": 50, "tokens_per_minute": 60_000},
}


def rate_limit(name: str) -> RateLimit:
    """Return a new `RateLimit` for a tier and class of models in `PRESETS`.

    Raises:
        ConfigurationError: There is none of that name.
    """
    return preset(name, PRESETS)
