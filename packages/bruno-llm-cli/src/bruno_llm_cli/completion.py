"""What the shell completes: names that are known here, without asking any server."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from bruno_llm_base.discovery import (
    EMBEDDINGS,
    LANGUAGE_MODELS,
    Group,
    canonical,
    installed,
    kind_of,
    split_name,
)
from bruno_llm_base.exceptions import LLMError
from typer import Context

from bruno_llm_cli.output import plain
from bruno_llm_cli.settings import folder

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _silent(complete: Callable[_P, Iterable[_T]]) -> Callable[_P, list[_T]]:
    """Let *complete* find nothing where it fails: an error would be printed into the command line."""

    def completed(*args: _P.args, **keywords: _P.kwargs) -> list[_T]:
        with suppress(LLMError, OSError):
            return list(complete(*args, **keywords))
        return []

    return completed


def complete_provider(incomplete: str) -> list[str]:
    """Return the providers whose names begin so."""
    return [name for name in _names(LANGUAGE_MODELS) if name.startswith(incomplete)]


def complete_model(ctx: Context, incomplete: str) -> list[str]:
    """Return the models that begin so, as "provider/model", or bare where a provider is given."""
    return _models(LANGUAGE_MODELS, ctx.params.get("provider"), incomplete)


def complete_named_model(incomplete: str) -> list[str]:
    """Return the models that begin so, as "provider/model"."""
    return _models(LANGUAGE_MODELS, None, incomplete)


def complete_embedding_model(ctx: Context, incomplete: str) -> list[str]:
    """Return the embedding models that begin so, as `complete_model` does."""
    return _models(EMBEDDINGS, ctx.params.get("provider"), incomplete)


def complete_collection(ctx: Context, incomplete: str) -> list[str]:
    """Return the collections whose names begin so."""
    return _collections(ctx.params.get("database"), incomplete)


def complete_conversation(incomplete: str) -> list[tuple[str, str]]:
    """Return the logged conversations whose ids begin so, the latest first, each with its first words."""
    return _conversations(incomplete)


def complete_template(incomplete: str) -> list[str]:
    """Return the templates whose names begin so."""
    return _templates(incomplete)


@_silent
def _templates(incomplete: str) -> Iterable[str]:
    found = sorted(path.stem for path in (folder() / "templates").glob("*.md"))
    return [name for name in found if name.startswith(incomplete)]


@_silent
def _conversations(incomplete: str) -> Iterable[tuple[str, str]]:
    from bruno_llm_cli.conversation import open_log

    found = open_log(there=True).conversations()
    return [(key, plain(name)) for key, name in found.items() if key.startswith(incomplete)]


@_silent
def _collections(database: Any, incomplete: str) -> Iterable[str]:
    from bruno_llm_cli.collection import CollectionsFile

    file = CollectionsFile.at(database or folder() / "embeddings.db", new=False)
    return [found.name for found in file.all() if found.name.startswith(incomplete)]


@_silent
def _models(group: Group, provider: str | None, incomplete: str) -> Iterable[str]:
    if provider:
        named, _ = split_name(provider, group)
        return [model for model in _known(named, group) if model.startswith(incomplete)]
    names = [name for name in _names(group) if name.startswith(incomplete)]
    if len(names) > 1:
        return names
    name = names[0] if names else incomplete.partition("/")[0]
    full = (f"{name}/{model}" for model in _known(name, group))
    return [model for model in full if model.startswith(incomplete)]


def _names(group: Group) -> list[str]:
    return [info.name for info in installed(group) if "mock" not in info.capabilities]


def _known(provider: str, group: Group) -> list[str]:
    """Return the models of a provider: its default, and what the list of prices or its adapter knows."""
    kind = kind_of(provider, group)
    own = getattr(kind.adapter_type, "dimensions", {}) if group is EMBEDDINGS else ()
    models = {kind.default_model, *own}
    if group is LANGUAGE_MODELS:
        with suppress(ImportError, LookupError):
            from genai_prices.data_snapshot import get_snapshot  # a second of loading

            vendor = kind.price_name or canonical(provider)
            listed = get_snapshot().find_provider(None, vendor, None).models
            models.update(model.id for model in listed)
    return sorted(model for model in models if model and ":" not in model)
