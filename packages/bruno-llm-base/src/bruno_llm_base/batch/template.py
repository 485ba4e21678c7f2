"""What is asked of each row: a text with the names of its fields in it, or a function of the user's."""

import json
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from string import Formatter
from typing import Any

from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.messages import Messages
from bruno_llm_base.options import did_you_mean
from bruno_llm_base.values import shown

_OF_TEMPLATES = re.compile(r"{{\s*\w+\s*}}")
ROW = "row"  # the name of the field in a row without fields, such as a text


def question_of(
    prompt: str | Callable[[Any], Messages], called: str = "prompt"
) -> Callable[[Any], Messages]:
    """Return what is asked of a row, by *prompt*, which errors call what it is *called*.

    Raises:
        InvalidRequestError: It is neither a function nor a template that can be read.
    """
    if callable(prompt):
        return prompt
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidRequestError(f"{called} is {shown(prompt)}: give a text or a function")
    try:
        pieces = list(Formatter().parse(prompt))
    except ValueError as error:
        raise InvalidRequestError(
            f"{called} is {shown(prompt)}: {error}; write {{{{ and }}}} for braces that are no field"
        ) from None
    for _, name, how, conversion in pieces:
        if name is not None and (how or conversion or not name or set(name) & set(".[]")):
            raise InvalidRequestError(
                f"{called} has the field {{{name}...}}: give the bare name of a field, such as {{text}},"
                " or a function; write {{ and }} for braces that are no field"
            )
    if all(name is None for _, name, _, _ in pieces) and _OF_TEMPLATES.search(prompt):
        raise InvalidRequestError(
            f"{called} is {shown(prompt)}, in which no field of a row stands: write it with one brace, as"
            " {text}; two are for templates of bruno-llm-prompts"
        )

    def fill(row: Any) -> str:
        fields = row if isinstance(row, Mapping) else {ROW: row}
        return "".join(
            literal if name is None else literal + str(field_of(fields, name, called))
            for literal, name, _, _ in pieces
        )

    return fill


def field_of(row: Any, name: str, used_in: str) -> Any:
    """Return the field *name* of *row*; the error of a row without it says who asks.

    Raises:
        InvalidRequestError: The row has no such field, or no fields at all.
    """
    if not isinstance(row, Mapping):
        raise InvalidRequestError(
            f"{used_in} names {name!r}, but a row is {shown(row)}: give dicts"
        )
    if name not in row:
        known = [str(field) for field in row]
        raise InvalidRequestError(
            f"{used_in} names {name!r}, but a row has no such field{did_you_mean(name, known)}"
        )
    return row[name]


def fingerprint(value: Any) -> str:
    """Return what is the same for equal *value*s, in another process too.

    Raises:
        TypeError: It holds more than JSON and functions.
    """
    text = json.dumps(value, sort_keys=True, default=_described)
    return sha256(text.encode()).hexdigest()[:16]


def _described(value: Any) -> Any:
    """Return a function as its name and the texts in it, which no version of Python changes.

    What tells a fingerprint of its own, as a `Prompt` of bruno-llm-prompts, is that.
    """
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(known := getattr(value, "fingerprint", None), str):
        return known
    code = getattr(value, "__code__", None)
    if code is None:
        raise TypeError(f"a {type(value).__name__}")
    return [value.__qualname__, [each for each in code.co_consts if isinstance(each, str)]]
