"""Gemini's generateContent (https://ai.google.dev/api/generate-content)."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from bruno_llm_base import (
    BaseProvider,
    ConfigurationError,
    Conversation,
    ErrorFacts,
    Json,
    ModelResponse,
)
from bruno_llm_base.transport import Transport
from bruno_llm_base.values import is_whole, shown

from bruno_llm_gemini import errors, messages
from bruno_llm_gemini.transport import CHAT, COUNT, MODELS, STREAM, ComposedTransport
from bruno_llm_gemini.typed import TypedTransport

__all__ = ["GeminiProvider"]

# From Gemini 3 on, a tool call without its signature is refused.
_WANTS_SIGNATURES = re.compile(r"(?:.*/)?gemini-(?:[3-9]|\d\d)")

# Fields of the request and of its generationConfig, which may be spelled as google-genai does.
_FIELDS = ("cachedContent", "generationConfig", "safetySettings", "systemInstruction", "toolConfig")
_GENERATION = (
    *("candidateCount", "frequencyPenalty", "logprobs", "maxOutputTokens", "presencePenalty"),
    *("responseJsonSchema", "responseLogprobs", "responseMimeType", "responseModalities"),
    *("responseSchema", "seed", "stopSequences", "temperature", "thinkingConfig", "topK", "topP"),
)


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


class GeminiProvider(BaseProvider):
    """Talk to Gemini, or with `client` to any endpoint of google-genai, such as Vertex AI.

    Google does not document its count of tokens as exact, and calls it an estimate in
    https://firebase.google.com/docs/vertex-ai/count-tokens; the example of
    https://ai.google.dev/api/tokens counts 10 tokens for a prompt that then takes 11.
    """

    name = "gemini"
    default_model = "gemini-3.8-flash"
    default_base_url = "https://generativelanguage.googleapis.com"
    api_key_env = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    base_url_env = "GOOGLE_GEMINI_BASE_URL"
    sdk = "google.genai"
    chat_path = CHAT
    stream_path = STREAM
    models_path = MODELS
    count_path = COUNT
    count_error = 0.1
    structure = frozenset({"contents", "model"})
    option_names: ClassVar[Mapping[str, str]] = {
        **{_snake(name): name for name in _FIELDS},
        **{_snake(name): f"generationConfig.{name}" for name in _GENERATION},
        **{name: f"generationConfig.{name}" for name in _GENERATION},
        "max_tokens": "generationConfig.maxOutputTokens",
        "stop": "generationConfig.stopSequences",
    }
    price_name = "google"
    capabilities = frozenset({"chat", "streaming", "tools", "reasoning"})

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
            **keywords: Those of `BaseProvider`.

        Raises:
            ConfigurationError: A value is wrong, or the key is missing.
        """
        if not isinstance(free_tier, bool):
            raise ConfigurationError(f"free_tier is {shown(free_tier)}: give True or False")
        self.free = "Gemini's free tier" if free_tier else None
        super().__init__(model, **keywords)
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
            api_version=self._api_version,
            connect=self.timeouts.connect,
        )

    def build_request(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        strict = _WANTS_SIGNATURES.match(options["model"]) is not None
        return messages.build(conversation.opened(), sign=strict) | options

    def parse_response(self, data: Json) -> ModelResponse:
        answer = ModelResponse.join([self.parse_event(data)])  # the whole looks like a part
        if answer.finish_reason is None:
            raise ValueError("neither an answer that has ended nor a block")
        return answer

    def parse_event(self, data: Json) -> ModelResponse:
        part = ModelResponse(model=data.get("modelVersion"), id=data.get("responseId"))
        if candidates := data.get("candidates"):
            messages.read(candidates[0], part)
        elif reason := (data.get("promptFeedback") or {}).get("blockReason"):
            part.finish_reason, part.finish_detail = "content_filter", reason
        if counts := data.get("usageMetadata"):
            part.usage = messages.usage(counts, ended=part.finish_reason is not None)
        return part

    def parse_models(self, data: Json) -> list[str]:
        return [_short(row["name"]) for row in data.get("models") or () if _generates(row)]

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int]:
        return {_short(row["name"]): row.get("inputTokenLimit") for row in data.get("models") or ()}

    def most_output(self, body: Json) -> int | None:
        settings = body.get("generationConfig")
        if not isinstance(settings, dict):
            return None  # nothing is set, or what the server will refuse
        most, answers = settings.get("maxOutputTokens"), settings.get("candidateCount", 1)
        if not isinstance(most, int) or not is_whole(most, least=0):
            return None
        return most * (answers if is_whole(answers, least=1) else 1)

    def build_count(self, conversation: Conversation, body: Json) -> Json:
        model = body["model"]
        name = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
        return {"model": model, "generateContentRequest": body | {"model": name}}

    def parse_count(self, data: Json) -> int:
        tokens: int = data.get("totalTokens", 0)  # a count of 0 is left out of Google's JSON
        return tokens

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        return errors.read(data)


def _short(name: str) -> str:
    return name.removeprefix("publishers/google/").removeprefix("models/")


def _generates(model: Json) -> bool:
    """Whether a model answers; Vertex AI does not say what its models do."""
    methods = model.get("supportedGenerationMethods") or model.get("supportedActions")
    return not methods or "generateContent" in methods
