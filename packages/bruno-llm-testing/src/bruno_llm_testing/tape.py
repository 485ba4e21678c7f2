"""The two transports of a cassette: one replays, one records."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from bruno_llm_base import Access, Json
from bruno_llm_base.parts import is_json
from bruno_llm_base.transport import Reply, Transport

from bruno_llm_testing.recording import HOW_TO_RECORD, CassetteError, Recording
from bruno_llm_testing.scrub import safe_headers


class Player:
    """Answers from the recording."""

    def __init__(self, recording: Recording, access: Access) -> None:
        """Take a recording, and who asks."""
        self._recording = recording
        self._access = access

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Return the recorded answer.

        Raises:
            CassetteError: There is none.
        """
        asked = self._recording.asked(self._access, method, path, body)
        # documents, whatever the vendor wraps them in, are handed out one a line
        return Reply(_Played(self._recording.answer(asked)), "ndjson")

    async def aclose(self) -> None:
        """Do nothing: nothing is open."""


class _Played:
    """An HTTP response, as far as a `Reply` wants one."""

    def __init__(self, response: Json) -> None:
        self.status_code: int = response["status"]
        self.headers: dict[str, str] = response["headers"]
        self._response = response

    async def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        if "document" in self._response:
            yield _bytes(self._response["document"])
            return
        for batch in self._response["batches"]:
            yield b"".join(_bytes(document) + b"\n" for document in batch)
        if self._response.get("left"):
            raise CassetteError(
                f"the stream was left at this point when it was recorded: {HOW_TO_RECORD}"
            )

    async def aclose(self) -> None:
        pass


class Recorder:
    """Sends, and writes down what comes."""

    def __init__(self, recording: Recording, access: Access, transport: Transport) -> None:
        """Take a recording, who asks, and the way to the server."""
        self._recording = recording
        self._access = access
        self._transport = transport

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Send a request, and return an answer that is written down as it is read."""
        exchange = self._recording.begin(self._recording.asked(self._access, method, path, body))
        reply = await self._transport.send(method, path, body)
        recording, access = self._recording, self._access

        def note(**said: Any) -> None:
            headers = safe_headers(reply.headers)
            response = {"status": reply.status_code, "headers": headers, **said}
            exchange["response"] = recording.answered(access, response)

        return _Taped(reply, note)

    async def aclose(self) -> None:
        """Do nothing: the transport is the provider's to close."""


class _Taped(Reply):
    """A reply that is written down as it is read."""

    __slots__ = ("_batches", "_note", "_noted", "_reply")

    def __init__(self, reply: Reply, note: Callable[..., None]) -> None:
        self._reply = reply
        self.status_code, self.headers, self.whole = reply.status_code, reply.headers, False
        self._note = note
        self._noted = False
        self._batches: list[list[Any]] = []

    async def read(self) -> bytes:
        body: bytes = await self._failing(self._reply.read())
        self._done(document=_document(body))
        return body

    async def __anext__(self) -> list[bytes]:
        try:
            batch: list[bytes] = await self._failing(anext(self._reply))
        except StopAsyncIteration:
            self._done(batches=self._batches)
            raise
        self.whole = self._reply.whole
        self._batches.append([_document(data) for data in batch])
        return batch

    async def aclose(self) -> None:
        self._done(batches=self._batches, left=True)
        await self._reply.aclose()

    async def _failing(self, reading: Awaitable[Any]) -> Any:
        try:
            return await reading
        except StopAsyncIteration:
            raise
        except BaseException:
            self._noted = True  # a connection that failed is not an answer
            raise

    def _done(self, **said: Any) -> None:
        if not self._noted:
            self._noted = True
            self._note(**said)


def _document(data: bytes) -> Any:
    """Return *data* for people: objects and lists as they are, everything else as text."""
    text = data.decode(errors="replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list) and is_json(value) else text


def _bytes(document: Any) -> bytes:
    if isinstance(document, str):
        return document.encode(errors="replace")
    return json.dumps(document, ensure_ascii=False).encode()
