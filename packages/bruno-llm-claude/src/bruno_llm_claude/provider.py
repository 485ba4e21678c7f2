"""Anthropic's Messages API (https://platform.claude.com/docs/en/api/messages)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from bruno_llm_base import (
    NOTHING,
    Access,
    AuthenticationError,
    BaseProvider,
    ChatAdapter,
    ContextLengthExceededError,
    Conversation,
    ErrorFacts,
    InvalidRequestError,
    Json,
    LimitState,
    LLMError,
    Media,
    MediaError,
    MediaRules,
    MediaTooLargeError,
    ModelNotFoundError,
    ModelResponse,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
    Timeouts,
)
from bruno_llm_base.lenient import read_models
from bruno_llm_base.limits import read_limits
from bruno_llm_base.media_rules import TEXTS
from bruno_llm_base.transport import SdkTransport, Transport

from bruno_llm_claude import messages

if TYPE_CHECKING:
    from bruno_llm_base import Tool

    from bruno_llm_claude.batches import ClaudeBatches

# The API wants a number. Reasoning counts as output, so a small one would leave no room for the
# answer; every current model takes this one, and it ends within the time of an unstreamed request.
_MAX_TOKENS = 16_000
# https://platform.claude.com/docs/en/build-with-claude/vision, "General limits": 32 MB of JSON; how
# large one may be, and of how many pixels, differs between its platforms, and they say so.
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_MOST_BYTES = 24_000_000
_REFUSED = frozenset({"temperature", "top_p", "seed"})

# The fields of a request that its count takes too: all others, such as max_tokens, are refused there
# (https://platform.claude.com/docs/en/api/messages/count_tokens).
_COUNTED = frozenset(
    (
        *("cache_control", "messages", "model", "output_config", "speed", "system", "thinking"),
        *("tool_choice", "tools"),
    )
)

# https://platform.claude.com/docs/en/api/errors
_ERRORS: dict[str, type[LLMError]] = {
    # codes
    "contract_spend_limit_reached": QuotaExceededError,
    "enforced_spend_limit_reached": QuotaExceededError,
    "organization_on_hold": PermissionDeniedError,
    # types
    "api_error": ServiceUnavailableError,
    "authentication_error": AuthenticationError,
    "billing_error": QuotaExceededError,
    "exceed_context_size_error": ContextLengthExceededError,  # llama.cpp
    "invalid_request_error": InvalidRequestError,
    "not_found_error": InvalidRequestError,
    "overloaded_error": ServiceUnavailableError,
    "permission_error": PermissionDeniedError,
    "rate_limit_error": RateLimitError,
    "request_too_large": MediaTooLargeError,  # 32 MB, which no window holds of words
    "timeout_error": ServiceUnavailableError,
}

# Claude's newer models refuse a signed thought that is sent back behind another system text, other
# tools or other messages than those it was thought after, as when a conversation was cut to fit. No
# field of the refusal tells it. Asked to, the API drops such thoughts instead
# (https://platform.claude.com/docs/en/build-with-claude/preserved-thinking).
_UNBOUND = re.compile(r"bound to a different conversation")
_VERSION = {"anthropic-version": "2026-10-21"}
_BINDING_BETA = "thinking-binding-controls-2026-08-01"
_DROP_UNBOUND = {"prefix_mismatch_behavior": "drop_block"}

# Where in the messages the media are that it complains of, those in results of tools too.
_PLACE = re.compile(r"messages\.\d+\.content\.\d+(?:(?:\.tool_result)?\.content\.\d+)?")

# What it says of tools to whose schemas it cannot hold a model after all
# (https://platform.claude.com/docs/en/build-with-claude/structured-outputs).
_TOO_STRICT = re.compile(r"schema is too complex|compiled grammar is too large", re.IGNORECASE)


class Messages(ChatAdapter):
    """How the Messages API spells things."""

    __slots__ = ()

    chat_path = "/v1/messages"
    models_path: str | None = "/v1/models?limit=1000"
    count_path = "/v1/messages/count_tokens"
    count_error = 0.05
    option_names: ClassVar[Mapping[str, str]] = {"stop": "stop_sequences"}
    own_options = frozenset({"speed"})
    error_kinds = _ERRORS
    media = MediaRules(
        types=(*_IMAGES, "application/pdf", *TEXTS),
        url_types=(*_IMAGES, "application/pdf"),
        ids=True,
        in_results=True,
        max_total_bytes=_MOST_BYTES,
    )

    def build(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        body: Json = {"max_tokens": _MAX_TOKENS, "messages": messages.build(conversation)}
        if conversation.system:
            body["system"] = conversation.system
        body |= options
        if "citations" in body:
            from bruno_llm_claude import media  # most requests have no documents

            media.cite(body["messages"], body.pop("citations"))
        if stream:
            body["stream"] = True
        return body

    def media_tokens(self, media: Media, model: str) -> int:
        from bruno_llm_claude.media import tokens

        return tokens(media, model)

    def build_tools(
        self,
        tools: "Sequence[Tool | Json]",
        *,
        choice: str | None,
        parallel: bool | None,
        model: str,
    ) -> Json:
        from bruno_llm_claude import schemas  # most requests offer no tools

        return schemas.build_tools(tools, choice=choice, parallel=parallel, model=model)

    def parse(self, data: Json) -> ModelResponse:
        content = data.get("content") or []
        if isinstance(content, str):  # some gateways
            content = [{"type": "text", "text": content}]
        parts = [part for i, b in enumerate(content) for part in messages.block(i, b, whole=True)]
        end = messages.end(data, data.get("usage"))
        return ModelResponse.join([messages.start(data), ModelResponse(parts=tuple(parts)), end])

    def parse_event(self, data: Json) -> ModelResponse:
        match data.get("type"):
            case "content_block_delta":
                return messages.delta(data["index"], data["delta"])
            case "content_block_start":
                block = messages.block(data["index"], data["content_block"], whole=False)
                return ModelResponse(parts=block)
            case "message_start":
                return messages.start(data["message"])
            case "message_delta":
                return messages.end(data["delta"], data.get("usage"))
            case "message_stop":
                return ModelResponse(is_last=True)
        return NOTHING

    def build_output(self, schema: Json, model: str) -> Json | None:
        from bruno_llm_claude import schemas

        return schemas.build_output(schema, model)

    def build_reasoning(
        self, wanted: str | int, model: str, max_tokens: int | None
    ) -> tuple[Json, str | int] | None:
        from bruno_llm_claude import thinking  # most requests leave it to the model

        return thinking.build(wanted, model, max_tokens)

    def parse_reasoning(self, data: Json) -> Mapping[str, Any]:
        rows = [(row["id"], row.get("capabilities")) for row in read_models(data)]
        return {model: told for model, told in rows if isinstance(told, dict)}

    def build_told_reasoning(
        self, wanted: str | int, model: str, max_tokens: int | None, told: Any
    ) -> tuple[Json, str | int] | None:
        from bruno_llm_claude import thinking

        return thinking.build(wanted, model, max_tokens, told)

    def mark_cache(self, body: Json, keep: str | None) -> Json:
        from bruno_llm_claude import caching  # most requests ask for none

        return caching.marked(body, keep)

    def shows_schema(self, model: str) -> bool:
        return model.startswith("claude-")  # other servers of this protocol may ignore the field

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int | None]:
        return {row["id"]: row.get("max_input_tokens") for row in read_models(data)}

    def build_count(self, conversation: Conversation, body: Json) -> Json:
        return {name: value for name, value in body.items() if name in _COUNTED}

    def unpriced_field(self, body: Json) -> str | None:
        if body.get("speed") not in (None, "standard"):
            return "speed"
        if body.get("mcp_servers"):
            return "mcp_servers"
        tools = body.get("tools")
        if isinstance(tools, list) and not all(map(_is_the_users, tools)):
            return "tools"  # that Anthropic runs, and charges by the use
        return None

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        facts = super().read_error(status, headers, data)
        if _UNBOUND.search(facts.message):
            return replace(facts, param="messages")
        if facts.kind is not None and issubclass(facts.kind, MediaError):
            place = _PLACE.search(f"{facts.message} {data}")
            return replace(facts, param=place[0] if place else None)
        return replace(facts, param="tools") if _TOO_STRICT.search(facts.message) else facts

    def read_limits(self, headers: Mapping[str, str]) -> LimitState | None:
        return read_limits(headers, "anthropic-ratelimit-{unit}-{what}")

    def amend(self, body: Json, code: str, field: str) -> Json | None:
        if field == "messages":
            return _without_unbound(body)
        if field == "tools":
            return _without_strict(body)
        return super().amend(body, code, field)

    def make_batches(self, access: Access) -> "ClaudeBatches | None":
        from bruno_llm_claude.batches import ClaudeBatches  # most programs send none

        return ClaudeBatches(self)

    def refused_options(self, model: str, options: Json) -> frozenset[str]:
        refused = _REFUSED.intersection(options)
        choice = options.get("tool_choice")
        kind = choice.get("type") if isinstance(choice, dict) else choice
        if "reasoning" in options and kind not in (None, "auto", "none"):
            from bruno_llm_claude import thinking

            # a call can be forced only where the model decides itself how much it thinks
            refused |= {"reasoning"} if thinking.has_budget(model) else set()
        return refused


class CloudMessages(Messages):
    """How Claude is asked at Amazon Bedrock and Google's Vertex AI.

    Their clients compose the path; neither has a list of models.
    """

    __slots__ = ()

    models_path = None
    # https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html, and InvokeModel's own
    error_kinds: ClassVar[dict[str, type[LLMError]]] = _ERRORS | {
        "ExpiredTokenException": AuthenticationError,
        "IncompleteSignature": AuthenticationError,
        "InvalidSignatureException": AuthenticationError,
        "ModelErrorException": ServiceUnavailableError,
        "ResourceNotFoundException": ModelNotFoundError,
        "ServiceQuotaExceededException": QuotaExceededError,
        "UnrecognizedClientException": AuthenticationError,
    }

    def build_probe(self, model: str) -> tuple[str, Json]:
        return self.chat_path, {"model": model, "max_tokens": 1, "messages": []}

    def make_batches(self, access: Access) -> None:
        return None  # they take them in ways of their own

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        if kind := headers.get("x-amzn-errortype"):  # Amazon says it nowhere else
            data = {"code": kind.partition(":")[0], **data}
        return super().read_error(status, headers, data)


def _is_the_users(tool: object) -> bool:
    """Whether a tool is run by the user."""
    return isinstance(tool, dict) and tool.get("type") in (None, "custom")


class ClaudeProvider(BaseProvider):
    """Talk to Claude, or with `base_url` to any server that speaks its protocol.

    Anthropic took sampling options out of its API in version 2026-10-21, so they are left out of
    requests. A server that still knows them gets them by `options={"temperature": 0.5}`.

    Anthropic calls its count of tokens an estimate that may differ by a small amount
    (https://platform.claude.com/docs/en/build-with-claude/token-counting).
    """

    adapter_type = Messages
    name = "claude"
    default_model = "claude-sonnet-5-5"
    default_base_url = "https://api.anthropic.com"
    api_key_env = ("ANTHROPIC_API_KEY",)
    base_url_env = "ANTHROPIC_BASE_URL"
    endpoints = ("/v1", "/v1/messages", "/v1/models")
    client_type = "anthropic.AsyncAnthropic"
    client_call = "post"
    sdk = "anthropic"
    price_name = "anthropic"
    telemetry_name = "anthropic"
    capabilities = frozenset({"chat", "streaming", "tools", "reasoning", "batch"})

    def make_adapter(self) -> Messages:
        """Return the adapter; clouds' clients have no `models`."""
        client = self.access.client
        is_own = client is None or hasattr(client, "models")
        return self.adapter_type.at(self.access) if is_own else CloudMessages()

    @staticmethod
    def open_transport(access: Access, timeouts: Timeouts) -> Transport:
        """Return a transport over the SDK."""
        import anthropic

        def client_type(*, api_key: str, **keywords: Any) -> anthropic.AsyncAnthropic:
            # as all SDKs of today say it; older ones have an older way, and an older version
            client = anthropic.AsyncAnthropic(
                auth_token=api_key, default_headers=_VERSION, **keywords
            )
            client.api_key = None  # older ones would send that of the environment too
            return client

        return SdkTransport.open(
            anthropic,
            client_type,
            access=access,
            timeouts=timeouts,
            headers=_headers,
        )


def _without_unbound(body: Json) -> Json | None:
    """Return *body* with the wish to drop thoughts that are not bound to it; None if it cannot be.

    A user's own `block_binding` is left as it is, and other kinds of thinking have none. All models
    that bind thoughts think adaptively where nothing else is said.
    """
    thinking = body.get("thinking") or {}
    blocks = (block for message in body["messages"] for block in message["content"])
    if (
        "block_binding" in thinking
        or thinking.get("type", "adaptive") != "adaptive"
        or not any(block["type"] in messages.THOUGHTS for block in blocks)
    ):
        return None
    return body | {"thinking": {"type": "adaptive", **thinking, "block_binding": _DROP_UNBOUND}}


def _without_strict(body: Json) -> Json | None:
    """Return *body* with tools whose schemas are only told; None where none is strict."""
    tools = [{n: v for n, v in tool.items() if n != "strict"} for tool in body["tools"]]
    return body | {"tools": tools} if tools != body["tools"] else None


def _headers(body: Json) -> Mapping[str, str]:
    """Return the header without which the API does not know `block_binding`."""
    asked = [row["params"] for row in body["requests"]] if "requests" in body else [body]
    thoughts = (params.get("thinking") for params in asked)
    is_bound = any(isinstance(t, dict) and "block_binding" in t for t in thoughts)
    return {"anthropic-beta": _BINDING_BETA} if is_bound else {}
