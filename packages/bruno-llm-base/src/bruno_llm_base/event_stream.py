"""Cut server-sent events into the documents they hold.

The standard is https://html.spec.whatwg.org/multipage/server-sent-events.html; what servers make of it
is read as well.
"""

import json

from jiter import from_json

from bruno_llm_base.exceptions import InvalidResponseError

__all__ = ["DONE", "FIELDS", "Events", "Kept"]

DONE = b"[DONE]"
"""What OpenAI-style streams say after the last document."""

_COMMENTS = (b":", b"id:", b"retry:")  # and fields that need no reading

FIELDS = (b"data:", b"event:", b"error:", *_COMMENTS)
"""How the lines of events begin."""

_USUAL = frozenset(line[0] for line in (b"event:", *_COMMENTS))
_ENDS_OF_ERROR = frozenset(b"r\r ")


class Kept:
    """Lines that wait for the end of what they are a part of."""

    __slots__ = ("_longest", "_text", "lines")

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._text = bytearray()  # a list would take many times their bytes if they are tiny
        self.lines = 0

    def add(self, line: bytes) -> None:
        """Keep *line*.

        Raises:
            InvalidResponseError: It is one too many.
        """
        self._text += line + b"\n"
        self.lines += 1
        if len(self._text) - self.lines > self._longest:
            self._text.clear()  # the error's traceback would keep it
            raise InvalidResponseError(f"a part of the answer exceeds {self._longest:,} bytes")

    def take(self) -> bytes:
        """Return the lines as one text, and forget them."""
        text = bytes(self._text).strip()
        self._text.clear()
        self.lines = 0
        return text

    def is_document(self) -> bool:
        """Whether there is one line, and it is complete."""
        return self.lines == 1 and _is_complete(bytes(self._text))


class Events:
    """The events of one body.

    Vendors repeat the name of an event inside its data, so names are read for errors only: an event
    that is called one becomes a document with the field `error`. So does a field `error` (older
    llama.cpp). JSON without a field in front of it is read like data.
    """

    __slots__ = ("_failed", "_kept", "whole")

    def __init__(self, longest: int) -> None:
        self._kept = Kept(longest)
        self._failed = False
        self.whole = False

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
            elif name == b"data" and colon:
                self._add(value.strip(), documents)
            elif name == b"event" and colon:
                self._failed = value.rstrip().endswith(b"error")
            elif name == b"error" and colon:
                self._failed = True
                self._add(value.strip(), documents)
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
        """Add a line of data to the event, unless it begins another: not all servers part them."""
        if self._kept.is_document():
            self._finish(documents)
        if data:
            self._kept.add(data)

    def _finish(self, documents: list[bytes]) -> None:
        if data := self._kept.take():
            documents.append(_as_error(data) if self._failed else data)
        self._failed = False


def _is_complete(data: bytes) -> bool:
    if data.strip() == DONE:
        return True
    try:
        from_json(data)
    except ValueError:
        return False
    return True


def _as_error(data: bytes) -> bytes:
    """Return *data*, the text or document of an error, as a document with the field `error`."""
    try:
        said = from_json(data)
    except ValueError:
        said = data.decode(errors="replace")
    if isinstance(said, dict) and said.get("error"):
        return data
    return json.dumps({"error": said or {"message": data.decode(errors="replace")}}).encode()
