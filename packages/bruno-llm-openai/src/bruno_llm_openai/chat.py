"""What OpenAI's two APIs of chat have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bruno_llm_base import ChatAdapter, Conversation, Json, TokenCount
from bruno_llm_base.reasoning import LEVELS, level_of, snapped

from bruno_llm_openai import counting, models
from bruno_llm_openai.vendor import OpenAIAdapter

if TYPE_CHECKING:
    from bruno_llm_base import Tool

# Lists of prices tell the standard tier's.
_LISTED_TIERS = (None, "auto", "default")
_SAMPLING = frozenset({"temperature", "top_p"})


@dataclass(frozen=True, slots=True)
class OpenAIChatAdapter(OpenAIAdapter, ChatAdapter):
    """How both spell things.

    Attributes:
        other: The adapter of the other API, for requests that this one cannot take; None for none.
    """

    other: ChatAdapter | None = None

    count_path = "/responses/input_tokens"
    json_mode: ClassVar[Json] = {"response_format": {"type": "json_object"}}
    reserved_fields = frozenset({"input", "messages", "model", "stream", "stream_options"})

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

    def build_reasoning(
        self, wanted: str | int, model: str, max_tokens: int | None
    ) -> tuple[Json, str | int] | None:
        # another's server may know any model by any name
        levels = models.efforts(model) or (LEVELS if self.own_server else ())
        if not levels:
            return None
        used = snapped(wanted, levels)
        told = wanted if used == level_of(wanted) else used
        return {"reasoning_effort": used}, told

    def takes_marks(self, model: str) -> bool:
        """Whether *model* can be told here what of a request to keep."""
        return not self.own_server and models.takes_marks(model)

    def mark_cache(self, body: Json, keep: str | None) -> Json:
        if self.own_server:
            return body
        from bruno_llm_openai import caching  # most requests leave it to OpenAI

        return caching.marked(body, keep, takes_12h="input" in body)

    def shows_schema(self, model: str) -> bool:
        return not self.own_server  # those that hold a model to a grammar do not tell it

    def unpriced_field(self, body: Json) -> str | None:
        return None if body.get("service_tier") in _LISTED_TIERS else "service_tier"

    def text_tokens(self, text: str, model: str) -> TokenCount | None:
        return counting.text_tokens(text, model)

    def conversation_tokens(self, conversation: Conversation, model: str) -> TokenCount | None:
        return counting.conversation_tokens(conversation, model)

    def has_vocabulary(self, model: str) -> bool:
        return counting.encoding_of(model) is not None

    def refused_options(self, model: str, options: Json) -> frozenset[str]:
        return _SAMPLING if models.reasons(model, options) else frozenset()
