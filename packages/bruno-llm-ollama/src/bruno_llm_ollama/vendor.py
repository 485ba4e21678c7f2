"""What Ollama's endpoints have in common (https://docs.ollama.com/api)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bruno_llm_base import (
    Access,
    AuthenticationError,
    ErrorFacts,
    Json,
    LLMError,
    ModelNotFoundError,
    ServiceUnavailableError,
    Timeouts,
    Vendor,
)
from bruno_llm_base.adapter import Adapter
from bruno_llm_base.transport import HttpTransport, Transport

from bruno_llm_ollama import address, windows

__all__ = ["OllamaAdapter", "OllamaVendor", "tagged"]

_NO_SUCH = re.compile(r"pull model manifest: .*(file does not exist|not found)")


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

    @staticmethod
    def read_address(value: str) -> str:
        """Return the URL that an OLLAMA_HOST stands for."""
        return address.read(value)


class OllamaAdapter(Adapter):
    """How Ollama's endpoints spell things."""

    __slots__ = ()

    models_path = "/api/tags"

    def window_requests(self, model: str) -> tuple[tuple[str, str, Json | None], ...]:
        return ("POST", "/api/show", {"model": model}), ("GET", "/api/ps", None)

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int | None]:
        return windows.read(data, model)

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        # a status and one sentence, no code; or llama-server's whole document, passed on as text
        facts = super().read_error(status, headers, data)
        return replace(facts, kind=ModelNotFoundError) if _NO_SUCH.search(facts.message) else facts

    def missing_model(self, model: str, offered: Sequence[str]) -> str:
        asked = tagged(model)
        if asked.endswith("cloud") or asked in map(tagged, offered):
            return ""  # models of the cloud are not pulled
        return f"Ollama has no model {model!r}: get it with `ollama pull {model}`"

    def advice(self, error: LLMError) -> str:
        if isinstance(error, ModelNotFoundError):
            return f"get it with `ollama pull {error.model}`"
        if isinstance(error, AuthenticationError):
            return "models of the cloud want `ollama signin` or OLLAMA_API_KEY"
        if isinstance(error, ServiceUnavailableError) and error.status_code is None:
            return "start Ollama with `ollama serve`, or set OLLAMA_HOST"
        return ""


def tagged(model: str) -> str:
    """Return the full name of *model*, in one case, since Ollama does not tell cases apart."""
    name = model.casefold()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
