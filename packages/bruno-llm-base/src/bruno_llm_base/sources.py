"""Where a provider's keywords may come from: bruno-core's models, files, the environment."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from bruno_core.models.config import BrunoConfig, LLMConfig

from bruno_llm_base.access import unquoted
from bruno_llm_base.discovery import (
    EMBEDDINGS,
    LANGUAGE_MODELS,
    Group,
    canonical,
    read_vendors,
    split_name,
)
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.options import close_matches
from bruno_llm_base.parts import Json
from bruno_llm_base.values import shown

_PREFIX = "BRUNO_LLM_"
_NUMBERS: dict[str, Callable[[str], float]] = {
    "batch_size": int,
    "dimensions": int,
    "max_retries": int,
    "timeout": float,
}
_TEXTS = ("stop", "system_prompt")  # in which quotes and spaces may be meant
_CLOSE, _VERY_CLOSE = 0.75, 0.95


def from_config(
    config: LLMConfig | BrunoConfig | Mapping[str, Any], group: Group = LANGUAGE_MODELS
) -> Json:
    """Return the keywords in *config*, which may stand under the section of *group*.

    "provider" is among them, and "vendors" if the user has vendors of his own.
    """
    if group is LANGUAGE_MODELS:
        config = config.llm if isinstance(config, BrunoConfig) else config
        if isinstance(config, LLMConfig):
            config = {name: getattr(config, name) for name in config.model_fields_set}
    if not isinstance(config, Mapping):
        cure = "give a mapping or LLMConfig" if group is LANGUAGE_MODELS else "give a mapping"
        if isinstance(config, str):
            cure += "; a model goes into model=, or behind the provider, as in 'openai/gpt-5.4'"
        raise ConfigurationError(f"config is a {type(config).__name__}: {cure}")
    inner = config.get(group.section)
    given = dict(inner if isinstance(inner, Mapping) else config)
    for name in given:
        if not isinstance(name, str):
            raise ConfigurationError(f"{shown(name)} is not the name of a field: give text")
    if "vendors" in config:
        given["vendors"] = read_vendors(config["vendors"])
    return split_model(given, group) if isinstance(given.get("provider"), str) else given


def split_model(given: Json, group: Group, origin: str = "provider") -> Json:
    """Return *given* with provider and model apart: its "provider" may be "groq/llama-3.3-70b".

    Raises:
        ConfigurationError: Its "model" is another than that behind the name, which is set in *origin*.
    """
    name, model = split_name(given["provider"], group)
    said = given.get("model") or model
    if model is None:
        return given | {"provider": name}
    if str(said).lower() != model.lower():  # bruno-core's LLMConfig makes the provider lower case
        raise ConfigurationError(
            f"{origin} is {shown(given['provider'])}, but model is {shown(said)}: leave one of the"
            " two models out"
        )
    return given | {"provider": name, "model": said}


def from_file(path: Path) -> Json:
    """Return what a YAML, JSON or TOML file holds, or raise why it cannot be used."""
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
        mark = getattr(error, "problem_mark", None)  # of YAML's errors
        line = mark.line + 1 if mark else getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        raise ConfigurationError(f"{path}{where} is not valid {path.suffix[1:].upper()}") from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path} holds no mapping: give the provider's keywords")
    return data


def from_environment(group: Group, name: str | None) -> Json:
    """Return the keywords that the environment has, "provider" among them.

    The provider is *name*, or the one that the environment names. Its own variables win. Those
    without its name are another's where they name another. A misspelt one is an error.
    """
    generic, origin = _variables(group, ""), f"{_PREFIX}{group.prefix}PROVIDER"
    named, _ = split_name(name or provider_of(generic, origin), group)
    chosen = canonical(named)
    own = f"{chosen.upper().replace('-', '_')}_"
    _refuse_misspelt(own)
    general, _ = split_name(generic.get("provider", chosen), group)
    if canonical(general) != chosen:
        generic = {}
    return split_model({"provider": chosen} | generic | _variables(group, own), group, origin)


def provider_of(given: Mapping[str, Any], origin: str = "provider") -> str:
    """Return the provider that *given* names, or tell to set it in *origin*."""
    name = given.get("provider")
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"no provider is named: set {origin}, for example to 'openai'")
    return name


def _variables(group: Group, owner: str) -> Json:
    """Return what the variables of *owner* set, or those of none."""
    found = {}
    for field in sorted(group.fields):
        variable = f"{_PREFIX}{owner}{group.prefix}{field.upper()}"
        value = os.environ.get(variable, "")
        if plain := unquoted(value):
            try:
                found[field] = _NUMBERS[field](plain) if field in _NUMBERS else plain
            except ValueError:
                raise ConfigurationError(f"{variable} is {shown(plain)}: give a number") from None
            if field in _TEXTS:
                found[field] = value
    return found


def _refuse_misspelt(own: str) -> None:
    """Raise if a variable of ours is misspelt; those of the provider in question begin with *own*.

    What may belong to another provider, or to no part of ours, is left alone.
    """
    groups = (LANGUAGE_MODELS, EMBEDDINGS)
    names = {group.prefix + field.upper() for group in groups for field in group.fields}
    plain = {name.removeprefix(EMBEDDINGS.prefix) for name in names}
    of_others = tuple(f"_{name}" for name in plain)
    for variable in sorted(os.environ):
        rest = variable.removeprefix(_PREFIX)
        name = rest.removeprefix(own)
        if rest == variable or name in names:
            continue
        owner, is_others = rest.removesuffix(name), name.endswith(of_others)
        field = name.removeprefix(EMBEDDINGS.prefix)
        if field in plain:  # of chat, which embeddings lack, or the other way round
            close = [other for other in (field, EMBEDDINGS.prefix + field) if other in names]
        else:
            close = close_matches(name, names, cutoff=_VERY_CLOSE if is_others else _CLOSE)
        if close or (owner and not is_others):
            every = ", ".join(sorted(own + name for name in names))
            cure = f"{_PREFIX} may precede {every}"
            if close:
                cure = f"did you mean {_PREFIX}{owner}{close[0]}?"
            raise ConfigurationError(f"{variable} is set, which is not known: {cure}")
