"""One HTTP answer, whatever fetched it, how much of it is ever held in memory, and its connection.

All limits count bytes after decompression.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Protocol, Self

from bruno_llm_base.exceptions import InvalidResponseError
from bruno_llm_base.parts import Json
from bruno_llm_base.transport.framing import Framing, LineBuffer

MAX_ANSWER = 64 * 2**20
"""Bytes of an answer, of one line of a stream, or of what waits to be read. The longest answers that
models write take some hundredths of it."""

MAX_STREAM = 4 * MAX_ANSWER
"""Bytes of a streamed answer in all, most of which is not text but the documents around it."""

MAX_REFUSAL = 2**20
"""Bytes that are read of a refusal: its status and headers decide."""

ENCODINGS = "gzip, deflate"
"""Compressions that grow what they are given 1,032 times at most (https://zlib.net/zlib_tech.html)."""

_LONGEST_WORD = 200
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_PIECE = 2**16  # characters of a text that are encoded at once, and bytes that are sent at once
_LARGE = 2**20  # bytes of a body
_OF_THE_BODY = (b"content-encoding", b"content-length", b"transfer-encoding")


class Reply:
    """A status, headers and a body that is still to be read: at once, or as batches of documents.

    It iterates over one list of documents per network read, so that a burst costs one await. It is
    a class of its own rather than a generator: nested generators are closed late.

    Attributes:
        status_code: The HTTP status.
        headers: The headers; names are found in any case.
        whole: Whether a body that was read in batches was one JSON text where a stream was expected.
        most: How many bytes of a body are read in batches.
    """

    def __init__(self, response: Any, framing: Framing = "sse") -> None:
        """Take a response of httpx or httpx2, or what looks like one, before its body is read."""
        self._response = response
        self.status_code = response.status_code
        self.headers = response.headers
        self.whole = False
        self._framing = framing
        self.most = MAX_STREAM
        self._ended = False
        self._bytes: AsyncGenerator[bytes, None] | None = None

    @property
    def request_id(self) -> str | None:
        """The vendor's name for the request."""
        name = next(filter(None, map(self.headers.get, _REQUEST_IDS)), None)
        return name[:_LONGEST_WORD] if name else None

    async def read(self) -> bytes:
        """Return the whole body, or the beginning of a refusal.

        Raises:
            InvalidResponseError: An answer is too long.
        """
        is_refusal = not 200 <= self.status_code < 300
        most = MAX_REFUSAL if is_refusal else MAX_ANSWER + 1
        body = await beginning(_chunks(self._response), most)
        if len(body) > MAX_ANSWER:
            del body  # the error's traceback would keep it
            raise InvalidResponseError(f"the answer is longer than {MAX_ANSWER:,} bytes")
        return body

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[bytes]:
        """Return the documents of the next network read, which may be none.

        Raises:
            InvalidResponseError: A line is too long, or all of them are.
        """
        if self._ended:
            raise StopAsyncIteration
        if self._bytes is None:
            self._bytes, self._left = _chunks(self._response), self.most
            self._lines = LineBuffer(self._framing, MAX_ANSWER)
        try:
            data = await anext(self._bytes)
        except StopAsyncIteration:
            self._ended = True
            documents = self._lines.flush()
            self.whole = self._lines.whole
            return documents
        self._left -= len(data)
        if self._left < 0:
            raise InvalidResponseError(f"the stream is longer than {self.most:,} bytes")
        return self._lines.feed(data)

    async def aclose(self) -> None:
        """Close the connection, or give it back if the body was read to its end."""
        await self._response.aclose()


class Transport(Protocol):
    """A connection to one API, for one event loop."""

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Send a request and return the answer, whatever its status, once its headers are here.

        Args:
            method: The HTTP method.
            path: The endpoint, as the vendor's documentation spells it.
            body: The JSON to send.
        """

    async def aclose(self) -> None:
        """Close the connections."""


def _chunks(response: Any) -> AsyncGenerator[bytes, None]:
    """Return the body of *response* chunk by chunk, past httpx's two layers where it is plain."""
    is_open = not getattr(response, "is_stream_consumed", True)
    is_plain = is_open and "content-encoding" not in response.headers
    return aiter(response.stream) if is_plain else response.aiter_bytes()


async def beginning(chunks: AsyncGenerator[bytes, None], most: int) -> bytes:
    """Return the first *most* bytes of a body."""
    body = bytearray()  # a list of chunks would take many times their bytes if they are tiny
    async with aclosing(chunks):
        async for chunk in chunks:
            body += chunk
            if len(body) >= most:
                del body[most:]
                break
    return bytes(body)


class LargeBody(dict[str, Any]):
    """The JSON of a request with media, which takes so long to encode that a thread does it."""


class Upload(dict[str, Any]):
    """The fields of a form that is sent in place of JSON; bytes are the content of a file."""

    @property
    def fields(self) -> Json:
        """Those that are no files."""
        return {name: value for name, value in self.items() if not isinstance(value, bytes)}

    @property
    def files(self) -> list[tuple[str, tuple[str, bytes]]]:
        """The files, each with the name of its field and its own."""
        files = [(name, value) for name, value in self.items() if isinstance(value, bytes)]
        return [(name, (f"{name}.jsonl", value)) for name, value in files]


async def encoded(body: LargeBody) -> bytes:
    """Return *body* as JSON text, in UTF-8; the event loop goes on meanwhile."""
    return await asyncio.to_thread(lambda: b"".join(map(str.encode, _pieces(body))))


def _pieces(value: Any) -> Iterator[str]:
    """Yield *value* as JSON in pieces: between two of them other threads have their turn."""
    if isinstance(value, dict):
        yield "{"
        for place, (name, inner) in enumerate(value.items()):
            yield f"{',' if place else ''}{_encode(name)}:"
            yield from _pieces(inner)
        yield "}"
    elif isinstance(value, list | tuple):
        yield "["
        for place, inner in enumerate(value):
            yield "," if place else ""
            yield from _pieces(inner)
        yield "]"
    elif isinstance(value, str) and len(value) > _PIECE:
        yield '"'
        for start in range(0, len(value), _PIECE):
            yield _encode(value[start : start + _PIECE])[1:-1]
        yield '"'
    else:
        yield _encode(value)


def in_pieces(content: bytes, library: Any) -> Any:
    """Return *content*; what is large as a stream of an HTTP *library*, of which a piece is sent at once.

    aiohttp warns of more than a megabyte at once, since the event loop would stand still meanwhile.
    """
    return content if len(content) <= _LARGE else _stream_type(library)(content)


@cache
def _stream_type(library: Any) -> Any:
    class InPieces(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, content: bytes) -> None:
            self._pieces = (content[at : at + _PIECE] for at in range(0, len(content), _PIECE))

        def __aiter__(self) -> Self:
            return self

        async def __anext__(self) -> bytes:
            for piece in self._pieces:
                return piece
            raise StopAsyncIteration

    return InPieces


async def send_like(composed: Any, body: Json | None, client: Any, library: Any) -> Any:
    """Send *body* by a *client* of an HTTP *library* as the request *composed*, which has another.

    What a library composes for an endpoint is the same for every body, and takes a tenth of a call.
    """
    if type(body) is LargeBody:
        content = await encoded(body)
    elif type(body) is Upload:
        content = composed.read()
    else:
        content = b"" if body is None else _encode(body).encode()
    sent = in_pieces(content, library)
    request = library.Request(
        composed.method,
        composed.url,
        headers=composed.headers,
        cookies=client.cookies or None,
        stream=library.ByteStream(content) if sent is content else sent,
        extensions=composed.extensions,  # time limits, the name for TLS
    )
    if body is not None:
        request.headers["content-length"] = str(len(content))
    if sent is content:
        request.read()
    return await decompressible(await client.send(request, stream=True))


async def decompressible(response: Any) -> Any:
    """Return *response*; a refusal without its body, if that cannot be decompressed within bounds.

    httpx decompresses all of a network read at once. How much that makes is bounded for one of
    `ENCODINGS`, but not for any other, or several on top of each other.

    Raises:
        InvalidResponseError: It is an answer, and cannot be either.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", "", *ENCODINGS.split(", ")):
        return response
    await response.aclose()
    if not 200 <= response.status_code < 300:
        headers = [item for item in response.headers.raw if item[0].lower() not in _OF_THE_BODY]
        return type(response)(
            response.status_code, headers=headers, content=b"", request=response.request
        )
    raise InvalidResponseError(f"the answer is not compressed as we asked: {ENCODINGS}")


_current: ContextVar["Connection | None"] = ContextVar("bruno_llm_connection", default=None)


@dataclass(slots=True, eq=False)
class Connection:
    """What a client of our own says about the connection that it takes, within a `with` block.

    Attributes:
        is_open: Whether there is one; None where nothing is told.
        is_reused: Whether it has carried another request before; None where nothing is told.
    """

    is_open: bool | None = None
    is_reused: bool | None = None
    _token: "Token[Connection | None]" = field(init=False)

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not GeneratorExit:  # a task that was thrown away ends in another context
            _current.reset(self._token)


def watch(client: Any) -> None:
    """Have *client*, one of httpx's over aiohttp, tell of its connections: only aiohttp's sessions do."""
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - no public door
        transport.client = partial(_open_session, transport)


def _open_session(transport: Any) -> Any:
    import aiohttp

    config = aiohttp.TraceConfig()
    config.on_connection_queued_start.append(_told(is_open=False))
    config.on_connection_create_start.append(_told(is_open=False))
    config.on_connection_create_end.append(_told(is_open=True, is_reused=False))
    config.on_connection_reuseconn.append(_told(is_open=True, is_reused=True))
    config.freeze()
    transport.client = None  # else it would ask us again
    session = transport.get_client()
    session.trace_configs.append(config)
    return session


def _told(*, is_open: bool, is_reused: bool | None = None) -> Callable[..., Awaitable[None]]:
    async def tell(*_: object) -> None:
        if (connection := _current.get()) is not None:
            connection.is_open, connection.is_reused = is_open, is_reused

    return tell
