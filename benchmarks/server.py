"""One server for all four vendors' APIs, cheap enough not to be what is measured.

It stops when its standard input ends, so it never outlives the process that started it.
"""

import asyncio
import sys
from collections.abc import Callable
from functools import partial

from benchmarks.replies import reply

__all__ = ["serve"]

_waiting: dict[asyncio.Protocol, Callable[[], None]] = {}  # whose answers begin together
_PACE = 0.001  # seconds; longer than any client takes for a chunk, so that none finds two in a read


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._data = b""
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, blank, body = self._data.partition(b"\r\n\r\n")
        if not blank or not _complete(head, body):
            return
        self._data = b""
        manner, pieces, others = reply(head + b"\r\n", body)
        if manner in ("whole", "burst"):
            self._transport.write(pieces[0])
            return
        _waiting[self] = partial(self._send, pieces, 0, None if manner == "flood" else _PACE)
        if len(_waiting) >= others:
            for begin in _waiting.values():
                begin()
            _waiting.clear()

    def connection_lost(self, error: Exception | None) -> None:
        _waiting.pop(self, None)

    def _send(self, pieces: list[bytes], place: int, pace: float | None) -> None:
        """Send one piece, and the next one after *pace* seconds, or when others have had a turn."""
        if self._transport.is_closing():
            return
        self._transport.write(pieces[place])
        if place + 1 == len(pieces):
            return
        if pace is None:
            self._loop.call_soon(self._send, pieces, place + 1, pace)
        else:
            self._loop.call_later(pace, self._send, pieces, place + 1, pace)


def _complete(head: bytes, body: bytes) -> bool:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line[15:])
        if line.startswith(b"transfer-encoding:"):
            return body.endswith(b"0\r\n\r\n")
    return True


async def serve() -> None:
    """Serve until standard input ends; the first line printed is the port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=10_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
