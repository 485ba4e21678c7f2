"""Secrets, and how they are kept out of recordings."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from bruno_llm_base import ConfigurationError

MASK = "***"

_HEADERS = re.compile(r"content-type|retry-after(-ms)?|.*ratelimit.*|(x-|anthropic-)?request-id")
"""The response headers that the providers read. Only they are kept: others name accounts, set
cookies, or are what the next gateway thinks of."""

_VARIABLE = re.compile(r"key|token|secret|password", re.IGNORECASE)
_SHORTEST = 16  # of the environment's values: shorter ones may as well be words

_SHAPES = (
    r"\b(?:sk|pk|rk)-[\w-]{16,}"  # OpenAI, Anthropic, OpenRouter
    r"|\b(?:org|proj)[-_][A-Za-z0-9]{16,}"  # OpenAI's organizations and projects
    r"|\bAIza[\w-]{30,}|\bya29\.[\w.-]{16,}"  # Google's keys and tokens
    r"|(?<=[?&]key=)[^&\s\"']+"
    r"|(?i:(?<=bearer ))[\w.~+/=-]{8,}"
)


_FILE = re.compile(r"(data:[^,]{0,200};base64,)?([A-Za-z0-9+/]{1000,}={0,2})")


def without_files(body: Any) -> Any:
    """Return *body*, any JSON, with a hash for each file in it, by which it is still known."""
    if isinstance(body, dict):
        return {name: without_files(value) for name, value in body.items()}
    if isinstance(body, list | tuple):
        return list(map(without_files, body))
    if isinstance(body, str) and (file := _FILE.fullmatch(body)):
        return f"{file[1] or ''}(a file, SHA-256 {sha256(file[2].encode()).hexdigest()})"
    return body


class Scrubber:
    """Removes secrets: those that are known, and what looks like a key."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        """Take the user's own secrets, and those of the environment.

        Args:
            secrets: What is removed wherever it stands.

        Raises:
            ConfigurationError: One is not a text, or empty.
        """
        if isinstance(secrets, str) or not all(isinstance(s, str) and s for s in secrets):
            raise ConfigurationError("secrets is not a list of texts: give those to remove")
        known = [
            value.strip()
            for name, value in os.environ.items()
            if _VARIABLE.search(name) and len(value.strip()) >= _SHORTEST
        ]
        self._secrets = {*secrets, *known}

    def scrub(self, value: Any, secrets: Iterable[str] = ()) -> Any:
        """Return *value*, any JSON, without secrets.

        Args:
            value: A request, or a response.
            secrets: More than are known already.
        """
        known = sorted({*self._secrets, *secrets}, key=len, reverse=True)
        return _scrubbed(value, re.compile("|".join([*map(re.escape, known), _SHAPES])))

    def scrub_batches(self, batches: list[Any], secrets: Iterable[str] = ()) -> list[Any]:
        """Return the *batches* of a stream without secrets, those spelled piece by piece included."""
        known = sorted({*self._secrets, *secrets}, key=len, reverse=True)
        pattern = re.compile("|".join([*map(re.escape, known), _SHAPES]))
        documents = [doc for batch in batches for doc in batch if not isinstance(doc, str)]
        places: dict[tuple[Any, ...], list[tuple[Any, Any]]] = {}
        for document in documents:
            for path, owner, key in _texts(document):
                places.setdefault(path, []).append((owner, key))
        for found in places.values():
            pieces = _masked([owner[key] for owner, key in found], pattern)
            for (owner, key), piece in zip(found, pieces, strict=True):
                owner[key] = piece
        return [_scrubbed(batch, pattern) for batch in batches]


def _scrubbed(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return pattern.sub(MASK, value)
    if isinstance(value, dict):
        return {_scrubbed(k, pattern): _scrubbed(item, pattern) for k, item in value.items()}
    return [_scrubbed(item, pattern) for item in value] if isinstance(value, list) else value


def _texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """Yield where the texts in *value* are: the path, the object or list, and the place in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(item, str):
            yield (*path, key), value, key
        elif isinstance(item, dict | list):
            yield from _texts(item, (*path, key))


def _masked(pieces: list[str], pattern: re.Pattern[str]) -> list[str]:
    """Return the *pieces* of one text without what *pattern* finds in it, with a mask where it began."""
    whole = "".join(pieces)
    spans = [match.span() for match in pattern.finditer(whole)]
    result, begin = [], 0
    for piece in pieces:
        end, text, place = begin + len(piece), "", begin
        for first, last in spans:
            if first < end and last > begin:
                text += whole[place : max(first, place)] + (MASK if first >= begin else "")
                place = min(max(last, place), end)
        result.append(text + whole[place:end])
        begin = end
    return result


def safe_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return those of a response's *headers* that may be kept, by lower-case name."""
    lowered = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in sorted(lowered.items()) if _HEADERS.fullmatch(name)}
