"""What Ollama's endpoints have in common (https://docs.ollama.com/api)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv6Address

from bruno_llm_base import (
    Access,
    AuthenticationError,
    ConfigurationError,
    ErrorFacts,
    Json,
    LLMError,
    MediaTypeError,
    ModelNotFoundError,
    ServiceUnavailableError,
    Timeouts,
    Vendor,
)
from bruno_llm_base.access import unquoted
from bruno_llm_base.adapter import Adapter
from bruno_llm_base.lenient import read_models
from bruno_llm_base.transport import HttpTransport, Transport

_NO_SUCH = re.compile(r"pull model manifest: .*(file does not exist|not found)")
_NO_THOUGHTS = re.compile(r"does not support thinking")
_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,12})$", re.MULTILINE)
_ADDRESS = re.compile(
    r"(?:(?P<scheme>https?)://)?(?!\w+:/)(?P<host>\[[^]]*\]|[^:/@]*)(?::(?P<port>[^:/@]*))?(?P<path>/[^@]*)?",
    re.IGNORECASE,
)
_THIS_MACHINE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - read
_LAST_PORT = 65535


class OllamaVendor(Vendor):
    """Ollama, on this machine or another, or its cloud."""

    name = "ollama"
    default_base_url = "http://127.0.0.1:11434"
    api_key_env = ("OLLAMA_API_KEY",)
    needs_key = False  # models of the cloud want one
    base_url_env = "OLLAMA_HOST"
    endpoints = (
        *("/api", "/api/chat", "/api/embed", "/api/generate", "/api/tags"),
        *("/v1", "/v1/chat/completions", "/v1/embeddings", "/v1/models"),  # of OpenAI's protocol
    )
    client_type = "httpx.AsyncClient"
    client_call = "send"
    free = "Ollama runs on your own machines"
    fixed_windows = False  # allocated each time the model is loaded

    @staticmethod
    def open_transport(access: Access, timeouts: Timeouts) -> Transport:
        """Return a transport over httpx."""
        return HttpTransport(access, timeouts, framing="ndjson")

    @classmethod
    def read_address(cls, value: str) -> str:
        """Return the URL that an OLLAMA_HOST stands for; this machine's if it is empty.

        The server listens where the variable says, clients connect to it, and both read it alike
        (https://github.com/ollama/ollama/blob/main/envconfig/config.go): "host", "host:port",
        ":port", an IPv6 address with or without brackets, or a URL, all of them in quotes as well.
        The port is 11434, but a URL's is that of its scheme; one that is not a port is left out. A
        server that listens everywhere ("0.0.0.0") is reached on this machine.

        Raises:
            ConfigurationError: It has none of these forms.
        """
        found = _ADDRESS.fullmatch(_bracketed(unquoted(value)))
        if found is None:
            raise ConfigurationError("OLLAMA_HOST is not understood: give host, host:port or a URL")
        scheme, host, port, path = (part or "" for part in found.groups())
        if host == "ollama.com":
            scheme = scheme or "https"
        is_port = port.isascii() and port.isdecimal() and int(port) <= _LAST_PORT
        port = port if is_port else "" if scheme else "11434"
        place = _THIS_MACHINE.get(host, host) + (f":{port}" if port else "")
        return f"{scheme.lower() or 'http'}://{place}{path.rstrip('/')}"


class OllamaAdapter(Adapter):
    """How Ollama's endpoints spell things."""

    __slots__ = ()

    models_path = "/api/tags"

    def window_requests(self, model: str) -> tuple[tuple[str, str, Json | None], ...]:
        return ("POST", "/api/show", {"model": model}), ("GET", "/api/ps", None)

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int | None]:
        # what a model could take at most says little: the server allocates less, by the memory that
        # there is (https://docs.ollama.com/context-length), and tells only of models that are loaded
        if "model_info" in data:
            found = _NUM_CTX.search(data.get("parameters") or "")
            return {model: int(found[1])} if found else {}
        loaded = {row["id"]: row.get("context_length") for row in read_models(data)}
        return loaded | {name.removesuffix(":latest"): tokens for name, tokens in loaded.items()}

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        # a status and one sentence, no code; or llama-server's whole document, passed on as text
        facts = super().read_error(status, headers, data)
        if _NO_THOUGHTS.search(facts.message):
            return replace(facts, code="unsupported_parameter", param="think")
        return replace(facts, kind=ModelNotFoundError) if _NO_SUCH.search(facts.message) else facts

    def missing_model(self, model: str, offered: Sequence[str]) -> str:
        asked = tagged(model)
        if asked.endswith("cloud") or asked in map(tagged, offered):
            return ""  # models of the cloud are not pulled
        return f"Ollama has no model {model!r}: get it with `ollama pull {model}`"

    def advice(self, error: LLMError) -> str:
        if isinstance(error, ModelNotFoundError):
            return f"get it with `ollama pull {error.model}`"
        if isinstance(error, MediaTypeError):
            return f"`ollama show {error.model}` tells whether it sees (vision) or hears (audio)"
        if isinstance(error, AuthenticationError):
            return "models of the cloud want `ollama signin` or OLLAMA_API_KEY"
        if isinstance(error, ServiceUnavailableError) and error.status_code is None:
            return "start Ollama with `ollama serve`, or set OLLAMA_HOST"
        return ""


def tagged(model: str) -> str:
    """Return the full name of *model*, in one case, since Ollama does not tell cases apart."""
    name = model.casefold()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _bracketed(value: str) -> str:
    """Return *value*, in brackets where a bare IPv6 address stands for the host."""
    scheme, colon, place = value.rpartition("://")
    host, slash, path = place.partition("/")
    try:
        address = IPv6Address(host)
    except ValueError:
        return value
    return f"{scheme}{colon}[{address}]{slash}{path}"
