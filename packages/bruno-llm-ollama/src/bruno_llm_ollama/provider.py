"""Ollama's own API (https://docs.ollama.com/api/chat)."""

import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from bruno_llm_base import (
    NOTHING,
    BaseProvider,
    ChatAdapter,
    Conversation,
    FinishReason,
    Json,
    LLMError,
    Media,
    MediaRules,
    ModelNotFoundError,
    ModelResponse,
    Text,
)
from bruno_llm_base.call import documents
from bruno_llm_base.lenient import finish_reason, read_word
from bruno_llm_base.reasoning import level_of, snapped
from bruno_llm_base.request import Request
from bruno_llm_base.response import Progress
from bruno_llm_base.values import is_whole

from bruno_llm_ollama import messages
from bruno_llm_ollama.vendor import OllamaAdapter, OllamaVendor

if TYPE_CHECKING:
    from bruno_llm_base import Tool

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

# Models differ. The server itself reckons 768 for a picture (server/prompt.go); models that keep its
# size take a token for 28 pixels square. Of sound, 25 tokens are a second, here at 64 kbit.
_LEAST_OF_A_PICTURE, _MOST_OF_A_PICTURE, _PATCH = 768, 4096, 28
_BYTES_PER_TOKEN = 320


class OllamaChat(OllamaAdapter, ChatAdapter):
    """How Ollama's chat spells things."""

    __slots__ = ()

    chat_path = "/api/chat"
    option_names: ClassVar[Mapping[str, str]] = {
        **{name: f"options.{name}" for name in _NESTED},
        "max_tokens": "options.num_predict",
    }
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = messages.FINISH_REASONS
    window_option = "num_ctx"  # windows are as large as they are asked to be
    json_mode: ClassVar[Json] = {"format": "json"}
    wraps_output = False
    cuts_prompts = True  # older servers, and those that are asked to
    # some models' templates leave out what a tool shows (model/renderers of Ollama, qwen3vl.go)
    media = MediaRules(types=("image/*", "audio/*"))

    def build(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        return {
            "messages": messages.build(conversation),
            "truncate": False,
            "shift": False,
            **options,
            "stream": stream,
        }

    def parse(self, data: Json) -> ModelResponse:
        if data.get("done") is False:
            raise ValueError("the answer breaks off")
        return self._read(data, is_last=True)

    def parse_event(self, data: Json) -> ModelResponse:
        message = data.get("message")
        # nearly every document of a stream holds one text and nothing else
        if message and not data.get("done") and len(message) == 2:
            text = message.get("content")
            if type(text) is str:
                return (
                    ModelResponse(parts=(Text(text),), model=data.get("model")) if text else NOTHING
                )
        return self._read(data, is_last=bool(data.get("done")))

    def _read(self, data: Json, *, is_last: bool) -> ModelResponse:
        parts = messages.parts(data.get("message") or {})
        part = ModelResponse(parts=parts, model=read_word(data.get("model")))
        if is_last:
            # older servers do not say why
            part.finish_detail = read_word(data.get("done_reason"))
            part.finish_reason = finish_reason(part.finish_detail or "stop", self.finish_reasons)
            part.usage = messages.usage(data)
            part.is_last = True
        return part

    def media_tokens(self, media: Media, model: str) -> int:
        if media.kind == "audio":
            return -(-media.size // _BYTES_PER_TOKEN)
        width, height = media.pixels or (0, 0)
        patches = math.ceil(width / _PATCH) * math.ceil(height / _PATCH)
        return min(max(patches, _LEAST_OF_A_PICTURE), _MOST_OF_A_PICTURE)

    def build_tools(
        self,
        tools: "Sequence[Tool | Json]",
        *,
        choice: str | None,
        parallel: bool | None,
        model: str,
    ) -> Json:
        from bruno_llm_ollama import schemas  # most requests offer no tools

        return schemas.build_tools(tools, choice)

    def refused_options(self, model: str, options: Json) -> frozenset[str]:
        refused = {"tool_choice"} if options.get("tool_choice") == "required" else set()
        if options.get("parallel_tool_calls") is False:
            refused.add("parallel_tool_calls")
        return frozenset(refused)

    def build_reasoning(
        self, wanted: str | int, model: str, max_tokens: int | None
    ) -> tuple[Json, str | int]:
        always = model.rpartition("/")[2].startswith("gpt-oss")  # it cannot be told not to
        levels = ("low", "medium", "high") if always else ("none", "low", "medium", "high", "max")
        used = snapped(wanted, levels)
        think: str | bool = used if used != "none" else False
        return {"think": think}, wanted if used == level_of(wanted) else used

    def mark_cache(self, body: Json, keep: str | None) -> Json:
        # it keeps it for as long as it keeps the model
        return body if keep is None else {"keep_alive": keep} | body

    def build_output(self, schema: Json, model: str) -> Json:
        from bruno_llm_base.schemas import without_titles

        return {"format": without_titles(schema)}

    def shows_schema(self, model: str) -> bool:
        return False  # it is a grammar, and its documentation says to tell it too

    def requested_window(self, body: Json) -> int | None:
        own = body.get("options")
        size = own.get("num_ctx") if isinstance(own, dict) else None
        # who has Ollama cut what does not fit is not to be refused for it
        return size if is_whole(size, least=1) and not body.get("truncate") else None


class OllamaProvider(OllamaVendor, BaseProvider):
    """Talk to Ollama.

    A conversation that does not fit the context window is refused, where Ollama by itself drops
    the oldest messages without a word; `truncate=True` and `shift=True` bring that back.
    """

    adapter_type = OllamaChat
    default_model = "llama3.2"
    capabilities = frozenset({"chat", "streaming", "tools", "reasoning", "pull"})

    def pull(self, model: str | None = None) -> AsyncGenerator[Progress, None]:
        """Let Ollama fetch *model*, or the provider's own, and yield how far it has come.

        What was fetched before an error or an interruption is kept by the server, which goes on
        from there the next time.

        Raises:
            ModelNotFoundError: The library has no such model.
            LLMError: The server cannot be reached, or could not fetch it.
        """
        name = self._named(model)
        request = Request(
            operation="pull",
            adapter=self.adapter,
            path="/api/pull",
            body={"model": name, "stream": True},
            model=name,
            stream=True,
            parse=_progress,
            is_last=lambda progress: progress.step == "success",
            advise=self._advise_on_pull,
        )
        # a server that checks what it has fetched is silent for minutes
        timeouts = replace(self.timeouts, first_token=None, between_tokens=None)
        return documents(replace(self._endpoint, timeouts=timeouts), request)

    async def _advise_on_pull(self, error: LLMError) -> list[str]:
        if isinstance(error, ModelNotFoundError):
            return ["https://ollama.com/library lists what there is"]
        return await self._advise(error)


def _progress(data: Json) -> Progress:
    """Read one report of a pull; a layer that has not begun has no `completed`."""
    step = data["status"]
    if not isinstance(step, str):
        raise TypeError("status")
    total, done, digest = (data.get(name) for name in ("total", "completed", "digest"))
    if not is_whole(total, least=1):
        return Progress(step=step)
    return Progress(
        step=step,
        part=digest if isinstance(digest, str) else None,
        done=done if is_whole(done, least=0) else 0,
        total=total,
    )
