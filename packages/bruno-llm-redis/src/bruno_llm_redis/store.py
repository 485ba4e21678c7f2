"""Counts the places of a limit in a server of Redis' protocol; scripts there decide, by its clock."""

import asyncio
import time
from collections.abc import Sequence
from math import ceil
from typing import Any, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from bruno_llm_base.exceptions import (
    ConfigurationError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_base.limits import Limits, LimitState, Permit
from bruno_llm_base.limits.queue import Queue, QueuedPermit
from bruno_llm_base.values import shown
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
)

from bruno_llm_redis.link import MINUTES_OF_DAY, Link, Window

LEASE = 30.0
"""Seconds after which the place of a process that was killed is free again."""

_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
_REFUSED = (AuthenticationError, AuthorizationError, NoPermissionError)
_UNREACHABLE = (RedisError, OSError, TimeoutError)
_CIRCUIT = 5.0  # seconds in which a server that did not answer is left alone
_LONGEST_PAUSE = 3600.0
_UNKNOWN = 0.02  # seconds, where a running request must end first


def limit_store(
    url: str,
    name: str,
    on_outage: Literal["local", "refuse"],
    *,
    lease: float = LEASE,
    minute: float = 60.0,
) -> "SharedCounts":
    """Return what counts the limit *name* at *url*; the first request connects.

    Tests may shorten a *lease* and a *minute*, in seconds; all processes must do so alike.

    Raises:
        ConfigurationError: The URL or the name is malformed.
    """
    if set(name) & set("{}"):
        raise ConfigurationError(f"RateLimit.name is {shown(name)}: leave out '{{' and '}}'")
    scheme, _, rest = url.partition("://")
    scheme = _SCHEMES.get(scheme.lower(), scheme.lower())
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        place = f"{parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path}"
        if parts.path.strip("/") and not parts.path.strip("/").isdigit():
            raise ValueError  # noqa: TRY301 - redis-py would take database 0 instead
    except ValueError:  # its words may hold the password
        raise ConfigurationError(
            "RateLimit.store is no URL of a server: give one such as 'redis://user:password@host:6379/0'"
        ) from None
    return SharedCounts(parts.geturl(), f"{scheme}://{place}", name, on_outage, (lease, minute))


class SharedCounts:
    """A `LimitStore`."""

    def __init__(
        self, url: str, place: str, name: str, on_outage: str, lengths: tuple[float, float]
    ) -> None:
        self._url, self._place, self._name = url, place, name
        self._on_outage, self._lengths = on_outage, lengths  # of a lease and a minute, in seconds
        self._links: WeakKeyDictionary[asyncio.AbstractEventLoop, Link] = WeakKeyDictionary()
        self._windows: list[Window] = []
        self._processes = 1
        self._down_until = 0.0
        self._local: Queue | None = None  # counts while the server is out of reach

    def __str__(self) -> str:
        return self._place

    async def take(self, tokens: Sequence[int], limits: Limits) -> tuple[Sequence[Permit], float]:
        """Take places for requests of so many *tokens*, and say when there may be one for the next."""
        if not self._windows:
            self._windows = windows_of(limits, self._lengths[1])
        if self._down_until and time.monotonic() < self._down_until:
            return self._take_locally(tokens, None)
        most = limits.max_concurrent or 0
        try:
            permits, wait, self._processes = await self._link().take(tokens, self._windows, most)
        except _REFUSED as error:
            raise ConfigurationError(
                f"RateLimit.store: {self._place} refuses us ({_reason(error)}): give a login that may"
                f" run scripts and write keys that begin with 'bruno-llm:'",
                cause=error,
            ) from error
        except _UNREACHABLE as error:
            return self._lose(error, tokens, limits)
        self._down_until, self._local = 0.0, None
        return permits, wait

    def lower(self, state: LimitState) -> None:
        """Believe a server that allows less."""
        if link := self._current():
            link.lower(state, self._windows)

    def pause(self, seconds: float) -> None:
        """Give no process a place for so long."""
        if link := self._current():
            link.tell("gate", str(ceil(min(seconds, _LONGEST_PAUSE) * 1e6)))

    def leave(self) -> None:
        """Take this process out of the queue."""
        if link := self._current():
            link.tell("leave", link.me)

    def _link(self) -> Link:
        loop = asyncio.get_running_loop()
        link = self._links.get(loop)
        if link is None or link.is_closed:
            link = self._links[loop] = Link(self._url, self._name, *self._lengths)
        return link

    def _current(self) -> Link | None:
        """Return the link of this event loop, if its server is in reach."""
        try:
            link = self._links.get(asyncio.get_running_loop())
        except RuntimeError:
            return None
        return None if link is None or link.is_closed or self._down_until else link

    def _lose(
        self, error: Exception, tokens: Sequence[int], limits: Limits
    ) -> tuple[Sequence[Permit], float]:
        """Count locally from now on, or refuse."""
        self._down_until = time.monotonic() + _CIRCUIT
        reason = _reason(error)
        if self._local is not None:
            return self._take_locally(tokens, None)
        if self._on_outage == "local":
            self._local = Queue(_share(limits, self._processes), time.monotonic, 0)
            for window, local in zip(self._windows, self._local.counts.windows, strict=True):
                if taken := window.used // self._processes:
                    local.add(taken, time.monotonic())
        facts = {"store": self._place, "reason": reason, "processes": self._processes}
        return self._take_locally(tokens, facts)

    def _take_locally(
        self, tokens: Sequence[int], outage: dict[str, Any] | None
    ) -> tuple[Sequence[Permit], float]:
        if self._local is None:
            raise ServiceUnavailableError(
                f"the shared limit {self._name!r} cannot be asked, as {self._place} does not answer"
                ": start it again, or give RateLimit(on_outage='local')",
                retryable=False,
            )
        permits: list[LocalPermit] = []
        try:
            for estimate in tokens:
                permits.append(LocalPermit(self._local.take(estimate), outage))
                outage = None
        except RateLimitError as error:
            return permits, error.retry_after or _UNKNOWN
        return permits, 0.0


class LocalPermit:
    """A `Permit` of this process alone.

    Attributes:
        outage: What to tell of the outage, with its first place.
    """

    __slots__ = ("_permit", "cancel", "outage", "settle")

    def __init__(self, permit: QueuedPermit, outage: dict[str, Any] | None) -> None:
        self._permit = permit
        self.settle = permit.settle
        self.cancel = permit.cancel
        self.outage = outage


def windows_of(limits: Limits, minute: float) -> list[Window]:
    """Return the windows of *limits*, in the order of those of a process."""
    given = (
        ("rpm", limits.requests_per_minute, minute),
        ("rpd", limits.requests_per_day, minute * MINUTES_OF_DAY),
        ("tpm", limits.tokens_per_minute, minute),
    )
    return [Window(name, most, int(span * 1e6)) for name, most, span in given if most is not None]


def _share(limits: Limits, processes: int) -> Limits:
    names = ("requests_per_minute", "tokens_per_minute", "requests_per_day", "max_concurrent")
    given = {name: value for name in names if (value := getattr(limits, name)) is not None}
    return Limits(**{name: max(1, value // processes) for name, value in given.items()})


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}"
