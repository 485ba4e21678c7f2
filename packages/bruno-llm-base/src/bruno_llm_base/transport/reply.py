"""One HTTP answer, whoever fetched it."""

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol, Self

from bruno_llm_base.exceptions import InvalidResponseError
from bruno_llm_base.framing import Framing, LineBuffer
from bruno_llm_base.transport.bounds import (
    MAX_ANSWER,
    MAX_REFUSAL,
    MAX_STREAM,
    beginning,
    refuses,
)
from bruno_llm_base.types import Json

__all__ = ["HttpResponse", "Reply", "Transport"]


class HttpResponse(Protocol):
    """The part of httpx's and httpx2's responses that we use."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names are found in any case."""

    def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Read the body piece by piece."""

    async def aclose(self) -> None:
        """Close the connection, or give it back if the body was read to its end."""


class Reply:
    """A status, headers and a body that is still to be read: at once, or as batches of documents.

    It iterates over one list of documents per network read, so that a burst costs one await. It is
    a class of its own rather than a generator: nested generators are closed late.

    Attributes:
        status_code: The HTTP status.
        headers: The headers; names are found in any case.
        whole: Whether a body that was read in batches was one JSON text where a stream was expected.
    """

    __slots__ = (
        "_bytes",
        "_ended",
        "_framing",
        "_left",
        "_lines",
        "_response",
        "headers",
        "status_code",
        "whole",
    )

    def __init__(self, response: HttpResponse, framing: Framing) -> None:
        self._response = response
        self.status_code = response.status_code
        self.headers = response.headers
        self.whole = False
        self._framing = framing
        self._ended = False
        self._bytes: AsyncGenerator[bytes, None] | None = None

    async def read(self) -> bytes:
        """Return the whole body, or the beginning of a refusal.

        Raises:
            InvalidResponseError: An answer is too long.
        """
        most = MAX_REFUSAL if refuses(self.status_code) else MAX_ANSWER + 1
        body = await beginning(self._response.aiter_bytes(), most)
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
            self._bytes, self._left = self._response.aiter_bytes(), MAX_STREAM
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
            raise InvalidResponseError(f"the stream is longer than {MAX_STREAM:,} bytes")
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
