"""Where a provider's keywords may come from: bruno-core's models, files, the environment."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from bruno_core.models.config import BrunoConfig, LLMConfig

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.types import Json
from bruno_llm_base.values import shown

__all__ = [
    "CHAT",
    "EMBEDDINGS",
    "Variables",
    "from_config",
    "from_file",
    "from_mapping",
    "provider_of",
]

_NUMBERS: dict[str, Callable[[str], int | float]] = {
    "batch_size": int,
    "dimensions": int,
    "max_retries": int,
    "timeout": float,
}
_PREFIX = "BRUNO_LLM_"


def from_config(config: LLMConfig | BrunoConfig | Mapping[str, Any]) -> Json:
    """Return the keywords in *config*, "provider" among them.

    Raises:
        ConfigurationError: It is of no known kind.
    """
    if isinstance(config, BrunoConfig):
        config = config.llm
    if isinstance(config, LLMConfig):
        return {name: getattr(config, name) for name in config.model_fields_set}
    if not isinstance(config, Mapping):
        raise ConfigurationError(
            f"config is a {type(config).__name__}: give a mapping or LLMConfig"
        )
    return from_mapping(config, "llm")


def from_mapping(config: Mapping[str, Any], section: str) -> Json:
    """Return the keywords in *config*, which stand alone or in a *section*.

    Raises:
        ConfigurationError: It is no mapping of names.
    """
    if not isinstance(config, Mapping):
        raise ConfigurationError(f"config is a {type(config).__name__}: give a mapping")
    inner = config.get(section)
    given = dict(inner if isinstance(inner, Mapping) else config)
    for name in given:
        if not isinstance(name, str):
            raise ConfigurationError(f"{shown(name)} is no name of a field: give text")
    return given


def from_file(path: Path) -> Json:
    """Return what a YAML, JSON or TOML file holds.

    Raises:
        ConfigurationError: It is missing, of another format, or not a mapping.
    """
    import tomllib  # it takes longer to load than the rest of us, and few need it

    readers: dict[str, Callable[[str], Any]] = {
        ".yaml": yaml.safe_load,
        ".yml": yaml.safe_load,
        ".json": json.loads,
        ".toml": tomllib.loads,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ConfigurationError(f"{path} is of no known format: use {', '.join(readers)}")
    try:
        data = reader(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", cause=error) from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        # the parser's own text may quote a line that holds a key
        place = getattr(error, "problem_mark", None)
        line = getattr(error, "lineno", None) or (place.line + 1 if place else None)
        where = f", line {line}" if line else ""
        raise ConfigurationError(f"{path}{where} is not valid {path.suffix[1:].upper()}") from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path} holds no mapping: give the provider's keywords")
    return data


def provider_of(given: Mapping[str, Any], origin: str = "provider") -> str:
    """Return the provider that *given* names.

    Raises:
        ConfigurationError: It names none.
    """
    name = given.get("provider")
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"no provider is named: set {origin}, for example to 'openai'")
    return name


@dataclass(frozen=True, slots=True)
class Variables:
    """The environment variables of one kind of provider.

    Attributes:
        fields: The keywords that they may give.
        kind: What their names have before the field, such as "EMBEDDING_".
    """

    fields: tuple[str, ...]
    kind: str = ""

    def provider(self) -> str:
        """Return the provider that they name.

        Raises:
            ConfigurationError: They name none.
        """
        return provider_of(self._read(_PREFIX + self.kind), f"{_PREFIX}{self.kind}PROVIDER")

    def of(self, provider: str, aliases: Iterable[str] = ()) -> Json:
        """Return what the environment says about *provider*: its own variables win.

        Args:
            provider: The provider's name.
            aliases: Other names that may be given to it there.

        Raises:
            ConfigurationError: A value is no number where it has to be one.
        """
        generic = self._read(_PREFIX + self.kind)
        named = str(generic.pop("provider", provider)).strip().lower()
        if named not in {provider, *aliases}:
            generic = {}  # these are another provider's
        specific = self._read(f"{_PREFIX}{provider.upper().replace('-', '_')}_{self.kind}")
        specific.pop("provider", None)
        return generic | specific

    def _read(self, prefix: str) -> Json:
        found = {}
        for field in self.fields:
            variable = prefix + field.upper()
            value = os.environ.get(variable, "")
            if value.strip():
                found[field] = _converted(variable, field, value)
        return found


_ANY = (
    *("api_key", "base_url", "free", "max_retries", "model", "price_name", "provider", "timeout"),
)
CHAT = Variables(
    (*_ANY, "max_tokens", "seed", "stop", "strict", "system_prompt", "temperature", "top_p")
)
EMBEDDINGS = Variables((*_ANY, "batch_size", "dimensions"), "EMBEDDING_")


def _converted(variable: str, field: str, value: str) -> object:
    convert = _NUMBERS.get(field)
    if convert is None:
        return value
    try:
        return convert(value)
    except ValueError:
        raise ConfigurationError(f"{variable} is {shown(value)}: give a number") from None
