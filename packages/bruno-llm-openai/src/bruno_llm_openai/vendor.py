"""What OpenAI's endpoints have in common (https://platform.openai.com/docs/api-reference)."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from bruno_llm_base import ErrorFacts, Json, LimitState, Vendor
from bruno_llm_base.lenient import read_models
from bruno_llm_base.limits import read_durations
from bruno_llm_base.transport import SdkTransport, Transport

from bruno_llm_openai import errors

__all__ = ["OpenAIVendor"]


class OpenAIVendor(Vendor):
    """OpenAI, or with `base_url` any server that speaks its protocol."""

    name = "openai"
    default_base_url = "https://api.openai.com/v1"
    api_key_env = ("OPENAI_API_KEY",)
    base_url_env = "OPENAI_BASE_URL"
    endpoints = ("/chat/completions", "/completions", "/embeddings", "/models", "/responses")
    client_type = "openai.AsyncOpenAI"
    client_call = "post"
    sdk = "openai"
    models_path = "/models"
    price_name = "openai"

    def open_transport(self) -> Transport:
        import openai

        return SdkTransport.open(
            openai,
            openai.AsyncOpenAI,
            access=self.access,
            connect=self.timeouts.connect,
        )

    @property
    def api(self) -> str:
        """Whose state is read and sent back: servers of this protocol refuse each other's fields."""
        own = self.access.base_url or self.access.client_address
        return "openai" if not own else urlsplit(own).hostname or "openai"

    def parse_models(self, data: Json) -> list[str]:
        return [row["id"] for row in read_models(data)]

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int | None]:
        # OpenAI does not tell; vLLM and OpenRouter do
        rows = read_models(data)
        return {row["id"]: row.get("max_model_len", row.get("context_length")) for row in rows}

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        return errors.read(status, data)

    def read_limits(self, headers: Mapping[str, str]) -> LimitState | None:
        return read_durations(headers)
