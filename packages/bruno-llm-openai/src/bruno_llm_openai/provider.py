"""OpenAI's Chat Completions (https://platform.openai.com/docs/api-reference/chat)."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

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

if TYPE_CHECKING:
    from bruno_llm_base import Tool

# Reasoning models take sampling options only while they do not reason; the older ones always do.
_ALWAYS_REASONS = re.compile(r"o\d|gpt-5(?!\.|-chat)|gpt-[\d.]+-pro|gpt-6-astra|gpt-6\.1-sol")
_REASONS_BY_DEFAULT = re.compile(r"gpt-5\.[5-9]|gpt-[6-9]")
_REASONS_ON_DEMAND = re.compile(r"gpt-5\.[1-4]")
# Lists of prices tell the standard tier's; searches cost by themselves, and a router's "models" may
# answer with a dearer one than was asked.
_LISTED_TIERS = (None, "auto", "default")
_CHARGED_APART = ("web_search_options", "models")
# What OpenAI takes as the id of a call; other vendors' may be longer.
_REFUSED_IN_IDS, _LONGEST_ID = re.compile(r"(?!)"), 40
_SAMPLING = frozenset({"temperature", "top_p"})


class ChatCompletions(OpenAIAdapter, ChatAdapter):
    """How Chat Completions spells things."""

    __slots__ = ()

    chat_path = "/chat/completions"
    count_path = "/responses/input_tokens"
    option_names: ClassVar[Mapping[str, str]] = {"max_tokens": "max_completion_tokens"}
    reserved_fields = frozenset({"messages", "model", "stream", "stream_options"})
    json_mode: ClassVar[Json] = {"response_format": {"type": "json_object"}}

    def build(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        said = conversation.with_call_ids(_REFUSED_IN_IDS, _LONGEST_ID)
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

    def build_tools(
        self,
        tools: "Sequence[Tool | Json]",
        *,
        choice: str | None,
        parallel: bool | None,
        model: str,
    ) -> Json:
        from bruno_llm_openai import schemas  # most requests offer no tools

        return schemas.build_tools(tools, choice=choice, parallel=parallel, is_own=self.own_server)

    def build_output(self, schema: Json, model: str) -> Json | None:
        from bruno_llm_openai import schemas

        wanted = schemas.build_output(schema, model, is_own=self.own_server)
        if wanted is None:
            return None
        return {"response_format": {"type": "json_schema", "json_schema": wanted}}

    def shows_schema(self) -> bool:
        return not self.own_server  # those that hold a model to a grammar do not tell it

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
