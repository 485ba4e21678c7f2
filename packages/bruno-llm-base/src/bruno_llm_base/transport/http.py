"""Plain JSON over HTTP, for servers that have no SDK or need none."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from bruno_llm_base.access import Access
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.policies import Timeouts
from bruno_llm_base.response import Json
from bruno_llm_base.transport.connection import watched
from bruno_llm_base.transport.environment import (
    basic_login,
    client_options,
    over_aiohttp,
    proxy_for,
)
from bruno_llm_base.transport.framing import Framing
from bruno_llm_base.transport.response import ENCODINGS, Reply, decompressible

__all__ = [
    "MAX_CONNECTIONS",
    "HttpTransport",
    "cookie_jar",
    "open_http_client",
    "refuse_login",
]

MAX_CONNECTIONS = 1000
"""Connections per client: aiohttp's default is 100, and it takes "no limit" for that."""


class HttpTransport:
    """Send JSON with an httpx client."""

    def __init__(
        self,
        client: Any,
        *,
        base_url: str,
        framing: Framing,
        connect: float | None,
        owned: bool,
    ) -> None:
        """Take a client.

        Args:
            client: An `httpx.AsyncClient`; typed loosely, since httpx2's serves as well.
            base_url: What paths are added to, whatever the client's own is.
            framing: How streamed bodies are cut, "sse" or "ndjson", unless they begin otherwise.
            connect: How many seconds reaching the server may take. The client's own time limits
                are not used: ours govern.
            owned: Whether the client is ours to close.
        """
        self._client = client
        # httpx logs URLs, so a login goes into a header; open_http_client has made one already
        self._headers = {} if owned or getattr(client, "auth", None) else _login(base_url)
        self._base_url = _without_login(base_url).rstrip("/")
        self._framing = framing
        self._timeout = {"connect": connect, "read": None, "write": None, "pool": None}
        self._owned = owned
        self._urls: dict[str, Any] = {}

    @classmethod
    def open(cls, access: Access, timeouts: Timeouts, *, framing: Framing) -> Self:
        """Return a transport over the user's client, or over a new one that sends the key as a bearer.

        Args:
            access: Where the API is, and the key.
            timeouts: How long each step may take.
            framing: How streamed bodies are cut, "sse" or "ndjson", unless they begin otherwise.
        """
        headers = {"authorization": f"Bearer {access.key}"} if access.key else {}
        return cls(
            access.client or open_http_client(access.url, headers=headers),
            base_url=access.url,
            framing=framing,
            connect=timeouts.connect,
            owned=access.client is None,
        )

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Send a request and return the answer, whatever its status.

        Raises:
            InvalidResponseError: It is compressed in a way that is not safe to read.
        """
        url = self._urls.get(path) or self._base_url + path
        request = self._client.build_request(method, url, json=body, headers=self._headers)
        self._urls[path] = request.url  # reading a URL costs as much as all our own work
        request.extensions["timeout"] = self._timeout
        response = await self._client.send(request, stream=True)
        if self._owned:
            response = await decompressible(response)
        return Reply(response, self._framing)

    async def aclose(self) -> None:
        """Close the client, if it is ours."""
        if self._owned:
            await self._client.aclose()


def open_http_client(base_url: str, *, headers: Mapping[str, str]) -> Any:
    """Return an httpx client, over aiohttp if it and httpx-aiohttp are installed.

    Args:
        base_url: Where requests will go; a login in it is sent as basic authentication.
        headers: Sent with every request.

    Raises:
        ConfigurationError: The environment names a proxy or certificates that cannot be used.
    """
    import httpx

    kind = httpx.AsyncClient
    proxy = proxy_for(base_url)
    if aiohttp := find_spec("httpx_aiohttp") is not None and over_aiohttp(proxy):
        from httpx_aiohttp import HttpxAiohttpClient

        kind = watched(HttpxAiohttpClient)
    return kind(
        headers=_login(base_url) | {"accept-encoding": ENCODINGS} | dict(headers),
        cookies=cookie_jar(),
        limits=httpx.Limits(
            max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS
        ),
        **client_options(httpx, proxy, aiohttp=aiohttp),
    )


def _login(url: str) -> dict[str, str]:
    login = basic_login(url)
    return {} if login is None else {"authorization": login}


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def refuse_login(url: str) -> None:
    """Raise if *url* holds a login, which the SDKs' clients cannot send over aiohttp.

    Raises:
        ConfigurationError: Names the cure, not the login.
    """
    if urlsplit(url).username is not None:
        raise ConfigurationError("base_url holds a login: pass client= with a client that has it")


def cookie_jar() -> Any:
    """Return a jar without cookies that no header can hold.

    httpx keeps any, sends them with every later request, and aiohttp refuses to: one bad answer
    would spoil a client for good.
    """
    from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy  # loads all of http.client

    class SoundOnly(DefaultCookiePolicy):
        def set_ok(self, cookie: Cookie, request: Any) -> bool:
            said = f"{cookie.name}{cookie.value or ''}{cookie.path}"
            return said.isascii() and said.isprintable() and super().set_ok(cookie, request)

    return CookieJar(SoundOnly())
