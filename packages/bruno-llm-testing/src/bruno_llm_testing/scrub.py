"""Secrets, and how they are kept out of recordings."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bruno_llm_base import ConfigurationError

__all__ = ["Scrubber", "safe_headers"]

BLOT = "***"

_HEADERS = re.compile(r"content-type|retry-after(-ms)?|.*ratelimit.*|(x-|anthropic-)?request-id")
"""The response headers that the providers read. Only they are kept: others name accounts, set
cookies, or are what the next gateway thinks of."""

_VARIABLE = re.compile(r"key|token|secret|password", re.IGNORECASE)
_SHORTEST = 16  # of the environment's values: shorter ones may as well be words

_SHAPES = re.compile(
    r"\b(?:sk|pk|rk)-[\w-]{16,}"  # OpenAI, Anthropic, OpenRouter
    r"|\b(?:org|proj)[-_][A-Za-z0-9]{16,}"  # OpenAI's organizations and projects
    r"|\bAIza[\w-]{30,}|\bya29\.[\w.-]{16,}"  # Google's keys and tokens
    r"|(?<=[?&]key=)[^&\s\"']+"
    r"|(?i:(?<=bearer ))[\w.~+/=-]{8,}"
)


class Scrubber:
    """Blots out what nobody may see: secrets that are known, and what looks like a key."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        """Take the user's own secrets, and those of the environment.

        Args:
            secrets: What is blotted out wherever it stands.

        Raises:
            ConfigurationError: One is no text, or empty.
        """
        if isinstance(secrets, str) or not all(isinstance(s, str) and s for s in secrets):
            raise ConfigurationError("secrets is no list of texts: give those to be blotted out")
        known = [
            value.strip()
            for name, value in os.environ.items()
            if _VARIABLE.search(name) and len(value.strip()) >= _SHORTEST
        ]
        self._secrets = sorted({*secrets, *known}, key=len, reverse=True)

    def scrub(self, value: Any) -> Any:
        """Return *value*, any JSON, without secrets."""
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, BLOT)
            return _SHAPES.sub(BLOT, value)
        if isinstance(value, dict):
            return {self.scrub(name): self.scrub(item) for name, item in value.items()}
        return [self.scrub(item) for item in value] if isinstance(value, list) else value


def safe_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return those of a response's *headers* that may be kept, by lower-case name."""
    lowered = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in sorted(lowered.items()) if _HEADERS.fullmatch(name)}
