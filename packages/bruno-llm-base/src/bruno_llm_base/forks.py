"""What a forked process does not inherit: requests that its parent has on their way, and locks."""

import os
from typing import Protocol
from weakref import WeakSet


class _Inherited(Protocol):
    def start_fresh(self) -> None:
        """Be as it would be if this process had just made it."""


_inherited: WeakSet[_Inherited] = WeakSet()


def start_fresh_in_children(inherited: _Inherited) -> None:
    """Call `start_fresh` in every process that is forked from this one."""
    _inherited.add(inherited)


def _start_fresh() -> None:
    for inherited in list(_inherited):
        inherited.start_fresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_fresh)
