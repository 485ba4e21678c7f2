"""Parrot, an imaginary API that repeats what it hears: a whole provider."""

from collections.abc import Mapping
from typing import ClassVar

from bruno_llm_base import (
    Access,
    BaseProvider,
    ChatAdapter,
    ContextLengthExceededError,
    Conversation,
    ErrorFacts,
    Json,
    ModelNotFoundError,
    ModelResponse,
    Text,
    Timeouts,
    Usage,
)
from bruno_llm_base.transport import HttpTransport, Transport

_ERRORS = {"too_long": ContextLengthExceededError, "no_such_bird": ModelNotFoundError}


class ParrotAdapter(ChatAdapter):
    """How Parrot spells things."""

    chat_path = "/v1/repeat"
    models_path = "/v1/birds"
    option_names: ClassVar[Mapping[str, str]] = {"max_tokens": "max_words"}

    def build(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        said = [{"who": "system", "text": conversation.system}] if conversation.system else []
        for turn in conversation.turns:
            results = [result.content for result in turn.tool_results]
            said.append({"who": turn.role, "text": "\n\n".join(results) or turn.text})
        return {"messages": said, **options, "stream": stream}

    def parse(self, data: Json) -> ModelResponse:
        if "end" not in data:
            raise ValueError("the answer breaks off")
        return self.parse_event(data)  # the whole looks like a part

    def parse_event(self, data: Json) -> ModelResponse:
        text = data.get("text")
        part = ModelResponse(parts=(Text(text),) if text else (), model=data.get("model"))
        if end := data.get("end"):
            part.finish_reason = part.finish_detail = end  # "stop" or "length", as we say
            part.usage = Usage(input_tokens=data["heard"], output_tokens=data["said"])
        return part

    def parse_models(self, data: Json) -> list[str]:
        return list(data["birds"])

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        said = data.get("error") or {}
        kind = _ERRORS.get(str(said.get("code")))  # None leaves it to the HTTP status
        counts = {"limit": said.get("limit"), "actual": said.get("words")}
        # inside a stream, whose own status was 200, the document names the status
        return ErrorFacts(
            kind=kind, message=said.get("message", ""), status=said.get("status"), **counts
        )


class ParrotProvider(BaseProvider):
    """Talk to Parrot."""

    adapter_type = ParrotAdapter
    name = "parrot"
    default_model = "grey"
    default_base_url = "https://api.parrot.example"
    api_key_env = ("PARROT_API_KEY",)
    base_url_env = "PARROT_BASE_URL"

    @staticmethod
    def open_transport(access: Access, timeouts: Timeouts) -> Transport:
        return HttpTransport(access, timeouts, framing="ndjson")
