"""What Ollama's endpoints have in common (https://docs.ollama.com/api)."""

from collections.abc import Mapping

from bruno_llm_base import (
    AuthenticationError,
    Diagnosis,
    ErrorFacts,
    Json,
    LLMError,
    ModelNotFoundError,
    ServiceUnavailableError,
    Vendor,
)
from bruno_llm_base.framing import ndjson
from bruno_llm_base.lenient import read_models
from bruno_llm_base.transport import HttpTransport, Transport, open_http_client

from bruno_llm_ollama import address, errors, windows

__all__ = ["OllamaVendor", "tagged"]


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
    models_path = "/api/tags"
    free = "Ollama runs on your own machines"
    firm_windows = False  # allocated anew whenever the model is loaded

    def open_transport(self) -> Transport:
        access = self.access
        url = access.client_address or access.base_url or self.default_base_url
        headers = {"authorization": f"Bearer {access.key}"} if access.key else {}
        return HttpTransport(
            access.client or open_http_client(url, headers=headers),
            base_url=url,
            framing=ndjson,
            connect=self.timeouts.connect,
            owned=access.client is None,
        )

    def parse_models(self, data: Json) -> list[str]:
        return [row["id"] for row in read_models(data)]

    def window_requests(self, model: str) -> tuple[tuple[str, str, Json | None], ...]:
        return ("POST", "/api/show", {"model": model}), ("GET", "/api/ps", None)

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int | None]:
        return windows.read(data, model)

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        return errors.read(status, data)

    def judge(self, models: list[str]) -> Diagnosis:
        asked = tagged(self.model)
        if asked.endswith("cloud") or asked in map(tagged, models):
            return super().judge(models)  # models of the cloud are not pulled
        reason = f"Ollama has no model {self.model!r}: get it with `ollama pull {self.model}`"
        return Diagnosis(ok=False, reason=reason, models=tuple(models))

    def advise(self, error: LLMError) -> str:
        if isinstance(error, ModelNotFoundError):
            return f"get it with `ollama pull {error.model}`"
        if isinstance(error, AuthenticationError):
            return "models of the cloud want `ollama signin` or OLLAMA_API_KEY"
        if isinstance(error, ServiceUnavailableError) and error.status_code is None:
            return "start Ollama with `ollama serve`, or set OLLAMA_HOST"
        return ""

    def read_address(self, value: str) -> str:
        return address.read(value)


def tagged(model: str) -> str:
    """Return the full name of *model*, in one case, since Ollama does not tell cases apart."""
    name = model.casefold()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
