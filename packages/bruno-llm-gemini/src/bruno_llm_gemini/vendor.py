"""What Gemini's endpoints have in common (https://ai.google.dev/api)."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from bruno_llm_base import ConfigurationError, ErrorFacts, Json, Vendor
from bruno_llm_base.lenient import read_models
from bruno_llm_base.transport import Transport
from bruno_llm_base.values import shown

from bruno_llm_gemini import errors
from bruno_llm_gemini.transport import CHAT, MODELS, ComposedTransport
from bruno_llm_gemini.typed import TypedTransport

__all__ = ["GeminiVendor"]


class GeminiVendor(Vendor):
    """Gemini, or with `client` any endpoint of google-genai, such as Vertex AI.

    Attributes:
        method: What a model has to be able to do to be listed, in Google's word.
    """

    name = "gemini"
    default_base_url = "https://generativelanguage.googleapis.com"
    api_key_env = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    base_url_env = "GOOGLE_GEMINI_BASE_URL"
    endpoints = ("/v1", "/v1alpha", "/v1beta", "/models")
    client_type = "google.genai.Client"
    client_call = "aio.models.generate_content"
    sdk = "google.genai"
    models_path = MODELS
    price_name = "google"
    method: ClassVar[str] = CHAT

    def __init__(
        self,
        model: str | None = None,
        *,
        api_version: str | None = None,
        free_tier: bool = False,
        **keywords: Any,
    ) -> None:
        """Set up a provider. Nothing is sent, and no SDK is imported.

        Args:
            model: The model; `default_model` if None.
            api_version: The API's version, such as "v1beta"; the SDK's own choice if None.
            free_tier: Whether the key is on the free tier, where answers cost nothing
                (https://ai.google.dev/gemini-api/docs/pricing).
            **keywords: Those of `BaseProvider`, or of `BaseEmbeddings`.

        Raises:
            ConfigurationError: A value is wrong, or the key is missing.
        """
        if not isinstance(free_tier, bool):
            raise ConfigurationError(f"free_tier is {shown(free_tier)}: give True or False")
        self.free = "Gemini's free tier" if free_tier else None
        super().__init__(model, **keywords)
        if (self.access.base_url or "").rstrip("/").endswith("/openai"):
            raise ConfigurationError(
                "base_url ends in /openai, where Google speaks OpenAI's protocol: leave that out, or"
                " give it to OpenAIProvider"
            )
        self._api_version = api_version

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (kind, keywords) = super().__reduce__()
        own = {"api_version": self._api_version, "free_tier": self.free is not None}
        return rebuild, (kind, keywords | own)

    def open_transport(self) -> Transport:
        access = self.access
        if access.client is not None:
            return TypedTransport(access.client)
        return ComposedTransport(
            api_key=access.key or "none",  # servers of one's own may want none
            base_url=access.base_url or self.default_base_url,
            api_version=self._api_version or _version(access.endpoint),
            connect=self.timeouts.connect,
        )

    def parse_models(self, data: Json) -> list[str]:
        return [_short(row["id"]) for row in _models(data) if self._offers(row)]

    def plain_name(self, model: str) -> str:
        return _short(model)

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int | None]:
        return {_short(row["id"]): row.get("inputTokenLimit") for row in _models(data)}

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        return errors.read(status, data)

    def _offers(self, model: Json) -> bool:
        """Whether a model does what we ask for; Vertex AI does not say what its models do."""
        methods = model.get("supportedGenerationMethods") or model.get("supportedActions")
        return not methods or self.method in methods


def _version(endpoint: str) -> str | None:
    """Return the version of the API in what was given behind the address, if any."""
    found = re.search(r"/(v\d\w*)", endpoint)
    return found[1] if found else None


def _models(data: Json) -> list[Json]:
    return read_models(data) if data else []  # Google leaves an empty list out


def _short(name: str) -> str:
    return name.removeprefix("publishers/google/").removeprefix("models/")
