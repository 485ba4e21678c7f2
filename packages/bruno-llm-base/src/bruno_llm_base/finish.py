"""Why a model stopped: the words of all vendors, and what they mean."""

from collections.abc import Mapping

from bruno_llm_base.types import FinishReason

__all__ = ["finish_reason", "is_full_window", "is_known"]

# Servers of one protocol use each other's words, in any case, so one table serves all.
_WORDS: dict[str, FinishReason] = {
    **dict.fromkeys(
        ("stop", "stop_sequence", "end_turn", "end", "eos", "eos_token", "complete", "completed"),
        "stop",
    ),
    **dict.fromkeys(
        (
            *("length", "max_length", "max_new_tokens", "max_output_tokens", "max_tokens"),
            *("model_length", "token_limit", "tokens_limit", "truncated"),
        ),
        "length",
    ),
    **dict.fromkeys(
        ("context_length_exceeded", "context_window_exceeded", "model_context_window_exceeded"),
        "length",
    ),
    **dict.fromkeys(
        ("content_filter", "content_filtered", "guardrail_intervened", "refusal", "safety"),
        "content_filter",
    ),
    **dict.fromkeys(
        ("function_call", "function_calls", "tool_call", "tool_calls", "tool_use"), "tool_call"
    ),
    **dict.fromkeys(("pause", "pause_turn"), "pause"),
    # The answer was interrupted: the server, the network or the model's own words failed.
    **dict.fromkeys(
        (
            *("abort", "aborted", "cancel", "cancelled", "canceled", "error", "failed"),
            *("insufficient_system_resource", "malformed_function_call", "network_error"),
            *("server_error", "timeout"),
        ),
        "error",
    ),
}
_FULL_WINDOW = ("context_length", "context_window")


def finish_reason(
    word: str | None, own: "Mapping[str, FinishReason] | None" = None
) -> FinishReason | None:
    """Return why a model stopped.

    Args:
        word: The vendor's word; None if it said none.
        own: What words mean that this vendor alone uses.

    Returns:
        The reason, "stop" for a word that we do not know, or None where there is no word.
    """
    if not word:
        return None
    return (own or {}).get(word) or _WORDS.get(word.lower(), "stop")


def is_known(word: str, own: "Mapping[str, FinishReason]") -> bool:
    """Whether we know what *word* means."""
    return word in own or word.lower() in _WORDS


def is_full_window(word: str | None) -> bool:
    """Whether *word* says that the context window was full, which no higher output limit mends."""
    return any(mark in (word or "").lower() for mark in _FULL_WINDOW)
