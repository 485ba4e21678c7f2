"""What must not be inherited by a forked process is let go of before the fork.

SQLite forbids to use or even to close a connection in a child of the process that opened it
(https://www.sqlite.org/howtocorrupt.html, 2.6), and what the library itself remembers of an open
file makes the child believe that it holds the parent's locks. So there is none while forking.
"""

import os
from threading import Lock
from typing import Protocol
from weakref import WeakSet

__all__ = ["watch"]


class _Forks(Protocol):
    def before_fork(self) -> None:
        """Come to rest, and stay so."""

    def after_fork(self, *, in_child: bool) -> None:
        """Go on."""


class _Watch:
    """Everybody who wants to know of a fork."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._watched: WeakSet[_Forks] = WeakSet()
        self._resting: list[_Forks] = []

    def add(self, subject: _Forks) -> None:
        with self._lock:
            self._watched.add(subject)

    def before(self) -> None:
        self._lock.acquire()
        self._resting = list(self._watched)
        for subject in self._resting:
            subject.before_fork()

    def after_in_parent(self) -> None:
        self._wake(in_child=False)

    def after_in_child(self) -> None:
        self._wake(in_child=True)

    def _wake(self, *, in_child: bool) -> None:
        for subject in self._resting:
            subject.after_fork(in_child=in_child)
        self._resting = []
        self._lock.release()


_watch = _Watch()  # of the process, as forks are
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_watch.before,
        after_in_parent=_watch.after_in_parent,
        after_in_child=_watch.after_in_child,
    )


def watch(subject: _Forks) -> None:
    """Call *subject* before and after each fork, as long as it is there."""
    _watch.add(subject)
