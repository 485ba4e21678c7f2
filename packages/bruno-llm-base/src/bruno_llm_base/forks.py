"""What a forked process does not inherit: requests that its parent has on their way, and locks."""

import os
from threading import Lock
from typing import Protocol
from weakref import WeakSet


class _Inherited(Protocol):
    def start_fresh(self) -> None:
        """Be as it would be if this process had just made it."""


_inherited: WeakSet[_Inherited] = WeakSet()


def start_fresh_in_children(inherited: _Inherited) -> None:
    """Call `start_fresh` in every process that is forked from this one."""
    _inherited.add(inherited)


class _Resting(_Inherited, Protocol):
    def rest(self) -> None:
        """Come to rest, with nothing open, and stay so."""

    def go_on(self) -> None:
        """Go on after a rest."""


_resting: WeakSet[_Resting] = WeakSet()
_lock = Lock()


def rest_during_forks(resting: _Resting) -> None:
    """Let it rest while the process forks; then it goes on here, and starts fresh in the child."""
    with _lock:
        _resting.add(resting)


def _rest() -> None:
    _lock.acquire()
    for resting in _resting:
        resting.rest()


def _go_on() -> None:
    if _lock.locked():  # unless the fork began before this module was loaded
        for resting in _resting:
            resting.go_on()
        _lock.release()


def _start_fresh() -> None:
    for inherited in list(_inherited):
        inherited.start_fresh()
    if _lock.locked():
        for resting in _resting:
            resting.start_fresh()
        _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_rest, after_in_parent=_go_on, after_in_child=_start_fresh)
