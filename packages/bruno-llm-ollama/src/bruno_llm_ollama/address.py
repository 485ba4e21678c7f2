"""Where Ollama is, from what people put into OLLAMA_HOST."""

import re

from bruno_llm_base import ConfigurationError

__all__ = ["read"]

_FORM = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[^]]*\]|[^:/@]*)(?::(?P<port>\d+))?(?P<path>/.*)?"
)
_THIS_MACHINE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - read


def read(value: str) -> str:
    """Return the URL that an OLLAMA_HOST stands for; this machine's if it is empty.

    The server listens where the variable says, clients connect to it, and both read it alike
    (https://github.com/ollama/ollama/blob/main/envconfig/config.go): "host", "host:port", ":port"
    or a URL. The port is 11434, but a URL's is that of its scheme. A server that listens
    everywhere ("0.0.0.0") is reached on this machine.

    Raises:
        ConfigurationError: It has none of these forms.
    """
    found = _FORM.fullmatch(value.strip())
    if found is None:
        raise ConfigurationError("OLLAMA_HOST is not understood: give host, host:port or a URL")
    scheme, host, port, path = (part or "" for part in found.groups())
    if host == "ollama.com":
        scheme = scheme or "https"
    port = port or ("" if scheme else "11434")
    place = _THIS_MACHINE.get(host, host) + (f":{port}" if port else "")
    return f"{scheme or 'http'}://{place}{path.rstrip('/')}"
