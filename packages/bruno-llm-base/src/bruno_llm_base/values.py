"""Whether a user's value makes sense, and how a wrong one is named in an error."""

import json
import re
from hashlib import sha256
from ipaddress import ip_address
from typing import Any, TypeGuard

LONGEST = 1_000_000_000
"""Seconds, some 30 years: event loops and HTTP libraries fail on infinity and beyond."""

INT64 = 2**63 - 1
"""The largest whole number that every server can read."""

_MOST_SHOWN = 80


def is_url(given: object) -> TypeGuard[str]:
    """Whether *given* is meant as a URL, also with one slash: what is not may be shown in an error.

    A single letter before the colon is a drive of Windows.
    """
    return isinstance(given, str) and re.match(r"[A-Za-z][A-Za-z\d+.-]+:/", given) is not None


def shown(value: object) -> str:
    """Return *value* for an error's message: at most 80 characters, whatever its `repr` does."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's own, or an int of more digits than Python prints
        return f"a {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def reason_of(error: Exception) -> str:
    """Return why pydantic makes no schema of a type, without its advice to those who write models."""
    return str(error).partition("\n")[0].partition(" Set `arbitrary_types_allowed")[0]


def is_whole(value: object, *, least: int) -> bool:
    """Whether *value* is a whole number, *least* or more, that every server can read."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= INT64


def is_loopback(host: str) -> bool:
    """Whether *host*, a name or an address, is this machine."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def is_seconds(value: object) -> bool:
    """Whether *value* is a time in seconds, from 0 to `LONGEST`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST


def digest(value: Any) -> str:
    """Return what is the same for equal JSON, in another process too.

    Raises:
        TypeError: It is no JSON.
    """
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
