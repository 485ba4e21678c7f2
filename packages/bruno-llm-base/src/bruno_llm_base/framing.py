"""Cut the bytes of a streamed body into JSON documents, one batch per network read."""

from codecs import BOM_UTF8
from collections.abc import Callable

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

    __slots__ = ("_first", "_framing", "_rest")

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._rest = b""
        self._first = True

    def feed(self, data: bytes) -> list[bytes]:
        """Return the documents that *data* completes."""
        if self._first:
            self._first = False
            data = data.removeprefix(BOM_UTF8)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        return self._framing(lines)

    def flush(self) -> list[bytes]:
        """Return what is left at the end of the body: a last line may lack its line break."""
        rest, self._rest = self._rest, b""
        return self._framing([rest])
