"""How much of an answer is ever held in memory, whatever a server sends.

All limits count bytes after decompression.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from bruno_llm_base.exceptions import InvalidResponseError

__all__ = [
    "ENCODINGS",
    "MAX_ANSWER",
    "MAX_REFUSAL",
    "MAX_STREAM",
    "beginning",
    "decompressible",
    "refuses",
]

MAX_ANSWER = 64 * 2**20
"""Bytes of an answer, of one line of a stream, or of what waits to be read. The longest answers that
models write take some hundredths of it."""

MAX_STREAM = 4 * MAX_ANSWER
"""Bytes of a streamed answer in all, most of which is not text but the documents around it."""

MAX_REFUSAL = 2**20
"""Bytes that are read of a refusal: its status and headers decide."""

ENCODINGS = "gzip, deflate"
"""Compressions that grow what they are given 1,032 times at most (https://zlib.net/zlib_tech.html)."""

_OF_THE_BODY = (b"content-encoding", b"content-length", b"transfer-encoding")


def refuses(status: int) -> bool:
    """Whether an HTTP status stands for anything but an answer: a redirect is none either."""
    return not 200 <= status < 300


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
    if refuses(response.status_code):
        return _with_body(response, b"")
    raise InvalidResponseError(f"the answer is not compressed as we asked: {ENCODINGS}")


def _with_body(response: Any, body: bytes) -> Any:
    """Return *response* with *body* in place of its own."""
    headers = [item for item in response.headers.raw if item[0].lower() not in _OF_THE_BODY]
    return type(response)(
        response.status_code, headers=headers, content=body, request=response.request
    )
