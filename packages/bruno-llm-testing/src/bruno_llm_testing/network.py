"""A switch that forbids the network to all of the process."""

import ipaddress
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bruno_llm_base import ConfigurationError


class NetworkBlockedError(ConfigurationError):
    """A test tried to reach another machine, which it may not."""


@contextmanager
def network_blocked() -> Iterator[None]:
    """Forbid all of the process, whatever library it uses, to reach another machine.

    This machine is allowed (127.0.0.1, ::1, localhost, Unix sockets), so fake servers can be used.
    It works by Python's audit events (https://docs.python.org/3/library/audit_events.html), which
    nothing evades that opens its connections through Python's `socket`. Processes that are started
    meanwhile are not affected.
    """
    _guard.close()
    try:
        yield
    finally:
        _guard.open()


class _Guard:
    """An audit hook. Those cannot be removed, so there is one, and it sleeps most of the time."""

    __cantrace__ = True  # else neither debuggers nor coverage would see into it

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = 0
        self._hooked = False

    def close(self) -> None:
        with self._lock:
            self._closed += 1
            if not self._hooked:
                sys.addaudithook(self)
                self._hooked = True

    def open(self) -> None:
        with self._lock:
            self._closed -= 1

    def __call__(self, event: str, facts: tuple[Any, ...]) -> None:
        if self._closed and event.startswith("socket."):
            place = _reached(event, facts)
            if place is not None and not _is_here(place):
                raise NetworkBlockedError(
                    f"the network is forbidden here, and something tried to reach {place}: use a"
                    " MockLLM, a fake server or a Cassette, or mark the test with `llm_network`"
                )


_guard = _Guard()


def _reached(event: str, facts: tuple[Any, ...]) -> str | None:
    """Return the host that an event reaches for, by name or address; None if none."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        sock, address = facts
        internet = sock.family in (socket.AF_INET, socket.AF_INET6)
        return _text(address[0]) if internet and address else None
    if event == "socket.getnameinfo":
        return _text(facts[0][0])
    if event == "socket.gethostbyaddr":
        return _text(facts[0])  # even an address: its name is asked of a name server
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        name = _text(facts[0])
        return None if _address(name) else name  # an address is not looked up anywhere
    return None


def _text(host: str | bytes | None) -> str:
    return host.decode(errors="replace") if isinstance(host, bytes) else host or ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_here(host: str) -> bool:
    address = _address(host)
    if address is None:
        return host in ("", "localhost", socket.gethostname())
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified
