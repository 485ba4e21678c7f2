"""Conversations and answers in the words of OpenAI's Chat Completions."""

from collections.abc import Iterator
from typing import Any

from bruno_llm_base import Conversation, FinishReason, Json, ToolCall, Turn, Usage
from bruno_llm_base.values import is_whole

__all__ = ["build", "finish_reason", "reasoning", "tool_calls", "usage"]

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
}
_TOTALS = ("completion_tokens", "prompt_tokens", "total_tokens")


def build(conversation: Conversation) -> list[Json]:
    """Return the `messages` of a request."""
    system = [{"role": "system", "content": conversation.system}] if conversation.system else []
    return [*system, *(message for turn in conversation.turns for message in _messages(turn))]


def _messages(turn: Turn) -> Iterator[Json]:
    if turn.role == "tool":
        for result in turn.tool_results:
            yield {"role": "tool", "tool_call_id": result.id, "content": result.content}
        return
    message: Json = {"role": turn.role, "content": turn.text or None}
    if calls := turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ]
    yield message


def finish_reason(word: str | None) -> FinishReason | None:
    """Return why the model stopped; a word that we do not know counts as a stop."""
    return _FINISH_REASONS.get(word, "stop") if word else None


def reasoning(message: Json) -> str:
    """Return the thoughts that servers of open models send beside the answer."""
    return message.get("reasoning_content") or message.get("reasoning") or ""


def tool_calls(message: Json) -> tuple[ToolCall, ...]:
    """Return the tool calls of a message, or the fragments of them in a delta."""
    calls: list[Json] | None = message.get("tool_calls")
    if not calls:
        return ()
    return tuple(_tool_call(place, call) for place, call in enumerate(calls))


def _tool_call(place: int, call: Json) -> ToolCall:
    function = call.get("function") or {}
    return ToolCall(
        index=place if call.get("index") is None else call["index"],
        id=call.get("id"),
        name=function.get("name"),
        arguments=function.get("arguments") or "",
    )


def usage(counts: Json | None) -> Usage:
    """Return the tokens: OpenAI's totals already include cached input and reasoning.

    So they do with rejected predictions, which are billed as output
    (https://platform.openai.com/docs/guides/predicted-outputs).
    """
    if not counts:
        return Usage()
    read: dict[str, Any] = counts.get("prompt_tokens_details") or {}
    written: dict[str, Any] = counts.get("completion_tokens_details") or {}
    # DeepSeek's own word, which some servers of its models send alone
    # (https://api-docs.deepseek.com/guides/kv_cache)
    cached = read.get("cached_tokens", counts.get("prompt_cache_hit_tokens"))
    prompt, completion, audio = _totals(counts)
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=cached,
        cache_write_tokens=read.get("cache_write_tokens"),
        reasoning_tokens=written.get("reasoning_tokens"),
        input_audio_tokens=read.get("audio_tokens") if audio is None else audio,
        output_audio_tokens=written.get("audio_tokens"),
    )


def _totals(counts: Json) -> tuple[int | None, int | None, int | None]:
    """Return the whole input, the whole output, and the audio that the total alone tells of.

    xAI, and Gemini's servers of this protocol, leave reasoning out of the completion, but not out
    of the total (https://docs.x.ai/docs/key-information/consumption-and-rate-limits). Of Mistral's
    Voxtral models, what the total has beyond its parts is what they have heard.
    """
    told: list[Any] = [counts.get(name) for name in _TOTALS]
    completion, prompt, total = told
    if not all(is_whole(count, least=0) for count in told) or total <= prompt + completion:
        return prompt, completion, None
    rest = total - prompt - completion
    heard = (counts.get("prompt_tokens_details") or {}).get("audio_tokens")
    if "prompt_audio_seconds" in counts or rest == heard:  # Mistral's own field, often 0
        return prompt + rest, completion, rest
    return prompt, completion + rest, None
