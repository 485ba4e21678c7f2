"""What a failed connection failed of."""

import errno
from collections.abc import Iterator
from copy import copy

from bruno_llm_base.exceptions import (
    ConfigurationError,
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    ServiceUnavailableError,
)
from bruno_llm_base.transport.environment import descriptor_limit

DROPPED = "connection_dropped"
"""The code of an error that ended a connection before there was an answer."""

UNREACHABLE = "unreachable"
"""The code of an error before anything was sent."""

_CONNECT_TIMEOUT = "no connection within the time allowed"
_Cause = tuple[type[LLMError], str | None, str]

# By class name, so that no HTTP library is imported to ask. Wrappers are not listed: httpx-aiohttp
# calls refused and broken connections timeouts, and the SDKs pass that on.
_NAMES: dict[_Cause, str] = {
    (ServiceUnavailableError, UNREACHABLE, "the server's certificate was refused"): (
        "ClientConnectorCertificateError SSLCertVerificationError"
    ),
    (
        ServiceUnavailableError,
        UNREACHABLE,
        "the TLS handshake failed; a server without TLS has an http:// address",
    ): ("ClientConnectorSSLError SSLError"),
    (ServiceUnavailableError, UNREACHABLE, "the server cannot be reached"): (
        "ClientConnectorError ConnectError"
    ),
    (ServiceUnavailableError, UNREACHABLE, "the server cannot be reached: its name is not known"): (
        "ClientConnectorDNSError gaierror"
    ),
    (ServiceUnavailableError, UNREACHABLE, "the server cannot be reached: nothing listens there"): (
        "ConnectionRefusedError"
    ),
    (ServiceUnavailableError, UNREACHABLE, "the proxy cannot be reached"): (
        "ClientProxyConnectionError"
    ),
    (ServiceUnavailableError, UNREACHABLE, "the proxy refused"): "ClientHttpProxyError ProxyError",
    (LLMTimeoutError, UNREACHABLE, _CONNECT_TIMEOUT): "ConnectionTimeoutError ConnectTimeout",
    (LLMTimeoutError, UNREACHABLE, "no free connection within the time allowed"): "PoolTimeout",
    (LLMTimeoutError, None, "no data within the time allowed"): (
        "ReadTimeout ServerTimeoutError SocketTimeoutError"
    ),
    (LLMTimeoutError, None, "the request was not taken within the time allowed"): "WriteTimeout",
    (ServiceUnavailableError, DROPPED, "the connection broke off"): (
        "BrokenPipeError ClientConnectionResetError ClientOSError ClientPayloadError"
        " ConnectionResetError ContentLengthError ReadError RemoteProtocolError"
        " ServerDisconnectedError TransferEncodingError WriteError"
    ),
    (InvalidResponseError, None, "the server does not speak HTTP"): (
        "BadHttpMessage BadStatusLine InvalidHeader LineTooLong"
    ),
    (InvalidResponseError, None, "the server's answer cannot be decompressed"): (
        "ContentEncodingError DecodingError"
    ),
}
_CAUSES = {name: cause for cause, names in _NAMES.items() for name in names.split()}

# Whose errors are failures of the network, even those that are not in the list above.
_LIBRARIES = frozenset(
    (
        *("aiohttp", "anthropic", "google", "httpcore", "httpcore2", "httpx", "httpx2"),
        *("httpx_aiohttp", "openai", "socket", "ssl"),
    )
)


def transport_error(error: Exception, connect: float | None = None) -> LLMError:
    """Return ours for what a transport raised: the innermost cause that is known decides.

    Its own cause is the innermost, without the libraries' wrappers and their frames, which would fill
    a traceback with some seventy lines that tell nothing more. An error of ours that an SDK has wrapped is returned as it was. One of the libraries' of no known
    kind is not retried: it may as well be a defect. Reaching the server may take *connect* seconds.

    Raises:
        Exception: It is not a failure of the network but a mistake, in a client of the user's, say.
    """
    cause: _Cause | None = None
    innermost = error
    for inner in _causes(error):
        if isinstance(inner, LLMError):
            return copy(inner)  # itself, it would be raised from what it is the cause of
        if isinstance(inner, OSError) and inner.errno == errno.EMFILE:
            return ConfigurationError(
                f"this process has all {descriptor_limit()} file descriptors open that it may have, and"
                " a connection takes one: raise `ulimit -n`, or have less under way at once with"
                " RateLimit(max_concurrent=...)",
                code=UNREACHABLE,
                retryable=True,  # others end
                cause=error,
            )
        cause = _CAUSES.get(type(inner).__name__, cause)
        innermost = inner
    if cause is None:
        if not _is_the_networks(innermost):
            raise innermost
        cause = LLMError, None, f"unexpected {type(error).__name__}"
    else:
        innermost.__traceback__ = None
    kind, code, message = cause
    if message == _CONNECT_TIMEOUT and connect is not None:
        message = f"no connection within {connect} s"
    return kind(message, code=code, cause=innermost)


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
