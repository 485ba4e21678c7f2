"""Cut the bytes of a streamed body into JSON documents, one batch per network read."""

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
    return [line[5:].strip() for line in lines if line.startswith(b"data:")]


def ndjson(lines: list[bytes]) -> list[bytes]:
    """Return the documents of newline-delimited JSON (https://github.com/ndjson/ndjson-spec)."""
    return [line for line in lines if line and not line.isspace()]


class LineBuffer:
    """Complete lines, out of reads that end anywhere."""

    __slots__ = ("_framing", "_rest")

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the documents that *data* completes."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        return self._framing(lines)

    def flush(self) -> list[bytes]:
        """Return what is left at the end of the body: a last line may lack its line break."""
        rest, self._rest = self._rest, b""
        return self._framing([rest])
