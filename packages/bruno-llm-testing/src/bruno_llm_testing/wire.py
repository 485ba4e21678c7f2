"""How a fake server's reply travels to the client, and how it fails to."""

import asyncio
import math
import socket
import struct
import time
from dataclasses import dataclass
from typing import Self

from aiohttp import web

from bruno_llm_testing.script import Fault, Mishap

_NO_HTTP = b"220 mail.example.com ESMTP ready\r\n"
_GRACE = 0.02  # before a connection breaks, so that the client has read what came before
_PACKET = 0.0001  # between two packets, so that they are not read as one


@dataclass(slots=True, kw_only=True)
class Rendered:
    """A reply in the vendor's own format.

    Attributes:
        status: The HTTP status.
        headers: The headers.
        events: The body, in the pieces that are sent one by one.
        streamed: Whether it comes as a stream, without a stated length. Else it is one document.
        ping: What comes while there is nothing to say.
        garbage: An event that is not JSON.
    """

    status: int
    headers: dict[str, str]
    events: list[bytes]
    streamed: bool
    ping: bytes = b""
    garbage: bytes = b'{"broken'

    @classmethod
    def document(cls, status: int, headers: dict[str, str], body: bytes) -> Self:
        """Return a reply whose body is *body*, in two halves that a fault may come between."""
        half = (len(body) + 1) // 2
        events = [body[:half], body[half:]]
        return cls(status=status, headers=headers, events=events, streamed=False)

    def parted(self, after: int | None) -> tuple[list[bytes], list[bytes]]:
        """Return the events before a mishap, and those after it."""
        if after is None:
            return self.events, []
        place = after if self.streamed else min(after, 1)
        return self.events[:place], self.events[place:]


class Wire:
    """The way of one reply to the client."""

    def __init__(self, request: web.BaseRequest, fault: Fault) -> None:
        self._request = request
        self._fault = fault

    async def send(self, reply: Rendered) -> web.StreamResponse:
        """Send *reply* as far as the fault lets it come.

        Raises:
            ConnectionError: The client has left.
        """
        fault = self._fault
        await asyncio.sleep(fault.before_header)
        if fault.then is not None and fault.after is None:
            await self._fail(fault.then)
            return web.Response()
        sent, unsent = reply.parted(fault.after)
        if fault.then == "garble":
            sent, unsent = [*sent, reply.garbage, *unsent], []
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        if not reply.streamed:
            promised = sent if fault.then == "end" else [*sent, *unsent]
            response.content_length = sum(map(len, promised))
        await response.prepare(self._request)
        for place, event in enumerate(sent):
            late = fault.between_events if place else fault.before_first_event
            await self._keep_quiet(late, response, reply.ping)
            await self._write(response, event)
        if fault.then == "stall":
            await self._keep_quiet(math.inf, response, reply.ping)
        if fault.then in ("reset", "close"):
            await asyncio.sleep(_GRACE)
            self._drop(reset=fault.then == "reset")
        else:
            await response.write_eof()
        return response

    async def _fail(self, how: Mishap) -> None:
        """Do not even send a header."""
        if how == "stall":
            await asyncio.sleep(math.inf)
        if how == "garble" and self._request.transport is not None:
            self._request.transport.write(_NO_HTTP)
        self._drop(reset=how == "reset")

    async def _keep_quiet(self, seconds: float, response: web.StreamResponse, ping: bytes) -> None:
        """Send nothing but pings for a while."""
        if not seconds:
            return
        until, every = time.monotonic() + seconds, self._fault.pings
        while every is not None and ping and time.monotonic() + every < until:
            await asyncio.sleep(every)
            await self._write(response, ping)
        await asyncio.sleep(until - time.monotonic())

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        size = self._fault.split
        if size is None:
            await response.write(data)
            return
        for place in range(0, len(data), size):
            await response.write(data[place : place + size])
            # no timer of the event loop is that short
            await asyncio.to_thread(time.sleep, _PACKET)

    def _drop(self, *, reset: bool) -> None:
        """Break the connection off, with a FIN or with an RST."""
        transport = self._request.transport
        if transport is None:
            return
        if not reset:
            transport.close()
            return
        # to linger for 0 seconds is to reset: socket(7)
        at_once = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        transport.abort()
