"""Ollama's own API (https://docs.ollama.com/api/chat)."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from bruno_llm_base import (
    NOTHING,
    AuthenticationError,
    BaseProvider,
    Conversation,
    Diagnosis,
    ErrorFacts,
    Json,
    LLMError,
    ModelNotFoundError,
    ModelResponse,
    ServiceUnavailableError,
)
from bruno_llm_base.exchange import Request
from bruno_llm_base.framing import ndjson
from bruno_llm_base.transport import HttpTransport, Transport, open_http_client
from bruno_llm_base.values import is_whole

from bruno_llm_ollama import address, errors, messages, windows

if TYPE_CHECKING:
    from bruno_llm_base.progress import Progress

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


class OllamaProvider(BaseProvider):
    """Talk to Ollama.

    A conversation that does not fit the context window is refused, where Ollama by itself drops
    the oldest messages without a word; `truncate=True` and `shift=True` bring that back.
    """

    name = "ollama"
    default_model = "llama3.2"
    default_base_url = "http://127.0.0.1:11434"
    api_key_env = ("OLLAMA_API_KEY",)
    needs_key = False  # models of the cloud want one
    base_url_env = "OLLAMA_HOST"
    chat_path = "/api/chat"
    models_path = "/api/tags"
    option_names: ClassVar[Mapping[str, str]] = {
        **{name: f"options.{name}" for name in _NESTED},
        "max_tokens": "options.num_predict",
    }
    free = "Ollama runs on your own machines"
    firm_windows = False  # allocated anew whenever the model is loaded
    cuts_prompts = True  # older servers, and those that are asked to
    capabilities = frozenset({"chat", "streaming", "tools", "reasoning", "pull"})

    def open_transport(self) -> Transport:
        access = self.access
        url = access.client_address or access.base_url or self.default_base_url
        headers = {"authorization": f"Bearer {access.key}"} if access.key else {}
        return HttpTransport(
            access.client or open_http_client(url, headers=headers),
            base_url=url,
            framing=ndjson,
            connect=self.timeouts.connect,
            owned=access.client is None,
        )

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

    def parse_models(self, data: Json) -> list[str]:
        return [model["name"] for model in data["models"]]

    def asked_window(self, body: Json) -> int | None:
        size = (body.get("options") or {}).get("num_ctx")
        return size if is_whole(size, least=1) else None

    def window_requests(self, model: str) -> tuple[tuple[str, str, Json | None], ...]:
        return ("POST", "/api/show", {"model": model}), ("GET", "/api/ps", None)

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int]:
        return windows.read(data, model)

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        return errors.read(status, data)

    def judge(self, models: list[str]) -> Diagnosis:
        asked = _tagged(self._model)
        if asked.endswith("cloud") or asked in map(_tagged, models):
            return super().judge(models)  # models of the cloud are not pulled
        reason = f"Ollama has no model {self._model!r}: get it with `ollama pull {self._model}`"
        return Diagnosis(ok=False, reason=reason, models=tuple(models))

    def advise(self, error: LLMError) -> str:
        if isinstance(error, ModelNotFoundError):
            return f"get it with `ollama pull {error.model}`"
        if isinstance(error, AuthenticationError):
            return "models of the cloud want `ollama signin` or OLLAMA_API_KEY"
        if isinstance(error, ServiceUnavailableError) and error.status_code is None:
            return "start Ollama with `ollama serve`, or set OLLAMA_HOST"
        return ""

    def pull(self, model: str | None = None) -> "AsyncGenerator[Progress, None]":
        """Let Ollama fetch *model*, or the provider's own, and yield how far it has come.

        What was fetched before an error or an interruption is kept by the server, which goes on
        from there the next time.

        Raises:
            ModelNotFoundError: There is no such model in the library.
            LLMError: The server cannot be reached, or could not fetch it.
        """
        from bruno_llm_ollama import pulling  # most programs pull nothing

        name = self._named(model)
        request = Request(
            operation="pull", path="/api/pull", body={"model": name, "stream": True}, model=name
        )
        # a server that checks what it has fetched is silent for minutes
        timeouts = replace(self.timeouts, first_token=None, between_tokens=None)
        pipeline = self._pipeline(self._retry, timeouts, self._explain_pull)
        return pipeline.follow(request, pulling.read, pulling.is_last)

    async def _explain_pull(self, error: LLMError) -> None:
        if isinstance(error, ModelNotFoundError):
            error.message += "; https://ollama.com/library lists what there is"
        else:
            await self._advise(error)

    def read_address(self, value: str) -> str:
        return address.read(value)


def _tagged(model: str) -> str:
    """Return the full name of *model*, in one case, since Ollama does not tell cases apart."""
    name = model.casefold()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
