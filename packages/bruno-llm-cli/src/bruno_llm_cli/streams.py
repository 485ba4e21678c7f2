"""The standard streams of the process, which may be closed, full, or left by their reader."""

import io
import os
import stat
import sys
from pathlib import Path
from typing import Any

from bruno_llm_cli.output import say


class Unwritable(Exception):  # noqa: N818 - named for what is said
    """Stdout cannot be written to."""


class _Stream(io.TextIOWrapper):
    """A stream that is given up at its first error: what cannot be told is lost."""

    def write(self, text: str) -> int:
        """Write *text*."""
        try:
            return super().write(text)
        except OSError as error:
            self.give_up(error)
            return len(text)

    def flush(self) -> None:
        """Write what was held back."""
        try:
            super().flush()
        except OSError as error:
            self.give_up(error)

    def give_up(self, error: OSError) -> None:
        """Write nowhere from now on, so that the end of the process has no error either."""
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), self.fileno())


class _Stdout(_Stream):
    """Stdout: without it there is nothing more to do."""

    def give_up(self, error: OSError) -> None:
        """End the command."""
        super().give_up(error)
        if isinstance(error, BrokenPipeError):  # typer ends quietly, as programs in pipes do
            raise error
        raise Unwritable(error.strerror or str(error)) from error


def is_piped() -> bool:
    """Say whether stdin is a file or a pipe: no terminal, and not /dev/null."""
    try:
        return not stat.S_ISCHR(os.fstat(sys.stdin.fileno()).st_mode)
    except OSError:  # a stand-in within this process
        return False


def prepare() -> None:
    """Stand in for streams that were closed before the start, and expect errors of the others."""
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        say("stdout is closed: an answer cannot be written")
        sys.exit(1)
    stdin: Any = sys.stdin
    stdout: Any = sys.stdout
    stderr: Any = sys.stderr
    if sys.platform != "win32":  # another program may have told its end of a pipe not to wait
        for stream in (stdin, stdout, stderr):
            os.set_blocking(stream.fileno(), True)
    # what a terminal cannot show, or what was mistyped there, is not a reason to fail
    stdin.reconfigure(errors="replace")
    sys.stdout = _over(_Stdout, stdout, "replace")
    vars(sys)["__stdout__"] = sys.stdout  # by which the width of the terminal is found
    sys.stderr = _over(_Stream, stderr, "backslashreplace")


def _over(kind: type[_Stream], stream: Any, errors: str) -> _Stream:
    encoding, each_line = stream.encoding, stream.line_buffering
    return kind(stream.detach(), encoding, errors, line_buffering=each_line)
