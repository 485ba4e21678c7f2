"""Where Ollama is, from what people put into OLLAMA_HOST."""

import re
from ipaddress import IPv6Address

from bruno_llm_base import ConfigurationError
from bruno_llm_base.access import unquoted

__all__ = ["read"]

_FORM = re.compile(
    r"(?:(?P<scheme>https?)://)?(?!\w+:/)(?P<host>\[[^]]*\]|[^:/@]*)(?::(?P<port>[^:/@]*))?(?P<path>/[^@]*)?",
    re.IGNORECASE,
)
_THIS_MACHINE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - read
_LAST_PORT = 65535


def read(value: str) -> str:
    """Return the URL that an OLLAMA_HOST stands for; this machine's if it is empty.

    The server listens where the variable says, clients connect to it, and both read it alike
    (https://github.com/ollama/ollama/blob/main/envconfig/config.go): "host", "host:port", ":port",
    an IPv6 address with or without brackets, or a URL, all of them in quotes as well. The port is
    11434, but a URL's is that of its scheme; one that is not a port is left out. A server that listens
    everywhere ("0.0.0.0") is reached on this machine.

    Raises:
        ConfigurationError: It has none of these forms.
    """
    found = _FORM.fullmatch(_bracketed(unquoted(value)))
    if found is None:
        raise ConfigurationError("OLLAMA_HOST is not understood: give host, host:port or a URL")
    scheme, host, port, path = (part or "" for part in found.groups())
    if host == "ollama.com":
        scheme = scheme or "https"
    is_port = port.isascii() and port.isdecimal() and int(port) <= _LAST_PORT
    port = port if is_port else "" if scheme else "11434"
    place = _THIS_MACHINE.get(host, host) + (f":{port}" if port else "")
    return f"{scheme.lower() or 'http'}://{place}{path.rstrip('/')}"


def _bracketed(value: str) -> str:
    """Return *value*, in brackets where a bare IPv6 address stands for the host."""
    scheme, colon, place = value.rpartition("://")
    host, slash, path = place.partition("/")
    try:
        address = IPv6Address(host)
    except ValueError:
        return value
    return f"{scheme}{colon}[{address}]{slash}{path}"
