"""google-genai composes the requests, and we send them.

The SDK knows the URLs, the headers and the credentials, but has no door to the bytes of an answer,
and asking through its typed objects costs several times more than the request itself. It does take
an HTTP client: ours keeps the request from being sent and hands it to us. What the SDK composes
differs only by endpoint and model, so it is asked once for each.
"""

import io
import logging
from collections.abc import Awaitable
from importlib import import_module
from threading import get_ident
from typing import Any, NoReturn, get_args

from bruno_llm_base.parts import Json
from bruno_llm_base.transport import Reply
from bruno_llm_base.transport.environment import tls_context
from bruno_llm_base.transport.http import open_client, refuse_login
from bruno_llm_base.transport.response import LargeBody, Upload, encoded, in_pieces

CHAT, STREAM, MODELS, COUNT = "generateContent", "streamGenerateContent", "models", "countTokens"
EMBED = "batchEmbedContents"
BATCH, FILES, LINES = "batchGenerateContent", "files", "application/jsonl"
PAGE_SIZE = 1000  # the API's most; its default is 50

_ONE_CALL: Any = {"automatic_function_calling": {"disable": True}}
_MOST_COMPOSED = 1000  # the models that one process asks are few, unless its users name them


class ComposedTransport:
    """Send JSON as a google-genai client would, over an HTTP client of ours."""

    def __init__(
        self, *, api_key: str, base_url: str, api_version: str | None, connect: float | None
    ) -> None:
        """Open the clients; without *api_version* the SDK chooses one, *connect* is in seconds."""
        from google import genai

        refuse_login(base_url)
        self._library = library = _http_library(genai.types.HttpOptions)
        tls = tls_context(library)  # one for all: the SDK would load its own, twice
        options = {"trust_env": False, "verify": tls}
        self._http = open_client(library, base_url)
        self._timeout = {"connect": connect, "read": None, "write": None, "pool": None}
        self._composed: dict[tuple[str, str | None], Any] = {}
        log, thread = logging.getLogger("google_genai._api_client"), get_ident()

        def is_wanted(record: logging.LogRecord) -> bool:
            # the SDK would say which of the environment's keys it uses: it is given one
            return record.thread != thread or "GOOGLE_API_KEY" not in record.getMessage()

        log.addFilter(is_wanted)
        try:
            self._composer = genai.Client(
                vertexai=False,  # whatever the environment says: a key of the Gemini API is set
                api_key=api_key,
                http_options=genai.types.HttpOptions(
                    base_url=base_url,
                    api_version=api_version,
                    httpx_async_client=_composing_client(library, options),
                    client_args=options,
                    async_client_args={"verify": tls, "ssl": tls},
                    retry_options=genai.types.HttpRetryOptions(attempts=1),
                ),
            )
        finally:
            log.removeFilter(is_wanted)

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Send a request and return the answer, whatever its status."""
        if type(body) is Upload:
            return await self._upload(path, body["file"])
        model = body["model"] if body else None
        composed = self._composed.get((path, model)) or await self._compose(path, model)
        content = body and {name: value for name, value in body.items() if name != "model"}
        headers, given = composed.headers, Json(json=content)
        if content and type(body) is LargeBody:
            text = await encoded(LargeBody(content))
            told = {"content-type": "application/json", "content-length": str(len(text))}
            headers, given = {**headers, **told}, {"content": in_pieces(text, self._library)}
        return await self._sent(method, composed.url, headers=headers, **given)

    async def _upload(self, path: str, content: bytes) -> Reply:
        """Announce a file, then send it where Google says."""
        composed = self._composed.get((path, None)) or await self._compose(path, None)
        size = str(len(content))
        told = {**composed.headers, "x-goog-upload-header-content-length": size}
        announced = await self._sent("POST", composed.url, headers=told, json={"file": {}})
        address = announced.headers.get("x-goog-upload-url")
        if address is None:
            return announced  # and refused
        await announced.aclose()
        told = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
        told["content-length"] = size
        pieces = in_pieces(content, self._library)
        return await self._sent("POST", address, headers=told, content=pieces)

    async def _sent(self, method: str, url: Any, **given: Any) -> Reply:
        request = self._http.build_request(method, url, **given)
        request.extensions["timeout"] = self._timeout
        return Reply(await self._http.send(request, stream=True))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        self._composer.close()

    async def _compose(self, path: str, model: str | None) -> Any:
        """Return the SDK's request to *path* for *model*."""
        aio = self._composer.aio
        models = aio.models
        asked: Json = {"model": model, "contents": "-"}
        try:
            if path == MODELS:
                await models.list(config={"page_size": PAGE_SIZE})
            elif path == CHAT:
                await models.generate_content(**asked, config=_ONE_CALL)
            elif path == COUNT:
                await models.count_tokens(**asked)
            elif path == EMBED:
                await models.embed_content(**asked)
            elif path.startswith(("batch", FILES)):
                await _asked_of_batches(aio, path, model)
            else:
                # the SDK turns to its client with the first step of the stream
                await anext(await models.generate_content_stream(**asked, config=_ONE_CALL))
        except _Composed as composed:
            request = composed.request
            # the SDK's retries keep the error, and its frames, those of our caller
            composed.__traceback__ = None
        for name in ("content-length", "content-type"):  # of a body that is not sent
            request.headers.pop(name, None)
        if len(self._composed) >= _MOST_COMPOSED:
            self._composed.clear()
        self._composed[path, model] = request
        return request


def _asked_of_batches(aio: Any, path: str, model: str | None) -> Awaitable[Any]:
    """Return the SDK's way to ask for a *path* of batches or files."""
    asked: Awaitable[Any]
    name, _, verb = path.partition(":")
    if path == BATCH:
        asked = aio.batches.create(model=model, src=[{"contents": "-"}])
    elif path == FILES:
        asked = aio.files.upload(file=io.BytesIO(b"-"), config={"mime_type": LINES})
    elif path.startswith(FILES):
        asked = aio.files.download(file=name)
    else:
        asked = aio.batches.cancel(name=name) if verb else aio.batches.get(name=name)
    return asked


class _Composed(Exception):  # noqa: N818 - no error: it carries the request out of the SDK
    def __init__(self, request: Any) -> None:
        super().__init__("composed")
        self.request = request


def _http_library(options_type: Any) -> Any:
    """Return the HTTP library whose clients the SDK takes: httpx2 since its version 3, else httpx."""
    taken = options_type.model_fields["httpx_async_client"].annotation
    packages = {kind.__module__.partition(".")[0] for kind in (taken, *get_args(taken))}
    return import_module("httpx2" if "httpx2" in packages else "httpx")


def _composing_client(library: Any, options: Json) -> Any:
    class ComposingClient(library.AsyncClient):  # type: ignore[misc]
        async def send(self, request: Any, **options: Any) -> NoReturn:
            raise _Composed(request)

    return ComposingClient(**options)
