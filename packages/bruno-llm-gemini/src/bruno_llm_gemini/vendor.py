"""What Gemini's endpoints have in common (https://ai.google.dev/api)."""

import re
from collections.abc import Mapping
from typing import ClassVar, Self

from bruno_llm_base import Access, Json, Timeouts, Vendor, exceptions
from bruno_llm_base.adapter import Adapter
from bruno_llm_base.lenient import read_models
from bruno_llm_base.transport import Transport

from bruno_llm_gemini.transport import CHAT, MODELS, ComposedTransport
from bruno_llm_gemini.typed import TypedTransport

# Google's common statuses and reasons (https://google.aip.dev/193,
# https://ai.google.dev/gemini-api/docs/troubleshooting).
_ERRORS: dict[str, type[exceptions.LLMError]] = {
    "API_KEY_INVALID": exceptions.AuthenticationError,
    "CONSUMER_SUSPENDED": exceptions.AuthenticationError,  # says so with the key in its message
    "ABORTED": exceptions.ServiceUnavailableError,
    "DEADLINE_EXCEEDED": exceptions.ServiceUnavailableError,
    "INTERNAL": exceptions.ServiceUnavailableError,
    "NOT_FOUND": exceptions.ModelNotFoundError,
    "PERMISSION_DENIED": exceptions.PermissionDeniedError,
    "RESOURCE_EXHAUSTED": exceptions.RateLimitError,
    "UNAUTHENTICATED": exceptions.AuthenticationError,
    "UNAVAILABLE": exceptions.ServiceUnavailableError,
    "UNKNOWN": exceptions.ServiceUnavailableError,
}


class GeminiVendor(Vendor):
    """Gemini, or with `client` any endpoint of google-genai, such as Vertex AI."""

    name = "gemini"
    default_base_url = "https://generativelanguage.googleapis.com"
    api_key_env = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    base_url_env = "GOOGLE_GEMINI_BASE_URL"
    endpoints = ("/v1", "/v1alpha", "/v1beta", "/models")
    client_type = "google.genai.Client"
    client_call = "aio.models.generate_content"
    sdk = "google.genai"
    price_name = "google"
    telemetry_name = "gcp.gemini"

    @staticmethod
    def open_transport(access: Access, timeouts: Timeouts) -> Transport:
        """Return a transport over google-genai."""
        if access.client is not None:
            return TypedTransport(access.client)
        version = re.search(r"/(v\d\w*)", access.endpoint)  # given behind the address, if any
        return ComposedTransport(
            api_key=access.key or "none",  # servers of one's own may want none
            base_url=access.base_url or GeminiVendor.default_base_url,
            api_version=version and version[1],
            connect=timeouts.connect,
        )

    @staticmethod
    def plain_name(model: str) -> str:
        """Return *model* without the kind of resource that Google says before it."""
        return model.removeprefix("publishers/google/").removeprefix("models/")


class GeminiAdapter(Adapter):
    """How Gemini's endpoints spell things.

    Attributes:
        method: What a model has to be able to do to be listed, in Google's word.
    """

    __slots__ = ()

    models_path = MODELS
    error_kinds = _ERRORS
    method: ClassVar[str] = CHAT

    @classmethod
    def at(cls, access: Access) -> Self:
        """Return the adapter, if Gemini's own protocol is spoken at *access*.

        Raises:
            ConfigurationError: It is not.
        """
        if (access.base_url or "").rstrip("/").endswith("/openai"):
            raise exceptions.ConfigurationError(
                "base_url ends in /openai, where Google speaks OpenAI's protocol: leave that out, or"
                " give it to OpenAIProvider"
            )
        return cls()

    def parse_models(self, data: Json) -> list[str]:
        return [GeminiVendor.plain_name(row["id"]) for row in _models(data) if self._offers(row)]

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int | None]:
        return {
            GeminiVendor.plain_name(row["id"]): row.get("inputTokenLimit") for row in _models(data)
        }

    def _offers(self, model: Json) -> bool:
        """Whether a model does what we ask for; Vertex AI does not say what its models do."""
        methods = model.get("supportedGenerationMethods") or model.get("supportedActions")
        return not methods or self.method in methods


def _models(data: Json) -> list[Json]:
    return read_models(data) if data else []  # Google leaves an empty list out
