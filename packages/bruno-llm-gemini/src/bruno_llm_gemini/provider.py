"""Gemini's generateContent (https://ai.google.dev/api/generate-content)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from bruno_llm_base import (
    Access,
    BaseProvider,
    ChatAdapter,
    Conversation,
    FinishReason,
    Json,
    Media,
    MediaRules,
    ModelResponse,
)
from bruno_llm_base.lenient import finish_reason, read_word
from pydantic.alias_generators import to_snake

from bruno_llm_gemini import messages
from bruno_llm_gemini.transport import CHAT, COUNT, STREAM
from bruno_llm_gemini.vendor import GeminiAdapter, GeminiVendor

if TYPE_CHECKING:
    from bruno_llm_base import Tool

    from bruno_llm_gemini.batches import GeminiBatches

# Since then a tool call without its signature is refused, media are taken in results of tools, and
# pictures are counted in another way.
_FROM_3 = re.compile(r"(?:.*/)?gemini-(?:[3-9]|\d\d)")

# Fields of the request and of its generationConfig, which may be spelled as google-genai does.
_FIELDS = ("cachedContent", "generationConfig", "safetySettings", "systemInstruction", "toolConfig")
_GENERATION = (
    *("candidateCount", "frequencyPenalty", "imageConfig", "logprobs", "maxOutputTokens"),
    *("mediaResolution", "presencePenalty", "responseJsonSchema", "responseLogprobs"),
    *("responseMimeType", "responseModalities", "responseSchema", "seed", "speechConfig"),
    *("stopSequences", "temperature", "thinkingConfig", "topK", "topP"),
)

# https://ai.google.dev/gemini-api/docs/file-input-methods. Which sounds and films it takes is the server's
# to say; of pictures it takes few, and no GIF. It fetches addresses, and takes 100 MB of base64.
_TYPES = (
    *("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"),
    *("audio/*", "video/*", "application/pdf", "text/*"),
)
_MEDIA = MediaRules(
    types=_TYPES, url_types=_TYPES, ids=True, in_answers=True, max_total_bytes=75_000_000
)
_MEDIA_FROM_3 = replace(_MEDIA, in_results=True)


class GenerateContent(GeminiAdapter, ChatAdapter):
    """How generateContent spells things."""

    __slots__ = ()

    chat_path = CHAT
    stream_path = STREAM
    count_path = COUNT
    count_error = 0.1
    reserved_fields = frozenset({"contents", "model", "stream"})
    option_names: ClassVar[Mapping[str, str]] = {
        **{to_snake(name): name for name in _FIELDS},
        **{to_snake(name): f"generationConfig.{name}" for name in _GENERATION},
        **{name: f"generationConfig.{name}" for name in _GENERATION},
        "max_tokens": "generationConfig.maxOutputTokens",
        "stop": "generationConfig.stopSequences",
    }
    json_mode: ClassVar[Json] = {"generationConfig": {"responseMimeType": "application/json"}}
    wraps_output = False
    media = _MEDIA
    answers_field = "generationConfig.candidateCount"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = messages.FINISH_REASONS

    def build(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        sign = _is_from_3(options["model"])
        return messages.build(conversation.opened(), sign=sign) | options

    def media_for(self, model: str) -> MediaRules:
        return _MEDIA_FROM_3 if _is_from_3(model) else self.media

    def media_tokens(self, media: Media, model: str) -> int:
        from bruno_llm_gemini.media import tokens_of  # most requests have none

        return tokens_of(media, from_3=_is_from_3(model))

    def parse(self, data: Json) -> ModelResponse:
        return self.parse_event(data)  # the whole looks like a part

    def parse_event(self, data: Json) -> ModelResponse:
        part = ModelResponse(
            model=read_word(data.get("modelVersion")), id=read_word(data.get("responseId"))
        )
        candidates = data.get("candidates")
        if candidates and not candidates[0].get("index"):  # of several we read the first
            candidate = candidates[0]
            part.parts = messages.parts(candidate.get("content") or {})
            if word := read_word(candidate.get("finishReason")):
                part.finish_detail = word
                part.finish_reason = finish_reason(word, self.finish_reasons)
        elif reason := (data.get("promptFeedback") or {}).get("blockReason"):
            part.finish_reason, part.finish_detail = "content_filter", reason
        if counts := data.get("usageMetadata"):
            part.usage = messages.usage(counts, ended=part.finish_reason is not None)
        return part

    def build_tools(
        self,
        tools: "Sequence[Tool | Json]",
        *,
        choice: str | None,
        parallel: bool | None,
        model: str,
    ) -> Json:
        from bruno_llm_gemini import schemas  # most requests offer no tools

        return schemas.build_tools(tools, choice)

    def refused_options(self, model: str, options: Json) -> frozenset[str]:
        one_by_one = options.get("parallel_tool_calls") is False
        return frozenset({"parallel_tool_calls"} if one_by_one else ())

    def build_reasoning(
        self, wanted: str | int, model: str, max_tokens: int | None
    ) -> tuple[Json, str | int] | None:
        from bruno_llm_gemini import thinking  # most requests leave it to the model

        return thinking.build(wanted, model)

    def build_output(self, schema: Json, model: str) -> Json:
        from bruno_llm_gemini import schemas

        return schemas.build_output(schema)

    def unpriced_field(self, body: Json) -> str | None:
        if body.get("cachedContent"):
            return "cachedContent"  # its tokens are not in the body, and storing it costs as well
        tools = body.get("tools")
        if isinstance(tools, list) and not all(map(_is_the_users, tools)):
            return "tools"  # that Google runs, and charges by the use
        return None

    def build_count(self, conversation: Conversation, body: Json) -> Json:
        model = body["model"]
        name = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
        return {"model": model, "generateContentRequest": body | {"model": name}}

    def parse_count(self, data: Json) -> int:
        tokens: int = data.get("totalTokens", 0)  # a count of 0 is left out of Google's JSON
        return tokens

    def make_batches(self, access: Access) -> "GeminiBatches | None":
        if access.client is not None:  # as for Vertex AI
            return None
        from bruno_llm_gemini.batches import GeminiBatches  # most programs send none

        return GeminiBatches(self)


def _is_from_3(model: str) -> bool:
    return _FROM_3.match(model) is not None


def _is_the_users(tool: object) -> bool:
    """Whether a tool is run by the user."""
    return isinstance(tool, dict) and tool.keys() <= {"functionDeclarations"}


class GeminiProvider(GeminiVendor, BaseProvider):
    """Talk to Gemini, or with `client` to any endpoint of google-genai, such as Vertex AI.

    Google does not document its count of tokens as exact, and calls it an estimate in
    https://firebase.google.com/docs/vertex-ai/count-tokens; the example of
    https://ai.google.dev/api/tokens counts 10 tokens for a prompt that then takes 11.
    """

    adapter_type = GenerateContent
    default_model = "gemini-3.8-flash"
    capabilities = frozenset({"chat", "streaming", "tools", "reasoning", "batch"})
