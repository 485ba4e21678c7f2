"""One event loop's connection to a server of Redis' protocol, and the places that it holds there."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Any
from uuid import uuid4

from bruno_llm_base.limits import LimitState, LimitUse, WindowUse
from redis.exceptions import RedisError

from bruno_llm_redis.server import Script, Server

_GATHERED = 0.005  # seconds in which what there is to tell is gathered
_IDLE = 60.0  # seconds until a connection that is not used is closed
_SEEN = 1.0  # seconds in which the server notes once that this process is there
MINUTES_OF_DAY = 1440
FIELDS = {"rpm": "requests_per_minute", "tpm": "tokens_per_minute", "rpd": "requests_per_day"}
"""What a `RateLimit` calls the windows."""


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

    def __init__(
        self, url: str, name: str, windows: list[Window], lease: float, minute: float
    ) -> None:
        self.me = uuid4().hex[:12]
        self.is_closed = False
        self._lease = lease
        self._windows = windows
        lengths = lease, minute, minute * MINUTES_OF_DAY
        self._lengths = [int(seconds * 1e6) for seconds in lengths]
        self._server = Server(url)
        key = f"bruno-llm:{{{name}}}:"
        keys = [f"{key}{part}" for part in ("all", "leases", "queue", "processes")]
        self._window_keys = {name: f"{key}{name}" for name in FIELDS}
        self._settling = Script("settle", [*keys, *self._window_keys.values()])
        self._taking = Script("take", [*keys, *(self._window_keys[w.name] for w in windows)])
        self._limits = " ".join(f"{w.name} {w.span} {w.limit}" for w in windows)
        self._reading = Script("state", self._taking.keys)
        self._longest = max([self._lengths[0], *(w.span for w in windows)]) / 1e6
        self._serial = 0
        self._held: set[str] = set()
        self._state, self._grants = "-", "0"
        self._asked_at = self._seen_at = 0.0
        self._changes: list[tuple[str, str, int]] = []
        self._told: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._tending = self._loop.create_task(self._tend())

    async def take(self, tokens: Sequence[int], most: int) -> tuple[list[SharedPermit], float, int]:
        """Return places, how many seconds to wait for the next, and how many processes there are."""
        now = time.monotonic()
        if now - self._asked_at > self._longest:
            self._state = "-"  # nothing of it counts any more, so nothing can have been lost
        asked = f"{self._limits} {self._serial} {' '.join(map(str, tokens))}"
        heading = f"{self.me} {self._lengths[0]} {most} {self._state} {self._grants}"

        def words() -> str:  # after a new connection it may be another server
            is_seen = self._server.is_connected and now - self._seen_at < _SEEN
            if not is_seen:
                self._seen_at = now
            return f"{heading} {1 - is_seen} {asked}"

        reply = (await self._server.run(self._taking, words)).split()
        self._state, self._grants, processes = reply[2], reply[3], int(reply[4])
        granted, wait, self._asked_at = int(reply[0]), int(reply[1]), now
        for number, w in enumerate(self._windows):
            w.used = int(reply[2 * number + 6])
        buckets = {w.name: reply[2 * number + 5] for number, w in enumerate(self._windows)}
        serials = [str(self._serial + number) for number in range(granted)]
        self._serial += granted
        if most:
            self._held.update(serials)
        permits = [
            SharedPermit(self, *each, buckets) for each in zip(serials, tokens, strict=False)
        ]
        return permits, wait / 1e6, processes

    async def state(self) -> LimitUse:
        """Return what all processes have taken."""
        reply = (await self._server.run(self._reading, lambda: self._limits)).split()
        numbers = iter(map(int, reply[3:]))
        uses: dict[str, Any] = {
            FIELDS[w.name]: WindowUse(limit, used, free_in / 1e6)
            for w, limit, used, free_in in zip(
                self._windows, numbers, numbers, numbers, strict=True
            )
        }
        in_flight, processes, pause = map(int, reply[:3])
        return LimitUse(
            **uses, in_flight=in_flight, waiting_processes=processes, paused_for=pause / 1e6
        )

    def settle(self, serial: str, changes: list[tuple[str, str, int]]) -> None:
        """Tell later that a place is free, and what it took; from any thread."""
        with suppress(RuntimeError):  # no loop runs here
            if asyncio.get_running_loop() is self._loop:
                self._settle(serial, changes)
                return
        with suppress(
            RuntimeError
        ):  # the loop is closed: the server will forget the place by itself
            self._loop.call_soon_threadsafe(self._settle, serial, changes)

    async def report(self, used: Counter[str], running: int) -> list[SharedPermit]:
        """Tell the server what was taken without it, and return the places of what still runs."""
        serials = [str(self._serial + number) for number in range(running)]
        self._serial += running
        words = [word for name in used for word in ("used", name, "0", str(used[name]))]
        for serial in serials:
            words += ("holds", f"{self.me}:{serial}")
        await self._send(words)
        self._seen_at = 0.0  # it may be another one
        self._held.update(serials)
        return [SharedPermit(self, serial, 0, {}) for serial in serials]

    def tell(self, *words: str) -> None:
        """Tell the server of something, later."""
        self._told += words
        self._wake.set()

    def lower(self, state: LimitState) -> None:
        """Tell the server what a vendor says of its limits."""
        requests = state.requests_limit, state.requests_remaining, state.requests_reset
        tokens = state.tokens_limit, state.tokens_remaining, state.tokens_reset
        for window in self._windows:
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
            await self._server.aclose()

    async def _flush(self, *, renews: bool) -> None:
        words, self._told = self._told, []
        changes, self._changes = self._changes, []
        merged: Counter[tuple[str, str]] = Counter()
        for name, bucket, amount in changes:
            merged[name, "0" if amount > 0 else bucket] += amount
        for (name, bucket), amount in merged.items():
            words += ("used", name, bucket, str(amount))
        if renews:
            for serial in [*self._held]:  # finalizers may give places back meanwhile
                words += ("holds", f"{self.me}:{serial}")
        if not words:
            return
        with suppress(RedisError, OSError, TimeoutError):  # the next request sees to an outage
            await self._send(words)

    async def _send(self, words: list[str]) -> None:
        text = " ".join([self._state, *map(str, self._lengths), *words])
        await self._server.run(self._settling, lambda: text)
