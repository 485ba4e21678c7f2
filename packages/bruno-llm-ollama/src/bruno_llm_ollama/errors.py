"""Ollama's errors (https://docs.ollama.com/api/errors): a status and one sentence, no code."""

import re

from bruno_llm_base import (
    ContextLengthExceededError,
    ErrorFacts,
    Json,
    LLMError,
    ModelNotFoundError,
    QuotaExceededError,
    ServiceUnavailableError,
)

__all__ = ["read"]

_BY_STATUS: dict[int, type[LLMError]] = {
    200: ServiceUnavailableError,  # inside a stream, where the status has been sent before
    404: ModelNotFoundError,
    499: ServiceUnavailableError,  # Ollama gave the request up, as when it stops
}

# No status or field tells these from other errors. The first are the sentences of Ollama, of its
# older runner and of llama-server; the last is the cloud's.
_TOO_LONG = re.compile(
    r"longer than the context length|exceeds (?:the|maximum) context length"
    r"|is too large to process"  # texts to embed
    r"|exceeds the available context size|exceed_context_size_error"
)
_USED_UP = re.compile(r"reached your \w+ usage limit")

# Ollama passes llama-server's error document on as text: these are fields of it.
_SENTENCE = re.compile(r'"message": ?"([^"\\]+)"')
_LIMIT = re.compile(r'"n_ctx": ?(\d{1,12})\b')
_ACTUAL = re.compile(r'"n_prompt_tokens": ?(\d{1,12})\b')


def read(status: int, data: Json) -> ErrorFacts:
    """Read an error document, or the error inside a stream."""
    said = data.get("error")
    if not isinstance(said, str):
        return ErrorFacts(message=str(said or ""))  # another server than Ollama
    if _TOO_LONG.search(said):
        return ErrorFacts(
            kind=ContextLengthExceededError,
            message=_sentence(said),
            limit=_number(_LIMIT, said),
            actual=_number(_ACTUAL, said),
        )
    used_up = status in (200, 429) and _USED_UP.search(said)
    kind = QuotaExceededError if used_up else _BY_STATUS.get(status)
    return ErrorFacts(kind=kind, message=_sentence(said))


def _sentence(said: str) -> str:
    found = _SENTENCE.search(said) if said.startswith("{") else None
    return found[1] if found else said


def _number(pattern: re.Pattern[str], said: str) -> int | None:
    found = pattern.search(said)
    return int(found[1]) if found else None
