"""One event loop's connection to a server of Redis' protocol, and the places that it holds there."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from math import ceil
from typing import Any
from uuid import uuid4

from bruno_llm_base.limits import LimitState
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, RedisError

_SECONDS = 0.5  # that the server has for an answer
_GATHERED = 0.005  # seconds in which what there is to tell is gathered
_IDLE = 60.0  # seconds until a connection that is not used is closed
_SCRIPTS = {
    name: files(__package__).joinpath(f"{name}.lua").read_text() for name in ("take", "settle")
}
MINUTES_OF_DAY = 1440
_ALL_WINDOWS = ("rpm", "tpm", "rpd")


@dataclass(slots=True, eq=False)
class Window:
    """A window of a limit, and what the server last said of it."""

    name: str
    limit: int
    span: int  # microseconds
    used: int = 0


class SharedPermit:
    """A `Permit` that a server gave."""

    __slots__ = ("_buckets", "_link", "_serial", "_tokens")

    def __init__(self, link: "Link", serial: str, tokens: int, buckets: dict[str, str]) -> None:
        self._link: Link | None = link
        self._serial = serial
        self._tokens = tokens
        self._buckets = buckets

    def settle(self, tokens: int | None = None) -> None:
        """Count what was really taken."""
        self._end(0, self._tokens if tokens is None else tokens)

    def cancel(self) -> None:
        """Give everything back."""
        self._end(-1, 0)

    def _end(self, requests: int, tokens: int) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        more = {"rpm": requests, "rpd": requests, "tpm": tokens - self._tokens}
        changes = [
            (name, bucket, more[name]) for name, bucket in self._buckets.items() if more[name]
        ]
        link.settle(self._serial, changes)


class Link:
    """Asks the server, and tells it in the background what became of places.

    What many requests tell at about the same time goes out as one call.
    """

    def __init__(self, url: str, name: str, lease: float, minute: float) -> None:
        self.me = uuid4().hex[:12]
        self.is_closed = False
        self._lease = lease
        lengths = lease, minute, minute * MINUTES_OF_DAY
        self._lengths = [int(seconds * 1e6) for seconds in lengths]
        self._url = url
        self._connect(Redis)
        key = f"bruno-llm:{{{name}}}:"
        self._keys = [f"{key}{part}" for part in ("all", "leases", "queue", "processes")]
        self._window_keys = {name: f"{key}{name}" for name in _ALL_WINDOWS}
        self._serial = 0
        self._held: set[str] = set()
        self._state, self._grants, self._asked_at = "", 0, 0.0
        self._changes: list[tuple[str, str, int]] = []
        self._told: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._tending = self._loop.create_task(self._tend())

    def _connect(self, kind: type[Redis] | type[RedisCluster]) -> None:
        self._client: Any = kind.from_url(
            self._url,
            decode_responses=True,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        self._scripts = {
            name: self._client.register_script(text) for name, text in _SCRIPTS.items()
        }

    async def take(
        self, tokens: Sequence[int], windows: list[Window], most: int
    ) -> tuple[list[SharedPermit], float, int]:
        """Return places, how many seconds to wait for the next, and how many processes there are."""
        now = time.monotonic()
        if now - self._asked_at > max([self._lengths[0], *(w.span for w in windows)]) / 1e6:
            self._state = ""  # nothing of it counts any more, so nothing can have been lost
        arguments: list[Any] = [self.me, self._lengths[0], most, self._state, self._grants]
        for w in windows:
            arguments += (w.name, w.span, w.limit)
        keys = self._keys + [self._window_keys[w.name] for w in windows]
        arguments += (self._serial, *tokens)
        try:
            reply = await self._scripts["take"](keys=keys, args=arguments)
        except MovedError:  # it is a cluster
            await self._client.aclose()
            self._connect(RedisCluster)
            reply = await self._scripts["take"](keys=keys, args=arguments)
        granted, wait, self._state, self._grants, processes, *told = reply
        self._asked_at = now
        for number, w in enumerate(windows):
            w.used = told[3 * number + 1]
        buckets = {w.name: told[3 * number] for number, w in enumerate(windows)}
        serials = [str(self._serial + number) for number in range(granted)]
        self._serial += granted
        if most:
            self._held.update(serials)
        permits = [
            SharedPermit(self, *each, buckets) for each in zip(serials, tokens, strict=False)
        ]
        return permits, wait / 1e6, processes

    def settle(self, serial: str, changes: list[tuple[str, str, int]]) -> None:
        """Tell later that a place is free, and what it took; from any thread."""
        with suppress(
            RuntimeError
        ):  # the loop is closed: the server will forget the place by itself
            self._loop.call_soon_threadsafe(self._settle, serial, changes)

    def tell(self, *words: str) -> None:
        """Tell the server of something, later."""
        self._told += words
        self._wake.set()

    def lower(self, state: LimitState, windows: list[Window]) -> None:
        """Tell the server what a vendor says of its limits."""
        requests = state.requests_limit, state.requests_remaining, state.requests_reset
        tokens = state.tokens_limit, state.tokens_remaining, state.tokens_reset
        for window in windows:
            if window.name == "rpd":
                continue
            limit, remaining, reset = tokens if window.name == "tpm" else requests
            news = limit is not None and limit < window.limit
            if remaining is not None and reset:
                news |= window.limit - window.used - remaining > 0
            if news:
                words = limit or 0, -1 if remaining is None else remaining, ceil((reset or 0) * 1e6)
                self.tell("lower", window.name, *map(str, words), str(window.limit))

    def _settle(self, serial: str, changes: list[tuple[str, str, int]]) -> None:
        self._changes += changes
        if serial in self._held:
            self._held.remove(serial)
            self._told += ("gone", f"{self.me}:{serial}")
        if self._changes or self._told:
            self._wake.set()

    async def _tend(self) -> None:
        """Tell the server what there is to tell, and three times in a lease what is still held."""
        try:
            renewed_at = used_at = time.monotonic()
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._lease / 3):
                        await self._wake.wait()
                now = time.monotonic()
                if self._wake.is_set() or self._held:
                    used_at = now
                elif now - max(used_at, self._asked_at) > _IDLE:
                    return
                is_due = now - renewed_at >= self._lease / 3
                if is_due:
                    renewed_at = now
                await asyncio.sleep(_GATHERED)
                self._wake.clear()
                await self._flush(renews=is_due)
        finally:
            self.is_closed = True
            with suppress(RedisError, OSError, TimeoutError):
                await self._flush(renews=False)
            await self._client.aclose()

    async def _flush(self, *, renews: bool) -> None:
        words, self._told = self._told, []
        changes, self._changes = self._changes, []
        merged: Counter[tuple[str, str]] = Counter()
        for name, bucket, amount in changes:
            merged[name, "0" if amount > 0 else bucket] += amount
        for (name, bucket), amount in merged.items():
            words += ("used", name, bucket, str(amount))
        if renews:
            for serial in self._held:
                words += ("holds", f"{self.me}:{serial}")
        if not words:
            return
        keys = [*self._keys, *self._window_keys.values()]
        arguments: list[Any] = [self._state, *self._lengths, *words]
        with suppress(RedisError, OSError, TimeoutError):  # the next request sees to an outage
            await self._scripts["settle"](keys=keys, args=arguments)
