"""google-genai, with the raw answer kept back from it.

The SDK builds the URL, the headers and the credentials, but has no door to the bytes of a stream,
and its typed objects cost thirty times more than reading them. It does take an HTTP client: ours
sends its request, keeps the answer for us, and gives the SDK an empty one.
"""

import ssl
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from bruno_llm_base.framing import sse
from bruno_llm_base.transport import Reply
from bruno_llm_base.transport.http import MAX_CONNECTIONS, refuse_login, refuse_socks_proxy
from bruno_llm_base.transport.reply import HttpResponse
from bruno_llm_base.types import Json

__all__ = ["CHAT", "MODELS", "PAGE_SIZE", "STREAM", "CapturingTransport", "arguments"]

CHAT, STREAM, MODELS = "generateContent", "streamGenerateContent", "models"
PAGE_SIZE = 1000  # the API's most; its default is 50

_BOX: ContextVar[list[HttpResponse]] = ContextVar("bruno_llm_gemini_box")


class CapturingTransport:
    """Send JSON through a google-genai client over an HTTP client of ours."""

    def __init__(
        self, *, api_key: str, base_url: str, api_version: str | None, connect: float | None
    ) -> None:
        """Open the clients.

        Args:
            api_key: The key.
            base_url: Where the API is.
            api_version: The API's version; the SDK's own choice if None.
            connect: How many seconds reaching the server may take.
        """
        import httpx2
        from google import genai

        refuse_login(base_url)
        refuse_socks_proxy(urlsplit(base_url).hostname or "")
        tls = httpx2.create_ssl_context()  # one for all: the SDK would load its own, twice
        self._http = _capturing_client(connect, tls)
        self._client = genai.Client(
            vertexai=False,  # whatever the environment says: a key of the Gemini API is set
            api_key=api_key,
            http_options=genai.types.HttpOptions(
                base_url=base_url,
                api_version=api_version,
                httpx_async_client=self._http,
                client_args={"verify": tls},
                async_client_args={"verify": tls, "ssl": tls},
                retry_options=genai.types.HttpRetryOptions(attempts=1),
            ),
        )

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Send a request and return the answer, whatever its status."""
        box: list[HttpResponse] = []
        token = _BOX.set(box)
        try:
            await self._ask(path, body or {})
        except BaseException:
            for response in box:
                await response.aclose()
            raise
        finally:
            _BOX.reset(token)
        return Reply(box[0], sse)

    async def aclose(self) -> None:
        """Close the connections; the SDK leaves an HTTP client that it was given open."""
        await self._http.aclose()
        self._client.close()

    async def _ask(self, path: str, body: Json) -> None:
        models = self._client.aio.models
        if path == MODELS:
            await models.list(config={"page_size": PAGE_SIZE})
        elif path == CHAT:
            await models.generate_content(**arguments(body))
        else:
            # The request goes out with the first step of the stream, which is then at its end.
            async for _ in await models.generate_content_stream(**arguments(body)):
                pass


def arguments(body: Json, **http_options: Any) -> Json:
    """Return the keywords with which the SDK sends *body*, and nothing that is not in it.

    Args:
        body: The request's JSON, and the model that stands in the URL.
        **http_options: More of the SDK's `HttpOptions`.
    """
    extra = {name: value for name, value in body.items() if name != "model"}
    return {
        "model": body["model"],
        "contents": "-",  # it insists on some; those in extra_body take their place
        "config": {
            "automatic_function_calling": {"disable": True},
            "automatic_continuation": False,  # it would send, and bill, further requests
            "http_options": {"extra_body": extra, **http_options},
        },
    }


def _capturing_client(connect: float | None, tls: ssl.SSLContext) -> Any:
    # The class is made here, so that no HTTP library is imported with this module.
    import httpx2
    from httpx_aiohttp.httpx2 import Httpx2AiohttpClient

    class CapturingClient(Httpx2AiohttpClient):
        async def send(
            self, request: httpx2.Request, *, stream: bool = False, **options: Any
        ) -> httpx2.Response:
            box = _BOX.get(None)
            if box is None:
                return await super().send(request, stream=stream, **options)
            request.extensions["timeout"] = self.timeout.as_dict()  # the SDK switches it off
            box.append(await super().send(request, stream=True, **options))
            return httpx2.Response(200, content=b"" if stream else b"{}", request=request)

    return CapturingClient(
        verify=tls,
        timeout=httpx2.Timeout(None, connect=connect),  # our own deadline bounds the rest
        limits=httpx2.Limits(
            max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS
        ),
    )
