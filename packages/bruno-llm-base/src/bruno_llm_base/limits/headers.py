"""What a server says about its own rate limits, in the headers of its answers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class LimitState:
    """A server's view of its limits, in requests and tokens of a minute. None is what it leaves out.

    Attributes:
        requests_limit: Requests allowed in a minute.
        requests_remaining: Requests left.
        requests_reset: Seconds until all of them are there again.
        tokens_limit: Tokens allowed in a minute, input and output.
        tokens_remaining: Tokens left.
        tokens_reset: Seconds until all of them are there again.
    """

    requests_limit: int | None = None
    requests_remaining: int | None = None
    requests_reset: float | None = None
    tokens_limit: int | None = None
    tokens_remaining: int | None = None
    tokens_reset: float | None = None

    @property
    def wait(self) -> float | None:
        """Seconds until there is something left of all that is used up; None if nothing is."""
        requests = self.requests_reset if self.requests_remaining == 0 else None
        tokens = self.tokens_reset if self.tokens_remaining == 0 else None
        return max((wait for wait in (requests, tokens) if wait is not None), default=None)


_Told = tuple[int | None, int | None, float | None]  # limit, remaining, reset
_SILENT: _Told = (None, None, None)

_COUNT = r"[0-9]{1,15}"
_STEP = r"([0-9]{1,15}(?:\.[0-9]*)?)(ns|us|µs|ms|s|m|h|d)"
_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0
}  # fmt: skip


def read_limits(headers: Mapping[str, str], names: str) -> LimitState | None:
    """Read what a server says of its limits.

    A reset is a duration, such as "12ms", "1m30.5s" or "7"
    (https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers), or a time of RFC
    3339 (https://platform.claude.com/docs/en/api/rate-limits#response-headers). Where only input and
    output tokens are told apart, their sums count. Malformed values, and the -1 and 0 that some
    servers send for a limit they do not have, are left out.

    Args:
        headers: The headers of an answer.
        names: Their names, such as "x-ratelimit-{what}-{unit}", where what is "limit", "remaining"
            or "reset", and unit "requests", "tokens", "input-tokens" or "output-tokens".
    """
    requests, tokens = _read(headers, names, "requests"), _read(headers, names, "tokens")
    if tokens == _SILENT:
        tokens = _sum(*(_read(headers, names, unit) for unit in ("input-tokens", "output-tokens")))
    return None if requests == tokens == _SILENT else LimitState(*requests, *tokens)


def _read(headers: Mapping[str, str], names: str, unit: str) -> _Told:
    limit, remaining, reset = (
        headers.get(names.format(what=what, unit=unit), "").strip()
        for what in ("limit", "remaining", "reset")
    )
    counted = _count(limit)
    if limit and not counted:
        return _SILENT  # a limit that is none: what is left of it says nothing either
    return counted, _count(remaining), _seconds(reset, headers)


def _sum(one: _Told, other: _Told) -> _Told:
    """Return the limits of input and output as one."""
    if one[1] is None or other[1] is None:
        return _SILENT
    limit = None if one[0] is None or other[0] is None else one[0] + other[0]
    resets = [wait for wait in (one[2], other[2]) if wait is not None]
    return limit, one[1] + other[1], max(resets, default=None)


def _count(value: str) -> int | None:
    return int(value) if re.fullmatch(_COUNT, value) else None


def _seconds(reset: str, headers: Mapping[str, str]) -> float | None:
    if re.fullmatch(_COUNT, reset):
        return float(reset)  # compatible servers send bare seconds
    if re.fullmatch(f"(?:{_STEP})+", reset):
        return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_STEP, reset))
    try:
        times = datetime.fromisoformat(reset), parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, OverflowError):
        return None
    # the server's own time, so that it does not matter how wrong ours is
    until, now = (time if time.tzinfo else time.replace(tzinfo=UTC) for time in times)
    return max(0.0, (until - now).total_seconds())
