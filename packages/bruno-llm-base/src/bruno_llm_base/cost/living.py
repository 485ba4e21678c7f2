"""Which of the processes that share a file are still there."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Process"]

_PROC = Path("/proc")
_FORGOTTEN = 86_400  # seconds after which a process that nobody can ask about counts as gone
_GONE = ("Z", "X")  # states of a process that has ended, but whose parent has not noticed


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told apart from a later one of the same number.

    Attributes:
        space: Where the number means this process: a machine since it was booted and, on Linux, the
            container (pid_namespaces(7)).
        pid: Its number.
        started: When it started, in the kernel's own measure (proc_pid_stat(5)); "" where the
            system does not say.
    """

    space: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> "Process":
        """Return the process that runs this."""
        pid = os.getpid()
        return cls(_space(), pid, _started(pid) or "")

    def is_gone(self, here: str, age: float) -> bool:
        """Say whether the process has ended.

        Args:
            here: The space of whoever asks.
            age: Seconds since it was last heard of. After a day, that decides where nothing else
                can: in another container, on Windows, and where the system does not say when a
                process started.
        """
        if self.space != here or os.name == "nt":  # there, os.kill(pid, 0) interrupts the process
            return age > _FORGOTTEN
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # it is another user's
        if self.started:
            return _started(self.pid) != self.started
        return age > _FORGOTTEN


def _space() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return platform.node()


def _started(pid: int) -> str | None:
    """Return when the process started; None if it has ended or the system does not say."""
    try:
        # the name, in parentheses, may hold anything
        state, *facts = (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in _GONE else facts[18]
