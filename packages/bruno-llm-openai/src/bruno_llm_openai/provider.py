"""OpenAI's Chat Completions (https://platform.openai.com/docs/api-reference/chat)."""

import re
from collections.abc import Mapping
from typing import ClassVar

from bruno_llm_base import (
    BaseProvider,
    ChatAdapter,
    Conversation,
    Json,
    ModelResponse,
    Text,
    TokenCount,
)

from bruno_llm_openai import counting, messages, responses
from bruno_llm_openai.vendor import OpenAIAdapter, OpenAIVendor

__all__ = ["ChatCompletions", "OpenAIProvider"]

# Reasoning models take sampling options only while they do not reason; the older ones always do.
_ALWAYS_REASONS = re.compile(r"o\d|gpt-5(?!\.|-chat)|gpt-[\d.]+-pro|gpt-6-astra|gpt-6\.1-sol")
_REASONS_BY_DEFAULT = re.compile(r"gpt-5\.[5-9]|gpt-[6-9]")
_REASONS_ON_DEMAND = re.compile(r"gpt-5\.[1-4]")
# Lists of prices tell the standard tier's; searches cost by themselves, and a router's "models" may
# answer with a dearer one than was asked.
_LISTED_TIERS = (None, "auto", "default")
_CHARGED_APART = ("web_search_options", "models")
# What OpenAI takes as the id of a call; other vendors' may be longer.
_CALL_ID = re.compile(r".{1,40}", re.DOTALL)
_SAMPLING = frozenset({"temperature", "top_p"})


class ChatCompletions(OpenAIAdapter, ChatAdapter):
    """How Chat Completions spells things."""

    __slots__ = ()

    chat_path = "/chat/completions"
    count_path = "/responses/input_tokens"
    option_names: ClassVar[Mapping[str, str]] = {"max_tokens": "max_completion_tokens"}
    reserved_fields = frozenset({"messages", "model", "stream", "stream_options"})

    def build(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        said = conversation.with_call_ids(_CALL_ID)
        body = {"messages": messages.build(said, self.api), **options}
        if self.own_server and "max_completion_tokens" in body:
            # OpenAI's newer word; most servers of its protocol know the older one
            body["max_tokens"] = body.pop("max_completion_tokens")
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def parse(self, data: Json) -> ModelResponse:
        choice = data["choices"][0]
        # Azure leaves the message out where it has filtered the answer
        return messages.read(data, choice, choice.get("message") or {}, self.api)

    def parse_event(self, data: Json) -> ModelResponse:
        choices = data.get("choices")
        if not choices or choices[0].get("index"):  # of several answers we read the first
            return messages.read(data, {}, {}, self.api)
        choice = choices[0]
        delta = choice.get("delta")
        text = delta.get("content") if delta else None
        if (  # nearly every document of a stream holds one text and nothing else
            text
            and type(text) is str
            and len(delta) <= 1 + ("role" in delta)
            and not choice.get("finish_reason")
            and data.get("usage") is None
            and "error" not in choice
            and "usage" not in choice
        ):
            return ModelResponse(
                parts=(Text(text),), model=data.get("model") or None, id=data.get("id") or None
            )
        return messages.read(data, choice, delta or choice.get("message") or {}, self.api)

    def unpriced_field(self, body: Json) -> str | None:
        if body.get("service_tier") not in _LISTED_TIERS:
            return "service_tier"
        return next((name for name in _CHARGED_APART if name in body), None)

    def build_count(self, conversation: Conversation, body: Json) -> Json | None:
        return None if self.own_server else responses.build(conversation, body)

    def text_tokens(self, text: str, model: str) -> TokenCount | None:
        return counting.text_tokens(text, model)

    def conversation_tokens(self, conversation: Conversation, model: str) -> TokenCount | None:
        return counting.conversation_tokens(conversation, model)

    def has_vocabulary(self, model: str) -> bool:
        return counting.encoding_of(model) is not None

    def refused_options(self, model: str, options: Json) -> frozenset[str]:
        effort = options.get("reasoning_effort")
        reasons = (
            _ALWAYS_REASONS.match(model)
            or (_REASONS_BY_DEFAULT.match(model) and effort != "none")
            or (_REASONS_ON_DEMAND.match(model) and effort not in (None, "none"))
        )
        return _SAMPLING if reasons else frozenset()

    def amend(self, body: Json, code: str, field: str) -> Json | None:
        if code == "unsupported_parameter" and field == "max_tokens":
            renamed = {"max_tokens": "max_completion_tokens"}
            return {renamed.get(name, name): value for name, value in body.items()}
        return super().amend(body, code, field)


class OpenAIProvider(OpenAIVendor, BaseProvider):
    """Talk to OpenAI, or with `base_url` to any server that speaks its protocol.

    OpenAI counts tokens exactly (https://developers.openai.com/api/docs/guides/token-counting);
    servers of one's own are not asked, since few can say.
    """

    adapter_type = ChatCompletions
    default_model = "gpt-6.1-terra"
    capabilities = frozenset({"chat", "streaming", "tools", "reasoning"})
