"""How processes that share a file know which of them are still there."""

import os
import weakref
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: there, a file that somebody has open cannot be removed
    fcntl = None  # type: ignore[assignment]

__all__ = ["Sign", "is_gone"]


class Sign:
    """A sign of life: a file that is locked until we remove it, or end in whatever way.

    The kernel lets go of the lock, so it needs no guess by process numbers: they are used again,
    and in another container they mean another process.

    Args:
        path: The file, which must not be there yet.

    Raises:
        OSError: It cannot be made or locked.
    """

    def __init__(self, path: Path) -> None:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        self._file = file
        self._remove = weakref.finalize(self, _remove, path, file)
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def remove(self) -> None:
        """Remove the file."""
        self._remove()

    def leave(self) -> None:
        """Leave it to the parent, in a process that was just forked."""
        if self._remove.detach() is not None:
            os.close(self._file)


def is_gone(path: Path) -> bool:
    """Say whether whoever made the sign at *path* has ended; if so, remove it.

    Raises:
        OSError: It cannot be locked or removed.
    """
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if os.name == "nt":
            return False
        raise
    return True


def _remove(path: Path, file: int) -> None:
    os.close(file)
    path.unlink(missing_ok=True)
