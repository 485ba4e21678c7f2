"""What a process is given: proxies, certificates and descriptors, read alike for every HTTP library.

Each library reads it in its own way, and some fail on what the others understand.
"""

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bruno_llm_base.access import checked_url, public_url, unquoted
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.values import is_loopback, shown

if TYPE_CHECKING:
    import ssl

_PORTS = {"http": 80, "https": 443}
_BRACKETED = re.compile(r"\[(?P<name>[^]]*)\](?P<size>/\d+)?(?::(?P<port>\d+))?")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that requests go through."""

    url: str = field(repr=False)  # with its login
    variable: str  # that names it

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS, which aiohttp does not."""
        return self.url.startswith("socks")

    def __str__(self) -> str:
        """Return its address without the login, and the variable."""
        return f"{public_url(self.url)} ({self.variable})"


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for requests to *url*; None where they go straight, as to this machine."""
    from urllib.request import getproxies, proxy_bypass  # loads all of http.client

    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    port = parts.port or _PORTS[parts.scheme]
    proxies = getproxies()
    if _is_excepted(host, port, proxies.get("no", "")) or proxy_bypass(host):
        return None
    for name in (parts.scheme, "all"):
        if address := unquoted(proxies.get(name, "")):
            spellings = filter(os.environ.get, (f"{name}_proxy", f"{name}_proxy".upper()))
            return _checked(address, next(spellings, "the system's settings"))
    return None


def tls_context(library: Any) -> "ssl.SSLContext":
    """Return what *library*, httpx or httpx2, trusts: what the environment says, or its own choice."""
    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if folders and not file and not any(map(os.path.isdir, folders.split(os.pathsep))):
        raise ConfigurationError(
            f"SSL_CERT_DIR is {shown(folders)}, which is not a directory: give one with certificates,"
            " or unset it"
        )
    try:
        return _trusted(library, file, folders)
    except OSError as error:  # of which ssl's errors are some
        if not file:
            raise
        raise ConfigurationError(
            f"SSL_CERT_FILE is {shown(file)}, which cannot be read as certificates"
            f" ({error.strerror or type(error).__name__}): give a file of certificates in PEM format,"
            " or unset it",
            cause=error,
        ) from error


@lru_cache(maxsize=4)
def _trusted(library: Any, _file: str | None, _folders: str | None) -> "ssl.SSLContext":
    """Read the certificates once for all clients: it takes 10 ms, and OpenSSL shares contexts."""
    context: ssl.SSLContext = library.create_ssl_context()
    return context


def _checked(address: str, variable: str) -> Proxy:
    scheme, _, place = address.rpartition("://")
    scheme = {"": "http", "socks": "socks5"}.get(scheme.lower(), scheme.lower())
    is_socks = scheme in ("socks5", "socks5h")
    checked_url(variable, f"{'http' if is_socks else scheme}://{place}")
    if is_socks and find_spec("socksio") is None:
        raise ConfigurationError(
            f"{variable} names a SOCKS proxy, which needs the package socksio: pip install"
            " 'httpx[socks]', or list the host in NO_PROXY, or unset the variable"
        )
    return Proxy(f"{scheme}://{place}", variable)


def _is_excepted(host: str, port: int, excepted: str) -> bool:
    """Whether *excepted*, the value of NO_PROXY, lists *host*: by name, address, network, or port."""
    for entry in re.split(r"[\s,;]+", unquoted(excepted)):
        place = unquoted(entry).rpartition("://")[2]
        if found := _BRACKETED.fullmatch(place):
            name, wanted = found["name"] + (found["size"] or ""), found["port"]
        elif place.count(":") == 1:
            name, _, wanted = place.partition(":")
        else:
            name, wanted = place, None
        is_port = not (wanted or "").isdecimal() or int(wanted or 0) == port
        if name == "*" or (is_port and _matches(host, name)):
            return True
    return False


def _matches(host: str, name: str) -> bool:
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        name = name.lower().lstrip("*").strip(".")
        host = host.rstrip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))


def descriptor_limit() -> int | None:
    """Return how many files and sockets this process may have open; None for any number."""
    try:
        import resource
    except ImportError:  # Windows, which sets no such limit
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft
