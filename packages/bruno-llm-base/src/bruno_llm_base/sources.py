"""Where a provider's keywords may come from: bruno-core's models, files, the environment."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from bruno_core.models.config import BrunoConfig, LLMConfig

from bruno_llm_base.access import unquoted
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.options import PORTABLE
from bruno_llm_base.response import Json
from bruno_llm_base.values import shown

__all__ = [
    "CHAT",
    "EMBEDDINGS",
    "Variables",
    "from_config",
    "from_file",
    "provider_of",
]

_NUMBERS: dict[str, Callable[[str], int | float]] = {
    "batch_size": int,
    "dimensions": int,
    "max_retries": int,
    "timeout": float,
}
_PREFIX = "BRUNO_LLM_"
_TEXTS = ("stop", "system_prompt")  # in which quotes and spaces may be meant


def from_config(config: LLMConfig | BrunoConfig | Mapping[str, Any], section: str = "llm") -> Json:
    """Return the keywords in *config*, "provider" among them.

    Args:
        config: bruno-core's models, or a mapping.
        section: Where the keywords stand in a mapping, if not alone.

    Raises:
        ConfigurationError: It is of another kind.
    """
    if section == "llm" and isinstance(config, BrunoConfig):
        config = config.llm
    if section == "llm" and isinstance(config, LLMConfig):
        return {name: getattr(config, name) for name in config.model_fields_set}
    if not isinstance(config, Mapping):
        cure = "give a mapping or LLMConfig" if section == "llm" else "give a mapping"
        raise ConfigurationError(f"config is a {type(config).__name__}: {cure}")
    inner = config.get(section)
    given = dict(inner if isinstance(inner, Mapping) else config)
    for name in given:
        if not isinstance(name, str):
            raise ConfigurationError(f"{shown(name)} is not the name of a field: give text")
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

    def of(self, provider: str, aliases: Iterable[str], names: Iterable[str]) -> Json:
        """Return what the environment says about *provider*: its own variables win.

        Args:
            provider: The provider's name.
            aliases: Other names that may be given to it there.
            names: What other providers are called, whose variables are left alone.

        Raises:
            ConfigurationError: A value is not a number where it has to be one, or a name is misspelt.
        """
        _refuse_misspelt(provider, names)
        generic = self._read(_PREFIX + self.kind)
        named = str(generic.pop("provider", provider)).strip().lower()
        if named not in {provider, *aliases}:
            generic = {}  # these are another provider's
        specific = self._read(_PREFIX + _spelled(provider) + self.kind)
        specific.pop("provider", None)
        return generic | specific

    def _read(self, prefix: str) -> Json:
        found = {}
        for field in self.fields:
            variable = prefix + field.upper()
            value = os.environ.get(variable, "")
            if plain := unquoted(value):
                found[field] = _converted(variable, field, value if field in _TEXTS else plain)
        return found


_ANY = (
    *("api_key", "base_url", "free", "max_retries", "model", "price_name", "provider", "timeout"),
)
CHAT = Variables((*_ANY, *PORTABLE, "strict", "system_prompt"))
EMBEDDINGS = Variables((*_ANY, "batch_size", "dimensions"), "EMBEDDING_")


_FIELDS = frozenset(
    variables.kind + field.upper() for variables in (CHAT, EMBEDDINGS) for field in variables.fields
)
_CLOSE = 0.75


def _refuse_misspelt(provider: str, names: Iterable[str]) -> None:
    """Raise if the environment holds a variable of ours that is none.

    What may belong to another provider, or to no part of ours, is left alone, unless it is nearly
    the name of one that exists.

    Raises:
        ConfigurationError: Names the variable, and the one that it may stand for.
    """
    ours = _spelled(provider)
    owners = {_spelled(name) for name in names} | {ours}
    for variable in sorted(os.environ):
        rest = variable.removeprefix(_PREFIX)
        if rest == variable or rest in _FIELDS:
            continue
        owner = max((name for name in owners if rest.startswith(name)), key=len, default="")
        field = rest.removeprefix(owner)
        if field in _FIELDS:
            continue
        last = max((each for each in _FIELDS if field.endswith(f"_{each}")), key=len, default="")
        if last:  # of another kind, or of a provider that we do not know
            kinds = {EMBEDDINGS.kind} if owner else {EMBEDDINGS.kind, *owners}
            close = [owner + name + last for name in _close(field.removesuffix(last), kinds)]
        else:
            close = [owner + name for name in _close(field, _FIELDS)]
        if close or (owner == ours and not last):
            known = ", ".join(sorted(owner + name.upper() for name in CHAT.fields))
            hint = (
                f"did you mean {_PREFIX}{close[0]}?" if close else f"{_PREFIX} may precede {known}"
            )
            raise ConfigurationError(f"{variable} is set, which is not known: {hint}")


def _spelled(provider: str) -> str:
    """Return what the name of a provider's own variables begins with, behind our prefix."""
    return f"{provider.upper().replace('-', '_')}_"


def _close(name: str, known: Iterable[str]) -> list[str]:
    import difflib  # slow to load

    return difflib.get_close_matches(name, sorted(known), n=1, cutoff=_CLOSE)


def _converted(variable: str, field: str, value: str) -> object:
    convert = _NUMBERS.get(field)
    if convert is None:
        return value
    try:
        return convert(value)
    except ValueError:
        raise ConfigurationError(f"{variable} is {shown(value)}: give a number") from None
