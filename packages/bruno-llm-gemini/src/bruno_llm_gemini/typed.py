"""A google-genai client of the user's own, through its typed methods.

What it answers is turned back into the API's JSON: slower than `ComposedTransport`, but it works
with any client, so with Vertex AI, its credentials and its regions.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from bruno_llm_base.exceptions import InvalidResponseError
from bruno_llm_base.parts import Json
from bruno_llm_base.transport import Reply
from bruno_llm_base.transport.response import MAX_ANSWER

from bruno_llm_gemini.transport import COUNT, EMBED, MODELS, PAGE_SIZE, STREAM


class TypedTransport:
    """Send JSON through a google-genai client that is not ours to close."""

    def __init__(self, client: Any) -> None:
        """Take a `google.genai.Client`."""
        from google.genai.errors import APIError

        self._models = client.aio.models
        self._vertex = client.vertexai
        self._api_error = APIError

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Send a request and return the answer, whatever its status."""
        models, asked = self._models, body or {}
        try:
            if path == STREAM:
                stream = await models.generate_content_stream(**_asking(asked))
                return Reply(_Pump(await anext(stream, None), stream, self._api_error))
            if path == MODELS:
                pages = await models.list(config={"page_size": PAGE_SIZE})
                rows = [_json(model) async for model in pages]
                return Reply(_Document(b'{"models":[%b]}' % b",".join(rows)))
            if path == COUNT:
                answer = await models.count_tokens(**_counting(asked, vertex=self._vertex))
            elif path == EMBED:
                answer = await models.embed_content(**_embedding(asked, vertex=self._vertex))
            else:
                answer = await models.generate_content(**_asking(asked))
            return Reply(_Document(_json(answer)))
        except self._api_error as error:
            return Reply(_Document(_error(error), error))

    async def aclose(self) -> None:
        """Do nothing: the client is the user's."""


def _asking(body: Json) -> Json:
    """Return the keywords with which the SDK sends *body*, and nothing that is not in it."""
    from google.genai.types import GenerateContentConfig

    config: Json = {"automatic_function_calling": {"disable": True}}
    if "automatic_continuation" in GenerateContentConfig.model_fields:  # since version 3 of the SDK
        config["automatic_continuation"] = False  # it would send, and bill, further requests
    extra = {name: value for name, value in body.items() if name != "model"}
    return _keywords(body, extra, **config)


def _counting(body: Json, *, vertex: bool) -> Json:
    """Return the keywords with which the SDK asks for the count of *body*.

    Its own would let no system instruction and no tools through to the Gemini API. Vertex AI wants
    the fields of the request side by side (https://cloud.google.com/vertex-ai/generative-ai/docs,
    countTokens); the Gemini API wants them in one, and no contents beside it.
    """
    request = body["generateContentRequest"]
    if not vertex:
        return _keywords(body, {"contents": [], "generateContentRequest": request})
    names = ("contents", "generationConfig", "systemInstruction", "tools")
    return _keywords(body, {name: request[name] for name in names if name in request})


def _keywords(body: Json, extra: Json, **config: Any) -> Json:
    options = {"extra_body": extra, "retry_options": {"attempts": 1}}
    # it insists on contents; those in extra_body take their place
    return {"model": body["model"], "contents": "-", "config": config | {"http_options": options}}


def _embedding(body: Json, *, vertex: bool) -> Json:
    """Return the keywords with which the SDK asks for the embeddings of *body*.

    It spreads one config over all texts. Vertex AI cuts texts that are too long unless it is told.
    """
    first = body["requests"][0]
    options = {name: value for name, value in first.items() if name not in ("content", "model")}
    if vertex:
        options = {"autoTruncate": False} | options
    return {
        "model": body["model"],
        "contents": [request["content"] for request in body["requests"]],
        "config": options | {"httpOptions": {"retryOptions": {"attempts": 1}}},
    }


class _Document:
    """A whole answer, or an error."""

    def __init__(self, data: bytes, error: Any = None) -> None:
        self._data = data
        self.status_code: int = error.code if error else 200
        self.headers: Mapping[str, str] = getattr(error and error.response, "headers", None) or {}

    async def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Yield the answer."""
        yield self._data

    async def aclose(self) -> None:
        """Do nothing: it has been read."""


class _Pump:
    """A streamed answer, read by a task of its own.

    Closing the SDK's generator does not close those inside it, and the connection stays open.
    Cancelling the task that waits in the innermost one does, so a task has to wait there all the time.
    """

    def __init__(self, first: Any, rest: AsyncIterator[Any], api_error: type[Exception]) -> None:
        self.status_code = 200
        self.headers: Mapping[str, str] = {}
        self._api_error = api_error
        self._chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._waiting = 0  # how many bytes have come and were not taken yet
        self._task = asyncio.create_task(self._read(first, rest))

    async def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Yield each chunk as a server-sent event."""
        while (chunk := await self._chunks.get()) is not None:
            if isinstance(chunk, self._api_error):
                chunk = _error(chunk)
            elif isinstance(chunk, Exception):
                raise chunk
            else:
                self._waiting -= len(chunk)
            yield b"data:" + chunk + b"\n\n"

    async def aclose(self) -> None:
        """Close the connection."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self, answer: Any, rest: AsyncIterator[Any]) -> None:
        try:
            while answer is not None:
                chunk = _json(answer)
                self._waiting += len(chunk)
                self._chunks.put_nowait(chunk)
                if self._waiting > MAX_ANSWER:
                    self._task.cancel()  # at its next wait, which closes the connection
                    message = f"more than {MAX_ANSWER:,} bytes wait to be read"
                    self._chunks.put_nowait(InvalidResponseError(message))
                answer = await anext(rest, None)
        except Exception as error:  # noqa: BLE001 - the reader of the chunks deals with it
            self._chunks.put_nowait(error)
        self._chunks.put_nowait(None)


def _json(answer: Any) -> bytes:
    """Return one of the SDK's objects in the API's own spelling."""
    text: str = answer.model_dump_json(
        exclude_none=True, by_alias=True, exclude={"sdk_http_response", "parsed"}
    )
    return text.encode()


def _error(error: Any) -> bytes:
    details = error.details
    if not isinstance(details, dict) or "error" not in details:  # another server's, or a page
        said = {"code": error.code, "message": error.message}
        details = {"error": said if error.message else details}
    return json.dumps(details).encode()
