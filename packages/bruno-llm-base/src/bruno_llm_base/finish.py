"""Why a model stopped: the words of all vendors, and what they mean."""

from collections.abc import Mapping

from bruno_llm_base.response import FinishReason

__all__ = ["finish_reason", "is_full_window", "is_known"]

# Servers of one protocol use each other's words, in any case, so one table serves all. "error": the
# answer was interrupted, since the server, the network or the model's own words failed.
_REASONS: dict[FinishReason, tuple[str, ...]] = {
    "stop": (
        *("stop", "stop_sequence", "end_turn", "end", "eos", "eos_token", "complete", "completed"),
    ),
    "length": (
        *("length", "max_length", "max_new_tokens", "max_output_tokens", "max_tokens"),
        *("model_length", "token_limit", "tokens_limit", "truncated"),
        *("context_length_exceeded", "context_window_exceeded", "model_context_window_exceeded"),
    ),
    "content_filter": (
        *("content_filter", "content_filtered", "guardrail_intervened", "refusal", "safety"),
    ),
    "tool_call": ("function_call", "function_calls", "tool_call", "tool_calls", "tool_use"),
    "pause": ("pause", "pause_turn"),
    "error": (
        *("abort", "aborted", "cancel", "cancelled", "canceled", "error", "failed"),
        *("insufficient_system_resource", "malformed_function_call", "network_error"),
        *("server_error", "timeout"),
    ),
}
_WORDS = {word: reason for reason, words in _REASONS.items() for word in words}


def finish_reason(
    word: str | None, own: "Mapping[str, FinishReason] | None" = None
) -> FinishReason | None:
    """Return why a model stopped: "stop" for a word that we do not know, None where there is none.

    Args:
        word: The vendor's word; None if it said none.
        own: What words mean that this vendor alone uses.
    """
    if not word:
        return None
    return (own or {}).get(word) or _WORDS.get(word.lower(), "stop")


def is_known(word: str, own: "Mapping[str, FinishReason]") -> bool:
    """Whether we know what *word* means."""
    return word in own or word.lower() in _WORDS


def is_full_window(word: str | None) -> bool:
    """Whether *word* says that the context window was full, which no higher output limit mends."""
    word = (word or "").lower()
    return "context_length" in word or "context_window" in word
