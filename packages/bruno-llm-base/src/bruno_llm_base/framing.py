"""Cut the bytes of a streamed body into JSON documents, one batch per network read."""

from codecs import BOM_UTF8
from collections.abc import Callable

from bruno_llm_base.exceptions import InvalidResponseError

__all__ = ["DONE", "Framing", "LineBuffer", "ndjson", "sse"]

Framing = Callable[[list[bytes]], list[bytes]]
"""Turns complete lines into the documents they hold."""

DONE = b"[DONE]"
"""What OpenAI-style streams say after the last document."""


def sse(lines: list[bytes]) -> list[bytes]:
    """Return the `data` of server-sent events (https://html.spec.whatwg.org/#server-sent-events).

    Vendors send one `data` line per event and repeat the event's name inside it, so names, ids,
    comments and pings need no reading.
    """
    return [data for line in lines if line.startswith(b"data:") and (data := line[5:].strip())]


def ndjson(lines: list[bytes]) -> list[bytes]:
    """Return the documents of newline-delimited JSON (https://github.com/ndjson/ndjson-spec)."""
    return [line for line in lines if line and not line.isspace()]


class LineBuffer:
    """Complete lines, out of reads that end anywhere."""

    __slots__ = ("_first", "_framing", "_longest", "_rest")

    def __init__(self, framing: Framing, longest: int) -> None:
        """Start empty.

        Args:
            framing: Turns lines into documents.
            longest: How many bytes may wait for their line break.
        """
        self._framing = framing
        self._longest = longest
        self._rest = bytearray()
        self._first = True

    def feed(self, data: bytes) -> list[bytes]:
        """Return the documents that *data* completes.

        Raises:
            InvalidResponseError: A line is too long.
        """
        if self._first:
            self._first = False
            data = data.removeprefix(BOM_UTF8)
        lines = data.split(b"\n")
        if self._rest and len(lines) > 1:
            lines[0] = self._take_rest() + lines[0]
        if rest := lines.pop():
            self._wait_with(rest)
        return self._framing(lines)

    def flush(self) -> list[bytes]:
        """Return what is left at the end of the body: a last line may lack its line break."""
        return self._framing([self._take_rest()])

    def _take_rest(self) -> bytes:
        rest = bytes(self._rest)
        self._rest.clear()
        return rest

    def _wait_with(self, rest: bytes) -> None:
        self._rest += rest  # in place: adding bytes to bytes copies a long line with every read
        if len(self._rest) > self._longest:
            self._rest.clear()  # the error's traceback would keep it
            raise InvalidResponseError(f"a line of the answer exceeds {self._longest:,} bytes")
