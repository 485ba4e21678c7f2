"""OpenAI's Responses (https://platform.openai.com/docs/api-reference/responses)."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from bruno_llm_base import (
    NOTHING,
    ChatAdapter,
    Conversation,
    ErrorFacts,
    FinishReason,
    Json,
    ModelResponse,
    Part,
    Reasoning,
    Text,
    ToolCall,
)
from bruno_llm_base.lenient import read_arguments, read_text, read_word
from bruno_llm_base.parts import object_in

from bruno_llm_openai import items, models
from bruno_llm_openai.chat import LISTED_TIERS, OpenAIChatAdapter

if TYPE_CHECKING:
    from bruno_llm_base import MediaRules

_REFUSED = frozenset({"seed", "stop"})
_CALL_ID = re.compile(r".{1,64}", re.DOTALL)
_ENCRYPTED = "reasoning.encrypted_content"
# Errors about thoughts that were sent back: of another key, lost by a gateway, torn from what followed.
_BAD_STATE = "invalid_encrypted_content"
_OF_A_THOUGHT = re.compile(r"\brs_\w")
_NEVER_ENCRYPTED = re.compile("encrypted content is not supported", re.IGNORECASE)
# What the words of Chat Completions are called here, the inner level apart.
_RENAMED = {
    "max_completion_tokens": ("max_output_tokens", ""),
    "max_tokens": ("max_output_tokens", ""),
    "reasoning_effort": ("reasoning", "effort"),
    "response_format": ("text", "format"),
    "verbosity": ("text", "verbosity"),
}
_NO_NAMES: Mapping[str, str] = {}
# Tools that cost nothing by the use: OpenAI charges for most that it runs.
_FREE_TOOLS = frozenset(
    ("apply_patch", "custom", "function", "local_shell", "mcp", "namespace", "tool_search")
)
_COUNTED = frozenset(
    (
        *("conversation", "input", "instructions", "model", "parallel_tool_calls"),
        *("previous_response_id", "reasoning", "text", "tool_choice", "tools", "truncation"),
    )
)
# What has no counterpart here, and changes what the model reads.
_NOT_COUNTED = frozenset(
    {"audio", "function_call", "functions", "modalities", "prediction", "web_search_options"}
)
# What other vendors take back, which may not know the items that they have made.
_SAID = ("message", "function_call", "function_call_output")


class Responses(OpenAIChatAdapter):
    """How Responses spells things. Nothing is kept at OpenAI unless the user asks for it (`store`)."""

    __slots__ = ()

    chat_path = "/responses"
    option_names: ClassVar[Mapping[str, str]] = {"max_tokens": "max_output_tokens"}
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = items.FINISH_REASONS
    conversation_codes = frozenset({_BAD_STATE})

    @property
    def _vendor(self) -> str:
        return f"{self.api}/responses"

    def media_for(self, model: str) -> "MediaRules":
        from bruno_llm_openai import media  # most requests have none

        return replace(media.response_rules(model), own_answers=self._vendor)

    def adapter_for(self, model: str, options: Json) -> ChatAdapter:
        if self.other is not None and models.needs_chat(model, options):
            return self.other
        return self

    def build(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        said = conversation.with_call_ids(_CALL_ID)
        marks = self.row is None and models.takes_marks(options["model"])
        own = _NO_NAMES if self.row is None else self.row.option_names
        asked = items.build(said, self._vendor, marks=marks)
        if self.row is not None and not self.row.sends_back:
            asked = [item for item in asked if item.get("type", "message") in _SAID]
        body = {"input": asked, "store": False, **translated(options, own)}
        included = body.get("include") or []
        if models.can_reason(options["model"]) and _ENCRYPTED not in included:
            body["include"] = [*included, _ENCRYPTED]
        if stream:
            body["stream"] = True
        return body

    def parse(self, data: Json) -> ModelResponse:
        rows = enumerate(data["output"] or ())
        parts = [items.read_item(item, place, self._vendor) for place, item in rows]
        return ModelResponse.join([*parts, items.end(data)])

    def parse_event(self, data: Json) -> ModelResponse:
        kind, index = data.get("type"), data.get("output_index")
        if kind == "response.output_text.delta":  # as nearly all are
            text = data["delta"]
            return ModelResponse(parts=(Text(text, index),)) if text else NOTHING
        response = object_in(data.get("response"))
        match kind:
            case "response.completed" | "response.incomplete":
                said = replace(items.end(response), is_last=True)
            case "response.created":
                model, name = read_word(response.get("model")), read_word(response.get("id"))
                said = ModelResponse(model=model, id=name)
            case "response.failed":
                error = object_in(response.get("error")) or object_in(data.get("error"))
                error = error or {"message": "the response failed"}
                said = ModelResponse(usage=items.end(response).usage, error={"error": error})
            case "response.refusal.delta":
                said = items.refusal(data["delta"], index)
            case _:
                parts = self._parts(data, index)
                said = ModelResponse(parts=parts) if parts else NOTHING
        return said

    def _parts(self, event: Json, index: int | None) -> tuple[Part, ...]:
        """Return the pieces of an answer in an event of a stream."""
        match event.get("type"):
            case "response.output_item.added":
                return items.begin_item(event["item"], index)
            case "response.output_item.done":
                return items.end_item(event["item"], index, self._vendor)
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                return (ToolCall(arguments=read_arguments(event["delta"]), index=index),)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return (Reasoning(read_text(event["delta"], "delta"), None, index),)
            case "response.reasoning_summary_part.added" if event.get("summary_index"):
                return (Reasoning("\n\n", None, index),)
        return ()

    def unpriced_field(self, body: Json) -> str | None:
        tools = body.get("tools") or ()
        if not all(object_in(tool).get("type") in _FREE_TOOLS for tool in tools):
            return "tools"
        if self.row is not None and object_in(body.get("prompt_cache_options")).get("ttl") == "12h":
            return "prompt_cache_options"  # only OpenAI is known to tell what was kept so long
        if body.get("background_options"):
            return "background_options"
        return None if body.get("service_tier") in LISTED_TIERS else "service_tier"

    def build_reasoning(
        self, wanted: str | int, model: str, max_tokens: int | None
    ) -> tuple[Json, str | int] | None:
        found = super().build_reasoning(wanted, model, max_tokens)
        if found is None or self.row is not None or found[0]["reasoning_effort"] == "none":
            return found
        fields, used = found
        return {"reasoning": {"effort": fields["reasoning_effort"], "summary": "auto"}}, used

    def build_count(self, conversation: Conversation, body: Json) -> Json | None:
        return counted(body) if self.row is None else None

    def refused_options(self, model: str, options: Json) -> frozenset[str]:
        return super().refused_options(model, options) | _REFUSED.intersection(options)

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        facts = super().read_error(status, headers, data)
        if facts.code == _BAD_STATE or _OF_A_THOUGHT.search(facts.message):
            return replace(facts, code=_BAD_STATE, param="input")
        if _NEVER_ENCRYPTED.search(facts.message):
            return replace(facts, code="unsupported_parameter", param=f"include.{_ENCRYPTED}")
        return facts

    def amend(self, body: Json, code: str, field: str) -> Json | None:
        if code != _BAD_STATE:
            return super().amend(body, code, field)
        kept = [item for item in body["input"] if item.get("type") != "reasoning"]
        return body | {"input": kept} if len(kept) < len(body["input"]) else None


def count_chat(conversation: Conversation, body: Json) -> Json | None:
    """Return what asks how many tokens a request of Chat Completions takes; None if that cannot be asked.

    Only Responses counts the input of a request, and calls its count exact
    (https://developers.openai.com/api/docs/guides/token-counting). That a model reads just the same
    through Chat Completions is to be expected, but nowhere said.
    """
    unheard = any(media.kind in ("audio", "video") for media in conversation.media)
    if unheard or not _NOT_COUNTED.isdisjoint(body):
        return None
    return counted(translated(body) | {"input": items.build(conversation)})


def counted(body: Json) -> Json:
    """Return the fields of *body* that change its input."""
    return {name: value for name, value in body.items() if name in _COUNTED}


def translated(options: Json, own: Mapping[str, str] = _NO_NAMES) -> Json:
    """Return *options* in the words of Responses, which have their own way here; some may be those of Chat Completions.

    A vendor's *own* names for some of these come first.
    """
    body: Json = {}
    for name, value in options.items():
        outer, inner = _RENAMED.get(name, (name, ""))
        if name in own:
            body[own[name]] = value
        elif inner:
            body[outer] = object_in(body.get(outer)) | {inner: flat(value)}
        elif name == outer and isinstance(value, dict):
            body[name] = object_in(body.get(name)) | flat(value)
        else:
            body[outer] = value
    if tools := body.pop("tools", None):
        body["tools"] = [_flat_tool(tool) for tool in tools]
    return body


def _flat_tool(tool: Any) -> Any:
    if object_in(tool).get("type") != "function":
        return flat(tool)
    return {"strict": False, "parameters": {"type": "object", "properties": {}}} | flat(tool)


def flat(value: Any) -> Any:
    """Return *value* without the level that holds what its type says, which Responses has not."""
    kind = object_in(value).get("type")
    if not isinstance(kind, str) or not isinstance(value.get(kind), dict):
        return value
    inner = value[kind]
    if isinstance(inner.get("tools"), list):  # of a choice among some
        inner = inner | {"tools": [flat(tool) for tool in inner["tools"]]}
    return {"type": kind} | inner
