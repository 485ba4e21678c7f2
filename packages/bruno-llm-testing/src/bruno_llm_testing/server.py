"""A vendor's API on a loopback socket, in a thread of its own."""

import asyncio
import json
import math
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from aiohttp import web
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.parts import Json
from bruno_llm_base.response import Usage

from bruno_llm_testing.batches import FakeBatches
from bruno_llm_testing.samples import asked_schema, sample_text
from bruno_llm_testing.script import FakeAnswer, FakeError, Fault, RawReply, Received, Reply, Step
from bruno_llm_testing.wire import Rendered, Wire

_JSON = {"content-type": "application/json; charset=utf-8"}
Operation = Literal[
    "chat", "stream", "embeddings", "rerank", "models", "count_tokens", "batches", "unknown"
]
_SCRIPTS: dict[str, str] = {
    "embeddings": "embeddings",
    "rerank": "rerank",
    "models": "models",
    "count_tokens": "count_tokens",
    "batches": "batches",
}
_BYTES_PER_TOKEN = 4


class FakeServer(ABC):
    """Answers as one vendor's API does, down to the formats.

    Use it as a context manager. What `say` was given is answered in order, and then the default
    answer; all that arrived is in `received`.

    Attributes:
        api_key: The one key that is accepted.
        models: The models on offer, the first one is the default.
        embedding_models: Those that embed, and how many dimensions their vectors have.
        content_type: What a streamed answer is labelled.
        ping: What keeps a stream alive that has nothing to say; a comment of SSE by default.
        garbage: An event that is not JSON, framed as the others; SSE by default.
        batches: The batches that it was sent, and what happens to them; where the API has batches.
        accepted_connections: How many connections were ever opened to it.
    """

    api_key: ClassVar[str] = "test-key"
    models: tuple[str, ...]
    batches: FakeBatches
    embedding_models: ClassVar[Mapping[str, int]] = {}
    content_type: ClassVar[str] = "text/event-stream"
    ping: ClassVar[bytes] = b": ping\n\n"
    garbage: ClassVar[bytes] = b'data: {"broken\n\n'

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.accepted_connections = 0
        self._scripts: dict[str, deque[Step]] = {
            name: deque() for name in ("text", *_SCRIPTS.values())
        }
        self._handlers: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self._protocols: web.Server
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

    def render_count(self, tokens: int, request: Received) -> Json:
        """Return a count of *tokens* as the vendor's document, where its API counts."""
        raise NotImplementedError

    def media_tokens(self, value: Json) -> int | None:
        """Return what *value*, an object in a request, takes where it is a picture or a document."""
        return None

    def render_embeddings(self, tokens: int, request: Received) -> Json:
        """Return the vectors of the texts in *request* as the vendor's document, where it embeds.

        Args:
            tokens: How many tokens it is said to cost.
            request: The request; `vector_of` makes vectors of its texts.
        """
        raise NotImplementedError

    def render_ranking(self, tokens: int, request: Received) -> Json:
        """Return the scores of the documents in *request*, where the API ranks; as `render_embeddings`."""
        raise NotImplementedError

    # -- for tests --------------------------------------------------------------------------------

    def say(
        self,
        *script: Step,
        times: int = 1,
        to: Literal["text", "embeddings", "rerank", "models", "count_tokens", "batches"] = "text",
    ) -> None:
        """Answer the next requests with *script*, in order.

        Args:
            script: Answers, errors, raw replies, and faults of these.
            times: How often the script is said.
            to: Which requests are meant: those for text, those for the list of models, which is
                what a `FakeAnswer` to them gives, those for a count, to which it gives its
                `usage.input_tokens`, those for embeddings or a ranking, to which it gives that
                count with as many vectors as there are texts, or with the documents' scores, or
                those about batches and their files, which it lets take their way.

        Raises:
            ConfigurationError: A step of the script is none of these.
        """
        for step in script:
            if not isinstance(step, Step):
                raise ConfigurationError(
                    f"say() was given {step!r}: give a FakeAnswer, FakeError, RawReply or Fault"
                )
        self._scripts[to].extend(script * times)

    @property
    def bodies(self) -> list[Json]:
        """The bodies of the requests for text that arrived."""
        return [r.body for r in self.received if self.operation(r) in ("chat", "stream")]

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._protocols.connections)

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
        self._protocols = web.Server(self._handle, handler_cancellation=True, access_log=None)
        listening = await self._loop.create_server(self._accept, "127.0.0.1", 0, backlog=1024)
        self.address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._over.wait()
        listening.close()
        for handler in self._handlers:
            handler.cancel()
        await self._protocols.shutdown(0.1)

    def _accept(self) -> asyncio.Protocol:
        self.accepted_connections += 1
        return self._protocols()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        arrived_at = time.monotonic()
        content = await request.content.read()  # of any size, as pictures may have
        received = Received(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=_json(content),
            content=content,
            arrived_at=arrived_at,
        )
        self.received.append(received)
        handler = request.task
        self._handlers.add(handler)
        try:
            return await self._answer(request, received)
        except asyncio.CancelledError:
            if not self._over.is_set():
                received.leave()
            raise
        except ConnectionError:
            received.leave()
            return web.Response()
        finally:
            self._handlers.discard(handler)

    async def _answer(self, request: web.BaseRequest, received: Received) -> web.StreamResponse:
        operation = self.operation(received)
        if operation == "unknown":
            return self.other(received)
        step = self._step(operation, received)
        fault = step if isinstance(step, Fault) else Fault(step)
        return await Wire(request, fault).send(self._render(fault.reply, operation, received))

    def _step(self, operation: Operation, received: Received) -> Step:
        if refused := self.refuse(received):
            return refused
        if script := self._scripts[_SCRIPTS.get(operation, "text")]:
            return script.popleft()
        if operation in ("count_tokens", "embeddings", "rerank"):
            return FakeAnswer(usage=Usage(input_tokens=self._count(received.body)))
        return FakeAnswer() if operation in ("models", "batches") else self.default(received)

    def _answer_row(self, row: Received) -> tuple[int, Json]:
        """Return status and document of the answer to a row of a batch; faults are of the wire."""
        operation = self.operation(row)
        step = self._step(operation, row)
        if operation == "stream":
            step = FakeError(kind="invalid_request", param="stream")
        reply = step.reply if isinstance(step, Fault) else step
        rendered = self._render(reply, operation, row)
        return rendered.status, json.loads(b"".join(rendered.events))

    def _render(self, reply: Reply, operation: Operation, request: Received) -> Rendered:
        if isinstance(reply, RawReply):
            return self._render_raw(reply, operation)
        headers = self.headers(reply)
        if operation == "stream" and (isinstance(reply, FakeAnswer) or reply.in_stream):
            return Rendered(
                status=200,
                headers={"content-type": self.content_type} | headers,
                events=self._events(reply, request),
                streamed=True,
                ping=self.ping,
                garbage=self.garbage,
            )
        status = 200
        if isinstance(reply, FakeError):
            status, document = self.render_error(reply, request)
        elif operation == "models":
            document = self.render_models()
        elif operation == "count_tokens":
            document = self.render_count(reply.usage.input_tokens or 0, request)
        elif operation == "embeddings":
            document = self.render_embeddings(reply.usage.input_tokens or 0, request)
        elif operation == "rerank":
            document = self.render_ranking(reply.usage.input_tokens or 0, request)
        elif operation == "batches":
            raw = self.batches.reply(request)
            return Rendered.document(raw.status, _JSON | headers | raw.headers, raw.body)
        else:
            document = self.render_answer(reply, request)
        return Rendered.document(status, _JSON | headers, json.dumps(document).encode())

    def _render_raw(self, reply: RawReply, operation: Operation) -> Rendered:
        label = {"content-type": self.content_type} if operation == "stream" else _JSON
        headers = label | {name.lower(): value for name, value in reply.headers.items()}
        if reply.repeat == 1:
            return Rendered.document(reply.status, headers, reply.body)
        events = [reply.body] * reply.repeat
        return Rendered(status=reply.status, headers=headers, events=events, streamed=True)

    def _events(self, reply: FakeAnswer | FakeError, request: Received) -> list[bytes]:
        if isinstance(reply, FakeAnswer):
            return self.render_stream(reply, request)
        begun = self.render_stream(FakeAnswer(), request)[:3]
        return [*begun, self.render_stream_error(reply, request)]

    def headers(self, step: FakeAnswer | FakeError) -> dict[str, str]:
        """Return the headers of an answer or an error."""
        if isinstance(step, FakeAnswer):
            return {}
        wait = {} if step.retry_after is None else {"retry-after": str(step.retry_after)}
        return wait | step.headers

    def _count(self, body: Json) -> int:
        """Return a count that depends on the request alone: one token per four bytes of its words."""
        media: list[int] = []

        def words(value: Any) -> Any:
            if isinstance(value, list):
                return [words(item) for item in value]
            if not isinstance(value, dict):
                return value
            if (tokens := self.media_tokens(value)) is not None:
                media.append(tokens)
                return {}
            return {name: words(item) for name, item in value.items()}

        said = json.dumps(words(body), ensure_ascii=False).encode()
        return sum(media) - (-len(said) // _BYTES_PER_TOKEN)

    def other(self, request: Received) -> web.Response:
        """Answer a request that is for no model."""
        del request
        return web.json_response({"error": {"message": "no such path"}}, status=404)

    def default(self, request: Received) -> Step:
        """Return what is said when nothing was scripted: JSON where a schema is to be fitted."""
        schema = asked_schema(request.body)
        return FakeAnswer() if schema is None else FakeAnswer(text=sample_text(schema))


def _json(content: bytes) -> Json:
    """Return the document that was sent; none for forms and files."""
    try:
        document: Json = json.loads(content)
    except ValueError:
        return {}
    return document


def vector_of(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 that is always the same for *text*, and another for any other.

    Args:
        text: What is embedded.
        dimensions: How many numbers it has.
    """
    numbers = random.Random(text)  # noqa: S311 - no secret
    raw = [numbers.uniform(-1, 1) for _ in range(dimensions)]
    length = math.hypot(*raw)
    return [number / length for number in raw]
