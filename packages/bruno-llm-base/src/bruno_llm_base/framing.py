"""Cut the bytes of a streamed body into JSON documents, one batch per network read.

The first line of a body decides how it is cut, and not its label: gateways label streams as something
else, some servers answer as a whole what was to be streamed, and many tell errors in other ways than
answers.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Protocol

from jiter import from_json

from bruno_llm_base.event_stream import DONE, FIELDS, Events, Kept
from bruno_llm_base.exceptions import InvalidResponseError

__all__ = ["DONE", "Framing", "LineBuffer", "ndjson", "sse"]

_FIRST_OF_MANY = (b"{", b"[", b"[{")  # the first line of a JSON text that has several

Framing = Callable[[list[bytes]], list[bytes]]
"""Turns the lines of a body into the documents that they hold: `sse` or `ndjson`."""


def sse(lines: list[bytes]) -> list[bytes]:
    """Return the data of server-sent events (https://html.spec.whatwg.org/#server-sent-events)."""
    events = Events(sum(map(len, lines)))
    return events.cut(lines) + events.end()


def ndjson(lines: list[bytes]) -> list[bytes]:
    """Return the documents of newline-delimited JSON (https://github.com/ndjson/ndjson-spec)."""
    return [line for line in lines if line and not line.isspace()]


class _Cutter(Protocol):
    """Turns the complete lines of one body into the documents they hold.

    Attributes:
        whole: Whether the body turned out to be one JSON text where a stream was expected.
    """

    whole: bool

    def cut(self, lines: list[bytes]) -> list[bytes]:
        """Return the documents that *lines* complete."""

    def end(self) -> list[bytes]:
        """Return what is left when the body has ended."""


class _Lines:
    """A document per line, or however *framing* reads lines."""

    __slots__ = ("cut", "whole")

    def __init__(self, framing: Framing) -> None:
        self.cut = framing
        self.whole = False

    def end(self) -> list[bytes]:
        """Return nothing: each line is complete."""
        return []


class _Unasked:
    """JSON lines instead of events.

    A single one is a whole answer, so the first waits for another, unless it speaks of an error.
    """

    __slots__ = ("_first", "whole")

    def __init__(self) -> None:
        self._first: list[bytes] | None = []
        self.whole = False

    def cut(self, lines: list[bytes]) -> list[bytes]:
        """Return the documents of *lines*, the first of them with the second."""
        documents = ndjson(lines)
        if self._first is None:
            return documents
        self._first += documents
        is_known = len(self._first) > 1 or b'"error"' in b"".join(self._first)
        return self._release() if is_known else []

    def end(self) -> list[bytes]:
        """Return the first document, if it is the only one."""
        self.whole = bool(self._first)
        return self._release()

    def _release(self) -> list[bytes]:
        documents, self._first = self._first or [], None
        return documents


class _Text:
    """One text over many lines: an indented JSON document, a list of documents, or a page."""

    __slots__ = ("_kept", "whole")

    def __init__(self, longest: int) -> None:
        self._kept = Kept(longest)
        self.whole = False

    def cut(self, lines: list[bytes]) -> list[bytes]:
        """Return nothing before the end."""
        for line in lines:
            self._kept.add(line)
        return []

    def end(self) -> list[bytes]:
        """Return the text, or the documents that it lists."""
        text = self._kept.take()
        if text.startswith(b"["):
            try:
                return [json.dumps(row).encode() for row in from_json(text)]
            except ValueError:
                return [text]
        self.whole = True
        return [text]


class LineBuffer:
    """Complete lines, out of reads that end anywhere."""

    __slots__ = ("_cutter", "_framing", "_longest", "_rest")

    def __init__(self, framing: Framing, longest: int) -> None:
        """Start empty.

        Args:
            framing: How the body is expected to be cut.
            longest: How many bytes may wait for their line break.
        """
        self._framing = framing
        self._longest = longest
        self._rest = bytearray()
        self._cutter: _Cutter | None = None

    @property
    def whole(self) -> bool:
        """Whether the body turned out to be one JSON text where a stream was expected."""
        return self._cutter is not None and self._cutter.whole

    def feed(self, data: bytes) -> list[bytes]:
        """Return the documents that *data* completes.

        Raises:
            InvalidResponseError: A line, or an event, is too long.
        """
        lines = data.split(b"\n")
        if self._rest and len(lines) > 1:
            lines[0] = self._take_rest() + lines[0]
        if rest := lines.pop():
            self._wait_with(rest)
        return self._begin(lines) if self._cutter is None else self._cutter.cut(lines)

    def flush(self) -> list[bytes]:
        """Return what is left at the end of the body: a last line may lack its line break."""
        lines = [self._take_rest()]
        last = self._begin(lines) if self._cutter is None else self._cutter.cut(lines)
        return last if self._cutter is None else last + self._cutter.end()

    def _begin(self, lines: list[bytes]) -> list[bytes]:
        """Choose how to cut the body by its first line that is not empty."""
        for place, line in enumerate(lines):
            begun = line.removeprefix(BOM_UTF8)
            if first := begun.strip():
                self._cutter = self._made_for(first)
                return self._cutter.cut([begun, *lines[place + 1 :]])
        return []

    def _made_for(self, first: bytes) -> _Cutter:
        if first.startswith(FIELDS):
            return Events(self._longest)
        if first in _FIRST_OF_MANY or first.startswith((b"[", b"<")):
            return _Text(self._longest)
        if self._framing is not sse:
            return _Lines(self._framing)
        return _Unasked() if first.startswith(b"{") else _Text(self._longest)

    def _take_rest(self) -> bytes:
        rest = bytes(self._rest)
        self._rest.clear()
        return rest

    def _wait_with(self, rest: bytes) -> None:
        self._rest += rest  # in place: adding bytes to bytes copies a long line with every read
        if len(self._rest) > self._longest:
            self._rest.clear()  # the error's traceback would keep it
            raise InvalidResponseError(f"a line of the answer exceeds {self._longest:,} bytes")
