"""The openai and anthropic SDKs, which come from one generator, through doors that their READMEs name.

We read the bodies ourselves: building an SDK's typed objects costs ten times more than all the rest.
"""

import json
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from bruno_llm_base.access import Access
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.parts import Json
from bruno_llm_base.policies import Timeouts
from bruno_llm_base.transport.http import open_client, refuse_login
from bruno_llm_base.transport.per_loop import nothing_loads
from bruno_llm_base.transport.response import (
    ENCODINGS,
    Reply,
    Transport,
    Upload,
    send_like,
)

_Headers = Callable[[Json], Mapping[str, str]]


class SdkTransport:
    """Send JSON through an openai or anthropic client of the user's, which is not ours to close.

    It builds the URL, the headers and the credentials of every request, and keeps the connections.
    """

    def __init__(self, sdk: Any, client: Any, headers: _Headers | None = None) -> None:
        """Take the SDK's module, and `AsyncOpenAI`, `AsyncAnthropic` or a variant of theirs."""
        self._client = client.with_options(max_retries=0)
        self._stream_type = sdk.AsyncStream[object]
        self._status_error = sdk.APIStatusError
        self._sdk_error, self._api_error = sdk.APIError.__base__, sdk.APIError
        self._headers = headers

    @classmethod
    def open(
        cls,
        sdk: Any,
        client_type: Any,
        *,
        access: Access,
        timeouts: Timeouts,
        headers: _Headers | None = None,
    ) -> Transport:
        """Return a transport over the user's client, which is asked for every request, or over ours.

        Args:
            sdk: The SDK's module.
            client_type: The SDK's asynchronous client.
            access: Where the API is, and the key, which a server of one's own may not want.
            timeouts: How long reaching the server may take; our own deadline bounds the rest.
            headers: Returns the headers that a body needs beside the client's own, if any.
        """
        if access.client is not None:
            return cls(sdk, access.client, headers)
        refuse_login(access.base_url or "")
        http_client = sdk.DefaultAsyncHttpxClient.__base__
        library = sys.modules[http_client.__module__.partition(".")[0]]  # httpx or httpx2
        composer = client_type(
            # both SDKs look for credentials elsewhere where they are given no key, and for the
            # address where they are given none
            api_key=access.key or "none",
            base_url=access.address,
            timeout=sdk.Timeout(None, connect=timeouts.connect),
            max_retries=0,
            http_client=_composing_client(library),
        )
        http = open_client(library, access.address, aiohttp_client=sdk.DefaultAioHttpClient)
        return _ComposedTransport(composer, http, library, headers)

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Send a request and return the answer, whatever its status."""
        call = self._client.post if method == "POST" else self._client.get
        content: Json = {} if body is None else {"body": body}
        if type(body) is Upload:
            content = _form(body)
        if body is not None and self._headers is not None and (more := self._headers(body)):
            content["options"] = {"headers": more}
        try:
            stream = await call(
                path, cast_to=object, stream=True, stream_cls=self._stream_type, **content
            )
        except self._status_error as error:
            return Reply(error.response)
        except self._sdk_error as error:
            if isinstance(error, self._api_error):
                raise
            # what its client does not do, as Bedrock's does not count tokens
            raise InvalidRequestError(str(error), cause=error) from error
        kind = stream.response.headers.get("content-type", "")
        is_binary = "application/vnd.amazon.eventstream" in kind
        return Reply(_Decoded(stream, self._status_error) if is_binary else stream.response)

    async def aclose(self) -> None:
        """Do nothing: the client is the user's."""


class _Decoded:
    """Bedrock's binary event stream, which only the SDK can read, as server-sent events."""

    def __init__(self, stream: Any, status_error: type[Exception]) -> None:
        self._stream = stream
        self._status_error: Any = status_error
        self.status_code: int = stream.response.status_code
        self.headers = stream.response.headers

    async def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        try:
            async for event in self._stream:
                yield _framed(event)
        except self._status_error as error:  # it came as an event, which the SDK raises
            yield _framed(error.body)

    async def aclose(self) -> None:
        await self._stream.close()


def _framed(event: object) -> bytes:
    return b"data:" + json.dumps(event).encode() + b"\n\n"


class _ComposedTransport:
    """Send JSON as an SDK's client would, over an HTTP client of ours; both are closed with it.

    What an SDK composes for an endpoint is the same for every call but for the body: the URL, the
    key, the organization, the versions. So it is asked once for each: `http_client=` takes a client,
    which sends nothing here, and `cast_to=Response` returns the response, with its request.
    """

    def __init__(self, composer: Any, http: Any, library: Any, headers: _Headers | None) -> None:
        self._composer = composer
        self._http = http
        self._library = library
        self._headers = headers
        self._composed: dict[tuple[Any, ...], Any] = {}

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        more = self._headers(body) if body is not None and self._headers is not None else {}
        if type(body) is Upload:
            return Reply(await self._upload(path, body))
        key = (method, path, *more.items())
        composed = self._composed.get(key)
        if composed is None:
            async with nothing_loads():
                composed = await self._ask(method, path, more)
                again = await self._ask(method, path, more)
            # an SDK that signs or numbers its requests composes each
            if (composed.url, composed.headers) == (again.url, again.headers):
                self._composed[key] = composed
        return Reply(await send_like(composed, body, self._http, self._library))

    async def _upload(self, path: str, form: Upload) -> Any:
        async with nothing_loads():
            response = await self._composer.post(
                path, cast_to=self._library.Response, **_form(form)
            )
        return await send_like(response.request, form, self._http, self._library)

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._composer.close()

    async def _ask(self, method: str, path: str, more: Mapping[str, str]) -> Any:
        call = self._composer.post if method == "POST" else self._composer.get
        content: Json = {"body": {}} if method == "POST" else {}
        if more:
            content["options"] = {"headers": more}
        response = await call(path, cast_to=self._library.Response, **content)
        return response.request


def _form(body: Upload) -> Json:
    """Return the arguments of a client's `post` that send a form."""
    headers = {"Content-Type": "multipart/form-data"}  # as they spell it, or older ones send two
    return {"body": body.fields, "files": body.files, "options": {"headers": headers}}


def _composing_client(library: Any) -> Any:
    """Return a client of an HTTP *library* that sends nothing, and answers with the request itself."""

    class ComposingClient(library.AsyncClient):  # type: ignore[misc]
        # not a transport: what is never sent must not show up in the library's log or in traces
        async def send(self, request: Any, **options: Any) -> Any:
            del options
            return library.Response(200, json={}, request=request)

    return ComposingClient(
        headers={"accept-encoding": ENCODINGS},
        transport=library.MockTransport(lambda _: library.Response(500)),  # loads no certificates
        trust_env=False,
    )
