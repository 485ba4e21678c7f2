"""Ollama's own API (https://docs.ollama.com/api/chat)."""

from collections.abc import Mapping
from typing import ClassVar

from bruno_llm_base import NOTHING, BaseProvider, Conversation, Json, ModelResponse
from bruno_llm_base.values import is_whole

from bruno_llm_ollama import messages
from bruno_llm_ollama.vendor import OllamaVendor

__all__ = ["OllamaProvider"]

# What belongs into the body's "options": api/types.go of Ollama, `Options` and `Runner`.
_NESTED = (
    *("temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "stop"),
    *("num_predict", "num_keep", "repeat_last_n", "repeat_penalty"),
    *("presence_penalty", "frequency_penalty"),
    *("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap"),
    "draft_num_predict",
    # older servers know these too
    *("mirostat", "mirostat_tau", "mirostat_eta", "penalize_newline", "tfs_z"),
    *("low_vram", "numa", "use_mlock"),
)


class OllamaProvider(OllamaVendor, BaseProvider):
    """Talk to Ollama.

    A conversation that does not fit the context window is refused, where Ollama by itself drops
    the oldest messages without a word; `truncate=True` and `shift=True` bring that back.
    """

    default_model = "llama3.2"
    chat_path = "/api/chat"
    option_names: ClassVar[Mapping[str, str]] = {
        **{name: f"options.{name}" for name in _NESTED},
        "max_tokens": "options.num_predict",
    }
    cuts_prompts = True  # older servers, and those that are asked to
    capabilities = frozenset({"chat", "streaming", "tools", "reasoning"})

    def build_request(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        body = {
            "messages": messages.build(conversation),
            "truncate": False,
            "shift": False,
            **options,
            "stream": stream,
        }
        if self.context.window is not None:  # Ollama's windows are as large as they are asked to be
            body["options"] = {"num_ctx": self.context.window} | options.get("options", {})
        return body

    def parse_response(self, data: Json) -> ModelResponse:
        if not data["done"]:
            raise ValueError("the answer breaks off")
        return ModelResponse.join([self.parse_event(data)])  # names a stop to call tools

    def parse_event(self, data: Json) -> ModelResponse:
        message = data["message"]
        text = message.get("content") or ""
        done = data.get("done")
        if not done and not text and len(message) == 2:  # a role, and nothing said
            return NOTHING
        part = ModelResponse(text=text, model=data.get("model"))
        if len(message) > 2:
            part.reasoning = message.get("thinking") or ""
            part.tool_calls = messages.tool_calls(message)
        if done:
            part.finish_detail = data.get("done_reason")
            part.finish_reason = messages.finish_reason(part.finish_detail)
            part.usage = messages.usage(data)
        return part

    def asked_window(self, body: Json) -> int | None:
        size = (body.get("options") or {}).get("num_ctx")
        return size if is_whole(size, least=1) else None
