"""OpenAI's Chat Completions (https://platform.openai.com/docs/api-reference/chat)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from bruno_llm_base import (
    BaseProvider,
    ChatAdapter,
    Conversation,
    ErrorFacts,
    Json,
    ModelResponse,
    Reasoning,
    Text,
    Turn,
)
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.options import ChatSettings
from bruno_llm_base.provider import ProviderKeywords
from typing_extensions import Unpack

from bruno_llm_openai import messages, models, responses
from bruno_llm_openai.chat import LISTED_TIERS, OpenAIChatAdapter
from bruno_llm_openai.vendor import OpenAIVendor, is_openais

if TYPE_CHECKING:
    from bruno_llm_base import MediaRules, Tool

    from bruno_llm_openai.row import VendorRow

# OpenAI keeps what a model has spoken for an hour; its words stand beside it.
_AUDIO_GONE = "audio_not_found"
# Searches cost by themselves, and a router's "models" may answer with a dearer one than was asked.
_CHARGED_APART = ("web_search_options", "models")
# OpenAI's newer word; most servers of its protocol know the older one, "max_tokens".
_LIMIT = "max_completion_tokens"
# What OpenAI takes as the id of a call; other vendors' may be longer.
_CALL_ID = re.compile(r".{1,40}", re.DOTALL)


class ChatCompletions(OpenAIChatAdapter):
    """How Chat Completions spells things."""

    __slots__ = ()

    chat_path = "/chat/completions"
    conversation_codes = frozenset({_AUDIO_GONE})
    option_names: ClassVar[Mapping[str, str]] = {"max_tokens": _LIMIT}

    def media_for(self, model: str) -> "MediaRules":
        from bruno_llm_openai import media  # most requests have none

        rules = media.chat_rules(model) if self.row is None else media.row_rules(self.row, model)
        return replace(rules, own_answers=self.api)

    def adapter_for(self, model: str, options: Json) -> ChatAdapter:
        return self.other if self.other is not None and models.only_responses(model) else self

    def build(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        row = self.row
        said = conversation.with_call_ids(_CALL_ID if row is None else row.call_ids)
        if row is not None and not row.sends_back:
            said = _without_thoughts(said)
        marks = row is None and models.takes_marks(options["model"])
        if row is not None and row.output_limit != _LIMIT and _LIMIT in options:
            options = {row.output_limit if n == _LIMIT else n: v for n, v in options.items()}
        body = {"messages": messages.build(said, self.api, marks=marks), **options}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if row is not None:
            if row.needs_answers:
                body["messages"] = _with_answers(body["messages"])
            if row.option_names or row.needs_thoughts:
                body = _in_own_words(body, row)
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
        fields = super().build_tools(tools, choice=choice, parallel=parallel, model=model)
        if "tools" in fields:
            fields["tools"] = [_nested_tool(tool) for tool in fields["tools"]]
        return fields

    def unpriced_field(self, body: Json) -> str | None:
        charged = next((name for name in _CHARGED_APART if name in body), None)
        is_listed = body.get("service_tier") in LISTED_TIERS
        return charged or (None if is_listed else "service_tier")

    def build_count(self, conversation: Conversation, body: Json) -> Json | None:
        return responses.count_chat(conversation, body) if self.row is None else None

    def build_reasoning(
        self, wanted: str | int, model: str, max_tokens: int | None
    ) -> tuple[Json, str | int] | None:
        if self.row is None:
            return super().build_reasoning(wanted, model, max_tokens)
        fields = self.row.reasoning_fields(model)
        return None if fields is None else fields.ask(wanted, model)

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        facts = super().read_error(status, headers, data)
        return replace(facts, param="messages") if facts.code == _AUDIO_GONE else facts

    def amend(self, body: Json, code: str, field: str) -> Json | None:
        if code == _AUDIO_GONE:
            said = [{n: v for n, v in row.items() if n != "audio"} for row in body["messages"]]
            kept = [row for row in said if row.get("content") or row.get("tool_calls")]
            return body | {"messages": kept} if said != body["messages"] else None
        if code == "unsupported_parameter" and field == "max_tokens":
            renamed = {"max_tokens": "max_completion_tokens"}
            return {renamed.get(name, name): value for name, value in body.items()}
        return super().amend(body, code, field)


def _without_thoughts(said: Conversation) -> Conversation:
    turns = [
        Turn(role, tuple([part for part in parts if not isinstance(part, Reasoning)]))
        for role, parts in said.turns
    ]
    return Conversation(said.system, tuple(turns))


def _with_answers(messages: list[Json]) -> list[Json]:
    """Return *messages* with a word of the model between results of tools and what the user says or shows."""
    told: list[Json] = []
    for message in messages:
        if told and (told[-1]["role"], message["role"]) == ("tool", "user"):
            told.append({"role": "assistant", "content": "OK."})
        told.append(message)
    return told


def _in_own_words(body: Json, row: "VendorRow") -> Json:
    if row.needs_thoughts:  # another model's calls come without
        for message in body["messages"]:
            if message.get("tool_calls"):
                message.setdefault(row.reasoning_field, " ")
    named = ((row.option_names.get(name, name), value) for name, value in body.items())
    return {name: value for name, value in named if name}


def _nested_tool(tool: Json) -> Json:
    """Return a function as Chat Completions spells it, which may be spelled as in Responses."""
    if tool.get("type") != "function" or "function" in tool:
        return tool
    return {"type": "function", "function": {n: v for n, v in tool.items() if n != "type"}}


class OpenAISettings(ChatSettings, total=False):
    """What identifies and tunes the provider.

    Attributes:
        api: Which of OpenAI's APIs is asked. "auto" is Responses at OpenAI's own address, and Chat
            Completions elsewhere, which more servers speak.
    """

    api: Literal["auto", "responses", "chat"]


class OpenAIKeywords(ProviderKeywords, OpenAISettings, total=False):
    """What the provider is built with, beside its model."""


class OpenAIProvider(OpenAIVendor, BaseProvider):
    """Talk to OpenAI, or with `base_url` to any server that speaks its protocol.

    OpenAI itself is asked through Responses: of Chat Completions, its reasoning models take no tools.
    A request with an option that only Chat Completions has, such as `stop`, goes there where the model
    allows it. `api="chat"` and `api="responses"` decide it for all.

    OpenAI counts tokens exactly (https://developers.openai.com/api/docs/guides/token-counting);
    servers of one's own are not asked, since few can say.
    """

    adapter_type = ChatCompletions
    settings_type = OpenAISettings
    default_model = "gpt-6.1-terra"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"batch", "chat", "reasoning", "streaming", "tools"}
    )
    adapter: OpenAIChatAdapter

    def __init__(self, model: str | None = None, **keywords: Unpack[OpenAIKeywords]) -> None:
        """Set up a provider. Nothing is sent, and no SDK is imported.

        Args:
            model: The model; `default_model` if None.
            **keywords: The options of `CallOptions`, and those of `OpenAISettings`, `Policies` and
                `ProviderKeywords`.

        Raises:
            ConfigurationError: A keyword is unknown, a value is wrong, or the key is missing.
        """
        if model is None and not self.default_model:
            raise ConfigurationError(
                f"{self.name} has no model of its own choice: give model=, one that list_models() names"
            )
        super().__init__(model, **cast(ProviderKeywords, keywords))
        if self.adapter.row is not None and self.adapter.row.think_tags:
            self._settings.setdefault("think_tags", True)

    def __init_subclass__(cls, *, row: "VendorRow | None" = None, **more: Any) -> None:
        super().__init_subclass__(row=row, **more)
        if row is not None:
            cls.default_model = row.default_model
            cls.capabilities = cls.capabilities - {"batch"}
            if "tools" in row.refused(""):
                cls.capabilities = cls.capabilities - {"tools"}

    def make_adapter(self) -> ChatAdapter:
        """Return how the API spells things that is asked first; it knows the other one."""
        api = self._settings.get("api", "auto")
        chat = self.adapter_type.at(self.access, self.row)
        new = responses.Responses.at(self.access, self.row)
        if api == "responses" or (api == "auto" and chat.row and chat.row.api == "responses"):
            return new
        if api == "auto" and is_openais(self.access.address):
            return replace(new, other=chat)
        # another's server may know any model by any name
        return replace(chat, other=new) if chat.row is None else chat
