"""What a failed connection failed of."""

from collections.abc import Iterator
from copy import copy

from bruno_llm_base.exceptions import (
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    ServiceUnavailableError,
)

__all__ = ["DROPPED", "UNREACHABLE", "transport_error"]

DROPPED = "connection_dropped"
"""The code of an error that ended a connection before there was an answer."""

UNREACHABLE = "unreachable"
"""The code of an error before anything was sent."""

_CONNECT_TIMEOUT = "no connection within the time allowed"
_UNREACHABLE = "the server cannot be reached"
_DROPPED = "the connection broke off"
_TLS = "the server's certificate was refused"
_POOL_TIMEOUT = "no free connection within the time allowed"
_NO_PROXY, _PROXY_REFUSED = "the proxy cannot be reached", "the proxy refused"
_CODES = {_DROPPED: DROPPED} | dict.fromkeys(
    (_UNREACHABLE, _TLS, _CONNECT_TIMEOUT, _POOL_TIMEOUT, _NO_PROXY, _PROXY_REFUSED), UNREACHABLE
)

# By class name, so that no HTTP library is imported to ask. Wrappers are not listed: httpx-aiohttp
# calls refused and broken connections timeouts, and the SDKs pass that on.
_CAUSES: dict[str, tuple[type[LLMError], str]] = {
    "ClientConnectorCertificateError": (ServiceUnavailableError, _TLS),
    "ClientConnectorSSLError": (ServiceUnavailableError, _TLS),
    "SSLCertVerificationError": (ServiceUnavailableError, _TLS),
    "SSLError": (ServiceUnavailableError, _TLS),
    "ClientConnectorDNSError": (ServiceUnavailableError, _UNREACHABLE),
    "ClientConnectorError": (ServiceUnavailableError, _UNREACHABLE),
    "ClientProxyConnectionError": (ServiceUnavailableError, _NO_PROXY),
    "ClientHttpProxyError": (ServiceUnavailableError, _PROXY_REFUSED),
    "ProxyError": (ServiceUnavailableError, _PROXY_REFUSED),
    "gaierror": (ServiceUnavailableError, _UNREACHABLE),
    "ConnectionRefusedError": (ServiceUnavailableError, _UNREACHABLE),
    "ConnectError": (ServiceUnavailableError, _UNREACHABLE),
    "ConnectionTimeoutError": (LLMTimeoutError, _CONNECT_TIMEOUT),
    "ConnectTimeout": (LLMTimeoutError, _CONNECT_TIMEOUT),
    "PoolTimeout": (LLMTimeoutError, _POOL_TIMEOUT),
    "SocketTimeoutError": (LLMTimeoutError, "no data within the time allowed"),
    "ServerTimeoutError": (LLMTimeoutError, "no data within the time allowed"),
    "ReadTimeout": (LLMTimeoutError, "no data within the time allowed"),
    "WriteTimeout": (LLMTimeoutError, "the request was not taken within the time allowed"),
    "ServerDisconnectedError": (ServiceUnavailableError, _DROPPED),
    "ClientOSError": (ServiceUnavailableError, _DROPPED),
    "ClientPayloadError": (ServiceUnavailableError, _DROPPED),
    "ClientConnectionResetError": (ServiceUnavailableError, _DROPPED),
    "ConnectionResetError": (ServiceUnavailableError, _DROPPED),
    "BrokenPipeError": (ServiceUnavailableError, _DROPPED),
    "ReadError": (ServiceUnavailableError, _DROPPED),
    "WriteError": (ServiceUnavailableError, _DROPPED),
    "RemoteProtocolError": (ServiceUnavailableError, _DROPPED),
    "BadStatusLine": (InvalidResponseError, "the server does not speak HTTP"),
    "BadHttpMessage": (InvalidResponseError, "the server does not speak HTTP"),
    "InvalidHeader": (InvalidResponseError, "the server does not speak HTTP"),
    "LineTooLong": (InvalidResponseError, "the server does not speak HTTP"),
    "ContentLengthError": (ServiceUnavailableError, _DROPPED),
    "TransferEncodingError": (ServiceUnavailableError, _DROPPED),
    "DecodingError": (InvalidResponseError, "the server's answer cannot be decompressed"),
    "ContentEncodingError": (InvalidResponseError, "the server's answer cannot be decompressed"),
}


# Whose errors are failures of the network, even those that are not in the list above.
_LIBRARIES = frozenset(
    (
        *("aiohttp", "anthropic", "google", "httpcore", "httpcore2", "httpx", "httpx2"),
        *("httpx_aiohttp", "openai", "socket", "ssl"),
    )
)


def transport_error(error: Exception, connect: float | None = None) -> LLMError:
    """Return ours for what a transport raised: the innermost cause that is known decides.

    An error of ours that an SDK has wrapped is returned as it was. One of the libraries' of no known
    kind is not retried: it may as well be a defect.

    Args:
        error: What was raised.
        connect: How many seconds reaching the server may take.

    Raises:
        Exception: It is not a failure of the network but a mistake, in a client of the user's, say.
    """
    found: tuple[type[LLMError], str] | None = None
    innermost = error
    for inner in _causes(error):
        if isinstance(inner, LLMError):
            return copy(inner)  # itself, it would be raised from what it is the cause of
        found = _CAUSES.get(type(inner).__name__, found)
        innermost = inner
    if found is None:
        if not _is_the_networks(innermost):
            raise innermost
        found = LLMError, f"unexpected {type(error).__name__}"
    kind, message = found
    code = _CODES.get(message)
    if message == _CONNECT_TIMEOUT and connect is not None:
        message = f"no connection within {connect} s"
    return kind(message, code=code, cause=error)


def _causes(error: Exception) -> Iterator[Exception]:
    """Yield *error* and what it was raised from.

    What a library was handling meanwhile counts as a cause too, but not what its caller was.
    """
    seen: set[int] = set()
    inner: BaseException | None = error
    while isinstance(inner, Exception) and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        context = inner.__context__ if _is_the_networks(inner) else None
        inner = inner.__cause__ or (context if _is_the_networks(context) else None)


def _is_the_networks(error: BaseException | None) -> bool:
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _LIBRARIES
