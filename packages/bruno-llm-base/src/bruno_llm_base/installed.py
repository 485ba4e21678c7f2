"""What is installed.

A distribution offers a provider by an entry point in the group `bruno.llm_providers`; nothing is
imported before it is asked for.
"""

import difflib
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from bruno_core.interfaces import LLMInterface

from bruno_llm_base.exceptions import ConfigurationError, ProviderNotFoundError
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.values import shown

__all__ = ["ALIASES", "GROUP", "ProviderInfo", "canonical", "installed", "kind_of"]

GROUP = "bruno.llm_providers"

ALIASES = {"anthropic": "claude", "google": "gemini"}
"""Other names of providers."""

_KNOWN = ("claude", "gemini", "ollama", "openai")
"""The providers that bruno-llm publishes, for advice only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInfo:
    """An installed provider.

    Attributes:
        name: What `LLMFactory.create` calls it.
        distribution: The distribution that brings it.
        version: That distribution's version.
        capabilities: What it can do.
        error: Why it cannot be loaded; None if it can.
    """

    name: str
    distribution: str
    version: str
    capabilities: frozenset[str] = field(default_factory=frozenset)
    error: str | None = None


def installed() -> list[ProviderInfo]:
    """Return the installed providers by name; no SDK is imported."""
    return [_info(point) for point in sorted(_points(), key=lambda point: point.name)]


def kind_of(name: str) -> type[BaseProvider]:
    """Return the class of the provider *name*.

    Raises:
        ProviderNotFoundError: It is not installed; the message says what to install.
        ConfigurationError: It cannot be loaded.
    """
    return _load(_point(name))


def _points() -> list[EntryPoint]:
    return list(entry_points(group=GROUP))


def canonical(name: str) -> str:
    """Return what the provider *name* is called everywhere.

    Raises:
        ConfigurationError: It is no name.
    """
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"provider is {shown(name)}: give a name, such as 'openai'")
    lowered = name.strip().lower()
    return ALIASES.get(lowered, lowered)


def _point(name: str) -> EntryPoint:
    wanted = canonical(name)
    found = [point for point in _points() if point.name.lower() == wanted]
    if len({point.value for point in found}) > 1:
        owners = ", ".join(sorted(_owner(point) for point in found))
        raise ConfigurationError(
            f"several distributions provide {wanted!r}: {owners}; uninstall all but one"
        )
    if not found:
        raise ProviderNotFoundError(_advice(wanted))
    return found[0]


def _advice(name: str) -> str:
    installed = sorted(point.name for point in _points())
    if name in _KNOWN:
        return f"the provider {name!r} is not installed: pip install bruno-llm-{name}"
    close = difflib.get_close_matches(name, {*installed, *_KNOWN, *ALIASES}, n=1)
    hint = f": did you mean {close[0]!r}?" if close else ""
    return f"no provider is called {name!r}{hint} (installed: {', '.join(installed) or 'none'})"


def _load(point: EntryPoint) -> type[BaseProvider]:
    try:
        loaded = point.load()
    except Exception as error:
        raise ConfigurationError(
            f"the provider {point.name!r} of {_owner(point)} cannot be loaded: {error};"
            f" reinstall it: pip install --force-reinstall {_owner(point)}",
            cause=error,
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, LLMInterface)):
        raise ConfigurationError(
            f"the provider {point.name!r} of {_owner(point)} is {point.value}, which does not"
            " implement bruno_core.interfaces.LLMInterface: report it to its authors"
        )
    missing = sorted(getattr(loaded, "__abstractmethods__", ()))
    if missing:
        raise ConfigurationError(
            f"the provider {point.name!r} of {_owner(point)} lacks {', '.join(missing)}:"
            " report it to its authors"
        )
    return cast("type[BaseProvider]", loaded)


def _info(point: EntryPoint) -> ProviderInfo:
    version = point.dist.version if point.dist else ""
    try:
        kind = _load(point)
    except ConfigurationError as error:
        return ProviderInfo(
            name=point.name, distribution=_owner(point), version=version, error=error.message
        )
    return ProviderInfo(
        name=point.name,
        distribution=_owner(point),
        version=version,
        capabilities=getattr(kind, "capabilities", frozenset()),
    )


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value
