"""Options on their way from bruno-core's words to a vendor's request body."""

from collections.abc import Iterable, Mapping
from itertools import islice

from bruno_llm_base.types import Json

__all__ = ["closest", "merged", "spelled"]

_CLOSEST = 5
_MOST_COMPARED, _LONGEST_COMPARED = 2000, 100  # the list is a server's, and comparing is slow


def spelled(options: Mapping[str, object], names: Mapping[str, str]) -> Json:
    """Return *options* under the names that *names* gives them, others as they are.

    Args:
        options: Options by name.
        names: The vendor's names; dots lead into nested objects ("options.num_ctx").
    """
    return merged(*(_nested(names.get(name, name), value) for name, value in options.items()))


def _nested(path: str, value: object) -> Json:
    outer, _, inner = path.partition(".")
    return {outer: _nested(inner, value) if inner else value}


def merged(*bodies: Json) -> Json:
    """Return *bodies* as one: later values win, objects join. None of them is changed."""
    whole: Json = {}
    for body in bodies:
        for name, value in body.items():
            before = whole.get(name)
            if isinstance(before, dict) and isinstance(value, dict):
                whole[name] = merged(before, value)
            else:
                whole[name] = value
    return whole


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Return the five of *known* that are most like *name*, the closest first."""
    import difflib  # for errors only, and slow to load

    names = [other for other in islice(known, _MOST_COMPARED) if len(other) <= _LONGEST_COMPARED]
    return difflib.get_close_matches(name[:_LONGEST_COMPARED], names, n=_CLOSEST, cutoff=0.0)
