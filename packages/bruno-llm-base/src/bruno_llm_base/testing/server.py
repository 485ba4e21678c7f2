"""A vendor's API on a loopback socket, in a thread of its own."""

import asyncio
import json
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from aiohttp import web

from bruno_llm_base.testing.script import FakeAnswer, FakeError
from bruno_llm_base.types import Json

__all__ = ["FakeServer", "Operation", "Received"]

Operation = Literal["chat", "stream", "models", "unknown"]


@dataclass(slots=True)
class Received:
    """A request that arrived.

    Attributes:
        method: The HTTP method.
        path: The path, without the query.
        query: The query's parameters.
        headers: The headers, by lower-case name.
        body: The JSON that was sent; empty if there was none.
        left: Set when the client leaves before the answer is complete.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json
    left: threading.Event = field(default_factory=threading.Event)


class FakeServer(ABC):
    """Answers as one vendor's API does, down to the formats.

    Use it as a context manager. What `say` was given is answered in order, and then the default
    answer; all that arrived is in `received`.

    Attributes:
        api_key: The one key that is accepted.
        models: The models on offer, the first one is the default.
        content_type: What a streamed answer is labelled.
    """

    api_key: ClassVar[str] = "test-key"
    models: ClassVar[tuple[str, ...]]
    content_type: ClassVar[str] = "text/event-stream"

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._script: deque[FakeAnswer | FakeError] = deque()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self.address = ""

    # -- what a vendor's fake fills in --------------------------------------------------------------

    @abstractmethod
    def connection(self) -> dict[str, Any]:
        """Return the keywords that point this vendor's provider here."""

    @abstractmethod
    def operation(self, request: Received) -> Operation:
        """Say what *request* asks for."""

    @abstractmethod
    def refuse(self, request: Received) -> FakeError | None:
        """Return what the vendor would refuse *request* for: key, model, fields."""

    @abstractmethod
    def render_answer(self, answer: FakeAnswer, request: Received) -> Json:
        """Return *answer* as the vendor's document."""

    @abstractmethod
    def render_stream(self, answer: FakeAnswer, request: Received) -> list[bytes]:
        """Return *answer* as the vendor's events, framed for the wire."""

    @abstractmethod
    def render_error(self, error: FakeError, request: Received) -> tuple[int, Json]:
        """Return *error* as the vendor's status and document."""

    @abstractmethod
    def render_stream_error(self, error: FakeError, request: Received) -> bytes:
        """Return *error* as the vendor's event inside a stream."""

    @abstractmethod
    def render_models(self) -> Json:
        """Return the list of models as the vendor's document."""

    # -- for tests --------------------------------------------------------------------------------

    def say(self, *script: FakeAnswer | FakeError) -> None:
        """Answer the next requests for text with *script*, in order."""
        self._script.extend(script)

    @property
    def bodies(self) -> list[Json]:
        """The bodies of the requests for text that arrived."""
        return [r.body for r in self.received if self.operation(r) in ("chat", "stream")]

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    # -- inside -----------------------------------------------------------------------------------

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(
            web.Server(self._handle, handler_cancellation=True, access_log=None),
            shutdown_timeout=0.1,
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._over.wait()
        await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        text = await request.text()
        received = Received(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=json.loads(text) if text else {},
        )
        self.received.append(received)
        try:
            return await self._answer(request, received)
        except asyncio.CancelledError:
            received.left.set()
            raise

    async def _answer(self, request: web.BaseRequest, received: Received) -> web.StreamResponse:
        operation = self.operation(received)
        if operation == "unknown":
            return self.other(received)
        step: FakeAnswer | FakeError | None = self.refuse(received)
        if step is None and operation == "models":
            return web.json_response(self.render_models())
        if step is None:
            step = self._script.popleft() if self._script else self.default(received)
        if isinstance(step, FakeError) and not (step.in_stream and operation == "stream"):
            status, document = self.render_error(step, received)
            return web.json_response(document, status=status, headers=self.headers(step))
        if operation == "chat" and isinstance(step, FakeAnswer):
            return web.json_response(self.render_answer(step, received), headers=self.headers(step))
        return await self._stream(request, received, step)

    def headers(self, step: FakeAnswer | FakeError) -> dict[str, str]:
        """Return the headers of an answer or an error."""
        if isinstance(step, FakeAnswer):
            return {}
        wait = {} if step.retry_after is None else {"retry-after": str(step.retry_after)}
        return wait | step.headers

    def other(self, request: Received) -> web.Response:
        """Answer a request that is for no model."""
        del request
        return web.json_response({"error": {"message": "no such path"}}, status=404)

    def default(self, request: Received) -> FakeAnswer:
        """Return what is said when nothing was scripted."""
        del request
        return FakeAnswer()

    async def _stream(
        self, request: web.BaseRequest, received: Received, step: FakeAnswer | FakeError
    ) -> web.StreamResponse:
        headers = {"content-type": self.content_type} | self.headers(step)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        if isinstance(step, FakeError):
            events = self.render_stream(FakeAnswer(), received)[:3]
            events.append(self.render_stream_error(step, received))
        else:
            events = self.render_stream(step, received)[: step.cut_after]
        try:
            for event in events:
                await response.write(event)
        except ConnectionError:
            received.left.set()
            return response
        if isinstance(step, FakeAnswer) and step.cut_after is not None:
            if request.transport is not None:
                request.transport.abort()
            return response
        await response.write_eof()
        return response
