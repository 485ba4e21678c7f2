"""Cut the bytes of a streamed body into JSON documents, one batch per network read.

The first line of a body decides how it is cut, and not its label: gateways label streams as something
else, some servers answer as a whole what was to be streamed, and many tell errors in other ways than
answers.
"""

import json
from codecs import BOM_UTF8
from typing import Any, Literal

from jiter import from_json

from bruno_llm_base.exceptions import InvalidResponseError

Framing = Literal["sse", "ndjson"]
"""How a body is expected to be cut: server-sent events, or JSON lines."""

DONE = b"[DONE]"
"""What OpenAI-style streams say after the last document."""

_COMMENTS = (b":", b"id:", b"retry:")  # and fields that need no reading
_FIELDS = (b"data:", b"event:", b"error:", *_COMMENTS)  # how the lines of events begin
_USUAL = frozenset(line[0] for line in (b"event:", *_COMMENTS))
_ENDS_OF_ERROR = frozenset(b"r\r ")
_FIRST_OF_MANY = (b"{", b"[", b"[{")  # the first line of a JSON text that has several


class LineBuffer:
    """The documents of one body, out of reads that end anywhere."""

    __slots__ = ("_cutter", "_framing", "_longest", "_rest")

    def __init__(self, framing: Framing, longest: int) -> None:
        """Start empty; *longest* bytes may wait for their line break, or the rest of their event."""
        self._framing = framing
        self._longest = longest
        self._rest = bytearray()
        self._cutter: _Events | _JsonLines | _Text | None = None

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
            self._rest += rest  # in place: adding bytes to bytes copies a long line with every read
            if len(self._rest) > self._longest:
                self._rest.clear()  # the error's traceback would keep it
                raise InvalidResponseError(f"a line of the answer exceeds {self._longest:,} bytes")
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
                self._cutter = self._cutter_for(first)
                return self._cutter.cut([begun, *lines[place + 1 :]])
        return []

    def _cutter_for(self, first: bytes) -> "_Events | _JsonLines | _Text":
        if first.startswith(_FIELDS):
            return _Events(self._longest)
        is_line = self._framing == "ndjson" or first.startswith(b"{")
        if first in _FIRST_OF_MANY or first.startswith((b"[", b"<")) or not is_line:
            return _Text(self._longest)
        return _JsonLines(expected=self._framing == "ndjson")

    def _take_rest(self) -> bytes:
        rest = bytes(self._rest)
        self._rest.clear()
        return rest


class _JsonLines:
    """A document per line (https://github.com/ndjson/ndjson-spec).

    Where events were expected, a single one is a whole answer, so the first waits for another, unless
    it speaks of an error.
    """

    __slots__ = ("_first", "whole")

    def __init__(self, *, expected: bool) -> None:
        self._first: list[bytes] | None = None if expected else []
        self.whole = False

    def cut(self, lines: list[bytes]) -> list[bytes]:
        documents = [line for line in lines if line and not line.isspace()]
        if self._first is None:
            return documents
        self._first += documents
        is_stream = len(self._first) > 1 or b'"error"' in b"".join(self._first)
        return self._release() if is_stream else []

    def end(self) -> list[bytes]:
        self.whole = bool(self._first)
        return self._release()

    def _release(self) -> list[bytes]:
        documents, self._first = self._first or [], None
        return documents


class _Kept:
    """Lines that wait for the end of what they are a part of."""

    __slots__ = ("_longest", "_text", "lines")

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._text = bytearray()  # a list would take many times their bytes if they are tiny
        self.lines = 0

    def add(self, line: bytes) -> None:
        self._text += line + b"\n"
        self.lines += 1
        if len(self._text) - self.lines > self._longest:
            self._text.clear()  # the error's traceback would keep it
            raise InvalidResponseError(f"a part of the answer exceeds {self._longest:,} bytes")

    def take(self) -> bytes:
        text = bytes(self._text).strip()
        self._text.clear()
        self.lines = 0
        return text

    def is_document(self) -> bool:
        """Whether there is one line, and it is complete."""
        text = bytes(self._text)
        return self.lines == 1 and (text.strip() == DONE or _json(text) is not None)


class _Text(_Kept):
    """One text over many lines: an indented JSON document, a list of documents, or a page."""

    __slots__ = ("whole",)

    def __init__(self, longest: int) -> None:
        super().__init__(longest)
        self.whole = False

    def cut(self, lines: list[bytes]) -> list[bytes]:
        for line in lines:
            self.add(line)
        return []

    def end(self) -> list[bytes]:
        text = self.take()
        if not text.startswith(b"["):
            self.whole = True
            return [text]
        rows = _json(text)
        return [text] if rows is None else [json.dumps(row).encode() for row in rows]


class _Events:
    """Server-sent events (https://html.spec.whatwg.org/#server-sent-events), as servers send them.

    Vendors repeat the name of an event inside its data, so names are read for errors only: an event
    that is called one becomes a document with the field `error`. So does a field `error` (older
    llama.cpp). JSON without a field in front of it is read like data.
    """

    __slots__ = ("_failed", "_kept")

    whole = False

    def __init__(self, longest: int) -> None:
        self._kept = _Kept(longest)
        self._failed = False

    def cut(self, lines: list[bytes]) -> list[bytes]:
        """Return the data of the events that *lines* complete.

        Nearly all events are one line of data and an empty one, maybe with a name: these are cut
        here, and a batch with anything else in it by `_cut_any`.
        """
        if self._kept.lines or self._failed:
            return self._cut_any(lines)
        documents: list[bytes] = []
        open_event = False
        for line in lines:
            if not line or line == b"\r":
                open_event = False
                continue
            head = line[:5]
            if head == b"data:" and not open_event:
                if data := line[5:].strip():
                    documents.append(data)
                open_event = True
            elif head == b"event" and line[-1] not in _ENDS_OF_ERROR:
                continue
            elif head[0] not in _USUAL or b"error" in line:  # which takes longer than all else here
                return self._cut_any(lines)
        return self._cut_any(lines) if open_event else documents

    def end(self) -> list[bytes]:
        """Return the data of an event that no empty line has ended."""
        documents: list[bytes] = []
        self._finish(documents)
        return documents

    def _cut_any(self, lines: list[bytes]) -> list[bytes]:
        documents: list[bytes] = []
        for untrimmed in lines:
            line = untrimmed.strip()
            name, colon, value = line.partition(b":")
            if not line:
                self._finish(documents)
            elif name in (b"data", b"error") and colon:
                self._add(value.strip(), documents)
                self._failed = self._failed or name == b"error"
            elif name == b"event" and colon:
                self._failed = value.rstrip().endswith(b"error")
            elif line.startswith(_COMMENTS):
                continue
            elif self._kept.lines or line.startswith((b"{", b"[")):
                self._kept.add(line)
            elif b"error" in line.lower():
                self._failed = True
                self._kept.add(line)
        if self._kept.is_document():
            self._finish(documents)  # nothing that completes it needs to be waited for
        return documents

    def _add(self, data: bytes, documents: list[bytes]) -> None:
        if self._kept.is_document():  # it begins another: not all servers part them
            self._finish(documents)
        if data:
            self._kept.add(data)

    def _finish(self, documents: list[bytes]) -> None:
        if data := self._kept.take():
            documents.append(_as_error(data) if self._failed else data)
        self._failed = False


def _as_error(data: bytes) -> bytes:
    """Return *data*, the text or document of an error, as a document with the field `error`."""
    said = _json(data)
    if isinstance(said, dict) and said.get("error"):
        return data
    return json.dumps({"error": said or data.decode(errors="replace")}).encode()


def _json(data: bytes) -> Any:
    """Return the JSON that *data* is; None if it is not."""
    try:
        return from_json(data)
    except ValueError:
        return None
