"""HTTP clients of our own, and plain JSON over HTTP for servers that have no SDK or need none."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bruno_llm_base.access import Access, basic_login, public_url
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.parts import Json
from bruno_llm_base.policies import Timeouts
from bruno_llm_base.transport.environment import descriptor_limit, proxy_for, tls_context
from bruno_llm_base.transport.framing import Framing
from bruno_llm_base.transport.response import ENCODINGS, Reply, send_like, watch

_MAX_CONNECTIONS = 10_000  # of a client: aiohttp's default is 100, which it takes "no limit" for
_MAX_WITHOUT_AIOHTTP = 1_000  # httpx looks at all of them for each request


class HttpTransport:
    """Send JSON with an httpx client: the user's, or a new one, which is closed with the transport."""

    def __init__(
        self,
        access: Access,
        timeouts: Timeouts,
        *,
        framing: Framing = "sse",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Open a client, unless *access* has the user's.

        Args:
            access: Where the API is, and the key.
            timeouts: How long reaching the server may take; a client's own limits are not used.
            framing: How streamed bodies are cut, "sse" or "ndjson", unless they begin otherwise.
            headers: What a new client sends with every request; the key as a bearer if None.

        Raises:
            ConfigurationError: The environment names a proxy or certificates that cannot be used.
        """
        login = basic_login(access.url)  # for a header: httpx logs URLs
        self._headers = {} if login is None else {"authorization": login}
        self._client = access.client
        self._library: Any = None  # of a client of our own
        if self._client is None:
            import httpx

            self._library = httpx
            if headers is None:
                headers = {"authorization": f"Bearer {access.key}"} if access.key else {}
            self._client = open_client(httpx, access.url, headers=self._headers | dict(headers))
        if self._library or getattr(self._client, "auth", None):
            self._headers = {}
        parts = urlsplit(access.url)
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        self._base_url = urlunsplit(parts).rstrip("/")
        self._framing = framing
        self._timeout = {"connect": timeouts.connect, "read": None, "write": None, "pool": None}
        self._composed: dict[tuple[str, str], Any] = {}  # a request to each endpoint

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Send a request and return the answer, whatever its status.

        Raises:
            InvalidResponseError: It is compressed in a way that is not safe to read.
        """
        request = self._composed.get((method, path))
        if request is None:
            url = self._base_url + path
            sample = body if self._library is None else body and {}
            request = self._client.build_request(method, url, json=sample, headers=self._headers)
            request.extensions["timeout"] = self._timeout
            if self._library is None:
                return Reply(await self._client.send(request, stream=True), self._framing)
            request.headers.pop("cookie", None)  # each request gets those of its time
            self._composed[method, path] = request
        response = await send_like(request, body, self._client, self._library)
        return Reply(response, self._framing)

    async def aclose(self) -> None:
        """Close the client, if it is ours."""
        if self._library is not None:
            await self._client.aclose()


def open_client(
    library: Any,
    address: str,
    *,
    headers: Mapping[str, str] | None = None,
    aiohttp_client: Any = None,
) -> Any:
    """Return a client that goes by the environment, over aiohttp at a fraction of the cost if that is here.

    Args:
        library: httpx or httpx2.
        address: Where requests will go.
        headers: Sent with every request.
        aiohttp_client: The library's client over aiohttp; httpx-aiohttp's if None.

    Raises:
        ConfigurationError: The environment names a proxy or certificates that cannot be used.
    """
    proxy = proxy_for(address)
    way: Any = proxy and proxy.url
    kind = None
    if find_spec("aiohttp") and not (proxy and proxy.is_socks):
        kind = aiohttp_client or _aiohttp_client(library)
    if kind and proxy and (login := basic_login(proxy.url)):  # aiohttp wants a header
        way = library.Proxy(public_url(proxy.url), headers={"authorization": login})
    client = (kind or library.AsyncClient)(
        proxy=way,
        trust_env=False,
        verify=tls_context(library),
        headers={"accept-encoding": ENCODINGS, **(headers or {})},
        cookies=_cookie_jar(),
        follow_redirects=False,  # it would carry the conversation to another host
        limits=library.Limits(
            max_connections=_MAX_CONNECTIONS, max_keepalive_connections=_MAX_CONNECTIONS
        ),
    )
    if kind:
        watch(client)
    return client


def most_connections() -> int:
    """Return how many requests of an event loop may be under way at once; others wait.

    Each has a connection, which takes one of the file descriptors that the process may have.
    """
    most = _MAX_CONNECTIONS if find_spec("aiohttp") else _MAX_WITHOUT_AIOHTTP
    descriptors = descriptor_limit()
    return most if descriptors is None else min(most, max(1, descriptors * 9 // 10))


def _aiohttp_client(library: Any) -> Any:
    if not find_spec("httpx_aiohttp"):
        return None
    if library.__name__ == "httpx":
        from httpx_aiohttp import HttpxAiohttpClient

        return HttpxAiohttpClient
    from httpx_aiohttp.httpx2 import Httpx2AiohttpClient

    return Httpx2AiohttpClient


def refuse_login(url: str) -> None:
    """Raise if *url* holds a login, which the SDKs' clients cannot send over aiohttp.

    Raises:
        ConfigurationError: Names the cure, not the login.
    """
    if urlsplit(url).username is not None:
        raise ConfigurationError("base_url holds a login: pass client= with a client that has it")


def _cookie_jar() -> Any:
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
