"""What 0.2.0's `create_from_env` read."""

import os
from collections.abc import Iterable

from bruno_llm_base import ConfigurationError
from bruno_llm_base.types import Json
from bruno_llm_base.values import shown

__all__ = ["environment", "number"]

_NUMBERS = {
    "batch_size": int,
    "dimensions": int,
    "frequency_penalty": float,
    "max_retries": int,
    "presence_penalty": float,
    "timeout": float,
    "top_k": int,
}


def environment(start: str, known: Iterable[str]) -> Json:
    """Return the *known* fields whose variables *start* so.

    Raises:
        ConfigurationError: One that should be a number is not.
    """
    variables = {name: f"{start}{name.upper()}" for name in known}
    said = {name: os.environ.get(variable) for name, variable in variables.items()}
    return {name: number(variables[name], name, text) for name, text in said.items() if text}


def number(variable: str, name: str, text: str) -> object:
    """Return what *variable* says about the field *name*.

    Raises:
        ConfigurationError: It should be a number, and is not.
    """
    try:
        return _NUMBERS.get(name, str)(text)
    except ValueError:
        raise ConfigurationError(f"{variable} is {shown(text)}: give a number") from None
