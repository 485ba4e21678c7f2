"""What OpenAI's endpoints have in common (https://platform.openai.com/docs/api-reference)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from bruno_llm_base import Access, Json, LimitState, Timeouts, Vendor, exceptions
from bruno_llm_base.adapter import Adapter
from bruno_llm_base.lenient import read_models
from bruno_llm_base.limits import read_limits
from bruno_llm_base.transport import SdkTransport, Transport

# https://platform.openai.com/docs/guides/error-codes
_ERRORS: dict[str, type[exceptions.LLMError]] = {
    "billing_hard_limit_reached": exceptions.QuotaExceededError,
    "content_filter": exceptions.ContentBlockedError,
    "content_policy_violation": exceptions.ContentBlockedError,
    "context_length_exceeded": exceptions.ContextLengthExceededError,
    "credit_balance_exhausted": exceptions.QuotaExceededError,
    "DeploymentNotFound": exceptions.ModelNotFoundError,  # Azure
    "exceed_context_size_error": exceptions.ContextLengthExceededError,  # llama.cpp
    "insufficient_permissions": exceptions.PermissionDeniedError,
    "insufficient_quota": exceptions.QuotaExceededError,
    "invalid_api_key": exceptions.AuthenticationError,
    "invalid_prompt": exceptions.ContentBlockedError,
    "model_not_found": exceptions.ModelNotFoundError,
    "organization_spend_limit_exceeded": exceptions.QuotaExceededError,
    "project_spend_limit_exceeded": exceptions.QuotaExceededError,
    "bio_policy": exceptions.ContentBlockedError,
    "misalignment_policy_violation": exceptions.ContentBlockedError,
    "rate_limit_exceeded": exceptions.RateLimitError,
    "server_error": exceptions.ServiceUnavailableError,
    # of `ResponseError` in openai.types.responses, what all vendors' words for media do not tell
    "empty_image_file": exceptions.MediaTypeError,
    "image_file_not_found": exceptions.MediaUnavailableError,
    "image_too_small": exceptions.MediaTypeError,
    "invalid_base64_image": exceptions.MediaTypeError,
    "invalid_image_url": exceptions.MediaUnavailableError,
}


def is_openais(address: str) -> bool:
    """Whether *address* is OpenAI's own, that of a region such as "https://eu.api.openai.com/v1" included."""
    return f".{urlsplit(address).hostname}".endswith(".api.openai.com")


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
    price_name = "openai"

    @staticmethod
    def open_transport(access: Access, timeouts: Timeouts) -> Transport:
        """Return a transport over the SDK."""
        import openai

        return SdkTransport.open(openai, openai.AsyncOpenAI, access=access, timeouts=timeouts)


@dataclass(frozen=True, slots=True)
class OpenAIAdapter(Adapter):
    """How OpenAI's endpoints spell things.

    Attributes:
        api: Whose state is read and sent back: servers of this protocol refuse each other's fields.
        own_server: Whether the user's own address is asked.
    """

    api: str = "openai"
    own_server: bool = False

    models_path = "/models"
    error_kinds = _ERRORS

    @classmethod
    def at(cls, access: Access) -> Self:
        """Return the adapter for the server at *access*."""
        own = access.base_url or access.client_address
        api = "openai" if not own else urlsplit(own).hostname or "openai"
        return cls(api=api, own_server=access.base_url is not None and not is_openais(own))

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int | None]:
        # OpenAI does not tell; vLLM and OpenRouter do
        rows = read_models(data)
        return {row["id"]: row.get("max_model_len", row.get("context_length")) for row in rows}

    def read_limits(self, headers: Mapping[str, str]) -> LimitState | None:
        return read_limits(headers, "x-ratelimit-{what}-{unit}")
