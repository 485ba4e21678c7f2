"""What bruno-llm 0.2.0 offered, until 0.5. Nothing here is for new programs.

See `docs/migration.md`.
"""

import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

__all__ = ["alias", "deprecated", "old_names"]

UNTIL = "0.5"
_OURS = ("bruno_llm", "bruno_llm_base")
_NONE: Mapping[str, Any] = MappingProxyType({})


def deprecated(old: str, new: str) -> None:
    """Warn, at the line outside of our packages that uses it, that *new* replaces *old*."""
    level, frame = 1, sys._getframe()  # noqa: SLF001 - how deep we are varies
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"{old} is deprecated and leaves in bruno-llm {UNTIL}: use {new}",
        DeprecationWarning,
        stacklevel=level,
    )


def old_names(
    module: str,
    moved: Mapping[str, str],
    *,
    kept: Mapping[str, tuple[str, str]] = _NONE,
    gone: Mapping[str, str] = _NONE,
) -> Callable[[str], Any]:
    """Return the `__getattr__` of an old module.

    Args:
        module: The module's name.
        moved: Names that have a full successor: where it is.
        kept: Names that something here stands in for: where that is, and the successor.
        gone: Names that are no longer here: what to do instead.
    """

    def find(name: str) -> Any:
        if name in gone:
            raise ImportError(f"{module}.{name} is gone: {gone[name]}", name=module)
        if name not in moved and name not in kept:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, successor = kept[name] if name in kept else (moved[name], moved[name])
        deprecated(f"{module}.{name}", successor)
        home, _, own = place.rpartition(".")
        return getattr(import_module(home), own)

    return find


def alias(module: str, *submodules: str) -> None:
    """Let *module* stand in for the *submodules* that it once had, as `os` does for `os.path`."""
    for name in submodules:
        sys.modules[f"{module}.{name}"] = sys.modules[module]
