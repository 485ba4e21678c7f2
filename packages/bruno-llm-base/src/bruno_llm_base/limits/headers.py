"""What a server says about its own rate limits, in the headers of its answers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial

__all__ = ["LimitState", "read_durations", "read_times"]


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
_DURATION = r"(?:[0-9]{1,15}(?:\.[0-9]*)?(?:ns|us|µs|ms|s|m|h|d))+"
_STEP = r"([0-9.]+)([a-zµ]+)"
_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0
}  # fmt: skip


def read_durations(headers: Mapping[str, str]) -> LimitState | None:
    """Read `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, with resets as durations.

    Such as "12ms" and "1m30.5s"
    (https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers). Malformed values,
    and the -1 and 0 that some servers send for a limit they do not have, are left out.
    """
    requests = _read(headers, "x-ratelimit-{}-requests", _duration)
    return _state(requests, _read(headers, "x-ratelimit-{}-tokens", _duration))


def read_times(headers: Mapping[str, str], prefix: str) -> LimitState | None:
    """Read `{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`, resets as times.

    The times are those of RFC 3339
    (https://platform.claude.com/docs/en/api/rate-limits#response-headers). Where only input and
    output tokens are told apart, their sums count. Malformed values are left out.

    Args:
        headers: The headers of an answer.
        prefix: What all their names begin with.
    """
    until = partial(_until, _server_time(headers))
    requests = _read(headers, prefix + "requests-{}", until)
    tokens = _read(headers, prefix + "tokens-{}", until)
    if tokens == _SILENT:
        tokens = _sum(
            _read(headers, prefix + "input-tokens-{}", until),
            _read(headers, prefix + "output-tokens-{}", until),
        )
    return _state(requests, tokens)


def _state(requests: _Told, tokens: _Told) -> LimitState | None:
    return None if requests == tokens == _SILENT else LimitState(*requests, *tokens)


def _read(headers: Mapping[str, str], name: str, reset: Callable[[str], float | None]) -> _Told:
    values = (headers.get(name.format(what), "") for what in ("limit", "remaining", "reset"))
    limit, remaining, wait = (value.strip() for value in values)
    counted = _count(limit)
    if limit and not counted:
        return _SILENT  # a limit that is none: what is left of it says nothing either
    return counted, _count(remaining), reset(wait)


def _sum(one: _Told, other: _Told) -> _Told:
    """Return the limits of input and output as one."""
    if one[1] is None or other[1] is None:
        return _SILENT
    limit = None if one[0] is None or other[0] is None else one[0] + other[0]
    resets = [wait for wait in (one[2], other[2]) if wait is not None]
    return limit, one[1] + other[1], max(resets, default=None)


def _count(value: str) -> int | None:
    return int(value) if re.fullmatch(_COUNT, value) else None


def _duration(value: str) -> float | None:
    if re.fullmatch(_COUNT, value):
        return float(value)  # compatible servers send bare seconds
    if not re.fullmatch(_DURATION, value):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_STEP, value))


def _until(now: datetime, value: str) -> float | None:
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return max(0.0, (time - now).total_seconds())


def _server_time(headers: Mapping[str, str]) -> datetime:
    """Return the server's own time, so that it does not matter how wrong ours is."""
    try:
        date = parsedate_to_datetime(headers.get("date") or "")
    except (ValueError, OverflowError):
        return datetime.now(UTC)
    return date if date.tzinfo else date.replace(tzinfo=UTC)
