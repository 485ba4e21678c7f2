"""Counts the places of a limit in a server of Redis' protocol; scripts there decide, by its clock."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from math import ceil
from typing import Literal
from weakref import WeakKeyDictionary

from bruno_llm_base.exceptions import ConfigurationError, ServiceUnavailableError
from bruno_llm_base.limits import Limits, LimitState, LimitUse, Permit
from bruno_llm_base.values import shown
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
)

from bruno_llm_redis.link import FIELDS, MINUTES_OF_DAY, Link, Window
from bruno_llm_redis.outage import Outage
from bruno_llm_redis.server import Address

LEASE = 30.0
"""Seconds after which the place of a process that was killed is free again."""
AGAIN = 5.0
"""Seconds until a server that did not answer is asked again."""

_REFUSED = (AuthenticationError, AuthorizationError, NoPermissionError)
_UNREACHABLE = (RedisError, OSError, TimeoutError)
_LONGEST_PAUSE = 3600.0


def limit_store(
    url: str,
    name: str,
    on_outage: Literal["local", "refuse"],
    *,
    lease: float = LEASE,
    minute: float = 60.0,
    again: float = AGAIN,
) -> "SharedCounts":
    """Return what counts the limit *name* at *url*; the first request connects.

    Tests may shorten a *lease*, a *minute* and *again*, in seconds; all processes must do so alike.

    Raises:
        ConfigurationError: The URL or the name is malformed.
    """
    if set(name) & set("{}"):
        raise ConfigurationError(f"RateLimit.name is {shown(name)}: leave out '{{' and '}}'")
    address = Address.of(url, "RateLimit.store")
    lengths = lease, minute, again
    return SharedCounts(address, name, on_outage, lengths)


class SharedCounts:
    """A `LimitStore`."""

    def __init__(
        self, address: Address, name: str, on_outage: str, lengths: tuple[float, float, float]
    ) -> None:
        self._url, self._place = address.url, address.place
        self._name, self._on_outage = name, on_outage
        *self._lengths, self._again = lengths  # seconds
        self._links: WeakKeyDictionary[asyncio.AbstractEventLoop, Link] = WeakKeyDictionary()
        self._windows: list[Window] = []
        self._processes = 1
        self._outage: Outage | None = None
        self._returning: asyncio.Task[None] | None = None  # asks until the outage is over

    def __str__(self) -> str:
        return self._place

    async def take(self, tokens: Sequence[int], limits: Limits) -> tuple[Sequence[Permit], float]:
        """Take places for requests of so many *tokens*, and say when there may be one for the next."""
        self._windows = self._windows or windows_of(limits, self._lengths[1])
        if self._outage is not None:
            return self._take_locally(tokens)
        most = limits.max_concurrent or 0
        try:
            permits, wait, self._processes = await self._link().take(tokens, most)
        except _REFUSED as error:
            raise self._refused(error) from error
        except _UNREACHABLE as error:
            facts = {"store": self._place, "reason": _reason(error), "processes": self._processes}
            self._outage = Outage(limits, self._windows, self._processes, facts)
            return self._take_locally(tokens)
        return permits, wait

    async def state(self, limits: Limits) -> LimitUse:
        """Return what all processes have taken; in an outage, what this one has of its share."""
        self._windows = self._windows or windows_of(limits, self._lengths[1])
        if self._outage is not None and self._on_outage == "local":
            return self._outage.state()
        try:
            use = await self._link().state()
        except _REFUSED as error:
            raise self._refused(error) from error
        except _UNREACHABLE as error:
            raise self._away(error) from error
        return use if limits.max_concurrent else replace(use, in_flight=None)

    def lower(self, state: LimitState) -> None:
        """Believe a server that allows less."""
        if link := self._current():
            link.lower(state)

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
            link = self._links[loop] = Link(self._url, self._name, self._windows, *self._lengths)
        return link

    def _current(self) -> Link | None:
        """Return the link of this event loop, if its server is in reach."""
        try:
            link = self._links.get(asyncio.get_running_loop())
        except RuntimeError:
            return None
        return None if link is None or link.is_closed or self._outage else link

    def _take_locally(self, tokens: Sequence[int]) -> tuple[Sequence[Permit], float]:
        returning = self._returning
        if returning is None or returning.done() or returning.get_loop().is_closed():
            self._returning = asyncio.get_running_loop().create_task(self._return())
        if self._on_outage == "refuse" or self._outage is None:
            raise self._away()
        return self._outage.take(tokens)

    def _away(self, error: Exception | None = None) -> ServiceUnavailableError:
        reason = self._outage.reason if error is None and self._outage else _reason(error)
        return ServiceUnavailableError(
            f"the shared limit {self._name!r} cannot be asked at {self._place} ({reason}): see that the"
            " server runs, can be written and is not full, or give RateLimit(on_outage='local')",
            retryable=False,
            cause=error,
        )

    def _refused(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"RateLimit.store: {self._place} refuses us ({_reason(error)}): give a login that may"
            " run scripts and write keys that begin with 'bruno-llm:'",
            cause=error,
        )

    async def _return(self) -> None:
        """End the outage as soon as the server has been told what was taken meanwhile."""
        while self._outage is not None:
            await asyncio.sleep(self._again)
            with suppress(*_UNREACHABLE):
                await self._outage.tell(self._link())
                self._outage = None


def windows_of(limits: Limits, minute: float) -> list[Window]:
    """Return the windows of *limits*, in the order of those of a process."""
    spans = {"rpm": minute, "rpd": minute * MINUTES_OF_DAY, "tpm": minute}
    given = ((name, getattr(limits, FIELDS[name]), span) for name, span in spans.items())
    return [Window(name, most, int(span * 1e6)) for name, most, span in given if most is not None]


def _reason(error: Exception | None) -> str:
    return type(error).__name__
