"""Reading what servers send where they mean it well: one odd field costs at most itself."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from bruno_llm_base.parts import Json, object_in
from bruno_llm_base.response import FinishReason, Usage
from bruno_llm_base.values import shown

_LISTS, _NAMES = ("data", "models", "result", "results"), ("id", "name", "model")
_TEXTS = ("text", "content", "thinking", "parts", "summary")
_LABELS = ("modality", "type")  # of counts
_MOST_NAMES = 5
_SHAPES = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
_SHAPES |= {dict: "an object", list: "a list", type(None): "missing"}
_WRONG_CALL = re.compile(r"\(\) (?:got|missing|takes) ")

PARSE_ERRORS = (LookupError, TypeError, ValueError, AttributeError)
"""What parsers raise, which read foreign documents without a check at every step."""


class UnreadableFieldError(ValueError):
    """A field of an answer holds something that nothing can be made of, which is not quoted."""

    def __init__(self, name: str, value: object) -> None:
        super().__init__(f"{name} is {_SHAPES.get(type(value), 'something else')}")


def is_programming_error(error: Exception) -> bool:
    """Whether *error*, which a parser raised, says nothing of the document that it was reading.

    No document makes it call a function with wrong arguments, or ask for what no JSON value has.
    """
    if isinstance(error, AttributeError):
        name = str(error.name)
        return type(error.obj) not in _SHAPES or not any(hasattr(kind, name) for kind in _SHAPES)
    return isinstance(error, TypeError) and _WRONG_CALL.search(str(error)) is not None


def describe_parse_error(error: Exception, data: Json) -> str:
    """Return why a parser failed with *error* on *data*; nothing that was said is quoted."""
    if isinstance(error, UnreadableFieldError):
        return str(error)
    if isinstance(error, KeyError) and isinstance(error.args[0], str):
        held = ", ".join(repr(name) for name in list(data)[:_MOST_NAMES]) or "nothing"
        return f"it has no {error.args[0]!r}, but holds {shown(held)}"
    return type(error).__name__


def read_text(value: object, name: str) -> str:
    """Return the text in the field *name*: a text, a list of texts, an object with one, or nothing.

    Raises:
        UnreadableFieldError: It is something else.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join([read_text(item, name) for item in value])
    if isinstance(value, dict):
        return read_text(next((value[n] for n in _TEXTS if value.get(n) is not None), None), name)
    raise UnreadableFieldError(name, value)


def read_word(value: object) -> str | None:
    """Return *value* as a name or an id; some servers count their ids. None where there is none."""
    if value is None or isinstance(value, str):
        return value or None
    return str(value) if _is_number(value) else None


def read_arguments(value: object) -> str:
    """Return the arguments of a call as JSON text, whether they came as text or as an object."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def read_models(data: Json) -> list[Json]:
    """Return the rows of a list of models, each with its name under "id", whatever the list is called.

    Raises:
        UnreadableFieldError: The list is missing, or a row has no name.
    """
    rows = next((data[name] for name in _LISTS if isinstance(data.get(name), list)), None)
    if rows is None:
        raise UnreadableFieldError("the list of models", data)
    return [_model(row) for row in rows]


def _model(row: object) -> Json:
    row = row if isinstance(row, dict) else {"id": row}
    name = next((row[name] for name in _NAMES if row.get(name)), None)
    if not isinstance(name, str):
        raise UnreadableFieldError("the name of a model", name)
    return row | {"id": name}


def forgiving(read: Callable[..., Usage]) -> Callable[..., Usage]:
    """Return *read*, which reads counts of tokens, made to leave out counts that are none."""

    def reading(counts: Any, **more: Any) -> Usage:
        try:
            return read(counts, **more)  # tried first: nearly all are sound
        except PARSE_ERRORS:
            return read(_sound(object_in(counts)), **more)

    return reading


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sound(value: Any) -> Any:
    """Return *value* without what is not a number."""
    if isinstance(value, dict):
        kept = {n: item if n in _LABELS else _sound(item) for n, item in value.items()}
        return {name: item for name, item in kept.items() if item is not None}
    if isinstance(value, list):
        return [_sound(item) for item in value if isinstance(item, dict)]
    if isinstance(value, str):
        return int(value) if value.isdecimal() else None
    return value if _is_number(value) else None


# Servers of one protocol use each other's words, in any case, so one table serves all. "error": the
# answer was interrupted, since the server, the network or the model's own words failed.
_REASONS: dict[FinishReason, str] = {
    "stop": "stop stop_sequence end_turn end eos eos_token complete completed",
    "length": (
        "length max_length max_new_tokens max_output_tokens max_tokens model_length token_limit"
        " tokens_limit truncated context_length_exceeded context_window_exceeded"
        " model_context_window_exceeded"
    ),
    "content_filter": "content_filter content_filtered guardrail_intervened refusal safety sensitive",
    "tool_call": "function_call function_calls tool_call tool_calls tool_use",
    "pause": "pause pause_turn",
    "error": (
        "abort aborted cancel cancelled canceled error failed insufficient_system_resource"
        " malformed_function_call network_error server_error timeout"
    ),
}
_WORDS = {word: reason for reason, words in _REASONS.items() for word in words.split()}


def finish_reason(
    word: str | None, own: Mapping[str, FinishReason] | None = None
) -> FinishReason | None:
    """Return why a model stopped: "stop" for an unknown *word*; *own* are those of this vendor."""
    if not word:
        return None
    return (own or {}).get(word) or _WORDS.get(word.lower(), "stop")


def is_known(word: str, own: Mapping[str, FinishReason]) -> bool:
    """Whether we know what *word* means."""
    return word in own or word.lower() in _WORDS
