"""What is installed.

A distribution offers a provider by an entry point in the group `bruno.llm_providers`, and one of
embeddings in `bruno.embedding_providers`; nothing is imported before it is asked for.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, cast

from bruno_core.interfaces import EmbeddingInterface, LLMInterface

from bruno_llm_base.exceptions import ConfigurationError, ProviderNotFoundError
from bruno_llm_base.options import ChatSettings, EmbeddingSettings, close_matches
from bruno_llm_base.parts import Json
from bruno_llm_base.values import shown

_ALIASES = {"anthropic": "claude", "google": "gemini"}
_STORES = {
    **dict.fromkeys(("redis", "rediss", "valkey", "valkeys"), "bruno-llm-redis"),
    **dict.fromkeys(("postgres", "postgresql"), "bruno-llm-postgres"),
}
"""What brings the stores of a scheme, for advice only."""
_MODELS = {
    "ollama": r"(code)?(llama|qwen|gemma|phi|smollm|granite)-?\d|gpt-oss|(deepseek|mistral)-\w"
    r"|(nomic|mxbai)-embed|embeddinggemma",
    "openai": r"(chat)?gpt-?\d|o\d(-|$)|text-embedding-",
    "claude": r"claude-\w",
    "gemini": r"gemini-\w|text-multilingual-embedding-",
}
"""How the names of models begin, for advice only."""
_BESIDE_SETTINGS = ("max_retries", "model", "provider", "timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One kind of provider."""

    entry_points: str
    interface: type
    published: tuple[str, ...]  # by bruno-llm, for advice only
    without: Mapping[str, str] = field(default_factory=dict)  # vendors that have none, for advice
    section: str  # of a file
    prefix: str = ""  # of the field in an environment variable
    fields: frozenset[str]  # that the environment may set


LANGUAGE_MODELS = Group(
    entry_points="bruno.llm_providers",
    interface=LLMInterface,
    published=("claude", "gemini", "ollama", "openai"),
    section="llm",
    fields=frozenset({*_BESIDE_SETTINGS, *ChatSettings.__annotations__} - {"options"}),
)
EMBEDDINGS = Group(
    entry_points="bruno.embedding_providers",
    interface=EmbeddingInterface,
    published=("gemini", "ollama", "openai"),
    without={"claude": "Anthropic"},
    section="embeddings",
    prefix="EMBEDDING_",
    fields=frozenset({*_BESIDE_SETTINGS, *EmbeddingSettings.__annotations__} - {"options"}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInfo:
    """An installed provider.

    Attributes:
        name: What the factory's `create` calls it.
        distribution: What brings it, in this `version`.
        capabilities: What it can do.
        error: Why it cannot be loaded; None if it can.
    """

    name: str
    distribution: str
    version: str
    capabilities: frozenset[str] = frozenset()
    error: str | None = None


def installed(group: Group = LANGUAGE_MODELS) -> list[ProviderInfo]:
    """Return the installed providers by name; no SDK is imported."""
    _search.cache_clear()  # a list is of what is there now
    points = sorted(_points(group), key=lambda point: point.name)
    return [_info(point, points, group) for point in points]


def names(group: Group = LANGUAGE_MODELS) -> frozenset[str]:
    """Return what the installed providers are called; none is loaded."""
    return frozenset(point.name.lower() for point in _points(group))


def kind_of(
    name: str, group: Group = LANGUAGE_MODELS, vendors: Mapping[str, Json] | None = None
) -> type[Any]:
    """Return the class of the provider *name*, or raise what to install.

    It may be one of the user's own *vendors*, as `read_vendors` returns them.
    """
    wanted = canonical(name)
    if vendors and wanted in vendors:
        return _kind_of_vendor(wanted, vendors[wanted], group)
    for _ in range(2):
        if found := _named(wanted, _points(group)):
            return _load(found, group)
        _search.cache_clear()  # perhaps it was installed since
    raise ProviderNotFoundError(_advice(wanted, group, vendors or {}))


_KEPT = {
    "cache_store": ("answers", "a file's path or a redis:// URL"),
    "ledger_store": ("costs", "a file's path or a postgresql:// URL"),
    "limit_store": ("limits", "a redis:// URL"),
}


def store_of(url: str, kind: str) -> Callable[..., Any]:
    """Return what opens the *kind* of store that is at *url*, or raise what to install.

    It is a function of an object of the entry point group `bruno_llm.stores`, whose names are the schemes.

    Args:
        url: Where the store is.
        kind: "cache_store", "ledger_store" or "limit_store".
    """
    scheme, separator, _ = url.partition("://")
    if not separator:  # what else it holds may be secret
        raise ConfigurationError("store has no scheme: give a URL, such as 'redis://localhost/0'")
    for _ in range(2):
        points = _search("bruno_llm.stores", tuple(sys.path))
        if found := _named(scheme.lower(), points):
            break
        _search.cache_clear()  # perhaps it was installed since
    else:
        known = ", ".join(sorted({*_STORES, *points.names}))
        package = _STORES.get(scheme.lower())
        cure = f"pip install {package}" if package else f"the known ones are {known}"
        raise ConfigurationError(f"no store is installed for {shown(scheme)} URLs: {cure}")
    try:
        offered: Callable[..., Any] | None = getattr(found.load(), kind, None)
    except Exception as error:
        raise ConfigurationError(
            f"the store {found.name!r} of {_owner(found)} cannot be loaded: {error}; reinstall it:"
            f" pip install --force-reinstall {_owner(found)}",
            cause=error,
        ) from error
    if offered is None:
        kept, cure = _KEPT[kind]
        raise ConfigurationError(f"{scheme}:// keeps no {kept}: give {cure}")
    return offered


def read_vendors(tables: object) -> dict[str, Json]:
    """Return the user's own vendors, each as its fields by the provider's name, or raise what is wrong."""
    if not isinstance(tables, Mapping):
        raise ConfigurationError(
            f"vendors is a {type(tables).__name__}: give a table for each vendor, as in [vendors.acme]"
        )
    groups = (LANGUAGE_MODELS, EMBEDDINGS)
    taken = {point.name.lower() for group in groups for point in _points(group)}
    taken |= {*_ALIASES, *LANGUAGE_MODELS.published}
    for name, fields in tables.items():
        if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
            raise ConfigurationError(f"vendors.{name}: a name is letters, digits, '-' and '_'")
        if name.lower() in taken:
            raise ConfigurationError(
                f"vendors.{name}: a provider is called {name!r} already: choose another name"
            )
        if not isinstance(fields, Mapping):
            raise ConfigurationError(
                f"vendors.{name} is a {type(fields).__name__}: give a table with base_url and key"
            )
    return {name.lower(): dict(fields) for name, fields in tables.items()}


def protocol_of(fields: Json) -> str:
    """Return the provider whose protocol one of the user's own vendors speaks."""
    return cast(str, fields.get("protocol", "openai"))


def _kind_of_vendor(name: str, fields: Json, group: Group) -> type[Any]:
    protocol = protocol_of(fields)
    try:
        kind = kind_of(protocol, group)
    except (ProviderNotFoundError, ConfigurationError) as error:
        raise type(error)(f"vendors.{name}.protocol: {error.message}") from error
    if not hasattr(kind, "at_vendor"):
        raise ConfigurationError(
            f"vendors.{name}.protocol is {protocol!r}, which no other vendor can be built with: leave"
            " it out for OpenAI's"
        )
    own = {field: value for field, value in fields.items() if field != "protocol"}
    return cast(type[Any], kind.at_vendor(name, own))


def canonical(name: Any) -> str:
    """Return what the provider *name* is called everywhere; an error if it is not a name."""
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"provider is {shown(name)}: give a name, such as 'openai'")
    lowered = name.strip().lower()
    return _ALIASES.get(lowered, lowered)


def split_name(name: Any, group: Group = LANGUAGE_MODELS) -> tuple[str, str | None]:
    """Return the provider and the model of "provider/model" or "provider:model"; a name alone has none.

    The longest name that is a provider's wins, as its own may hold a separator, and else what stands
    before the first one: models' names may hold any.
    """
    canonical(name)
    ends = [found.start() for found in re.finditer("[/:]", name)]
    if not ends:
        return name, None
    known = {*_ALIASES, *names(group)}
    longest_first = (len(name), *reversed(ends))
    end = next((end for end in longest_first if name[:end].strip().lower() in known), ends[0])
    provider, model = name[:end].strip(), name[end + 1 :].strip()
    if end < len(name) and not (provider and model):
        raise ConfigurationError(
            f"provider is {shown(name)}: give its name, or that and a model, as in 'ollama/llama3.2'"
        )
    return provider, model or None


def _points(group: Group) -> EntryPoints:
    """Return the entry points of *group*, as they were when `sys.path` was first searched."""
    return _search(group.entry_points, tuple(sys.path))


@lru_cache
def _search(group: str, _path: tuple[str, ...]) -> EntryPoints:
    """Search `sys.path`: this opens a file of every distribution, which takes milliseconds."""
    return entry_points(group=group)


def _named(name: str, points: Iterable[EntryPoint]) -> EntryPoint | None:
    """Return that of *points* which is called *name*; several that differ are an error."""
    found = [point for point in points if point.name.lower() == name]
    if len({point.value for point in found}) > 1:
        owners = ", ".join(sorted(map(_owner, found)))
        raise ConfigurationError(
            f"several distributions provide {name!r}: {owners}; uninstall all but one"
        )
    return found[0] if found else None


def _advice(name: str, group: Group, vendors: Iterable[str]) -> str:
    known = sorted(point.name for point in _points(group))
    if name in group.without:
        others = ", ".join(map(repr, known)) or "none installed"
        vendor = group.without[name]
        return f"{vendor} offers no {group.section}: use those of another provider ({others})"
    if name in group.published:
        return f"the provider {name!r} is not installed: pip install bruno-llm-{name}"
    fits = (vendor for vendor, start in _MODELS.items() if re.match(start, name))
    if (vendor := next(fits, "")) in group.published:
        return f"{name!r} is a model: name its provider too, as in {f'{vendor}/{name}'!r}"
    close = close_matches(name, {*known, *group.published, *_ALIASES, *vendors})
    hint = f": did you mean {close[0]!r}?" if close else ""
    cure = 'for a server of OpenAI\'s protocol: create("openai", base_url=...)'
    if "openai" not in known:
        cure += "; pip install bruno-llm-openai brings it, and many vendors by name"
    return f"no provider is called {name!r}{hint} (installed: {', '.join(known) or 'none'}); {cure}"


def _load(point: EntryPoint, group: Group) -> type[Any]:
    it = f"the provider {point.name!r} of {_owner(point)}"
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:  # some modules exit where something is missing
        raise ConfigurationError(
            f"{it} cannot be loaded: {error}; reinstall it:"
            f" pip install --force-reinstall {_owner(point)}",
            cause=error if isinstance(error, Exception) else None,
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, group.interface)):
        raise ConfigurationError(
            f"{it} is {point.value}, which does not implement"
            f" bruno_core.interfaces.{group.interface.__name__}: report it to its authors"
        )
    if missing := sorted(getattr(loaded, "__abstractmethods__", ())):
        raise ConfigurationError(f"{it} lacks {', '.join(missing)}: report it to its authors")
    return loaded


def _info(point: EntryPoint, points: Iterable[EntryPoint], group: Group) -> ProviderInfo:
    found = ProviderInfo(
        name=point.name,
        distribution=_owner(point),
        version=point.dist.version if point.dist else "",
    )
    try:
        _named(point.name.lower(), points)
        capabilities = getattr(_load(point, group), "capabilities", found.capabilities)
    except ConfigurationError as error:
        return replace(found, error=error.message)
    return replace(found, capabilities=capabilities)


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value
