"""The openai and anthropic SDKs, which come from one generator, through their raw doors.

The SDK builds the URL, the headers and the credentials, and keeps the connections; we read the body
ourselves, because building its typed objects costs ten times more than all the rest.
"""

import json
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Self

from bruno_llm_base.access import Access
from bruno_llm_base.framing import sse
from bruno_llm_base.transport.bounds import bounded
from bruno_llm_base.transport.connection import watched
from bruno_llm_base.transport.environment import client_options, over_aiohttp, proxy_for
from bruno_llm_base.transport.http import refuse_login
from bruno_llm_base.transport.reply import HttpResponse, Reply
from bruno_llm_base.types import Json

__all__ = ["SdkTransport"]


class SdkTransport:
    """Send JSON through an openai or anthropic client."""

    def __init__(
        self,
        client: Any,
        *,
        stream_type: Any,
        status_error: type[Exception],
        headers: Callable[[Json], Mapping[str, str]] | None = None,
        owned: bool,
    ) -> None:
        """Take the parts of the SDK; the base imports none.

        Args:
            client: `AsyncOpenAI` or `AsyncAnthropic`, or a variant of theirs.
            stream_type: The SDK's `AsyncStream`.
            status_error: The SDK's `APIStatusError`.
            headers: Returns the headers that a body needs beside the client's own, if any.
            owned: Whether the client is ours to close.
        """
        self._client = client.with_options(max_retries=0)
        self._stream_type = stream_type[object]
        self._status_error = status_error
        self._headers = headers
        self._owned = owned

    @classmethod
    def open(
        cls,
        sdk: Any,
        client_type: Any,
        *,
        access: Access,
        connect: float | None,
        headers: Callable[[Json], Mapping[str, str]] | None = None,
    ) -> Self:
        """Return a transport over the user's client, or over a new one of *client_type*.

        Args:
            sdk: The SDK's module.
            client_type: The SDK's asynchronous client.
            access: Where the API is, and the key, which a server of one's own may not want.
            connect: How many seconds reaching the server may take; our own deadline bounds the rest.
            headers: Returns the headers that a body needs beside the client's own, if any.
        """
        client = access.client
        owned = client is None
        if owned:
            from bruno_llm_base.transport.cookies import cookie_jar  # it loads all of http.client

            refuse_login(access.base_url or "")
            proxy = proxy_for(access.address)
            aiohttp = over_aiohttp(proxy)
            kind = bounded(
                watched(sdk.DefaultAioHttpClient) if aiohttp else sdk.DefaultAsyncHttpxClient
            )
            timeout = sdk.Timeout(None, connect=connect)
            client = client_type(
                # both SDKs look for credentials elsewhere where they are given no key, and for the
                # address where they are given none
                api_key=access.key or "none",
                base_url=access.address,
                timeout=timeout,
                # a redirect would carry the conversation to another host
                http_client=kind(
                    timeout=timeout,
                    follow_redirects=False,
                    cookies=cookie_jar(),
                    **client_options(_library_of(kind), proxy, aiohttp=aiohttp),
                ),
            )
        return cls(
            client,
            stream_type=sdk.AsyncStream,
            status_error=sdk.APIStatusError,
            headers=headers,
            owned=owned,
        )

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Send a request and return the answer, whatever its status."""
        call = self._client.post if method == "POST" else self._client.get
        content: Json = {} if body is None else {"body": body}
        if body is not None and self._headers is not None and (more := self._headers(body)):
            content["options"] = {"headers": more}
        try:
            stream = await call(
                path, cast_to=object, stream=True, stream_cls=self._stream_type, **content
            )
        except self._status_error as error:
            return Reply(error.response, sse)  # type: ignore[attr-defined]
        return Reply(_body_of(stream), sse)

    async def aclose(self) -> None:
        """Close the client, if it is ours."""
        if self._owned:
            await self._client.close()


def _library_of(client_type: Any) -> Any:
    """Return the HTTP library that a client of the SDK's is made of: httpx or httpx2."""
    (kind,) = (each for each in client_type.__mro__ if each.__name__ == "AsyncClient")
    return sys.modules[kind.__module__.partition(".")[0]]


def _body_of(stream: Any) -> HttpResponse:
    response: HttpResponse = stream.response
    if "application/vnd.amazon.eventstream" in response.headers.get("content-type", ""):
        return _Decoded(stream)
    return response


class _Decoded:
    """Bedrock's binary event stream, which only the SDK can read, as server-sent events."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.status_code: int = stream.response.status_code
        self.headers = stream.response.headers

    async def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Yield each event."""
        async for event in self._stream:
            yield b"data:" + json.dumps(event).encode() + b"\n\n"

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.close()
