"""What the shell completes: names that are known here, without asking any server."""

import io
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, suppress
from functools import wraps
from typing import Any, ParamSpec
from unicodedata import category

from bruno_llm_base.discovery import (
    EMBEDDINGS,
    LANGUAGE_MODELS,
    Group,
    canonical,
    installed,
    kind_of,
    split_name,
)
from typer import Context

from bruno_llm_cli.settings import folder

_P = ParamSpec("_P")

# Beside letters and digits. zsh evaluates what it is given, and typer escapes it only in part.
_IN_NAMES = frozenset("._-/@")
_IN_HELP = frozenset(" .,?!-_/")
_LONGEST_HELP = 60  # characters


def _harmless(
    complete: Callable[_P, Iterable[str | tuple[str, str]]],
) -> Callable[_P, list[tuple[str, str]]]:
    """Make a completion safe for every shell: names, each with a help of plain words, or "".

    A name that a shell would have to quote is left out. Where *complete* fails it finds nothing, and
    what it tells is dropped: both would be printed into the command line.
    """

    @wraps(complete)
    def completed(*args: _P.args, **keywords: _P.kwargs) -> list[tuple[str, str]]:
        with suppress(Exception), redirect_stderr(io.StringIO()):
            found = [
                (item, "") if isinstance(item, str) else item
                for item in complete(*args, **keywords)
            ]
            return [(name, _words(text)) for name, text in found if _only(name, _IN_NAMES) == name]
        return []

    return completed


def _words(text: str) -> str:
    return " ".join(_only(text, _IN_HELP).split())[:_LONGEST_HELP]


def _only(text: str, signs: frozenset[str]) -> str:
    """Return *text* with a space for what is neither a letter, a digit nor one of the *signs*."""
    return "".join(c if c in signs or category(c)[0] in "LMN" else " " for c in text)


@_harmless
def complete_provider(incomplete: str) -> Iterable[str]:
    """Return the providers whose names begin so."""
    return [name for name in _names(LANGUAGE_MODELS) if name.startswith(incomplete)]


@_harmless
def complete_model(ctx: Context, incomplete: str) -> Iterable[str]:
    """Return the models that begin so, as "provider/model", or bare where a provider is given."""
    return _models(LANGUAGE_MODELS, ctx.params.get("provider"), incomplete)


@_harmless
def complete_named_model(incomplete: str) -> Iterable[str]:
    """Return the models that begin so, as "provider/model"."""
    return _models(LANGUAGE_MODELS, None, incomplete)


@_harmless
def complete_embedding_model(ctx: Context, incomplete: str) -> Iterable[str]:
    """Return the embedding models that begin so, as `complete_model` does."""
    return _models(EMBEDDINGS, ctx.params.get("provider"), incomplete)


@_harmless
def complete_collection(ctx: Context, incomplete: str) -> Iterable[str]:
    """Return the collections whose names begin so."""
    from bruno_llm_cli.collection import CollectionsFile

    database: Any = ctx.params.get("database")
    file = CollectionsFile.at(database or folder() / "embeddings.db", new=False)
    return [found.name for found in file.all() if found.name.startswith(incomplete)]


@_harmless
def complete_conversation(incomplete: str) -> Iterable[tuple[str, str]]:
    """Return the logged conversations whose ids begin so, the latest first, each with its first words."""
    from bruno_llm_cli.own_log import open_log

    found = open_log(there=True).conversations()
    return [(key, name) for key, name in found.items() if key.startswith(incomplete)]


@_harmless
def complete_template(incomplete: str) -> Iterable[str]:
    """Return the templates whose names begin so."""
    found = sorted(path.stem for path in (folder() / "templates").glob("*.md"))
    return [name for name in found if name.startswith(incomplete)]


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
