"""What OpenAI's endpoints have in common (https://platform.openai.com/docs/api-reference)."""

from collections.abc import Mapping

from bruno_llm_base import ErrorFacts, Json, LimitState, Vendor
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

    def parse_models(self, data: Json) -> list[str]:
        return [model["id"] for model in data["data"]]

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int]:
        # OpenAI does not tell; vLLM and OpenRouter do
        return {
            row["id"]: row.get("max_model_len", row.get("context_length")) for row in data["data"]
        }

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        return errors.read(status, data)

    def read_limits(self, headers: Mapping[str, str]) -> LimitState | None:
        return read_durations(headers)
