"""The openai and anthropic SDKs compose the requests, and we send them.

What an SDK composes for an endpoint is the same for every call but for the body: the URL, the key,
the organization, the versions. So it is asked once for each, through two doors that its README
describes: `http_client=` takes a client, which sends nothing here, and `cast_to=httpx2.Response`
returns the response, with its request.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from bruno_llm_base.response import Json
from bruno_llm_base.transport.response import ENCODINGS, Reply, decompressible

__all__ = ["ComposedTransport", "composing_client"]

_OF_THE_BODY = ("content-length", "transfer-encoding")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class ComposedTransport:
    """Send JSON as an openai or anthropic client would, over an HTTP client of ours."""

    def __init__(
        self,
        composer: Any,
        http: Any,
        *,
        library: Any,
        headers: Callable[[Json], Mapping[str, str]] | None = None,
    ) -> None:
        """Take the clients; both are closed with the transport.

        Args:
            composer: The SDK's client, over a `composing_client`.
            http: The HTTP client that sends.
            library: The HTTP library that both are made of, httpx or httpx2.
            headers: Returns the headers that a body needs beside the client's own, if any.
        """
        self._composer = composer
        self._http = http
        self._library = library
        self._headers = headers
        self._composed: dict[tuple[Any, ...], Any] = {}

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Send a request and return the answer, whatever its status."""
        more = self._headers(body) if body is not None and self._headers is not None else {}
        key = (method, path, *more.items())
        composed = self._composed.get(key) or await self._compose(method, path, more)
        request = self._library.Request(
            method,
            composed.url,
            headers=composed.headers,
            cookies=self._http.cookies or None,
            content=None if body is None else _encode(body).encode(),
            extensions=composed.extensions,  # time limits, the name for TLS
        )
        response = await self._http.send(request, stream=True)
        return Reply(await decompressible(response))

    async def aclose(self) -> None:
        """Close the clients."""
        await self._http.aclose()
        await self._composer.close()

    async def _compose(self, method: str, path: str, more: Mapping[str, str]) -> Any:
        """Return the SDK's request to an endpoint; it is kept if a second one is the same.

        It differs where an SDK signs or numbers its requests: then each call composes its own.
        """
        first = await self._ask(method, path, more)
        second = await self._ask(method, path, more)
        if (first.url, first.headers) == (second.url, second.headers):
            self._composed[method, path, *more.items()] = second
        return second

    async def _ask(self, method: str, path: str, more: Mapping[str, str]) -> Any:
        call = self._composer.post if method == "POST" else self._composer.get
        content: Json = {"body": {}} if method == "POST" else {}
        if more:
            content["options"] = {"headers": more}
        response = await call(path, cast_to=self._library.Response, **content)
        request = response.request
        for name in _OF_THE_BODY:
            request.headers.pop(name, None)
        return request


def composing_client(library: Any) -> Any:
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
