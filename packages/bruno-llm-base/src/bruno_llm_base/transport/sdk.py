"""The openai and anthropic SDKs, which come from one generator, through their raw doors.

A client of the user's own builds the URL, the headers and the credentials of every request, and keeps
the connections; we read the body, because building its typed objects costs ten times more than all
the rest. Without such a client the SDK is asked once per endpoint; see `composed.py`.
"""

import json
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from bruno_llm_base.access import Access
from bruno_llm_base.policies import Timeouts
from bruno_llm_base.response import Json
from bruno_llm_base.transport.composed import ComposedTransport, composing_client
from bruno_llm_base.transport.connection import watched
from bruno_llm_base.transport.environment import client_options, over_aiohttp, proxy_for
from bruno_llm_base.transport.http import cookie_jar, refuse_login
from bruno_llm_base.transport.response import HttpResponse, Reply, Transport

__all__ = ["SdkTransport"]


class SdkTransport:
    """Send JSON through an openai or anthropic client that is not ours to close."""

    def __init__(
        self,
        client: Any,
        *,
        stream_type: Any,
        status_error: type[Exception],
        headers: Callable[[Json], Mapping[str, str]] | None = None,
    ) -> None:
        """Take the parts of the SDK; the base imports none.

        Args:
            client: `AsyncOpenAI` or `AsyncAnthropic`, or a variant of theirs.
            stream_type: The SDK's `AsyncStream`.
            status_error: The SDK's `APIStatusError`.
            headers: Returns the headers that a body needs beside the client's own, if any.
        """
        self._client = client.with_options(max_retries=0)
        self._stream_type = stream_type[object]
        self._status_error = status_error
        self._headers = headers

    @classmethod
    def open(
        cls,
        sdk: Any,
        client_type: Any,
        *,
        access: Access,
        timeouts: Timeouts,
        headers: Callable[[Json], Mapping[str, str]] | None = None,
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
            return cls(
                access.client,
                stream_type=sdk.AsyncStream,
                status_error=sdk.APIStatusError,
                headers=headers,
            )
        refuse_login(access.base_url or "")
        proxy = proxy_for(access.address)
        aiohttp = over_aiohttp(proxy)
        kind = watched(sdk.DefaultAioHttpClient) if aiohttp else sdk.DefaultAsyncHttpxClient
        library = _library_of(kind)
        timeout = sdk.Timeout(None, connect=timeouts.connect)
        composer = client_type(
            # both SDKs look for credentials elsewhere where they are given no key, and for the
            # address where they are given none
            api_key=access.key or "none",
            base_url=access.address,
            timeout=timeout,
            max_retries=0,
            http_client=composing_client(library),
        )
        http = kind(
            timeout=timeout,
            follow_redirects=False,  # it would carry the conversation to another host
            cookies=cookie_jar(),
            **client_options(library, proxy, aiohttp=aiohttp),
        )
        return ComposedTransport(composer, http, library=library, headers=headers)

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
            return Reply(error.response)  # type: ignore[attr-defined]
        return Reply(_body_of(stream))

    async def aclose(self) -> None:
        """Do nothing: the client is the user's."""


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
