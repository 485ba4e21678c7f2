"""What OpenAI's two APIs of chat have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from bruno_llm_base import ChatAdapter, Conversation, ErrorFacts, Json, TokenCount
from bruno_llm_base.reasoning import LEVELS, level_of, snapped

from bruno_llm_openai import counting, models
from bruno_llm_openai.vendor import OpenAIAdapter

if TYPE_CHECKING:
    from bruno_llm_base import Access, Media, Tool

    from bruno_llm_openai.batches import OpenAIBatches

# Lists of prices tell the standard tier's.
LISTED_TIERS = (None, "auto", "default")
_SAMPLING = frozenset({"temperature", "top_p"})
# What is said of a tool to whose schema a model cannot be held after all: there are limits to its size
# (https://platform.openai.com/docs/guides/structured-outputs, "Supported schemas").
_BAD_SCHEMA = "invalid_function_parameters"


@dataclass(frozen=True, slots=True)
class OpenAIChatAdapter(OpenAIAdapter, ChatAdapter):
    """How both spell things.

    Attributes:
        other: The adapter of the other API, for requests that this one cannot take; None for none.
    """

    other: ChatAdapter | None = None

    vocabulary = staticmethod(counting.encoding_of)
    count_path = "/responses/input_tokens"
    json_mode: ClassVar[Json] = {"response_format": {"type": "json_object"}}
    own_options = frozenset({"models"})  # OpenRouter's
    reserved_fields = frozenset({"input", "messages", "model", "stream", "stream_options"})

    def make_batches(self, access: "Access") -> "OpenAIBatches | None":
        from bruno_llm_openai.batches import OpenAIBatches  # most programs send none
        from bruno_llm_openai.vendors import ROWS

        row = self.row  # what a server of one's own takes it will say itself
        return OpenAIBatches(self, self.other) if row is None or row.name not in ROWS else None

    def build_probe(self, model: str) -> tuple[str, Json] | None:
        return None if self.models_path else (self.chat_path, {"model": model, "messages": []})

    def build_tools(
        self,
        tools: "Sequence[Tool | Json]",
        *,
        choice: str | None,
        parallel: bool | None,
        model: str,
    ) -> Json:
        from bruno_llm_openai import schemas  # most requests offer no tools

        return schemas.build_tools(tools, choice=choice, parallel=parallel, strict=self.row is None)

    def build_output(self, schema: Json, model: str) -> Json | None:
        from bruno_llm_openai import schemas

        dialect = schemas.dialect_of(model) if self.row is None else self.row.dialect(model)
        if dialect == "json_object":
            return None
        wanted = schemas.build_output(schema, strict=dialect == "strict")
        return {"response_format": {"type": "json_schema", "json_schema": wanted}}

    def build_reasoning(
        self, wanted: str | int, model: str, max_tokens: int | None
    ) -> tuple[Json, str | int] | None:
        # another's server may know any model by any name
        levels = models.efforts(model) or (() if self.row is None else LEVELS)
        if not levels:
            return None
        used = snapped(wanted, levels)
        told = wanted if used == level_of(wanted) else used
        return {"reasoning_effort": used}, told

    def mark_cache(self, body: Json, keep: str | None) -> Json:
        if self.row is not None:
            return body
        from bruno_llm_openai import caching  # most requests leave it to OpenAI

        return caching.marked(body, keep, takes_12h="input" in body)

    def shows_schema(self, model: str) -> bool:
        return self.row is None  # those that hold a model to a grammar do not tell it

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        facts = OpenAIAdapter.read_error(self, status, headers, data)
        return replace(facts, param="tools") if facts.code == _BAD_SCHEMA else facts

    def amend(self, body: Json, code: str, field: str) -> Json | None:
        if code != _BAD_SCHEMA:
            return ChatAdapter.amend(self, body, code, field)
        tools = [_without_strict(tool) for tool in body["tools"]]
        return body | {"tools": tools} if tools != body["tools"] else None

    def text_tokens(self, text: str, model: str) -> TokenCount | None:
        return counting.text_tokens(text, model)

    def media_tokens(self, media: "Media", model: str) -> int:
        from bruno_llm_openai.media_tokens import most_tokens  # most requests have none

        if self.row is not None and media.kind in ("image", "video"):
            return ChatAdapter.media_tokens(self, media, model)
        return most_tokens(media, model)

    def conversation_tokens(self, conversation: Conversation, model: str) -> TokenCount | None:
        return counting.conversation_tokens(conversation, model)

    def refused_options(self, model: str, options: Json) -> frozenset[str]:
        refused = _SAMPLING if models.reasons(model, options) else frozenset()
        return refused if self.row is None else refused | self.row.refused(model)


def _without_strict(tool: Any) -> Any:
    """Return *tool*, of either API, without holding the model to its schema."""
    if isinstance(tool, dict):
        if tool.get("strict"):
            return tool | {"strict": False}
        if isinstance(function := tool.get("function"), dict) and function.get("strict"):
            return tool | {"function": function | {"strict": False}}
    return tool
