"""Values as JSON that is the same in every process, to make fingerprints of."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from enum import Enum
from numbers import Number
from pathlib import PurePath
from typing import Any
from uuid import UUID

from bruno_llm_base.values import shown

_TOLD_BY_TEXT = (date, time, timedelta, Number, UUID, PurePath, range)


def plain(value: Any) -> Any:
    """Return *value* as JSON: that of equal values is the same, whatever the order of their keys.

    Raises:
        TypeError: It holds something that only an address in memory tells apart.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(_text(each) for each in value)
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: plain(each) for key, each in value.items()}
        return sorted([_text(key), _text(each)] for key, each in value.items())
    return [type(value).__name__, _content(value)]


def _content(value: Any) -> Any:
    """Return what *value* holds; its type is told beside it."""
    if isinstance(value, Enum):
        return [value.name, plain(value.value)]
    if isinstance(value, _TOLD_BY_TEXT):
        return str(value)
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, type):
        raise TypeError(f"one is {shown(value)}")
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "model_dump"):  # of pydantic
        return plain(value.model_dump())
    raise TypeError(f"one is {shown(value)}")


def _text(value: Any) -> str:
    return json.dumps(plain(value), sort_keys=True)
